package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
)

// labelRun lists what can be noted of the chosen run.
func (p *runsPane) labelRun() tea.Cmd {
	r, ok := p.chosen()
	if !ok || r.Err != nil {
		return nil
	}
	ask := func(title, now string, set func(*run.Label, string), lines ...string) func() tea.Cmd {
		return func() tea.Cmd {
			return p.s.askValue(title, now, func(text string) (tea.Cmd, error) {
				label := r.Label
				set(&label, text)
				return p.saveLabel(r.Folder, label), nil
			}, lines...)
		}
	}
	tags := strings.Join(r.Label.Tags, " ")
	return p.s.openDialog(newMenu(p.s, "Label "+r.Name(), []menuItem{
		{"title", r.Label.Title, ask("Title", r.Label.Title, func(l *run.Label, text string) { l.Title = text }, "Shown in place of the folder's name, which stays.")},
		{"note", r.Label.Note, ask("Note", r.Label.Note, func(l *run.Label, text string) { l.Note = text })},
		{"tags", tags, ask("Tags", tags, func(l *run.Label, text string) { l.Tags = strings.Fields(text) }, "Words with spaces between them; / tag:WORD finds them.")},
	}))
}

// saveLabel writes a label and reads the list again.
func (p *runsPane) saveLabel(f run.Folder, l run.Label) tea.Cmd {
	return func() tea.Msg {
		if err := f.SetLabel(l); err != nil {
			return failure(fmt.Errorf("not noted: %w", err))
		}
		return relistMsg{}
	}
}

// relistMsg asks for the list to be read again: something in it was changed here.
type relistMsg struct{}

// trash asks and moves the chosen run to the trash.
func (p *runsPane) trash() tea.Cmd {
	r, ok := p.chosen()
	if !ok {
		return nil
	}
	if isLive(r.State) {
		return p.s.say("the run is %s; x stops it first", r.State)
	}
	yes := func() tea.Cmd {
		return func() tea.Msg {
			to, err := r.Trash()
			if err != nil {
				return failure(err)
			}
			return trashedMsg{r.Dir, to}
		}
	}
	return p.s.ask("Move the run to the trash?", yes, runTitle(r), "Its folder goes to .trash beside the runs; move it back to have it again.")
}

// trashedMsg tells that a run was moved.
type trashedMsg struct{ from, to string }

// trashed forgets a run that was moved.
func (p *runsPane) trashed(msg trashedMsg) tea.Cmd {
	cmds := []tea.Cmd{p.list(), p.s.say("moved to %s", msg.to)}
	if i := p.markedAt(msg.from); i >= 0 {
		p.unmarkAt(i)
	}
	if p.s.run != nil && p.s.run.Folder.Dir == msg.from {
		cmds = append(cmds, func() tea.Msg { return closeRunMsg{} })
	}
	return tea.Batch(cmds...)
}

// closeRunMsg asks for no run to be open.
type closeRunMsg struct{}

// pinBaseline makes the chosen run the one that others are compared with, or none.
func (p *runsPane) pinBaseline() tea.Cmd {
	r, ok := p.chosen()
	if !ok || r.Err != nil {
		return nil
	}
	next := p.s.settings
	text := runTitle(r) + " is the baseline: marked runs are compared with it"
	if next.Baseline == r.Name() {
		next.Baseline, text = "", "no baseline: marked runs are compared with the first of them"
	} else {
		next.Baseline = r.Name()
	}
	cmds := []tea.Cmd{p.s.change(next), p.s.say("%s", text)}
	if next.Baseline != "" && p.markedAt(r.Dir) < 0 {
		cmds = append(cmds, p.mark())
	}
	return tea.Batch(cmds...)
}

// baseline is which of the compared runs the others are compared with.
func (s *shared) baseline(all []*markedRun) int {
	for i, o := range all {
		if o.Folder.Name() == s.settings.Baseline {
			return i
		}
	}
	return 0
}
