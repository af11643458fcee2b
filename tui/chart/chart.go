package chart

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"sync"

	"github.com/charmbracelet/x/ansi"

	"focusnfix/core/words"
	"focusnfix/render"
	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// Line is a curve of a chart: a column of a table.
type Line struct {
	Label       string
	Column      string
	Evaluations bool // of the evaluations' table
	Color       int
	Dashed      bool
}

// Spec is what a chart shows.
type Spec struct {
	Title    string
	Lines    []Line
	Decimals int
	log      bool
}

// Curves are the lines of a run as charts show them, made when they are first wanted.
type Curves struct {
	Axis      feed.Axis
	Smoothing float64
	Window    Window
	lines     map[lineKey]*feed.Line
	drawn     *Drawn
}

// Drawn is the charts as they were drawn last. With a question or the help over them, or a key that moves something
// else, they are the same in the next frame, and drawing them is most of what a frame costs.
type Drawn struct{ charts map[string]drawnChart }

type drawnChart struct{ about, text string }

// lineKey names a line: its column, and which of the two tables has it.
type lineKey struct {
	evaluations bool
	column      string
}

// Reset forgets the curves and the window, for another run.
func (c *Curves) Reset() { c.lines, c.Window, c.drawn = nil, Window{}, nil }

// Window is the part of the x axis that is shown; the zero window is all.
type Window struct {
	Lo, Hi float64
	tail   bool // the end of the window moves with the end of the curves
}

// All reports whether the whole axis is shown.
func (w Window) All() bool { return w.Lo >= w.Hi }

// manyRows is how many rows make it worth while to take them into curves on all processors.
const manyRows = 10_000

// Refresh takes in what the store has gained, for the lines of the specs.
func (c *Curves) Refresh(s *feed.Store, specs []Spec) {
	if c.lines == nil {
		c.lines = map[lineKey]*feed.Line{}
	}
	if c.drawn == nil {
		c.drawn = &Drawn{map[string]drawnChart{}}
	}
	var beside sync.WaitGroup
	seen := map[*feed.Line]bool{}
	for _, spec := range specs {
		for _, l := range spec.Lines {
			line, t, smoothing := c.made(l), s.Steps, c.Smoothing
			if seen[line] { // in another chart, too
				continue
			}
			seen[line] = true
			if l.Evaluations {
				t, smoothing = s.Evaluations, 0
			}
			update := func() { line.Update(t, l.Column, c.Axis, smoothing) }
			if line.Pending(t, c.Axis, smoothing) < manyRows {
				update()
			} else {
				beside.Go(update)
			}
		}
	}
	beside.Wait()
	end := math.Inf(-1)
	for line := range seen {
		if n := line.Raw.Len(); n > 0 {
			x, _ := line.Raw.At(n - 1)
			end = max(end, x)
		}
	}
	if w := &c.Window; w.tail && end > w.Hi {
		w.Lo, w.Hi = w.Lo+end-w.Hi, end
	}
}

// made is the curve of a spec, made when it is first wanted.
func (c *Curves) made(l Line) *feed.Line {
	key := lineKey{l.Evaluations, l.Column}
	if c.lines[key] == nil {
		c.lines[key] = &feed.Line{}
	}
	return c.lines[key]
}

// line is the curve of a spec; it is empty until Refresh has seen it.
func (c *Curves) line(l Line) *feed.Line {
	if line := c.lines[lineKey{l.Evaluations, l.Column}]; line != nil {
		return line
	}
	return &feed.Line{}
}

// Extent is the range of x of the lines.
func (c *Curves) Extent(specs []Spec) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, spec := range specs {
		for _, l := range spec.Lines {
			if s := c.line(l).Shown(); s.Len() > 0 {
				a, _ := s.At(0)
				b, _ := s.At(s.Len() - 1)
				lo, hi = min(lo, a), max(hi, b)
			}
		}
	}
	if lo >= hi {
		return 0, 1
	}
	return lo, hi
}

// Zoom makes the window narrower by factor (or wider, below 1) and keeps the value at.
func (c *Curves) Zoom(specs []Spec, factor, at float64) {
	lo, hi := c.Extent(specs)
	w := c.Window
	if w.All() {
		w.Lo, w.Hi = lo, hi
	}
	at = min(max(at, w.Lo), w.Hi)
	w.Lo, w.Hi = at-(at-w.Lo)/factor, at+(w.Hi-at)/factor
	if w.Hi-w.Lo >= hi-lo {
		c.Window = Window{}
		return
	}
	c.setWindow(w.Lo, w.Hi, lo, hi)
}

