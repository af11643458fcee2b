package tui

import (
	"image/color"
	"math"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"focusnfix/render"
)

// lineSpec is a curve of a chart: a column of a table.
type lineSpec struct {
	label  string
	column string
	evals  bool // of the evaluations' table
	color  int
	dashed bool
}

// chartSpec is what a chart shows.
type chartSpec struct {
	title    string
	lines    []lineSpec
	decimals int
	log      bool
}

// curves are the lines of a run as charts show them, made when they are first wanted.
type curves struct {
	axis      axis
	smoothing float64
	window    window
	lines     map[lineKey]*curveLine
}

type lineKey struct {
	evals  bool
	column string
}

// window is the part of the x axis that is shown; the zero window is all.
type window struct {
	lo, hi float64
	tail   bool // the end of the window moves with the end of the curves
}

func (w window) all() bool { return w.lo >= w.hi }

// refresh takes in what the store has gained, for the lines of the specs.
func (c *curves) refresh(s *store, specs []chartSpec) {
	if c.lines == nil {
		c.lines = map[lineKey]*curveLine{}
	}
	end := math.Inf(-1)
	for _, spec := range specs {
		for _, l := range spec.lines {
			line := c.line(l)
			t, smoothing := s.steps, c.smoothing
			if l.evals {
				t, smoothing = s.evaluations, 0
			}
			line.update(t, l.column, c.axis, smoothing)
			if n := line.raw.Len(); n > 0 {
				x, _ := line.raw.At(n - 1)
				end = max(end, x)
			}
		}
	}
	if w := &c.window; w.tail && end > w.hi {
		w.lo, w.hi = w.lo+end-w.hi, end
	}
}

// line is the curve of a spec; it is empty until refresh has seen it.
func (c *curves) line(l lineSpec) *curveLine {
	key := lineKey{l.evals, l.column}
	if c.lines[key] == nil {
		c.lines[key] = &curveLine{}
	}
	return c.lines[key]
}

// extent is the range of x of the lines.
func (c *curves) extent(specs []chartSpec) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, spec := range specs {
		for _, l := range spec.lines {
			if s := c.line(l).shown(); s.Len() > 0 {
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

// zoom makes the window narrower by factor (or wider, below 1) and keeps the value at.
func (c *curves) zoom(specs []chartSpec, factor, at float64) {
	lo, hi := c.extent(specs)
	w := c.window
	if w.all() {
		w.lo, w.hi = lo, hi
	}
	at = min(max(at, w.lo), w.hi)
	w.lo, w.hi = at-(at-w.lo)/factor, at+(w.hi-at)/factor
	if w.hi-w.lo >= hi-lo {
		c.window = window{}
		return
	}
	c.setWindow(w.lo, w.hi, lo, hi)
}

// pan moves the window by parts of its width.
func (c *curves) pan(specs []chartSpec, parts float64) {
	if c.window.all() {
		return
	}
	lo, hi := c.extent(specs)
	d := parts * (c.window.hi - c.window.lo)
	c.setWindow(c.window.lo+d, c.window.hi+d, lo, hi)
}

// setWindow keeps the window within the curves; the smallest is a ten-thousandth of them.
func (c *curves) setWindow(from, to, lo, hi float64) {
	width := max(min(to-from, hi-lo), (hi-lo)/1e4)
	from = min(max(from, lo), hi-width)
	c.window = window{from, from + width, from+width >= hi-width*1e-9}
}

// chartLook is how a chart is drawn this time.
type chartLook struct {
	styles  styles
	profile render.Profile
	cross   float64 // x of the hairline, or NaN
	chosen  bool    // the chart that keys work on
	log     bool
	row     string // column of the chosen row of the table
}

// draw draws a chart with its title and legend: h lines of w cells. The plot is for the mouse; its first
// row is row 1 of the block.
func (c *curves) draw(spec chartSpec, look chartLook, w, h int) (string, render.Plot) {
	chart := render.Chart{
		Cols: w, Rows: h - 1, XMin: c.window.lo, XMax: c.window.hi, LogY: look.log || spec.log, Profile: look.profile,
		Axis: look.styles.rule, Guides: true, XLabel: c.axis.label(),
	}
	if look.cross == look.cross {
		chart.Rules = []float64{look.cross}
	}
	var lines []render.Line
	for _, l := range spec.lines { // raw curves, pale; of many curves only the one that is looked at
		if line := c.line(l); line.smoothing > 0 && (len(spec.lines) <= 2 || l.column == look.row) {
			lines = append(lines, render.Line{Series: &line.raw, Color: ghost(look.styles.curve(l.color), look.styles.dark)})
		}
	}
	empty := true
	for i := len(spec.lines) - 1; i >= 0; i-- { // the first is painted last
		l := spec.lines[i]
		s := c.line(l).shown()
		empty = empty && s.Len() == 0
		lines = append(lines, render.Line{Series: s, Color: look.styles.curve(l.color), Dashed: l.dashed})
	}
	head := c.legend(spec, look, w)
	if empty {
		return head + "\n" + message(w, h-1, look.styles.faintText.Render("no values yet")), render.Plot{}
	}
	plot := chart.Draw(lines...)
	return head + "\n" + fitBlock(plot.Lines, w, h-1), plot
}

// ghost is a curve's colour nearly lost in the background.
func ghost(c color.RGBA, dark bool) color.RGBA {
	to := 255
	if dark {
		to = 16
	}
	mix := func(v uint8) uint8 { return uint8((int(v)*38 + to*62) / 100) }
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), 255}
}

// legend is the title and each line's value: the newest, or that at the hairline.
func (c *curves) legend(spec chartSpec, look chartLook, w int) string {
	title := look.styles.faintText.Render(spec.title)
	if look.chosen {
		title = look.styles.bold.Render(spec.title)
	}
	if look.cross == look.cross {
		title += look.styles.accentText.Render(" " + c.axis.describe(look.cross))
	}
	used := ansi.StringWidth(title)
	var b strings.Builder
	b.WriteString(title)
	for _, l := range spec.lines {
		line := c.line(l)
		if line.raw.Len() == 0 && len(spec.lines) > 1 {
			continue
		}
		v := line.near(math.Inf(1))
		if look.cross == look.cross {
			v = line.near(look.cross)
		}
		mark := "━"
		if l.dashed {
			mark = "╍"
		}
		text := " " + number(v, spec.decimals)
		if l.label != "" {
			text = " " + l.label + text
		}
		if used += ansi.StringWidth(text) + 4; used > w {
			break
		}
		b.WriteString("   " + look.styles.text.Foreground(look.styles.curve(l.color)).Render(mark) + text)
	}
	return fitLine(b.String(), w)
}
