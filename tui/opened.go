package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/tui/feed"
)

// openRun makes f the run on the screen and begins to read it.
func (s *shared) openRun(f run.Folder) tea.Cmd {
	s.close()
	s.deck.forget()
	o := feed.Open(f)
	s.run = o
	return tea.Batch(o.Inspect(), o.Follow())
}

// closeRun leaves no run on the screen.
func (s *shared) closeRun() {
	s.close()
	s.deck.forget()
	s.run = nil
}

func (s *shared) lookAgain() tea.Cmd {
	if s.run == nil {
		return nil
	}
	return s.run.Inspect()
}

// looked takes a snapshot in; it returns false if it is of a run that was closed.
func (s *shared) looked(l feed.Snapshot) bool {
	if s.run == nil || l.Run != s.run {
		return false
	}
	s.run.Update(l)
	return true
}

// readResults reads the results that lie in the folder of the run on the screen.
func (s *shared) readResults() tea.Cmd {
	if s.run == nil {
		return nil
	}
	return s.run.ReadResults()
}

// stateText is the run's state for people, and where the run is unless that is here.
func stateText(o *feed.Run) string {
	text := words.State(o.State)
	if o.State == run.Crashed && o.OnlyDraws {
		text = "crashed (drawing only)"
	}
	away := o.Info.Far
	switch {
	case away == nil:
		return text
	case away.Link != "":
		return text + " at " + away.Seen.Local().Format("15:04") + ", no link to " + away.Host
	case away.Behind > 0:
		return fmt.Sprintf("%s on %s, %.1f MB to come", text, away.Host, float64(away.Behind)/1e6)
	}
	return text + " on " + away.Host
}
