package tui

import (
	"cmp"
	"fmt"
	"image"
	"math"
	"path"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/words"
	"focusnfix/tui/widget"
)

// fixLayout is a column of text and, right-most, one large image; alone, the image and a line below it.
type fixLayout struct{ side, image image.Rectangle }

func (p *fixPane) layout() fixLayout {
	if p.zen {
		return fixLayout{image: image.Rect(0, 0, p.w, max(p.h-1, 0))}
	}
	return imageLayout(p.shared, p.w, p.h)
}

func (p *fixPane) view(w, h int) string {
	_, ok := p.current()
	l := p.layout()
	switch {
	case p.run == nil:
		return widget.Message(w, h, "No run is open.", "", "1 lists the runs.")
	case !ok && p.phase == fixDrawing:
		return p.note("There is no image to repair yet. The run keeps some as it trains; or draw one: 4 is Prompt.", w, h)
	case p.zen:
		return widget.Stack(w, h, p.picture("fix/image", l.image.Dx(), l.image.Dy()), widget.FitLine(" "+p.line(), w))
	}
	return p.viewImage(w, h, l, p.side(), "fix/image")
}

// imageLayout is a column of text and, right-most, one large image.
func imageLayout(s *shared, w, h int) fixLayout {
	top := margin(h)
	area := image.Rect(1, top, max(w-1, 1), max(h-1, top))
	rows := area.Dy()
	cols := min(s.columns(rows), max(area.Dx()-sideLeast-2, 0))
	at := image.Rect(area.Max.X-cols, top, area.Max.X, top+rows)
	return fixLayout{image.Rect(1, top, max(at.Min.X-2, 1), top+rows), at}
}

// viewImage draws what imageLayout divided.
func (s *shared) viewImage(w, h int, l fixLayout, side []widget.Row, name string) string {
	body := widget.Beside(widget.Blank(1, l.side.Dy()), s.styles.RowsView(side, l.side.Dx(), l.side.Dy()), widget.Blank(2, l.side.Dy()), s.picture(name, l.image.Dx(), l.image.Dy()))
	return widget.Stack(w, h, append(widget.EmptyRows(margin(h)), body)...)
}

// pointed is where the mouse is on the image called name, and whether it is on it at all.
func (s *shared) pointed(m widget.Mouse, at image.Rectangle, name string) (u, v float64, inside bool) {
	cols, rows := s.deck.shelf.Shown(name)
	u, v, inside = toPicture(m.X-at.Min.X, m.Y-at.Min.Y, at.Dx(), at.Dy(), cols, rows)
	return u, v, inside && cols > 0
}

// line is how it stands, in one line below the image.
func (p *fixPane) line() string {
	switch {
	case p.phase == fixWorking && len(p.trace) > 0:
		at := p.trace[len(p.trace)-1]
		return fmt.Sprintf("%s %s %%, held-out %s %%, outside %s, %.0f s", words.Aspect(p.asked.Aspect), words.Percent(at.Trained), words.Percent(at.HeldOut), words.Decibels(at.Outside), at.Seconds)
	case p.phase == fixWorking && p.job != nil:
		return p.job.line("repairing", p.now())
	case p.phase == fixResults && p.history.now().fix != nil:
		r := *p.history.now().fix
		return fmt.Sprintf("%s: %s, outside %s, %.1f s", words.Verdict(r), words.FixJudges(r), words.Decibels(r.OutsidePSNR), r.Seconds)
	}
	return ""
}

// side is the column of text.
func (p *fixPane) side() []widget.Row {
	if p.zen {
		return nil
	}
	w := p.layout().side.Dx()
	switch p.phase {
	case fixWorking:
		return p.workingSide(w)
	case fixResults:
		return p.resultSide(w)
	}
	return p.drawingSide(w)
}

// promptRows are the prompt, in bold, and a line about it.
func (p *fixPane) promptRows(prompt, about string, w int) []widget.Row {
	var rows []widget.Row
	for _, line := range widget.Wrap(prompt, w, 3) {
		rows = append(rows, widget.Row{Text: p.styles.Bold.Render(line)})
	}
	return append(rows, widget.Row{Text: p.styles.FaintText.Render(about)})
}