// Pan moves the window by parts of its width.
func (c *Curves) Pan(specs []Spec, parts float64) {
	if c.Window.All() {
		return
	}
	lo, hi := c.Extent(specs)
	d := parts * (c.Window.Hi - c.Window.Lo)
	c.setWindow(c.Window.Lo+d, c.Window.Hi+d, lo, hi)
}

// setWindow keeps the window within the curves; the smallest is a ten-thousandth of them.
func (c *Curves) setWindow(from, to, lo, hi float64) {
	width := max(min(to-from, hi-lo), (hi-lo)/1e4)
	from = min(max(from, lo), hi-width)
	c.Window = Window{from, from + width, from+width >= hi-width*1e-9}
}

// Style is how a chart is drawn this time.
type Style struct {
	Styles   widget.Styles
	Profile  render.Profile
	Hairline float64 // x of the hairline, or NaN
	Chosen   bool    // the chart that keys work on
	LogY     bool
	Row      string // column of the chosen row of the table
}

// Draw draws a chart with its title and legend: h lines of w cells. It changes nothing but what was drawn last.
func (c *Curves) Draw(spec Spec, style Style, w, h int) string {
	if c.drawn == nil {
		return c.draw(spec, style, w, h)
	}
	about := c.about(spec, style, w, h)
	last, known := c.drawn.charts[spec.Title]
	if !known || last.about != about {
		last = drawnChart{about, c.draw(spec, style, w, h)}
		c.drawn.charts[spec.Title] = last
	}
	return last.text
}

// about is all that the drawing of a chart depends on.
func (c *Curves) about(spec Spec, style Style, w, h int) string {
	about := fmt.Appendf(nil, "%d %d %v %v %v %v %v %v %v %v %v %q", w, h, c.Axis, c.Smoothing, c.Window, spec.log, style.Styles.Dark, style.Profile,
		style.Hairline, style.Chosen, style.LogY, style.Row)
	for _, l := range spec.Lines {
		line := c.line(l)
		about = fmt.Appendf(about, "\n%q %q %v %d %v %d", l.Label, l.Column, l.Evaluations, l.Color, l.Dashed, line.Version())
	}
	return string(fmt.Appendf(about, "\n%d", spec.Decimals))
}

func (c *Curves) draw(spec Spec, style Style, w, h int) string {
	rows := c.legendRows(spec, style, w, h)
	plot, lines, empty := c.plot(spec, style, w, h-rows)
	if empty {
		return c.legend(spec, style, 0, w, rows) + "\n" + widget.Message(w, h-rows, style.Styles.FaintText.Render("no values yet"))
	}
	drawn := plot.Draw(lines...)
	return c.legend(spec, style, drawn.Beyond, w, rows) + "\n" + widget.FitBlock(drawn.Lines, w, h-rows)
}

// Plot is where Draw draws the curves, for the mouse.
func (c *Curves) Plot(spec Spec, style Style, w, h int) render.Plot {
	plot, lines, empty := c.plot(spec, style, w, h-c.legendRows(spec, style, w, h))
	if empty {
		return render.Plot{}
	}
	return plot.Plot(lines...)
}

// Figure is the chart for a file of so many pixels: the window that is shown, in the same colors.
func (c *Curves) Figure(spec Spec, style Style, size image.Point) *render.Figure {
	style.Hairline = math.NaN()
	plot, _, _ := c.plot(spec, style, size.X, size.Y)
	f := &render.Figure{Chart: plot, Title: spec.Title, X: c.Axis.String(), Size: size, Dark: style.Styles.Dark}
	if c.Smoothing > 0 {
		f.Title += fmt.Sprintf(", smoothed %.4g", c.Smoothing)
	}
	for _, l := range spec.Lines {
		name := l.Label
		if name == "" {
			name = l.Column
		}
		f.Names = append(f.Names, name)
		f.Lines = append(f.Lines, render.Line{Series: c.line(l).Shown().Clone(), Color: style.Styles.Curve(l.Color), Dashed: l.Dashed})
	}
	return f
}

// plot is the chart below the legend, h rows of w cells, and its lines.
func (c *Curves) plot(spec Spec, style Style, w, h int) (plot render.Chart, lines []render.Line, empty bool) {
	plot = render.Chart{
		Cols: w, Rows: h, XMin: c.Window.Lo, XMax: c.Window.Hi, LogY: style.LogY || spec.log, Profile: style.Profile,
		Axis: style.Styles.Rule, Guides: true, XLabel: c.Axis.Label(), Robust: true,
	}
	if !math.IsNaN(style.Hairline) {
		plot.Rules = []float64{style.Hairline}
	}
	for _, l := range spec.Lines { // raw curves, pale; of many curves only the chosen one
		if line := c.line(l); line.Smoothing > 0 && (len(spec.Lines) <= 2 || l.Column == style.Row) {
			lines = append(lines, render.Line{Series: &line.Raw, Color: ghost(style.Styles.Curve(l.Color), style.Styles.Dark)})
		}
	}
	empty = true
	for i := len(spec.Lines) - 1; i >= 0; i-- { // the first is painted last
		l := spec.Lines[i]
		s := c.line(l).Shown()
		empty = empty && s.Len() == 0
		lines = append(lines, render.Line{Series: s, Color: style.Styles.Curve(l.Color), Dashed: l.Dashed, Mark: mark(style.Profile, i, l)})
	}
	return plot, lines, empty
}

