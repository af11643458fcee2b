package tui

import (
	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/widget"
)

func (p *fixPane) keys() []binding {
	switch p.phase {
	case fixWorking:
		return []binding{
			here(keyEsc, "cancel", "Cancel the repair: nothing of it stays", p.cancel),
			on(keyZen, p.zenMode),
		}
	case fixResults:
		return p.resultKeys()
	}
	arrow := func(dx, dy int, strong bool) func() tea.Cmd { return p.then(func() { p.arrow(dx, dy, strong) }) }
	pick := func(n int) func() tea.Cmd { return func() tea.Cmd { return p.pick(n) } }
	return []binding{
		here(keyEnter, "repair", "Repair what is in the region", p.start),
		on(keyNextImage, pick(1)),
		on(keyPrevImage, pick(-1)),
		on(keyTool, p.then(func() { p.regionEditor.choose((p.tool + 1) % fixTools) })),
		note("←↑↓→", "move", "Move the box or the cursor; of the heatmap, change threshold and growth. With shift, move the box's corner, or paint"),
		here(keyLeft, "", "Move left, or grow the heatmap's region less", arrow(-1, 0, false)),
		here(keyRight, "", "Move right, or grow the heatmap's region more", arrow(1, 0, false)),
		here(keyUp, "", "Move up, or raise the heatmap's threshold", arrow(0, -1, false)),
		here(keyDown, "", "Move down, or lower the heatmap's threshold", arrow(0, 1, false)),
		here(keyShiftLeft, "", "Make the box narrower, or paint to the left", arrow(-1, 0, true)),
		here(keyShiftRight, "", "Make the box wider, or paint to the right", arrow(1, 0, true)),
		here(keyShiftUp, "", "Make the box shorter, or paint upward", arrow(0, -1, true)),
		here(keyShiftDown, "", "Make the box taller, or paint downward", arrow(0, 1, true)),
		here(keyLarger, "larger", "Make the box or the brush larger", p.then(func() { p.larger(1) })),
		here(keySmaller, "", "Make the box or the brush smaller", p.then(func() { p.larger(-1) })),
		on(keyCorner, p.then(func() { p.grip = (p.grip + 1) % grips })),
		on(keyPoint, p.then(p.point)),
		on(keyErase, p.then(func() { p.erase = !p.erase })),
		on(keyTakeBack, p.then(p.takeBack)),
		on(keyAspect, p.nextAspect),
		on(keyInWords, p.askWords),
		on(keyBegin, p.changeStart),
		on(keyHeat, p.then(func() { p.isHot = !p.isHot })),
		on(keyUndo, p.undo(-1)),
		on(keyRedo, p.undo(1)),
		on(keyRepairs, p.showRepairs),
		on(keyZen, p.zenMode),
		here(keyEsc, "", "Take the nearest fault, where the region had none", p.then(p.takeNearest)),
	}
}

func (p *fixPane) resultKeys() []binding {
	divider := func(by float64) func() tea.Cmd {
		return p.then(func() { p.more.stopShowing(); p.split = min(max(p.split+by, 0), 1) })
	}
	repair := func(n int) func() tea.Cmd { return p.then(func() { p.toRepair(n) }) }
	return []binding{
		here(keyEnter, "next region", "Mark another region of the image", p.back),
		here(keyEsc, "", "Go back to before and after, or to the region", p.back),
		note("←→", "divider", "Move the divider between before and after"),
		here(keyLeft, "", "Move the divider left", divider(-0.05)),
		here(keyRight, "", "Move the divider right", divider(0.05)),
		here(keyHome, "", "Show the image after", divider(-1)),
		here(keyEnd, "", "Show the image before", divider(1)),
		here(keyPageDown, "", "Go to the next repair", repair(1)),
		here(keyPageUp, "", "Go to the previous repair", repair(-1)),
		on(keyUndo, p.undo(-1)),
		on(keyRedo, p.undo(1)),
		on(keyKeep, p.keep),
		here(keyUp, "", "Choose the kept fix before", p.then(func() { p.slider = max(p.slider-1, 0) })),
		here(keyDown, "", "Choose the next kept fix", p.then(func() { p.slider = min(p.slider+1, max(len(p.kept)-1, 0)) })),
		here(keyLarger, "strength", "Strengthen the chosen kept fix", func() tea.Cmd { return p.strengthen(0.1) }),
		here(keySmaller, "", "Weaken the chosen kept fix", func() tea.Cmd { return p.strengthen(-0.1) }),
		on(keyTry, p.tryOthers),
		on(keyPlay, p.play),
		on(keyDiff, p.then(func() { p.diff = !p.diff })),
		on(keyFlip, p.then(p.flip)),
		on(keySave, p.save),
		on(keySend, p.sendToTraining),
		on(keyZen, p.zenMode),
	}
}

