package tui

import (
	"fmt"
	"path"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// masksPane looks at the masks of a run's training images, and changes them: one by hand, or all by the rule that
// makes them of the heatmaps.
type masksPane struct {
	*shared
	w, h    int
	visible bool

	all     []run.Masked
	counts  run.MaskCounts // of all
	at      int
	aspect  string
	layer   maskLayer
	edit    regionEditor
	editing bool // the mask is drawn by hand; else the rule is shown
	grid    bool // many at once
	reading bool
	stale   bool // and what is read is out of date
	version int
	err     error
}

// maskLayer is what lies over the base image.
type maskLayer uint8

const (
	maskOutline maskLayer = iota
	maskHeat
	maskAlone // the mask instead of the image
	maskNothing
	maskLayers
)

func (l maskLayer) String() string { return [...]string{"mask", "heatmap", "mask alone", "image"}[l] }

// maskWrittenMsg tells that a mask's file was changed.
type maskWrittenMsg struct {
	run  *feed.Run
	done string
	err  error
}

// masksReadMsg is the masks as they lie in the run folder.
type masksReadMsg struct {
	run    *feed.Run
	all    []run.Masked
	counts run.MaskCounts
	err    error
}

func newMasksPane(s *shared) *masksPane { return &masksPane{shared: s, edit: newRegionEditor()} }

func (p *masksPane) title() string { return "Masks" }
func (p *masksPane) typing() bool  { return false }

func (p *masksPane) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sizeMsg:
		p.w, p.h = msg.w, msg.h
	case visibleMsg:
		p.visible = bool(msg)
		return tea.Batch(p.bring(), p.wants())
	case openedMsg:
		fresh := newMasksPane(p.shared)
		fresh.w, fresh.h, fresh.visible = p.w, p.h, p.visible
		*p = *fresh
		return p.bring()
	case broughtMsg:
		return tea.Batch(p.fail(msg.err), p.read(), p.wants())
	case maskWrittenMsg:
		return p.written(msg)
	case masksReadMsg:
		return tea.Batch(p.took(msg), p.wants())
	case stateMsg: // the configuration may have changed
		if p.visible && p.run != nil && p.run.HasConfig && p.aspect == "" {
			return tea.Batch(p.read(), p.wants())
		}
	case widget.Mouse:
		return tea.Batch(p.mouse(msg), p.wants())
	case shownMsg, encodeMsg:
	default:
		return nil
	}
	return p.wants()
}

// bring reads all masks, and again once they are here where the run is on another machine.
func (p *masksPane) bring() tea.Cmd {
	if !p.visible {
		return nil
	}
	return tea.Batch(p.read(), p.shared.bring(run.References))
}

// read reads all masks, by the rules as they are here.
func (p *masksPane) read() tea.Cmd {
	if p.run == nil || !p.run.HasConfig {
		return nil
	}
	p.aspect = oneOf(p.aspect, p.aspectNames())
	if !p.editing && p.version == 0 {
		p.takeRule()
	}
	if p.reading {
		p.stale = true
		return nil
	}
	p.reading, p.stale = true, false
	of, rewards, most := p.run, p.rewards(), p.most()
	return func() tea.Msg {
		msg := masksReadMsg{run: of}
		references, err := of.Folder.ListReferences()
		for _, r := range references {
			m, failed := of.Folder.Masked(r, rewards)
			if failed != nil {
				err = failed
				continue
			}
			msg.all = append(msg.all, m)
		}
		msg.counts, msg.err = run.CountMasks(msg.all, most), err
		return msg
	}
}

// rewards are the run's, with the rule that the sliders say.
func (p *masksPane) rewards() []core.Reward {
	rewards := slices.Clone(p.run.Config.Reward)
	if i := p.rule(); i >= 0 {
		rewards[i].Threshold, rewards[i].Dilate = p.edit.threshold, p.edit.grow
	}
	return rewards
}

// rule is the index of the chosen aspect's reward, or -1.
func (p *masksPane) rule() int {
	return slices.IndexFunc(p.run.Config.Reward, func(r core.Reward) bool { return r.Aspect == p.aspect })
}

// takeRule sets the sliders to the run's rule.
func (p *masksPane) takeRule() {
	if i := p.rule(); i >= 0 {
		p.edit.threshold, p.edit.grow = p.run.Config.Reward[i].Threshold, p.run.Config.Reward[i].Dilate
	}
}

func (p *masksPane) took(msg masksReadMsg) tea.Cmd {
	if msg.run != p.run {
		return nil
	}
	p.reading, p.all, p.counts, p.err = false, msg.all, msg.counts, msg.err
	p.at, p.version = min(p.at, max(len(p.all)-1, 0)), p.version+1
	if p.stale {
		return p.read()
	}
	return nil
}

func (p *masksPane) current() (run.Masked, bool) {
	if p.at >= len(p.all) {
		return run.Masked{}, false
	}
	return p.all[p.at], true
}

// most is the coverage above which masks alarm.
func (p *masksPane) most() float64 { return p.run.Config.Region.MaxCoverage }

const gridOfMasks = 9

// region is the mask as it is shown: drawn by hand over what there is, or by the rule.
func (p *masksPane) region(m run.Masked) core.Region {
	switch {
	case !p.editing && m.Edited:
		return core.Region{{Kind: core.MaskShape, File: m.Path + "/mask.png"}}
	case p.editing && !p.edit.set && len(p.edit.shapes)+len(p.edit.corners) > 0 && m.Edited:
		return append(core.Region{{Kind: core.MaskShape, File: m.Path + "/mask.png"}}, p.edit.region()...)
	case p.editing && !p.edit.set:
		return append(core.Region{p.edit.heatShape()}, p.edit.region()...)
	case p.editing:
		return p.edit.region()
	}
	return core.Region{p.edit.heatShape()}
}

