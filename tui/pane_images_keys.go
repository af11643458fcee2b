package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

func (p *imagesPane) keys() []binding {
	step := func(n int) func() tea.Cmd { return p.then(func() { p.stepBy(n) }) }
	pick := func(n int) func() tea.Cmd { return p.then(func() { p.pick(p.sample + n) }) }
	return []binding{
		note("←→", "step", "Go to earlier and later steps; shift for ten"),
		here(keyLeft, "", "Go to the previous step", step(-1)),
		here(keyRight, "", "Go to the next step", step(1)),
		here(keyShiftLeft, "", "Go ten steps back", step(-10)),
		here(keyShiftRight, "", "Go ten steps on", step(10)),
		here(keyPageUp, "", "Go ten steps back", step(-10)),
		here(keyPageDown, "", "Go ten steps on", step(10)),
		here(keyHome, "", "Go to the first step", step(-1<<20)),
		here(keyEnd, "", "Go to the newest step, and follow", step(1<<20)),
		on(keyPlay, p.play),
		note("↑↓", "image", "Go to earlier and later images"),
		here(keyUp, "", "Go to the previous image", pick(-1)),
		here(keyDown, "", "Go to the next image", pick(1)),
		here(keyPrevImage, "", "Go to the previous image", pick(-1)),
		here(keyNextImage, "", "Go to the next image", pick(1)),
		on(keyFlip, p.flip),
		on(keyBlink, p.startBlink),
		on(keyHeat, p.then(func() { p.Over = p.Over.Next() })),
		on(keyDiff, p.toggle(&p.Difference)),
		on(keyAspect, p.nextAspect),
		on(keyGrid, p.toggle(&p.grid)),
		here(keyEnter, "", "Show the chosen image of the grid large, or the grid", p.toggle(&p.grid)),
		on(keyGridOver, p.toggle(&p.bySteps)),
		on(keySave, p.save),
		on(keyRepair, p.repair),
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

// pick looks at the i-th image.
func (p *imagesPane) pick(i int) {
	p.sample = min(max(i, 0), max(len(p.gallery.Samples)-1, 0))
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
		p.Over = feed.Heat
	}
	return p.wants()
}

// mouse takes the slider, the images of the grid and the words that can be clicked.
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

// pickCell selects the image n places on in the grid.
func (p *imagesPane) pickCell(n int) {
	if p.bySteps {
		p.stepBy(n)
	} else {
		p.pick(p.sample + n)
	}
}

// clickCell selects an image of the grid; the selected one is opened.
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

// repair opens the Fix pane on this image.
func (p *imagesPane) repair() tea.Cmd {
	at, ok := p.current()
	if !ok || p.gallery.Texts[at.Sample.Index] == "" {
		return p.say("the prompt of this image is not known")
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
