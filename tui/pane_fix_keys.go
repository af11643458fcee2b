package tui

import (
	"fmt"
	"path"

	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

func (p *fixPane) keys() []binding {
	switch p.phase {
	case fixWorking:
		return []binding{
			bind(p.cancel, "cancel", "give the repair up", "esc"),
			bind(p.toggle(&p.Difference), "diff", "the difference from the picture before, 4 times as strong", "d"),
		}
	case fixLooking:
		return p.lookingKeys()
	}
	move := func(dx, dy int) func() tea.Cmd { return p.then(func() { p.move(dx, dy, p.grip) }) }
	corner := func(dx, dy int) func() tea.Cmd { return p.then(func() { p.move(dx, dy, gripBottomRight) }) }
	pick := func(n int) func() tea.Cmd { return func() tea.Cmd { return p.pick(n) } }
	return []binding{
		bind(p.start, "repair", "repair what is in the box", "enter"),
		bind(pick(1), "picture", "the next picture", "n"),
		bind(pick(-1), "", "the picture before", "p"),
		bind(nil, "box", "arrows move the box; shift and arrows move its bottom right corner", "←↑↓→"),
		bind(move(-1, 0), "", "box left", "left"), bind(move(1, 0), "", "box right", "right"),
		bind(move(0, -1), "", "box up", "up"), bind(move(0, 1), "", "box down", "down"),
		bind(corner(-1, 0), "", "narrower", "shift+left"), bind(corner(1, 0), "", "wider", "shift+right"),
		bind(corner(0, -1), "", "lower", "shift+up"), bind(corner(0, 1), "", "higher", "shift+down"),
		bind(p.then(func() { p.grow(1) }), "grow", "a larger box", "+", "="),
		bind(p.then(func() { p.grow(-1) }), "", "a smaller box", "-"),
		bind(p.then(func() { p.grip = (p.grip + 1) % grips }), "corner", "what the arrows move: the box or one of its corners", "c"),
		bind(p.nextAspect, "aspect", "the aspect whose judge says when it is repaired", "a"),
		bind(p.toggle(&p.isTuned), "flip", "base or tuned picture under the box", "f"),
		bind(p.toggle(&p.isHot), "heat", "the aspect's heatmap over it", "h"),
		bind(p.look, "results", "the repairs of this run", "l"),
	}
}

func (p *fixPane) lookingKeys() []binding {
	result := func(n int) func() tea.Cmd { return p.then(func() { p.results.Move(n) }) }
	return []binding{
		bind(p.back, "box", "another box or another picture", "enter", "esc"),
		bind(nil, "repairs", "earlier and later repairs", "←→"),
		bind(result(-1), "", "the repair before", "left"),
		bind(result(1), "", "the next repair", "right"),
		bind(p.toggle(&p.Difference), "diff", "the difference in place of the repaired picture, 4 times as strong", "d"),
		bind(p.toggle(&p.IsBase), "flip", "swap before and after in place", "f"),
		bind(p.toggle(&p.Contour), "outline", "outline the region, or not", "m"),
		bind(p.save, "save", "save both pictures side by side as PNG", "s"),
	}
}

// then makes an action of a change: it is followed by what the screen needs for it.
func (p *fixPane) then(change func()) func() tea.Cmd {
	return func() tea.Cmd {
		change()
		return p.wants()
	}
}

func (p *fixPane) toggle(b *bool) func() tea.Cmd { return p.then(func() { *b = !*b }) }

// pick takes another picture, n places on, with a new box.
func (p *fixPane) pick(n int) tea.Cmd {
	to := min(max(p.source+n, 0), max(len(p.sources)-1, 0))
	if to == p.source {
		return nil
	}
	p.source, p.boxEditor, p.err = to, boxEditor{grip: p.grip}, nil
	return tea.Batch(p.region(), p.wants())
}

func (p *fixPane) nextAspect() tea.Cmd {
	p.aspect = after(p.aspect, p.aspectNames(nil))
	return p.wants()
}

func (p *fixPane) look() tea.Cmd {
	if len(p.results.List) == 0 {
		return p.say("nothing was repaired in this run yet")
	}
	p.phase = fixLooking
	return p.wants()
}

func (p *fixPane) back() tea.Cmd {
	p.phase, p.Layers = fixDrawing, feed.Layers{Contour: true}
	return p.wants()
}

func (p *fixPane) cancel() tea.Cmd {
	if p.job != nil {
		p.job.cancel()
	}
	return nil
}

func (p *fixPane) save() tea.Cmd {
	r, ok := p.results.Current()
	if !ok {
		return nil
	}
	before, after, _ := p.drawings()
	name := fmt.Sprintf("%s-fix-%s-before-and-after", p.run.Folder.Name(), path.Base(r.Path))
	return p.saveDrawings(name, fmt.Sprintf("%s; seed %d; before and after the repair", r.Prompt, r.Seed), before, after)
}

// mouse draws the box and takes the words that can be clicked.
func (p *fixPane) mouse(m widget.Mouse) tea.Cmd {
	l := p.layout()
	if p.phase == fixDrawing {
		cols, rows := p.deck.shelf.Shown("fix/before")
		u, v, inside := toPicture(m.X-l.large.Min.X, m.Y-l.large.Min.Y, l.large.Dx(), l.large.Dy(), cols, rows)
		switch {
		case m.Action == widget.Release:
			p.release()
			return nil
		case m.Action == widget.Motion && p.drawn:
			p.drag(u, v)
			return nil
		case m.Left() && inside && cols > 0:
			p.press(u, v)
			return nil
		case m.Lines() != 0 && m.In(l.large):
			p.grow(-m.Lines())
			return nil
		}
	}
	if p.phase == fixLooking && m.Lines() != 0 {
		p.results.Move(m.Lines())
		return nil
	}
	if p.phase == fixLooking && m.Left() && m.In(l.right) {
		p.Difference = !p.Difference
		return nil
	}
	return widget.ClickRows(m, p.sideRect(), p.side())
}
