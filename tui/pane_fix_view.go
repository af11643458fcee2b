package tui

import (
	"fmt"
	"image"
	"math"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
)

// fixLayout is a column of text and, right-most, one large picture to draw a box on, or two to compare.
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
	_, looked := p.results.current()
	switch {
	case p.run == nil:
		return message(w, h, "No run is open.", "", "1 lists the runs.")
	case p.phase == fixLooking && looked, p.phase == fixWorking:
		return p.viewCompared(w, h)
	case !ok:
		return p.note("There is no picture to repair yet. The run keeps some as it trains; or draw one: 4 is Prompt.", w, h)
	}
	l := p.layout()
	side := p.styles.rowsView(p.side(), l.side.Dx(), l.side.Dy())
	body := beside(blank(1, l.side.Dy()), side, blank(2, l.side.Dy()), p.picture("fix/before", l.large.Dx(), l.large.Dy()))
	return stack(w, h, append(emptyRows(margin(h)), body)...)
}

func (p *fixPane) viewCompared(w, h int) string {
	l := p.layout()
	heads := [2]string{p.styles.faintText.Render("before"), p.styles.bold.Render("after")}
	second := p.picture("fix/after", l.right.Dx(), l.right.Dy())
	switch {
	case p.phase == fixWorking:
		heads[1] = p.styles.bold.Render("now")
		if p.job == nil || p.job.status.Preview == "" {
			second = p.note("…", l.right.Dx(), l.right.Dy())
		}
	case p.isBase:
		heads[1] = p.styles.bold.Render("before")
	}
	if p.difference {
		heads[1] = p.styles.bold.Render("difference × 4")
	}
	pictures := [2]string{p.picture("fix/before", l.left.Dx(), l.left.Dy()), second}
	return stack(w, h, append(emptyRows(margin(h)), p.viewPair(w, h-margin(h), p.side(), l.pairSide, l.left, l.right, heads, pictures))...)
}

// side is the column of text.
func (p *fixPane) side() []textRow {
	switch p.phase {
	case fixWorking:
		return p.workingSide()
	case fixLooking:
		return p.lookingSide()
	}
	at, ok := p.current()
	if !ok {
		return nil
	}
	w, st := p.layout().side.Dx(), p.styles
	var rows []textRow
	for _, line := range wrap(at.request.Prompt, w, 3) {
		rows = append(rows, textRow{text: st.bold.Render(line)})
	}
	pick := func(text string, n int) chip { return chip{text, false, func() tea.Cmd { return p.pick(n) }} }
	rows = append(rows, textRow{text: st.faintText.Render(fmt.Sprintf("seed %d", at.request.Seed))},
		textRow{chips: []chip{pick("‹", -1), {text: fmt.Sprintf("picture %d of %d", p.source+1, len(p.sources))}, pick("›", 1)}},
		textRow{}, textRow{text: st.faintText.Render("what is wrong there")})
	rows = append(append(rows, chipRows(p.aspectChips(), w)...), textRow{})
	rows = append(rows, p.boxRows(w)...)
	rows = append(rows, textRow{}, textRow{chips: []chip{{"repair", p.set, p.start}, {"heatmap", p.isHot, p.toggle(&p.isHot)}, {"results", false, p.look}}})
	if p.err != nil {
		rows = append(rows, textRow{})
		for _, line := range wrap(oneLine(p.err.Error()), w, 4) {
			rows = append(rows, textRow{text: st.badText.Render(line)})
		}
	}
	return rows
}

