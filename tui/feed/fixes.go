package feed

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
)

// Fixes are the repairs of a run, the oldest first.
type Fixes struct {
	List []core.FixResult
	At   int // the one that is shown
}

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

// Add takes repairs in. Who looked at the newest one looks at the newest one still.
func (f *Fixes) Add(events []core.Event) {
	follow := f.At == len(f.List)-1 || len(f.List) == 0
	for _, e := range events {
		if e.Fix == nil || e.Fix.Path == "" || slices.ContainsFunc(f.List, func(r core.FixResult) bool { return r.Path == e.Fix.Path }) {
			continue
		}
		f.List = append(f.List, *e.Fix)
	}
	slices.SortStableFunc(f.List, func(a, b core.FixResult) int { return comparePaths(a.Path, b.Path) })
	if follow {
		f.At = max(len(f.List)-1, 0)
	}
}

// Show goes to the repair with that path.
func (f *Fixes) Show(path string) {
	if i := slices.IndexFunc(f.List, func(r core.FixResult) bool { return r.Path == path }); i >= 0 {
		f.At = i
	}
}

// Move goes n repairs on; it stops at the first and the last.
func (f *Fixes) Move(n int) { f.At = min(max(f.At+n, 0), max(len(f.List)-1, 0)) }

// Current is the repair that is shown.
func (f *Fixes) Current() (core.FixResult, bool) {
	if f.At >= len(f.List) {
		return core.FixResult{}, false
	}
	return f.List[f.At], true
}
