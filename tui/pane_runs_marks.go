package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/words"
	"focusnfix/tui/feed"
)

// comparedMsg is a batch of events of a marked run.
type comparedMsg feed.Followed

// markedRun is a run in the comparison and its curve.
type markedRun struct {
	*feed.Run
	line feed.Line
}

// mark takes the chosen run into the comparison, or out of it.
func (p *runsPane) mark() tea.Cmd {
	r, ok := p.chosen()
	if !ok || r.Err != nil {
		return nil
	}
	i := slices.IndexFunc(p.marked, func(o *markedRun) bool { return o.Folder.Dir == r.Dir })
	if i >= 0 {
		p.marked[i].Close()
		p.marked = slices.Delete(p.marked, i, i+1)
		return nil
	}
	if len(p.marked) == len(p.s.styles.Series) {
		return p.s.say("%s can be compared, not more", words.Plural(len(p.marked), "run"))
	}
	o := &markedRun{Run: feed.Open(r.Folder)}
	p.marked = append(p.marked, o)
	return p.followMarked(o)
}

func (p *runsPane) unmark() tea.Cmd {
	for _, o := range p.marked {
		o.Close()
	}
	p.marked = nil
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
	i := slices.IndexFunc(p.marked, func(o *markedRun) bool { return o.Run == msg.Run })
	if i < 0 {
		return nil
	}
	o := p.marked[i]
	if !o.Take(feed.Followed(msg)) {
		return nil
	}
	p.refreshMarked()
	return p.followMarked(o)
}

// refreshMarked brings the curves up to date.
func (p *runsPane) refreshMarked() {
	for _, o := range p.marked {
		o.line.Update(o.Store.Steps, "reward", feed.ByStep, p.s.settings.Smoothing)
	}
}

// isMarked tells the color of a marked run's curve.
func (p *runsPane) isMarked(dir string) (color int, ok bool) {
	i := slices.IndexFunc(p.marked, func(o *markedRun) bool { return o.Folder.Dir == dir })
	return i, i >= 0
}
