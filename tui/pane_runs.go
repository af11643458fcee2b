package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
)

// runsPane lists runs and presets.
type runsPane struct {
	s       *shared
	list    []run.Run
	err     error
	at      int
	visible bool
}

// listedMsg is the folder of runs, read.
type listedMsg struct {
	list []run.Run
	err  error
}

func newRunsPane(s *shared) *runsPane { return &runsPane{s: s} }

func (p *runsPane) title() string { return "Runs" }

func (p *runsPane) typing() bool { return false }

func (p *runsPane) keys() []binding {
	return []binding{
		bind(p.open, "open", "open the run", "enter"),
		bind(func() tea.Cmd { return p.move(1) }, "", "next run", "down", "j"),
		bind(func() tea.Cmd { return p.move(-1) }, "", "run before", "up", "k"),
	}
}

func (p *runsPane) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case visibleMsg:
		p.visible = bool(msg)
		return p.read()
	case tickMsg:
		if p.visible {
			return p.read()
		}
	case listedMsg:
		p.list, p.err = msg.list, msg.err
	}
	return nil
}

func (p *runsPane) read() tea.Cmd {
	dir := p.s.options.Runs
	return func() tea.Msg {
		list, err := run.List(dir)
		return listedMsg{list, err}
	}
}

func (p *runsPane) move(n int) tea.Cmd {
	p.at = max(min(p.at+n, len(p.list)-1), 0)
	return nil
}

func (p *runsPane) open() tea.Cmd {
	if p.at >= len(p.list) {
		return nil
	}
	dir := p.list[p.at].Dir
	return func() tea.Msg { return openMsg{dir} }
}

func (p *runsPane) view(w, h int) string {
	var lines []string
	for i, r := range p.list {
		line := fitLine(fmt.Sprintf(" %s  %s  %d/%d", r.Name(), r.State, r.Last.Step, r.Info.Steps), w)
		if i == p.at {
			line = p.s.styles.selectedText.Render(line)
		}
		lines = append(lines, line)
	}
	if p.err != nil {
		lines = append(lines, p.s.styles.badText.Render(p.err.Error()))
	}
	return fitBlock(lines, w, h)
}
