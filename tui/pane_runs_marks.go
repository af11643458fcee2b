package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/words"
	"focusnfix/tui/feed"
)

// comparedMsg is a batch of events of a marked run.
type comparedMsg feed.Followed

// markedRun is a run in the comparison and its curves.
type markedRun struct {
	*feed.Run
	title string
	line  feed.Line // of the total reward
	other feed.Line // of the metric that is compared
}

// markedAt is the place of a run among the marked ones, which is its curve's color, or -1.
func (p *runsPane) markedAt(dir string) int {
	return slices.IndexFunc(p.s.marked, func(o *markedRun) bool { return o.Folder.Dir == dir })
}

// mark takes the chosen run into the comparison, or out of it.
func (p *runsPane) mark() tea.Cmd {
	r, ok := p.chosen()
	if !ok || r.Err != nil {
		return nil
	}
	if i := p.markedAt(r.Dir); i >= 0 {
		p.unmarkAt(i)
		return nil
	}
	if len(p.s.marked) == len(p.s.styles.Series) {
		return p.s.say("%s can be compared, not more", words.Plural(len(p.s.marked), "run"))
	}
	o := &markedRun{Run: feed.Open(r.Folder), title: runTitle(r)}
	p.s.marked = append(p.s.marked, o)
	inspect := o.Inspect()
	return tea.Batch(p.followMarked(o), func() tea.Msg { return inspectedMarkMsg{o, inspect()} })
}

// inspectedMarkMsg is the state and the configuration of a marked run.
type inspectedMarkMsg struct {
	of       *markedRun
	snapshot tea.Msg
}

func (p *runsPane) unmarkAt(i int) {
	p.s.marked[i].Close()
	p.s.marked = slices.Delete(p.s.marked, i, i+1)
}

// unmark clears the filter, or takes all runs out of the comparison.
func (p *runsPane) unmark() tea.Cmd {
	if p.filter.field.Value() != "" {
		p.filter.field.SetValue("")
		return p.narrow()
	}
	for len(p.s.marked) > 0 {
		p.unmarkAt(len(p.s.marked) - 1)
	}
	return nil
}

func (p *runsPane) followMarked(o *markedRun) tea.Cmd {
	follow := o.Follow()
	return func() tea.Msg {
		if msg, ok := follow().(feed.Followed); ok {
			return comparedMsg(msg)
		}
		return nil
	}
}

// compared takes in a batch of a marked run's events.
func (p *runsPane) compared(msg comparedMsg) tea.Cmd {
	i := slices.IndexFunc(p.s.marked, func(o *markedRun) bool { return o.Run == msg.Run })
	if i < 0 {
		return nil
	}
	o := p.s.marked[i]
	if !o.Take(feed.Followed(msg)) {
		return nil
	}
	p.refreshMarked()
	return p.followMarked(o)
}

// refreshMarked brings the curves up to date.
func (p *runsPane) refreshMarked() {
	for _, o := range p.s.marked {
		o.line.Update(o.Store.Steps, "reward", feed.ByStep, p.s.settings.Smoothing)
	}
}
