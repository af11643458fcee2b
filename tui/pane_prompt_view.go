package tui

import (
	"fmt"
	"image"
	"path"
	"strings"

	"focusnfix/core"
	"focusnfix/core/words"
	"focusnfix/render"
	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// promptLayout is where the parts of the pane are: the form and one line of what is going on above; the
// scores and, right-most, the two images below.
type promptLayout struct{ form, side, base, tuned image.Rectangle }

const (
	formRows       = 3
	pairSideLeast  = 25 // columns of text beside two images
	pairSideEnough = 34
)

func (p *promptPane) layout() promptLayout {
	w, h, top := p.w, p.h, margin(p.h)
	l := promptLayout{form: image.Rect(1, top, max(w-1, 1), top+formRows)}
	first := top + formRows + 2
	area := image.Rect(1, first, max(w-1, 1), max(h-1, first))
	l.side, l.base, l.tuned = p.pairLayout(area)
	return l
}

// pairLayout divides an area into a column of text and, right of it, two images next to each other with
// a row of text above each.
func (s *shared) pairLayout(area image.Rectangle) (side, left, right image.Rectangle) {
	cell := s.probe.Terminal().Cell
	least := pairSideLeast
	if area.Dx() >= 110 {
		least = pairSideEnough
	}
	rows := max(area.Dy()-1, 0)
	cols := s.columns(rows)
	if most := max((area.Dx()-least-3)/2, 0); cols > most {
		cols = most
		rows = min(rows, int(float64(cols*cell.X)/s.aspectRatio()/float64(max(cell.Y, 1))+0.999))
	}
	top := area.Min.Y + 1
	right = image.Rect(area.Max.X-cols, top, area.Max.X, top+rows)
	left = image.Rect(right.Min.X-1-cols, top, right.Min.X-1, top+rows)
	side = image.Rect(area.Min.X, area.Min.Y, left.Min.X-2, area.Max.Y)
	return side, left, right
}

// viewPair draws what pairLayout divided: h rows from the area's first on, w columns in all.
func (s *shared) viewPair(w, h int, side []widget.Row, at, left, right image.Rectangle, heads [2]string, pictures [2]string) string {
	column := func(head, pic string, r image.Rectangle) string {
		return widget.Stack(r.Dx(), h, widget.FitLine(head, r.Dx()), pic)
	}
	return widget.Beside(
		widget.Blank(at.Min.X, h), s.styles.RowsView(side, at.Dx(), h), widget.Blank(left.Min.X-at.Max.X, h),
		column(heads[0], pictures[0], left), widget.Blank(right.Min.X-left.Max.X, h),
		column(heads[1], pictures[1], right), widget.Blank(max(w-right.Max.X, 0), h),
	)
}

func (p *promptPane) view(w, h int) string {
	if p.run == nil {
		return widget.Message(w, h, "No run is open.", "", "1 lists the runs.")
	}
	l := p.layout()
	form := widget.Beside(widget.Blank(1, formRows), p.styles.RowsView(p.formRows(), l.form.Dx(), formRows), widget.Blank(1, formRows))
	head := append(widget.EmptyRows(margin(h)), form, p.statusLine(w), "")
	rest := max(h-margin(h)-formRows-2, 0)
	_, _, drawing := p.previews()
	if len(p.results.List) == 0 && !drawing {
		return widget.Stack(w, h, append(head, p.note("What you type is drawn by the base model and by the tuned one, side by side. Training goes on.", w, rest))...)
	}
	pictures := [2]string{p.picture("prompt/base", l.base.Dx(), l.base.Dy()), p.picture("prompt/tuned", l.tuned.Dx(), l.tuned.Dy())}
	heads := [2]string{p.styles.FaintText.Render("base"), p.styles.Bold.Render("tuned")}
	if p.Difference && !drawing {
		heads[1] = p.styles.Bold.Render("difference × 4")
	}
	return widget.Stack(w, h, append(head, p.viewPair(w, rest, p.side(), l.side, l.base, l.tuned, heads, pictures))...)
}

// numberWidths are the cells of the fields in the form's last row.
var numberWidths = map[int]int{fieldSeed: 12, fieldSteps: 9, fieldGuidance: 7}

// formLabel is the width of the names before the first two fields.
const formLabel = 11

// formRows are the fields. The last row's fields are chips between labels.
func (p *promptPane) formRows() []widget.Row {
	label := func(i int) string {
		style := p.styles.FaintText
		if p.form.focus == i {
			style = p.styles.AccentText.Bold(true)
		}
		return style.Render(widget.FitLine(fieldNames[i], formLabel-2) + "› ")
	}
	var last strings.Builder
	for _, part := range p.numberParts() {
		if part.field != noField {
			style := p.styles.FaintText
			if p.form.focus == part.field {
				style = p.styles.AccentText.Bold(true)
			}
			last.WriteString(style.Render(fieldNames[part.field]) + " ")
		}
		last.WriteString(part.text)
	}
	return []widget.Row{
		{Text: label(fieldPrompt) + p.form.fields[fieldPrompt].View()},
		{Text: label(fieldNegative) + p.form.fields[fieldNegative].View()},
		{Text: last.String()},
	}
}

// part is a piece of the row of numbers: a field, or a word that can be clicked.
type part struct {
	field int
	text  string
	click func()
	width int
}

func (p *promptPane) numberParts() []part {
	var parts []part
	field := func(i int) {
		w := numberWidths[i]
		text := widget.FitLine(p.form.fields[i].View(), w)
		parts = append(parts, part{field: i, text: text, width: len(fieldNames[i]) + 1 + w})
	}
	word := func(text string, click func()) {
		parts = append(parts, part{field: noField, text: text, click: click, width: picture.Width(text)})
	}
	field(fieldSeed)
	word(p.styles.KeyCap.Render(p.form.seed.String())+"  ", func() { p.form.seed = (p.form.seed + 1) % seedModes })
	field(fieldSteps)
	field(fieldGuidance)
	weights := "now"
	if p.form.weights != "" {
		weights = path.Base(p.form.weights)
	}
	word(p.styles.FaintText.Render("weights ")+p.styles.KeyCap.Render(weights), func() { p.nextWeights() })
	return parts
}

// fieldAt is the field under a cell of the form, or noField. A word under it is clicked.
func (p *promptPane) fieldAt(x, y int) int {
	if y < 2 {
		return []int{fieldPrompt, fieldNegative}[y]
	}
	for _, part := range p.numberParts() {
		if x < part.width {
			if part.click != nil {
				part.click()
			}
			return part.field
		}
		x -= part.width
	}
	return noField
}

// resize makes the fields as wide as the pane.
func (p *promptPane) resize() {
	w := max(p.w-formLabel-3, 10)
	p.form.fields[fieldPrompt].SetWidth(w)
	p.form.fields[fieldNegative].SetWidth(w)
	for i, w := range numberWidths { // the cursor has a cell behind the last digit, and another stays free
		p.form.fields[i].SetWidth(w - 2)
	}
}

// statusLine says what is going on, or what is shown.
func (p *promptPane) statusLine(w int) string {
	st := p.styles
	text := ""
	r, ok := p.results.Current()
	switch {
	case p.job != nil:
		text = st.AccentText.Render(p.job.line("drawing", p.now())) + st.FaintText.Render("   esc cancels")
	case p.err != nil:
		text = st.BadText.Render(widget.OneLine(p.err.Error()))
	case ok && r.Unknown != "":
		text = st.WarnText.Render("the model never saw: " + r.Unknown)
	case ok:
		text = st.FaintText.Render(fmt.Sprintf("result %d of %d, %s", p.results.At+1, len(p.results.List), r.Path))
	}
	return widget.FitLine(" "+text, w)
}

// side is the column beside the two images.
func (p *promptPane) side() []widget.Row {
	r, ok := p.results.Current()
	if !ok {
		return nil
	}
	w := p.layout().side.Dx()
	var rows []widget.Row
	for _, line := range widget.Wrap(r.Prompt, w, 3) {
		rows = append(rows, widget.Row{Text: p.styles.Bold.Render(line)})
	}
	if r.Negative != "" {
		rows = append(rows, widget.Row{Text: p.styles.FaintText.Render(widget.FitLine("not "+r.Negative, w))})
	}
	about := fmt.Sprintf("seed %d, %s", r.Seed, words.Plural(r.NumSteps, "step"))
	rows = append(rows, widget.Row{Text: p.styles.FaintText.Render(about)}, widget.Row{Text: p.styles.FaintText.Render(fmt.Sprintf("guidance %s, %s s", words.Number(r.GuidanceScale, 1), words.Number(r.Seconds, 1)))})
	rows = append(rows, widget.Row{})
	rows = append(rows, scoreRows(p.styles, r.Aspects, r.OutsidePSNR, w)...)
	rows = append(rows, widget.Row{}, widget.Row{Chips: []widget.Chip{{Text: "heatmap", On: p.Over == feed.Heat, Do: p.then(func() { p.Over = toggled(p.Over, feed.Heat) })}, {Text: "difference", On: p.Difference, Do: p.toggle(&p.Difference)}}})
	if p.Over == feed.Heat {
		rows = append(append(rows, widget.ChipRows(p.judgeChips(r.Aspects), w)...), widget.Row{Text: render.Colors("heat").Legend(min(w, 30), "0", "1 faulty", p.probe.Terminal().Profile)})
	}
	return append(rows, widget.Row{Chips: []widget.Chip{
		{Text: "‹", Do: p.then(func() { p.results.Move(-1) })},
		{Text: "›", Do: p.then(func() { p.results.Move(1) })},
		{Text: "save", Do: p.save},
		{Text: "repair", Do: p.repair},
	}})
}

func (p *promptPane) judgeChips(scores []core.AspectScore) []widget.Chip {
	var chips []widget.Chip
	for _, name := range feed.Judges(scores) {
		chips = append(chips, widget.Chip{Text: name, On: name == p.judge, Do: p.then(func() { p.judge = name })})
	}
	return chips
}