// wrapped are lines of a text in a style.
func wrapped(text string, w int, render func(...string) string) (rows []widget.Row) {
	for _, line := range widget.Wrap(widget.OneLine(text), w, 4) {
		rows = append(rows, widget.Row{Text: render(line)})
	}
	return rows
}

func (p *fixPane) drawingSide(w int) []widget.Row {
	at, ok := p.current()
	if !ok {
		return nil
	}
	st := p.styles
	rows := p.promptRows(at.request.Prompt, fmt.Sprintf("seed %d", at.request.Seed), w)
	pick := func(text string, n int) widget.Chip {
		return widget.Chip{Text: text, Do: func() tea.Cmd { return p.pick(n) }}
	}
	rows = append(rows, widget.Row{Chips: []widget.Chip{pick("‹", -1), {Text: fmt.Sprintf("image %d of %d", p.source+1, len(p.sources))}, pick("›", 1)}},
		widget.Row{}, widget.Row{Text: st.FaintText.Render("fault")})
	rows = append(rows, widget.ChipRows(p.aspectChips(), w)...)
	rows = append(rows, widget.Row{Text: st.FaintText.Render("begin with")}, widget.Row{Chips: []widget.Chip{
		{Text: "base model", On: !p.ofRun, Do: p.startWith(false)}, {Text: "run's weights", On: p.ofRun, Do: p.startWith(true)},
	}}, widget.Row{Text: st.FaintText.Render("region")})
	rows = append(append(rows, widget.ChipRows(p.toolChips(), w)...), p.regionRows(w)...)
	if n := len(p.history.now().stack); n > 0 {
		rows = append(rows, widget.Row{Text: st.FaintText.Render(fmt.Sprintf("on top of %s; U undoes", words.Plural(n, "fix")))})
	}
	rows = append(rows, widget.Row{}, widget.Row{Chips: []widget.Chip{
		{Text: "repair", On: len(p.region()) > 0, Do: p.start}, {Text: "heatmap", On: p.isHot, Do: p.then(func() { p.isHot = !p.isHot })}, {Text: "results", Do: p.showRepairs},
	}})
	switch {
	case p.err != nil:
		rows = append(append(rows, widget.Row{}), wrapped(p.err.Error(), w, st.BadText.Render)...)
	case p.noFault != nil:
		rows = append(append(rows, widget.Row{}), wrapped(words.Verdict(*p.noFault), w, st.WarnText.Render)...)
		if p.noFault.Nearest != "" {
			rows = append(rows, widget.Row{Chips: []widget.Chip{{Text: "take the nearest", Do: p.then(p.takeNearest)}, {Text: "esc"}}})
		}
	}
	return rows
}

func (p *fixPane) startWith(ofRun bool) func() tea.Cmd {
	return func() tea.Cmd {
		if p.ofRun == ofRun {
			return nil
		}
		return p.changeStart()
	}
}

func (p *fixPane) toolChips() []widget.Chip {
	var chips []widget.Chip
	for t := range fixTools {
		chips = append(chips, widget.Chip{Text: t.String(), On: t == p.tool, Do: p.then(func() { p.regionEditor.choose(t) })})
	}
	return append(chips, widget.Chip{Text: "erase", On: p.erase, Do: p.then(func() { p.erase = !p.erase })})
}

// regionRows say where the region is, or how to make one.
func (p *fixPane) regionRows(w int) []widget.Row {
	faint := p.styles.FaintText.Render
	percent := func(v float64) int { return int(math.Round(100 * v)) }
	switch p.tool {
	case toolHeat:
		return append(p.sliders(p.styles), wrapped("↑↓ threshold, ←→ growth", w, faint)...)
	case toolBrush:
		return wrapped(fmt.Sprintf("brush of %d %%: drag to paint; shift and arrows paint, P dabs, E erases", percent(p.radius)), w, faint)
	case toolPolygon:
		return wrapped(fmt.Sprintf("%s: click, or P; the first again closes", words.Plural(len(p.corners), "corner")), w, faint)
	}
	if !p.set {
		return wrapped("Drag a box over the fault with the mouse, or press an arrow key.", w, p.styles.AccentText.Render)
	}
	b := p.box
	rows := []widget.Row{{Text: fmt.Sprintf("box %d–%d %% across", percent(b.Left), percent(b.Right))}, {Text: fmt.Sprintf("    %d–%d %% down", percent(b.Top), percent(b.Bottom))}}
	return append(rows, wrapped("arrows move "+p.grip.String(), w, faint)...)
}

