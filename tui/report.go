package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
)

// report writes a page about the marked runs, or about the one that is open or chosen.
func (a *app) report() tea.Cmd {
	var runs []run.Folder
	if p, ok := a.panes[tabRuns].(*runsPane); ok && a.tab == tabRuns {
		for _, m := range p.s.marked {
			runs = append(runs, m.Folder)
		}
		if r, chosen := p.chosen(); chosen && len(runs) == 0 {
			runs = []run.Folder{r.Folder}
		}
	}
	if a.run != nil && len(runs) == 0 {
		runs = []run.Folder{a.run.Folder}
	}
	write := a.options.Report
	if len(runs) == 0 || write == nil {
		return a.say("no run is open: 1 lists the runs")
	}
	return tea.Batch(a.say("writing a page"), func() tea.Msg {
		path, err := write(context.Background(), runs)
		if err != nil {
			return failure(err)
		}
		return noticeMsg{text: "wrote " + path}
	})
}