func (p *masksPane) layout() fixLayout { return imageLayout(p.shared, p.w, p.h) }

// wants asks for the image, or for a page of them.
func (p *masksPane) wants() tea.Cmd {
	m, ok := p.current()
	if !p.visible || p.run == nil || !ok {
		return nil
	}
	at := p.layout().image
	return p.want("masks/image", p.drawing(m), at.Dx(), at.Dy())
}

func (p *masksPane) drawing(m run.Masked) feed.Drawing {
	d := feed.Drawing{Folder: p.run.Folder, Path: m.Path + "/base.png", Fault: m.Path + "/" + run.HeatmapName(p.aspect, false) + ".png", Version: p.version}
	if p.grid {
		var tiles []string
		first := p.at / gridOfMasks * gridOfMasks
		for _, m := range p.all[first:min(first+gridOfMasks, len(p.all))] {
			tiles = append(tiles, m.Path+"/base.png")
		}
		d.Tiles, d.Fault = strings.Join(tiles, "\n"), path.Base(d.Fault)
		d.Region = core.Region{p.edit.heatShape()}.String()
		return d
	}
	switch p.layer {
	case maskHeat:
		d.Heat = d.Fault
	case maskAlone:
		d.Alone = true
	case maskNothing:
		return d
	case maskOutline:
	}
	d.Region = p.region(m).String()
	if p.editing {
		d.Box = p.edit.cursorBox()
	}
	return d
}

func (p *masksPane) view(w, h int) string {
	m, ok := p.current()
	switch {
	case p.run == nil:
		return widget.Message(w, h, "No run is open.", "", "1 lists the runs.")
	case p.err != nil && !ok:
		return widget.Message(w, h, widget.Wrap(p.err.Error(), w, 4)...)
	case !ok:
		return p.note("No masks yet: the engine draws the training images as it needs them.", w, h)
	}
	l := p.layout()
	return p.viewImage(w, h, l, p.side(m, l.side.Dx()), "masks/image")
}

func (p *masksPane) side(m run.Masked, w int) []widget.Row {
	st := p.styles
	var rows []widget.Row
	for _, line := range widget.Wrap(m.Prompt, w, 2) {
		rows = append(rows, widget.Row{Text: st.Bold.Render(line)})
	}
	rows = append(rows, widget.Row{Text: st.FaintText.Render(fmt.Sprintf("seed %d, image %d of %d", m.Seed, p.at+1, len(p.all)))})
	state := "by the rule"
	switch {
	case p.editing:
		state = "being drawn; enter saves it, esc does not"
	case m.Edited:
		state = "drawn by hand"
	}
	rows = append(rows, widget.Row{Text: fmt.Sprintf("covers %s %%, %s", words.Percent(m.Mask.Coverage()), state)})
	if alarm := m.Alarm(p.most()); alarm != "" {
		rows = append(rows, widget.Row{Text: st.WarnText.Render(widget.FitLine(alarm, w))})
	}
	rows = append(rows, widget.Row{}, widget.Row{Text: st.FaintText.Render("rule of all masks of")})
	var aspects []widget.Chip
	for _, name := range p.aspectNames() {
		aspects = append(aspects, widget.Chip{Text: words.Aspect(name), On: name == p.aspect, Do: p.takeAspect(name)})
	}
	rows = append(rows, widget.ChipRows(aspects, w)...)
	rows = append(rows, p.edit.sliders(st)...)
	if p.changed() {
		rows = append(rows, widget.Row{Text: st.WarnText.Render("not what training does yet: A applies it")})
	}
	chip := func(text string, on bool, do func() tea.Cmd) widget.Chip {
		return widget.Chip{Text: text, On: on, Do: do}
	}
	rows = append(append(rows, widget.Row{}), widget.ChipRows([]widget.Chip{
		chip(p.layer.String(), true, p.then(p.nextLayer)), chip("grid", p.grid, p.then(func() { p.grid = !p.grid })), chip("edit "+p.edit.tool.String(), p.editing, p.then(p.nextTool)),
		chip("erase", p.edit.erase, p.then(func() { p.edit.erase = !p.edit.erase })), chip("save", false, p.save), chip("exclude", false, p.exclude), chip("reset", false, p.reset),
	}, w)...)
	return append(append(rows, widget.Row{}), p.statistics(w)...)
}

// statistics are about all masks.
func (p *masksPane) statistics(w int) []widget.Row {
	n, middle := p.counts, 0.0
	if n.Covering > 0 {
		middle = n.Median
	}
	st, line := p.styles, fmt.Sprintf("%s with a fault, median %s %%", words.Plural(n.Covering, "mask"), words.Percent(middle))
	rows := []widget.Row{{Text: widget.FitLine(line, w)}}
	faint := func(n int, text string) {
		if n > 0 {
			rows = append(rows, widget.Row{Text: st.FaintText.Render(widget.FitLine(fmt.Sprintf("%d %s", n, text), w))})
		}
	}
	faint(n.States[run.MaskEmpty], "without a fault")
	faint(n.States[run.MaskExcluded], "excluded")
	faint(n.States[run.MaskLarge], fmt.Sprintf("above %s %%", words.Percent(p.most())))
	faint(n.States[run.MaskDrifted], "drifted from the heatmap")
	faint(n.Edited, "drawn by hand")
	return rows
}
