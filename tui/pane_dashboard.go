package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"
)

// dashboardPane watches the run.
type dashboardPane struct {
	s    *shared
	w, h int
}

func newDashboardPane(s *shared) *dashboardPane { return &dashboardPane{s: s} }

func (p *dashboardPane) title() string { return "Dashboard" }

func (p *dashboardPane) typing() bool { return false }

func (p *dashboardPane) keys() []binding { return nil }

func (p *dashboardPane) update(msg tea.Msg) tea.Cmd {
	if msg, ok := msg.(sizeMsg); ok {
		p.w, p.h = msg.w, msg.h
	}
	return nil
}

func (p *dashboardPane) view(w, h int) string {
	if p.s.run == nil {
		return message(w, h, "No run is open.")
	}
	return fitBlock([]string{fmt.Sprintf(" step %d/%d", p.s.run.store.step, p.s.run.info.Steps)}, w, h)
}
