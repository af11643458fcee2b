package tui

import (
	"context"
	"fmt"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/tui/widget"
)

func (p *masksPane) keys() []binding {
	arrow := func(dx, dy int, strong bool) func() tea.Cmd {
		return func() tea.Cmd { return p.arrow(dx, dy, strong) }
	}
	pick := func(n int) func() tea.Cmd { return p.then(func() { p.pick(n) }) }
	return []binding{
		on(keyNextImage, pick(1)),
		on(keyPrevImage, pick(-1)),
		note("←↑↓→", "rule", "Change threshold and growth of all masks; with a tool, move the box or the cursor"),
		here(keyLeft, "", "Grow all masks less, or move left", arrow(-1, 0, false)),
		here(keyRight, "", "Grow all masks more, or move right", arrow(1, 0, false)),
		here(keyUp, "", "Raise the threshold, or move up", arrow(0, -1, false)),
		here(keyDown, "", "Lower the threshold, or move down", arrow(0, 1, false)),
		here(keyShiftLeft, "", "Paint to the left, or make the box narrower", arrow(-1, 0, true)),
		here(keyShiftRight, "", "Paint to the right, or make the box wider", arrow(1, 0, true)),
		here(keyShiftUp, "", "Paint upward, or make the box shorter", arrow(0, -1, true)),
		here(keyShiftDown, "", "Paint downward, or make the box taller", arrow(0, 1, true)),
		on(keyApply, p.apply),
		on(keyAspect, func() tea.Cmd { return p.takeAspect(after(p.aspect, p.aspectNames()))() }),
		on(keyHeat, p.then(p.nextLayer)),
		on(keyGrid, p.then(func() { p.grid = !p.grid })),
		on(keyTool, p.then(p.nextTool)),
		here(keyEnter, "save", "Save the mask that is drawn: training takes it from the next step on", p.save),
		here(keyEsc, "", "Leave the mask as it is", p.then(p.leave)),
		here(keyLarger, "", "Make the brush or the box larger", p.then(func() { p.edit.larger(1) })),
		here(keySmaller, "", "Make the brush or the box smaller", p.then(func() { p.edit.larger(-1) })),
		on(keyPoint, p.then(p.edit.point)),
		on(keyErase, p.then(func() { p.edit.erase = !p.edit.erase })),
		on(keyTakeBack, p.then(p.edit.takeBack)),
		on(keyExclude, p.exclude),
		on(keyReset, p.reset),
	}
}

func (p *masksPane) then(change func()) func() tea.Cmd {
	return func() tea.Cmd {
		change()
		return p.wants()
	}
}

func (p *masksPane) pick(n int) {
	if p.grid {
		n *= gridOfMasks
	}
	p.leave()
	p.at = min(max(p.at+n, 0), max(len(p.all)-1, 0))
}

func (p *masksPane) nextLayer() { p.layer = (p.layer + 1) % maskLayers }

// nextTool begins to draw the mask by hand: brush, polygon, then a box that takes its place.
func (p *masksPane) nextTool() {
	tool := toolBrush
	if p.editing {
		tool = map[fixTool]fixTool{toolBrush: toolPolygon, toolPolygon: toolBox, toolBox: toolBrush}[p.edit.tool]
	}
	p.edit.choose(tool)
	p.editing, p.grid = true, false
}

// leave forgets what was drawn.
func (p *masksPane) leave() {
	fresh := newRegionEditor()
	fresh.threshold, fresh.grow = p.edit.threshold, p.edit.grow
	p.edit, p.editing = fresh, false
}

// arrow moves the tool, or changes the rule of all masks.
func (p *masksPane) arrow(dx, dy int, strong bool) tea.Cmd {
	if p.editing {
		p.edit.arrow(dx, dy, strong)
		return p.wants()
	}
	tool := p.edit.tool
	p.edit.tool = toolHeat
	p.edit.arrow(dx, dy, strong)
	p.edit.tool = tool
	return tea.Batch(p.read(), p.wants())
}

// changed reports whether the sliders say another rule than the run's.
func (p *masksPane) changed() bool {
	i := p.rule()
	return i >= 0 && (p.run.Config.Reward[i].Threshold != p.edit.threshold || p.run.Config.Reward[i].Dilate != p.edit.grow)
}

func (p *masksPane) takeAspect(name string) func() tea.Cmd {
	return func() tea.Cmd {
		p.aspect = name
		p.takeRule()
		return tea.Batch(p.read(), p.wants())
	}
}