// then makes an action of a change: it is followed by what the screen needs for it.
func (p *fixPane) then(change func()) func() tea.Cmd {
	return func() tea.Cmd {
		change()
		return p.wants()
	}
}

// pick takes another image, n places on, with a new region.
func (p *fixPane) pick(n int) tea.Cmd {
	to := min(max(p.source+n, 0), max(len(p.sources)-1, 0))
	if to == p.source {
		return nil
	}
	grip := p.grip
	p.source, p.regionEditor, p.err, p.noFault = to, newRegionEditor(), nil, nil
	p.more.stopShowing()
	p.grip = grip
	return tea.Batch(p.startOver(), p.wants())
}

func (p *fixPane) nextAspect() tea.Cmd {
	p.aspect, p.fault = after(p.aspect, p.aspectNames()), ""
	return p.wants()
}

// askWords asks what is to go, in words. None go back to the aspect.
func (p *fixPane) askWords() tea.Cmd {
	return p.askValue("Fault in words", p.fault, func(text string) (tea.Cmd, error) {
		p.fault, p.err, p.noFault = text, nil, nil
		return p.wants(), nil
	}, "What is to go, such as: the sword. Nothing goes back to the aspect.", "A CLIP judges it, where the engine finds its folder: clip-vit-large-patch14.")
}

// changeStart begins with the other weights, and with no fix.
func (p *fixPane) changeStart() tea.Cmd {
	p.ofRun = !p.ofRun
	return tea.Batch(p.startOver(), p.wants())
}

// flip shows all of the image before, or all of it after.
func (p *fixPane) flip() {
	if p.more.stopShowing(); p.split > 0 {
		p.split = 0
		return
	}
	p.split = 1
}

// undo goes n states of the image on.
func (p *fixPane) undo(n int) func() tea.Cmd {
	return func() tea.Cmd {
		p.more.stopShowing()
		if !p.history.move(n) {
			if n < 0 {
				return p.say("nothing to undo")
			}
			return p.say("nothing to redo")
		}
		p.split, p.phase = 0, fixResults
		if p.history.at == 0 {
			p.phase = fixDrawing
		} else {
			p.fixes.Show(p.history.now().fix.Path)
		}
		return p.wants()
	}
}

func (p *fixPane) showRepairs() tea.Cmd {
	r, ok := p.fixes.Current()
	if !ok {
		return p.say("nothing was repaired in this run yet")
	}
	if p.history.at == 0 {
		p.history.look(r)
	}
	p.phase, p.split = fixResults, 0.5
	return p.wants()
}

// toRepair goes n repairs on.
func (p *fixPane) toRepair(n int) {
	p.fixes.Move(n)
	p.more.stopShowing()
	if r, ok := p.fixes.Current(); ok {
		p.history.look(r)
		p.split = 0.5
	}
}

func (p *fixPane) back() tea.Cmd {
	if !p.more.stopShowing() {
		p.phase, p.diff, p.regionEditor = fixDrawing, false, newRegionEditor()
	}
	return p.wants()
}

func (p *fixPane) cancel() tea.Cmd {
	if p.job != nil {
		p.job.cancel()
	}
	return nil
}

// zenMode gives the whole screen to the image, or takes it back.
func (p *fixPane) zenMode() tea.Cmd { return func() tea.Msg { return zenMsg{} } }

// mouse draws the region, moves the divider and takes the words that can be clicked.
func (p *fixPane) mouse(m widget.Mouse) tea.Cmd {
	l := p.layout()
	u, v, inside := p.pointed(m, l.image, "fix/image")
	if p.phase == fixDrawing && p.mouseOnRegion(m, u, v, inside) || p.phase == fixResults && p.mouseOnDivider(m, u, inside) {
		return nil
	}
	return widget.ClickRows(m, l.side, p.side())
}

// mouseOnRegion draws the region, and reports whether that is what the mouse was for.
func (p *fixPane) mouseOnRegion(m widget.Mouse, u, v float64, inside bool) bool {
	switch {
	case m.Action == widget.Release:
		p.letGo()
	case m.Action == widget.Motion:
		p.dragTo(u, v)
	case m.Left() && inside:
		p.pressAt(u, v)
	case m.Lines() != 0 && inside:
		p.larger(-m.Lines())
	default:
		return false
	}
	return true
}

// mouseOnDivider moves the divider, and reports whether that is what the mouse was for.
func (p *fixPane) mouseOnDivider(m widget.Mouse, u float64, inside bool) bool {
	switch {
	case m.Action == widget.Release:
		p.dragging = false
	case m.Action == widget.Motion && p.dragging, m.Left() && inside:
		p.more.stopShowing()
		p.dragging, p.split = true, u
	case m.Lines() != 0 && inside:
		p.split = min(max(p.split-0.05*float64(m.Lines()), 0), 1)
	default:
		return false
	}
	return true
}