// boxRows say where the box is, or how to make one.
func (p *fixPane) boxRows(w int) []textRow {
	st := p.styles
	var rows []textRow
	if !p.set {
		for _, line := range wrap("Drag a box over the fault with the mouse, or press an arrow key.", w, 4) {
			rows = append(rows, textRow{text: st.accentText.Render(line)})
		}
		return rows
	}
	percent := func(v float64) int { return int(math.Round(100 * v)) }
	b := p.box
	rows = append(rows, textRow{text: fmt.Sprintf("box %d–%d %% across", percent(b.Left), percent(b.Right))},
		textRow{text: fmt.Sprintf("    %d–%d %% down", percent(b.Top), percent(b.Bottom))})
	for _, line := range wrap("arrows move "+p.grip.String(), w, 2) {
		rows = append(rows, textRow{text: st.faintText.Render(line)})
	}
	return rows
}

func (p *fixPane) workingSide() []textRow {
	w, st := p.layout().pairSide.Dx(), p.styles
	var rows []textRow
	for _, line := range wrap(p.asked.Prompt, w, 3) {
		rows = append(rows, textRow{text: st.bold.Render(line)})
	}
	rows = append(rows, textRow{text: st.faintText.Render(fmt.Sprintf("seed %d, %s", p.asked.Seed, p.asked.Aspect))}, textRow{})
	if p.job != nil {
		for _, line := range wrap(p.job.line("repairing", p.now()), w, 3) {
			rows = append(rows, textRow{text: st.accentText.Render(line)})
		}
		if s := p.job.status; s.Of > 0 {
			rows = append(rows, textRow{text: st.progress(float64(s.Done)/float64(s.Of), w, p.probe.Terminal().Profile)})
		}
	}
	return append(rows, textRow{}, textRow{chips: []chip{{"cancel", false, p.cancel}}})
}

func (p *fixPane) lookingSide() []textRow {
	r, ok := p.results.current()
	if !ok {
		return nil
	}
	w, st := p.layout().pairSide.Dx(), p.styles
	var rows []textRow
	for _, line := range wrap(r.Prompt, w, 3) {
		rows = append(rows, textRow{text: st.bold.Render(line)})
	}
	rows = append(rows, textRow{text: st.faintText.Render(fmt.Sprintf("seed %d, %s s", r.Seed, number(r.Seconds, 1)))},
		textRow{text: st.faintText.Render(fmt.Sprintf("repair %d of %d", p.results.at+1, len(p.results.list)))}, textRow{})
	rows = append(rows, p.verdict(r, w)...)
	rows = append(rows, scoreRows(st, withScores(r.Aspects), r.OutsidePSNR, w)...)
	return append(rows, textRow{}, textRow{chips: []chip{{"difference", p.difference, p.toggle(&p.difference)}, {"flip", p.isBase, p.toggle(&p.isBase)}}},
		textRow{chips: []chip{
			{"‹", false, p.then(func() { p.results.move(-1) })},
			{"›", false, p.then(func() { p.results.move(1) })},
			{"save", false, p.save},
			{"new box", false, p.back},
		}})
}

// verdict says whether a judge that was not trained on still finds the fault.
func (p *fixPane) verdict(r core.PromptResult, w int) []textRow {
	var rows []textRow
	for _, a := range r.Aspects {
		switch a.Fixed {
		case 1:
			rows = append(rows, textRow{text: p.styles.goodText.Render(fitLine(a.Aspect+": repaired", w))})
		case 0:
			rows = append(rows, textRow{text: p.styles.warnText.Render(fitLine(a.Aspect+": still to be seen", w))})
		}
	}
	if len(rows) > 0 {
		rows = append(rows, textRow{})
	}
	return rows
}

// withScores leaves out aspects that nobody judged.
func withScores(all []core.AspectScore) []core.AspectScore {
	var some []core.AspectScore
	for _, a := range all {
		if !math.IsNaN(a.Reward) || !math.IsNaN(a.HeldOut) {
			some = append(some, a)
		}
	}
	return some
}

func (p *fixPane) aspectChips() []chip {
	var chips []chip
	for _, name := range p.aspectNames(nil) {
		chips = append(chips, chip{name, name == p.aspect, p.then(func() { p.aspect = name })})
	}
	return chips
}