// ghost is a curve's color nearly lost in the background.
func ghost(c color.RGBA, dark bool) color.RGBA {
	to := 255
	if dark {
		to = 16
	}
	mix := func(v uint8) uint8 { return uint8((int(v)*38 + to*62) / 100) }
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), 255}
}

// maxLegend is how many rows a legend may take of a chart with so many.
func maxLegend(h int) int { return min(max((h-2)/6+min(h/8, 1), 1), 3) }

// goodName is how many cells of a name are enough to know it: less is worth another row.
const goodName = 10

// legendRows is how many rows the legend takes of a chart of h rows.
func (c *Curves) legendRows(spec Spec, style Style, w, h int) int {
	lines := wrapLegend(c.heading(spec, style, 10), c.entries(spec, style), style.Styles, goodName, w)
	return min(len(lines), maxLegend(h))
}

// heading is the title, with the smoothing, the hairline and how many values lie beyond the range.
func (c *Curves) heading(spec Spec, style Style, beyond int) string {
	title := style.Styles.FaintText.Render(spec.Title)
	if style.Chosen {
		title = style.Styles.Bold.Render(spec.Title)
	}
	if c.Smoothing > 0 && style.Chosen {
		title += style.Styles.FaintText.Render(fmt.Sprintf(" smoothed %.4g", c.Smoothing))
	}
	if !math.IsNaN(style.Hairline) {
		title += style.Styles.AccentText.Render(" " + c.Axis.Describe(style.Hairline))
	}
	if beyond > 0 {
		title += style.Styles.WarnText.Render(fmt.Sprintf(" ↕%d", beyond))
	}
	return title
}

// entries are each line's value: the newest, or that at the hairline.
func (c *Curves) entries(spec Spec, style Style) []entry {
	var entries []entry
	for i, l := range spec.Lines {
		line := c.line(l)
		if line.Raw.Len() == 0 && len(spec.Lines) > 1 {
			continue
		}
		at := math.Inf(1)
		if !math.IsNaN(style.Hairline) {
			at = style.Hairline
		}
		entries = append(entries, entry{l, mark(style.Profile, i, l), words.Number(line.Near(at), spec.Decimals)})
	}
	return entries
}

// legend is the heading and the entries in so many rows of w cells. Where names do not fit they are cut, and then left
// out, but every curve has its value as long as there is room for values at all.
func (c *Curves) legend(spec Spec, style Style, beyond, w, rows int) string {
	title, entries := c.heading(spec, style, beyond), c.entries(spec, style)
	for most := 30; ; most -= 2 {
		lines := wrapLegend(title, entries, style.Styles, most, w)
		if len(lines) <= rows || most <= 0 {
			return widget.FitBlock(lines, w, rows)
		}
		if most < 6 { // of less nobody reads a name
			most = 2
		}
	}
}

// wrapLegend puts the entries behind the title into as many rows of w cells as they need, with names of at most so
// many cells.
func wrapLegend(title string, entries []entry, st widget.Styles, most, w int) []string {
	lines, used := []string{title}, picture.Width(title)
	for _, e := range entries {
		text := e.text(st, most)
		n := picture.Width(text)
		if used+n > w {
			lines, used = append(lines, ""), 0
		}
		lines[len(lines)-1] += text
		used += n
	}
	return lines
}

// entry is a line's place in the legend.
type entry struct {
	Line
	mark, value string
}

// mark is the mark of the i-th line: without colors each has its own, and is drawn like it.
func mark(p render.Profile, i int, l Line) string {
	marks := []rune(render.Marks)
	switch {
	case p >= render.Mono:
		return string(marks[i%len(marks)])
	case l.Dashed:
		return string(marks[1])
	}
	return string(marks[0])
}

// text is the line's mark, its name in at most that many cells, and its value.
func (e entry) text(st widget.Styles, most int) string {
	gap := "   "
	name := ""
	if most > 0 && e.Label != "" {
		name = ansi.Truncate(e.Label, most, "…") + " "
	}
	if most < 12 {
		gap = " "
	}
	return gap + st.Text.Foreground(st.Curve(e.Color)).Render(e.mark) + " " + name + e.value
}