// apply makes the rule of the sliders the run's: by its engine, or in its configuration.
func (p *masksPane) apply() tea.Cmd {
	i := p.rule()
	if i < 0 {
		return nil
	}
	threshold, dilate := fmt.Sprint(p.edit.threshold), fmt.Sprint(p.edit.grow)
	name, folder := p.aspect, p.run.Folder
	p.run.Config.Reward[i].Threshold, p.run.Config.Reward[i].Dilate = p.edit.threshold, p.edit.grow
	return func() tea.Msg {
		sets := [][2]string{{"reward." + name + ".threshold", threshold}, {"reward." + name + ".dilate", dilate}}
		if err := setRule(folder, sets); err != nil {
			return failure(fmt.Errorf("not changed: %w", err))
		}
		return noticeMsg{text: fmt.Sprintf("masks of %s: threshold %s, growth %s px", words.Aspect(name), threshold, dilate)}
	}
}

// setRule changes settings by the run's engine, or where there is none in its configuration.
func setRule(f run.Folder, sets [][2]string) error {
	c, err := f.Dial()
	if err == nil {
		defer c.Close()
		for _, set := range sets {
			if err := c.Set(context.Background(), set[0], set[1]); err != nil {
				return err
			}
		}
		return nil
	}
	if info, failed := f.Info(); failed == nil && info.Far != nil {
		return fmt.Errorf("%w; on %s, r resumes the run first", err, info.Far.Host)
	}
	config, err := f.Config()
	if err != nil {
		return err
	}
	for _, set := range sets {
		if err := config.Set(set[0], set[1]); err != nil {
			return err
		}
	}
	return f.SetConfig(config)
}

// save writes the mask that is drawn.
func (p *masksPane) save() tea.Cmd {
	m, ok := p.current()
	if !ok || !p.editing {
		return p.say("T draws the mask by hand first")
	}
	p.edit.closePolygon()
	region := p.region(m)
	size := core.Size{Width: m.Own.Width, Height: m.Own.Height}
	mask, err := region.Mask(size, core.RegionFiles{Heat: m.Heat[p.aspect], Read: func(string) (core.Mask, error) { return m.Mask, nil }})
	if err != nil {
		return p.fail(fmt.Errorf("not saved: %w", err))
	}
	p.leave()
	return p.write("saved: training takes this mask from the next step on", func(f run.Folder) error { return p.setMask(f, m.Path, &mask) })
}

// exclude makes the mask empty: the image is only kept as it is.
func (p *masksPane) exclude() tea.Cmd {
	m, ok := p.current()
	if !ok {
		return nil
	}
	p.leave()
	return p.write("excluded: nothing in this image is repaired", func(f run.Folder) error {
		none := m.Own.Minus(m.Own)
		return p.setMask(f, m.Path, &none)
	})
}

// reset takes the heatmap's own mask again.
func (p *masksPane) reset() tea.Cmd {
	m, ok := p.current()
	if !ok || !m.Edited {
		return p.say("this mask is the heatmap's own")
	}
	p.leave()
	return p.write("the heatmap's own mask again", func(f run.Folder) error { return p.setMask(f, m.Path, nil) })
}

// write changes a mask's file, says so, and reads all masks again.
func (p *masksPane) write(done string, do func(run.Folder) error) tea.Cmd {
	of := p.run
	return func() tea.Msg { return maskWrittenMsg{of, done, do(of.Folder)} }
}

// written goes on after a mask's file was changed.
func (p *masksPane) written(msg maskWrittenMsg) tea.Cmd {
	if msg.run != p.run {
		return nil
	}
	if msg.err != nil {
		return p.fail(fmt.Errorf("the mask is as it was: %w", msg.err))
	}
	return tea.Batch(p.say("%s", msg.done), p.read(), p.wants())
}

func (p *masksPane) mouse(m widget.Mouse) tea.Cmd {
	l := p.layout()
	u, v, inside := p.pointed(m, l.image, "masks/image")
	if p.mouseOnImage(m, u, v, inside) {
		return nil
	}
	at, ok := p.current()
	if !ok {
		return nil
	}
	return widget.ClickRows(m, l.side, p.side(at, l.side.Dx()))
}

// mouseOnImage draws the mask or goes to another, and reports whether that is what the mouse was for.
func (p *masksPane) mouseOnImage(m widget.Mouse, u, v float64, inside bool) bool {
	switch {
	case m.Action == widget.Release:
		p.edit.letGo()
	case m.Action == widget.Motion:
		p.edit.dragTo(u, v)
	case m.Left() && inside && p.grid:
		first := p.at / gridOfMasks * gridOfMasks
		p.at, p.grid = min(first+3*int(v*2.999)+int(u*2.999), max(len(p.all)-1, 0)), false
	case m.Left() && inside:
		if !p.editing {
			p.nextTool()
		}
		p.edit.pressAt(u, v)
	case m.Lines() != 0 && inside && p.editing:
		p.edit.larger(-m.Lines())
	case m.Lines() != 0 && inside:
		p.pick(m.Lines())
	default:
		return false
	}
	return true
}
