package tui

import (
	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
)

// openRun makes f the run on the screen and begins to read it.
func (s *shared) openRun(f run.Folder) tea.Cmd {
	s.close()
	o := newOpened(f)
	s.run = o
	return tea.Batch(o.inspect(), o.follow())
}

func (s *shared) lookAgain() tea.Cmd {
	if s.run == nil {
		return nil
	}
	return s.run.inspect()
}

// looked takes a snapshot in; it returns false if it is of a run that was closed.
func (s *shared) looked(l snapshot) bool {
	if s.run == nil || l.run != s.run {
		return false
	}
	s.run.update(l)
	return true
}

// readResults reads the results that lie in the folder of the run on the screen.
func (s *shared) readResults() tea.Cmd {
	if s.run == nil {
		return nil
	}
	return s.run.readResults()
}
