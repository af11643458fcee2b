package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"
)

// comparedMsg is a batch of events of a marked run.
type comparedMsg followedMsg

// mark takes the chosen run into the comparison, or out of it.
func (p *runsPane) mark() tea.Cmd {
	r, ok := p.chosen()
	if !ok || r.Err != nil {
		return nil
	}
	i := slices.IndexFunc(p.marked, func(o *opened) bool { return o.folder.Dir == r.Dir })
	if i >= 0 {
		p.marked[i].close()
		p.marked = slices.Delete(p.marked, i, i+1)
		return nil
	}
	if len(p.marked) == len(p.s.styles.series) {
		return p.s.say("%s can be compared, not more", plural(len(p.marked), "run"))
	}
	o := newOpened(r.Folder)
	p.marked = append(p.marked, o)
	return p.followMarked(o)
}

func (p *runsPane) unmark() tea.Cmd {
	for _, o := range p.marked {
		o.close()
	}
	p.marked = nil
	return nil
}

func (p *runsPane) followMarked(o *opened) tea.Cmd {
	follow := o.follow()
	return func() tea.Msg {
		if msg, ok := follow().(followedMsg); ok {
			return comparedMsg(msg)
		}
		return nil
	}
}

// compared takes in a batch of a marked run's events.
func (p *runsPane) compared(msg comparedMsg) tea.Cmd {
	if !slices.Contains(p.marked, msg.run) {
		return nil
	}
	if !msg.run.take(followedMsg(msg)) {
		return nil
	}
	return p.followMarked(msg.run)
}

// isMarked tells the colour of a marked run's curve.
func (p *runsPane) isMarked(dir string) (color int, ok bool) {
	i := slices.IndexFunc(p.marked, func(o *opened) bool { return o.folder.Dir == dir })
	return i, i >= 0
}