// sliders are the heatmap's threshold and growth.
func (r *regionEditor) sliders(st widget.Styles) []widget.Row {
	return []widget.Row{
		{Text: fmt.Sprintf("threshold %s %.2f", st.AccentText.Render(slider(r.threshold)), r.threshold)},
		{Text: fmt.Sprintf("growth    %s %d px", st.AccentText.Render(slider(float64(r.grow)/32)), r.grow)},
	}
}

const sliderCells = 10

// slider is a bar that is filled to a share.
func slider(share float64) string {
	full := int(math.Round(min(max(share, 0), 1) * sliderCells))
	bar := make([]rune, sliderCells)
	for i := range bar {
		if bar[i] = '─'; i < full {
			bar[i] = '━'
		}
	}
	return string(bar)
}

func (p *fixPane) workingSide(w int) []widget.Row {
	st := p.styles
	rows := p.promptRows(p.asked.Prompt, fmt.Sprintf("seed %d, begins with the %s weights", p.asked.Seed, startWord(p.asked.Start)), w)
	rows = append(rows, widget.Row{})
	if p.job != nil {
		rows = append(rows, wrapped(p.job.line("repairing", p.now()), w, st.AccentText.Render)...)
	}
	if n := len(p.trace); n > 0 {
		at := p.trace[n-1]
		rows = append(rows, widget.Row{},
			widget.Row{Text: fmt.Sprintf("%-15s%4s %%", "trained judge", words.Percent(at.Trained))},
			widget.Row{Text: fmt.Sprintf("%-15s%4s %%", "held-out judge", words.Percent(at.HeldOut))},
			widget.Row{Text: fmt.Sprintf("%-15s%s", "outside", words.Decibels(at.Outside))})
		rows = append(rows, p.curve(p.trace, w)...)
		if left, known := p.left(); known {
			rows = append(rows, widget.Row{Text: st.FaintText.Render(fmt.Sprintf("at most %s to go", words.Clock(left)))})
		}
	}
	return append(rows, widget.Row{}, widget.Row{Chips: []widget.Chip{{Text: "cancel", Do: p.cancel}}})
}

func startWord(start string) string {
	if start == "run" {
		return "run's"
	}
	return "base"
}

// left is how long the repair may take still, if it needs every update that it may make.
func (p *fixPane) left() (time.Duration, bool) {
	if p.job == nil || len(p.trace) < 2 {
		return 0, false
	}
	first, last := p.trace[0], p.trace[len(p.trace)-1]
	each := (last.Seconds - first.Seconds) / float64(max(last.Step-first.Step, 1))
	return time.Duration(float64(p.job.status.Of-last.Step) * each * float64(time.Second)), p.job.status.Of > 0
}

// curve is what both judges saw, frame by frame.
func (p *fixPane) curve(trace []core.FixStep, w int) []widget.Row {
	var trained, heldOut []float64
	for _, s := range trace {
		trained, heldOut = append(trained, s.Trained), append(heldOut, s.HeldOut)
	}
	cells := min(w-9, 24)
	if cells < 4 || len(trace) < 2 {
		return nil
	}
	return []widget.Row{{Text: "trained  " + p.spark(trained, cells, 0)}, {Text: "held-out " + p.spark(heldOut, cells, 1)}}
}

