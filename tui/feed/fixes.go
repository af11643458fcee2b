package feed

import (
	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
)

// Fixes are the repairs of a run, the oldest first.
type Fixes struct{ History[core.FixResult] }

// FixesRead is the repairs that lie in the run folder.
type FixesRead struct {
	Run    *Run
	Events []core.Event
	Kept   []core.FixUse // the set of kept fixes
	Err    error
}

// ReadFixes reads the repairs that lie in the run folder: what the log says of them may be cut off.
func (o *Run) ReadFixes() tea.Cmd {
	return func() tea.Msg {
		msg := FixesRead{Run: o}
		if msg.Events, msg.Err = o.Folder.Fixes(); msg.Err == nil {
			msg.Kept, msg.Err = o.Folder.KeptFixes()
		}
		return msg
	}
}

// Add takes the repairs among events in.
func (f *Fixes) Add(events []core.Event) {
	for _, e := range events {
		if e.Fix != nil {
			f.add(*e.Fix)
		}
	}
}
