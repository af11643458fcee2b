package tui

import (
	"fmt"
	"image"
	"math"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/words"
	"focusnfix/tui/widget"
)

// fixLayout is a column of text and, right-most, one large image to draw a box on, or two to compare.
type fixLayout struct{ side, large, pairSide, left, right image.Rectangle }

func (p *fixPane) layout() fixLayout {
	top := margin(p.h)
	area := image.Rect(1, top, max(p.w-1, 1), max(p.h-1, top))
	var l fixLayout
	l.pairSide, l.left, l.right = p.pairLayout(area)
	cell := p.probe.Terminal().Cell
	rows := area.Dy()
	cols := int(float64(rows*cell.Y)*p.aspectRatio()/float64(max(cell.X, 1)) + 0.999)
	cols = min(cols, max(area.Dx()-sideLeast-2, 0))
	l.large = image.Rect(area.Max.X-cols, top, area.Max.X, top+rows)
	l.side = image.Rect(1, top, max(l.large.Min.X-2, 1), top+rows)
	return l
}

// sideRect is where the column of text is.
func (p *fixPane) sideRect() image.Rectangle {
	if p.phase == fixDrawing {
		return p.layout().side
	}
	return p.layout().pairSide
}

func (p *fixPane) view(w, h int) string {
	_, ok := p.current()
	_, looked := p.results.Current()
	switch {
	case p.run == nil:
		return widget.Message(w, h, "No run is open.", "", "1 lists the runs.")
	case p.phase == fixResults && looked, p.phase == fixWorking:
		return p.viewCompared(w, h)
	case !ok:
		return p.note("There is no image to repair yet. The run keeps some as it trains; or draw one: 4 is Prompt.", w, h)
	}
	l := p.layout()
	side := p.styles.RowsView(p.side(), l.side.Dx(), l.side.Dy())
	body := widget.Beside(widget.Blank(1, l.side.Dy()), side, widget.Blank(2, l.side.Dy()), p.picture("fix/before", l.large.Dx(), l.large.Dy()))
	return widget.Stack(w, h, append(widget.EmptyRows(margin(h)), body)...)
}

func (p *fixPane) viewCompared(w, h int) string {
	l := p.layout()
	heads := [2]string{p.styles.FaintText.Render("before"), p.styles.Bold.Render("after")}
	second := p.picture("fix/after", l.right.Dx(), l.right.Dy())
	switch {
	case p.phase == fixWorking:
		heads[1] = p.styles.Bold.Render("now")
		if p.job == nil || p.job.status.Preview == "" {
			second = p.note("…", l.right.Dx(), l.right.Dy())
		}
	case p.IsBase:
		heads[1] = p.styles.Bold.Render("before")
	}
	if p.Difference {
		heads[1] = p.styles.Bold.Render("difference × 4")
	}
	pictures := [2]string{p.picture("fix/before", l.left.Dx(), l.left.Dy()), second}
	return widget.Stack(w, h, append(widget.EmptyRows(margin(h)), p.viewPair(w, h-margin(h), p.side(), l.pairSide, l.left, l.right, heads, pictures))...)
}

// side is the column of text.
func (p *fixPane) side() []widget.Row {
	switch p.phase {
	case fixWorking:
		return p.workingSide()
	case fixResults:
		return p.resultSide()
	}
	at, ok := p.current()
	if !ok {
		return nil
	}
	w, st := p.layout().side.Dx(), p.styles
	var rows []widget.Row
	for _, line := range widget.Wrap(at.request.Prompt, w, 3) {
		rows = append(rows, widget.Row{Text: st.Bold.Render(line)})
	}
	pick := func(text string, n int) widget.Chip {
		return widget.Chip{Text: text, Do: func() tea.Cmd { return p.pick(n) }}
	}
	rows = append(rows, widget.Row{Text: st.FaintText.Render(fmt.Sprintf("seed %d", at.request.Seed))},
		widget.Row{Chips: []widget.Chip{pick("‹", -1), {Text: fmt.Sprintf("image %d of %d", p.source+1, len(p.sources))}, pick("›", 1)}},
		widget.Row{}, widget.Row{Text: st.FaintText.Render("fault")})
	rows = append(append(rows, widget.ChipRows(p.aspectChips(), w)...), widget.Row{})
	rows = append(rows, p.boxRows(w)...)
	rows = append(rows, widget.Row{}, widget.Row{Chips: []widget.Chip{{Text: "repair", On: p.set, Do: p.start}, {Text: "heatmap", On: p.isHot, Do: p.toggle(&p.isHot)}, {Text: "results", Do: p.showRepairs}}})
	if p.err != nil {
		rows = append(rows, widget.Row{})
		for _, line := range widget.Wrap(widget.OneLine(p.err.Error()), w, 4) {
			rows = append(rows, widget.Row{Text: st.BadText.Render(line)})
		}
	}
	return rows
}

