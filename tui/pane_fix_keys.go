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
			here(keyEsc, "cancel", "Cancel the repair", p.cancel),
			on(keyDiff, p.toggle(&p.Difference)),
		}
	case fixResults:
		return p.resultKeys()
	}
	move := func(dx, dy int) func() tea.Cmd { return p.then(func() { p.move(dx, dy, p.grip) }) }
	corner := func(dx, dy int) func() tea.Cmd { return p.then(func() { p.move(dx, dy, gripBottomRight) }) }
	pick := func(n int) func() tea.Cmd { return func() tea.Cmd { return p.pick(n) } }
	return []binding{
		here(keyEnter, "repair", "Repair what is in the box", p.start),
		on(keyNextImage, pick(1)),
		on(keyPrevImage, pick(-1)),
		note("←↑↓→", "box", "Move the box; with shift, its bottom right corner"),
		here(keyLeft, "", "Move the box left", move(-1, 0)), here(keyRight, "", "Move the box right", move(1, 0)),
		here(keyUp, "", "Move the box up", move(0, -1)), here(keyDown, "", "Move the box down", move(0, 1)),
		here(keyShiftLeft, "", "Make the box narrower", corner(-1, 0)), here(keyShiftRight, "", "Make the box wider", corner(1, 0)),
		here(keyShiftUp, "", "Make the box shorter", corner(0, -1)), here(keyShiftDown, "", "Make the box taller", corner(0, 1)),
		here(keyLarger, "grow", "Make the box larger", p.then(func() { p.grow(1) })),
		here(keySmaller, "", "Make the box smaller", p.then(func() { p.grow(-1) })),
		on(keyCorner, p.then(func() { p.grip = (p.grip + 1) % grips })),
		on(keyAspect, p.nextAspect),
		on(keyFlip, p.toggle(&p.isTuned)),
		on(keyHeat, p.toggle(&p.isHot)),
		on(keyRepairs, p.showRepairs),
	}
}

func (p *fixPane) resultKeys() []binding {
	result := func(n int) func() tea.Cmd { return p.then(func() { p.results.Move(n) }) }
	return []binding{
		here(keyEnter, "box", "Choose another box or another image", p.back),
		here(keyEsc, "", "Choose another box or another image", p.back),
		note("←→", "repairs", "Go to earlier and later repairs"),
		here(keyLeft, "", "Go to the previous repair", result(-1)),
		here(keyRight, "", "Go to the next repair", result(1)),
		on(keyDiff, p.toggle(&p.Difference)),
		on(keyFlip, p.toggle(&p.IsBase)),
		on(keyHeat, p.then(func() { p.Over = p.Over.Next() })),
		on(keySave, p.save),
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

// pick takes another image, n places on, with a new box.
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

func (p *fixPane) showRepairs() tea.Cmd {
	if len(p.results.List) == 0 {
		return p.say("nothing was repaired in this run yet")
	}
	p.phase = fixResults
	return p.wants()
}

func (p *fixPane) back() tea.Cmd {
	p.phase, p.Layers = fixDrawing, feed.Layers{}
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
	if p.phase == fixResults && m.Lines() != 0 {
		p.results.Move(m.Lines())
		return nil
	}
	if p.phase == fixResults && m.Left() && m.In(l.right) {
		p.Difference = !p.Difference
		return nil
	}
	return widget.ClickRows(m, p.sideRect(), p.side())
}
