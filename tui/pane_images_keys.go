package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"
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
		bind(p.toggle(&p.heatmap), "heat", "lay the heatmap over it: what a judge found in the base picture", "h"),
		bind(p.toggle(&p.contour), "mask", "outline the mask: where training may change the picture", "m"),
		bind(p.toggle(&p.difference), "diff", "the difference of base and tuned, 4 times as strong", "d"),
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
	p.slider.move(n)
}

// pick looks at the i-th picture.
func (p *imagesPane) pick(i int) {
	p.pair = min(max(i, 0), max(len(p.gallery.pairs)-1, 0))
}

func (p *imagesPane) play() tea.Cmd {
	playing := p.slider.playing
	p.still()
	p.slider.playing = playing
	p.slider.play()
	if !p.slider.playing {
		return p.wants()
	}
	return tea.Batch(p.wants(), p.after(playEvery))
}

func (p *imagesPane) flip() tea.Cmd {
	p.still()
	p.difference = false
	p.isBase = !p.isBase
	return p.wants()
}

func (p *imagesPane) startBlink() tea.Cmd {
	on := !p.blink
	p.still()
	p.blink, p.difference = on, p.difference && !on
	if !on {
		return p.wants()
	}
	return tea.Batch(p.wants(), p.after(blinkEvery))
}

func (p *imagesPane) nextAspect() tea.Cmd {
	if names := p.aspects(); len(names) > 0 {
		p.aspect = names[(slices.Index(names, p.aspect)+1)%len(names)]
		p.heatmap = true
	}
	return p.wants()
}

// mouse takes the slider, the pictures of the grid and the words that can be clicked.
func (p *imagesPane) mouse(m mouseMsg) tea.Cmd {
	l := p.layout()
	switch {
	case m.action == release:
		p.held = false
	case p.held && m.action == motion:
		p.slider.click(m.x, p.w, true)
	case m.left() && m.in(l.slider):
		return p.pressSlider(m.x)
	case m.lines() != 0 && p.grid && !m.in(l.slider):
		p.pickCell(m.lines() * p.gridLayout(p.cellCount()).across)
	case m.lines() != 0:
		p.stepBy(m.lines())
	case m.left() && p.grid && m.in(l.picture):
		return p.clickCell(m.x-l.picture.Min.X, m.y-l.picture.Min.Y)
	case m.left() && m.in(l.picture):
		return p.flip()
	default:
		return clickRows(m, l.side, p.side())
	}
	return nil
}

func (p *imagesPane) pressSlider(x int) tea.Cmd {
	if x < buttonWidth {
		return p.play()
	}
	p.still()
	p.held = true
	p.slider.click(x, p.w, false)
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
	if !ok || p.gallery.texts[at.pair.Index] == "" {
		return p.say("the prompt of this picture is not known")
	}
	source := fixSource{
		request: requestOf(p.gallery.texts[at.pair.Index], at.pair.Seed),
		files:   p.gallery.files(at, p.aspect),
	}
	return tea.Batch(
		func() tea.Msg { return repairMsg{source, p.aspect} },
		func() tea.Msg { return gotoMsg{tabFix} },
	)
}