// boxRows say where the box is, or how to make one.
func (p *fixPane) boxRows(w int) []widget.Row {
	st := p.styles
	var rows []widget.Row
	if !p.set {
		for _, line := range widget.Wrap("Drag a box over the fault with the mouse, or press an arrow key.", w, 4) {
			rows = append(rows, widget.Row{Text: st.AccentText.Render(line)})
		}
		return rows
	}
	percent := func(v float64) int { return int(math.Round(100 * v)) }
	b := p.box
	rows = append(rows, widget.Row{Text: fmt.Sprintf("box %d–%d %% across", percent(b.Left), percent(b.Right))},
		widget.Row{Text: fmt.Sprintf("    %d–%d %% down", percent(b.Top), percent(b.Bottom))})
	for _, line := range widget.Wrap("arrows move "+p.grip.String(), w, 2) {
		rows = append(rows, widget.Row{Text: st.FaintText.Render(line)})
	}
	return rows
}

func (p *fixPane) workingSide() []widget.Row {
	w, st := p.layout().pairSide.Dx(), p.styles
	var rows []widget.Row
	for _, line := range widget.Wrap(p.asked.Prompt, w, 3) {
		rows = append(rows, widget.Row{Text: st.Bold.Render(line)})
	}
	rows = append(rows, widget.Row{Text: st.FaintText.Render(fmt.Sprintf("seed %d, %s", p.asked.Seed, p.asked.Aspect))}, widget.Row{})
	if p.job != nil {
		for _, line := range widget.Wrap(p.job.line("repairing", p.now()), w, 3) {
			rows = append(rows, widget.Row{Text: st.AccentText.Render(line)})
		}
		if s := p.job.status; s.Of > 0 {
			rows = append(rows, widget.Row{Text: st.Progress(float64(s.Done)/float64(s.Of), w, p.probe.Terminal().Profile)})
		}
	}
	return append(rows, widget.Row{}, widget.Row{Chips: []widget.Chip{{Text: "cancel", Do: p.cancel}}})
}

func (p *fixPane) resultSide() []widget.Row {
	r, ok := p.results.Current()
	if !ok {
		return nil
	}
	w, st := p.layout().pairSide.Dx(), p.styles
	var rows []widget.Row
	for _, line := range widget.Wrap(r.Prompt, w, 3) {
		rows = append(rows, widget.Row{Text: st.Bold.Render(line)})
	}
	rows = append(rows, widget.Row{Text: st.FaintText.Render(fmt.Sprintf("seed %d, %s s", r.Seed, words.Number(r.Seconds, 1)))},
		widget.Row{Text: st.FaintText.Render(fmt.Sprintf("repair %d of %d", p.results.At+1, len(p.results.List)))}, widget.Row{})
	rows = append(rows, p.verdict(r, w)...)
	return append(rows, widget.Row{}, widget.Row{Chips: []widget.Chip{{Text: "difference", On: p.Difference, Do: p.toggle(&p.Difference)}, {Text: "flip", On: p.IsBase, Do: p.toggle(&p.IsBase)}}},
		widget.Row{Chips: []widget.Chip{
			{Text: "‹", Do: p.then(func() { p.results.Move(-1) })},
			{Text: "›", Do: p.then(func() { p.results.Move(1) })},
			{Text: "save", Do: p.save},
			{Text: "new box", Do: p.back},
		}})
}

// verdict says how the repair ended, and what was measured.
func (p *fixPane) verdict(r core.FixResult, w int) []widget.Row {
	style := p.styles.WarnText
	if r.Verdict == core.Repaired {
		style = p.styles.GoodText
	}
	var rows []widget.Row
	for _, line := range widget.Wrap(words.Verdict(r), w, 3) {
		rows = append(rows, widget.Row{Text: style.Render(line)})
	}
	for _, j := range r.Judges {
		name := "trained judge"
		if j.HeldOut {
			name = "held-out judge"
		}
		rows = append(rows, widget.Row{Text: fmt.Sprintf("%-15s %4s → %s %%", name, words.Percent(j.Before), words.Percent(j.After))})
	}
	return append(rows, widget.Row{Text: fmt.Sprintf("%-15s %s", "inside", words.Decibels(r.InsidePSNR))},
		widget.Row{Text: fmt.Sprintf("%-15s %s", "outside", words.Decibels(r.OutsidePSNR))},
		widget.Row{Text: p.styles.FaintText.Render(fmt.Sprintf("began with the %s weights", r.Start))})
}

func (p *fixPane) aspectChips() []widget.Chip {
	var chips []widget.Chip
	for _, name := range p.aspectNames(nil) {
		chips = append(chips, widget.Chip{Text: words.Aspect(name), On: name == p.aspect, Do: p.then(func() { p.aspect = name })})
	}
	return chips
}