func (p *fixPane) resultSide(w int) []widget.Row {
	now := p.history.now()
	if now.fix == nil {
		return nil
	}
	r, st := *now.fix, p.styles
	rows := p.promptRows(r.Prompt, fmt.Sprintf("seed %d, %s s, repair %d of %d", r.Seed, words.Number(r.Seconds, 1), p.fixes.At+1, len(p.fixes.List)), w)
	rows = append(append(rows, widget.Row{}), p.verdict(r, w)...)
	rows = append(rows, p.curve(r.Trace, w)...)
	rows = append(rows, p.keptRows(w)...)
	switch {
	case p.more.asking:
		rows = append(rows, widget.Row{Text: st.AccentText.Render("drawing…")})
	case p.more.replay != nil:
		rows = append(rows, widget.Row{Text: st.AccentText.Render(fmt.Sprintf("frame %d of %d", p.more.frame+1, len(p.more.replay)))})
	case len(p.more.paths) > 1:
		rows = append(rows, wrapped("other prompts below each other, other seeds beside each other; esc goes back", w, st.AccentText.Render)...)
	case len(p.more.paths) == 1:
		rows = append(rows, wrapped("with the kept fixes; esc goes back", w, st.AccentText.Render)...)
	}
	chip := func(text string, on bool, do func() tea.Cmd) widget.Chip {
		return widget.Chip{Text: text, On: on, Do: do}
	}
	return append(append(rows, widget.Row{}), widget.ChipRows([]widget.Chip{
		chip("undo", false, p.undo(-1)), chip("redo", false, p.undo(1)), chip("keep", p.keptAt(r.Path) >= 0, p.keep), chip("try", false, p.tryOthers),
		chip("replay", p.more.replay != nil, p.play), chip("difference", p.diff, p.then(func() { p.diff = !p.diff })), chip("save", false, p.save),
		chip("to training", false, p.sendToTraining), chip("next region", false, p.back),
	}, w)...)
}

// verdict says how the repair ended, and what was measured.
func (p *fixPane) verdict(r core.FixResult, w int) []widget.Row {
	style := p.styles.WarnText
	if r.Verdict == core.Repaired {
		style = p.styles.GoodText
	}
	rows := wrapped(words.Verdict(r), w, style.Render)
	for _, j := range r.Judges {
		name := "trained judge"
		if j.HeldOut {
			name = "held-out judge"
		}
		rows = append(rows, widget.Row{Text: fmt.Sprintf("%-15s%4s → %s %%", name, words.Percent(j.Before), words.Percent(j.After))})
	}
	return append(rows, widget.Row{Text: fmt.Sprintf("%-15s%s", "inside", words.Decibels(r.InsidePSNR))},
		widget.Row{Text: fmt.Sprintf("%-15s%s", "outside", words.Decibels(r.OutsidePSNR))},
		widget.Row{Text: p.styles.FaintText.Render(widget.FitLine(fmt.Sprintf("before: %s weights%s", startWord(r.Start), stackWord(len(r.Stack))), w))})
}

func stackWord(n int) string {
	if n == 0 {
		return ""
	}
	return " and " + words.Plural(n, "fix")
}

// keptRows are the run's kept fixes, each with its strength.
func (p *fixPane) keptRows(w int) []widget.Row {
	if len(p.kept) == 0 {
		return nil
	}
	rows := []widget.Row{{Text: p.styles.FaintText.Render("kept")}}
	for i, use := range p.kept {
		text := widget.FitLine(fmt.Sprintf("%s %s %.1f", path.Base(use.Path), slider(use.Strength/2), use.Strength), w)
		if i == p.slider {
			text = p.styles.AccentText.Render(text)
		}
		rows = append(rows, widget.Row{Text: text})
	}
	return rows
}

func (p *fixPane) aspectChips() []widget.Chip {
	var chips []widget.Chip
	for _, name := range p.aspectNames() {
		chips = append(chips, widget.Chip{Text: words.Aspect(name), On: name == p.aspect && p.fault == "", Do: p.then(func() { p.aspect, p.fault = name, "" })})
	}
	return append(chips, widget.Chip{Text: cmp.Or(p.fault, "words…"), On: p.fault != "", Do: p.askWords})
}
