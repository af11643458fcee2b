package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

func (p *imagesPane) keys() []binding {
	step := func(n int) func() tea.Cmd { return p.then(func() { p.stepBy(n) }) }
	pick := func(n int) func() tea.Cmd { return p.then(func() { p.pick(p.pair + n) }) }
	return []binding{
		bind(nil, "step", "earlier and later steps; shift for ten", "←→"),
		bind(step(-1), "", "the step before", "left"),
		bind(step(1), "", "the next step", "right"),
		bind(step(-10), "", "ten steps back", "shift+left", "pgup"),
		bind(step(10), "", "ten steps on", "shift+right", "pgdown"),
		bind(step(-1<<20), "", "the first step", "home"),
		bind(step(1<<20), "", "the newest step, and follow", "end"),
		bind(p.play, "play", "play through the steps, or stop", "space"),
		bind(nil, "picture", "earlier and later pictures", "↑↓"),
		bind(pick(-1), "", "the picture before", "up", "p"),
		bind(pick(1), "", "the next picture", "down", "n"),
		bind(p.flip, "flip", "swap base and tuned in place", "f", "x"),
		bind(p.startBlink, "blink", "swap them by itself, or stop", "b"),
		bind(p.toggle(&p.Heatmap), "heat", "lay the heatmap over it: what a judge found in the base picture", "h"),
		bind(p.toggle(&p.Contour), "mask", "outline the mask: where training may change the picture", "m"),
		bind(p.toggle(&p.Difference), "diff", "the difference of base and tuned, 4 times as strong", "d"),
		bind(p.nextAspect, "", "the heatmap of the next aspect", "a"),
		bind(p.toggle(&p.grid), "grid", "many small pictures, or one large", "g", "enter"),
		bind(p.toggle(&p.bySteps), "", "the grid over steps, or over prompts", "o"),
		bind(p.save, "save", "save a PNG of what is shown", "s"),
		bind(p.repair, "", "repair a region of this picture", "r"),
	}
}

// then makes an action of a change: it is followed by what the screen needs for it.
func (p *imagesPane) then(change func()) func() tea.Cmd {
	return func() tea.Cmd {
		change()
		return p.wants()
	}
}

func (p *imagesPane) toggle(b *bool) func() tea.Cmd { return p.then(func() { *b = !*b }) }

func (p *imagesPane) stepBy(n int) {
	p.still()
	p.slider.Move(n)
}

// pick looks at the i-th picture.
func (p *imagesPane) pick(i int) {
	p.pair = min(max(i, 0), max(len(p.gallery.Samples)-1, 0))
}

func (p *imagesPane) play() tea.Cmd {
	playing := p.slider.Playing
	p.still()
	p.slider.Playing = playing
	p.slider.Play()
	if !p.slider.Playing {
		return p.wants()
	}
	return tea.Batch(p.wants(), p.after(playEvery))
}

func (p *imagesPane) flip() tea.Cmd {
	p.still()
	p.Difference = false
	p.IsBase = !p.IsBase
	return p.wants()
}

func (p *imagesPane) startBlink() tea.Cmd {
	on := !p.blink
	p.still()
	p.blink, p.Difference = on, p.Difference && !on
	if !on {
		return p.wants()
	}
	return tea.Batch(p.wants(), p.after(blinkEvery))
}

func (p *imagesPane) nextAspect() tea.Cmd {
	if names := p.aspects(); len(names) > 0 {
		p.aspect = names[(slices.Index(names, p.aspect)+1)%len(names)]
		p.Heatmap = true
	}
	return p.wants()
}

// mouse takes the slider, the pictures of the grid and the words that can be clicked.
func (p *imagesPane) mouse(m widget.Mouse) tea.Cmd {
	l := p.layout()
	switch {
	case m.Action == widget.Release:
		p.held = false
	case p.held && m.Action == widget.Motion:
		p.slider.Click(m.X, p.w, true)
	case m.Left() && m.In(l.slider):
		return p.pressSlider(m.X)
	case m.Lines() != 0 && p.grid && !m.In(l.slider):
		p.pickCell(m.Lines() * p.gridLayout(p.cellCount()).across)
	case m.Lines() != 0:
		p.stepBy(m.Lines())
	case m.Left() && p.grid && m.In(l.picture):
		return p.clickCell(m.X-l.picture.Min.X, m.Y-l.picture.Min.Y)
	case m.Left() && m.In(l.picture):
		return p.flip()
	default:
		return widget.ClickRows(m, l.side, p.side())
	}
	return nil
}

func (p *imagesPane) pressSlider(x int) tea.Cmd {
	if x < widget.ButtonWidth {
		return p.play()
	}
	p.still()
	p.held = true
	p.slider.Click(x, p.w, false)
	return nil
}

// pickCell selects the picture n places on in the grid.
func (p *imagesPane) pickCell(n int) {
	if p.bySteps {
		p.stepBy(n)
	} else {
		p.pick(p.pair + n)
	}
}

// clickCell selects a picture of the grid; the selected one is opened.
func (p *imagesPane) clickCell(x, y int) tea.Cmd {
	all, selected := p.cells()
	g := p.gridLayout(len(all))
	first, last := g.page(selected, len(all))
	i := g.at(x, y)
	if i < 0 || first+i >= last {
		return nil
	}
	if first+i == selected {
		p.grid = false
		return nil
	}
	p.pickCell(first + i - selected)
	return nil
}

// repair opens the Fix pane on this picture.
func (p *imagesPane) repair() tea.Cmd {
	at, ok := p.current()
	if !ok || p.gallery.Texts[at.Sample.Index] == "" {
		return p.say("the prompt of this picture is not known")
	}
	source := fixSource{
		request: feed.RequestOf(p.gallery.Texts[at.Sample.Index], at.Sample.Seed),
		files:   p.gallery.Files(at, p.aspect),
	}
	return tea.Batch(
		func() tea.Msg { return repairMsg{source, p.aspect} },
		func() tea.Msg { return gotoMsg{tabFix} },
	)
}
