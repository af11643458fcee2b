package render

import (
	"cmp"
	"image/color"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Chart draws curves with characters. Every column takes the smallest and the largest value of its
// points from the series' pyramids, so that no peak is lost and a frame's cost does not grow with
// their number.
type Chart struct {
	Cols, Rows int     // of the whole chart, labels included
	XMin, XMax float64 // the window; equal: all points
	YMin, YMax float64 // equal: what the window holds; with LogY both above zero
	LogY       bool    // logarithmic, zero a gap; with negative values, in both directions from zero
	Robust     bool    // the range leaves out the few columns that lie far beyond all others
	Blocks     bool    // quarter blocks instead of braille
	Profile    Profile
	Axis       color.RGBA // of labels, guides and rules
	Guides     bool       // dotted lines at the y labels
	Rules      []float64  // vertical lines at these x: a cursor, checkpoints
	// XLabel and YLabel write a value; nil writes numbers.
	XLabel, YLabel func(float64) string
}

// Line is a curve of a chart; later ones are painted over earlier ones.
type Line struct {
	Series *Series
	Color  color.RGBA
	Dashed bool
	Mark   string // one of Marks: how the line is drawn where there are no colors
}

// Marks are the marks of lines, for legends: they look as the lines do where there are no colors.
const Marks = "━╍┅┉"

// Plot is a drawn chart.
type Plot struct {
	Lines                  []string // Rows lines of Cols cells
	Left, Cols, Rows       int      // the plot's area: columns left of it, its size in cells
	XMin, XMax, YMin, YMax float64  // of the area
	Beyond                 int      // columns whose curves lie beyond the area, by Robust

	scale scale
}

// X is the value in the middle of a column of the chart, counted from its left edge.
func (p Plot) X(col int) float64 {
	return p.XMin + (p.XMax-p.XMin)*min(max((float64(col-p.Left)+0.5)/float64(max(1, p.Cols)), 0), 1)
}

// Draw draws the lines.
func (c Chart) Draw(lines ...Line) Plot {
	p, yTicks, xTicks := c.plot(lines)
	if p.Rows == 0 {
		return p
	}
	g := c.newGrid(p)
	for i := range lines {
		g.pattern = c.pattern(lines[i])
		g.draw(lines[i].Series, int16(i))
	}
	p.Lines = c.write(g, p, lines, yTicks, xTicks)
	return c.values(p)
}

// pattern is how a line is drawn.
func (c Chart) pattern(l Line) pattern {
	switch {
	case c.Profile >= Mono && len(l.Mark) > 0:
		return pattern(strings.Index(Marks, l.Mark)/len("━")) % patterns
	case l.Dashed:
		return dashes
	}
	return solid
}

// Plot is what Draw returns but for the drawn lines: where the plot is and what its window is.
func (c Chart) Plot(lines ...Line) Plot {
	p, _, _ := c.plot(lines)
	return c.values(p)
}

// values makes the range of a plot, which is of its scale, one of values.
func (c Chart) values(p Plot) Plot {
	p.YMin, p.YMax = p.scale.value(p.YMin), p.scale.value(p.YMax)
	return p
}

// plot finds the area, its window and the ticks; the range of y is of its scale.
func (c Chart) plot(lines []Line) (p Plot, yTicks, xTicks []tick) {
	if c.Cols <= 0 || c.Rows <= 0 {
		return Plot{}, nil, nil
	}
	p = Plot{Cols: c.Cols, Rows: c.Rows}
	p.XMin, p.XMax = c.window(lines)
	c.setRange(&p, lines)
	if c.Rows >= 3 && c.Cols >= 16 { // else there is no room for labels
		p.Rows--
		yTicks = c.yTicks(p)
		for _, t := range yTicks {
			p.Left = max(p.Left, utf8.RuneCountInString(t.label)+1)
		}
		p.Left = min(max(p.Left, 1), c.Cols/2)
		p.Cols -= p.Left
		xTicks = ticks(p.XMin, p.XMax, max(1, p.Cols/12), c.XLabel)
	}
	return p, yTicks, xTicks
}

// window is the range of x.
func (c Chart) window(lines []Line) (lo, hi float64) {
	lo, hi = c.XMin, c.XMax
	if lo >= hi {
		lo, hi = math.Inf(1), math.Inf(-1)
		for _, l := range lines {
			if n := l.Series.Len(); n > 0 {
				lo, hi = min(lo, l.Series.x[0]), max(hi, l.Series.x[n-1])
			}
		}
	}
	switch {
	case lo > hi:
		return 0, 1
	case lo == hi:
		return lo, lo + max(1, math.Abs(lo)*1e-9)
	}
	return lo, hi
}

// setRange sets the scale and the range of y in the window, with a margin when it comes from the points.
func (c Chart) setRange(p *Plot, lines []Line) {
	if c.YMin < c.YMax && (!c.LogY || c.YMin > 0) {
		p.scale = scale{log: c.LogY}
		p.YMin, p.YMax = p.scale.at(c.YMin), p.scale.at(c.YMax)
		return
	}
	e := nothing
	for _, l := range lines {
		i := l.Series.search(p.XMin, 0)
		e.join([]extent{l.Series.extent(i, l.Series.search(math.Nextafter(p.XMax, math.Inf(1)), i))})
	}
	if e.lo > e.hi {
		p.scale, p.YMin, p.YMax = scale{log: c.LogY}, 0, 1
		return
	}
	if c.Robust {
		e.lo, e.hi, p.Beyond = c.robust(*p, lines, e)
	}
	if c.LogY && e.lo >= 0 {
		if e.lo = e.positive; e.lo > e.hi {
			p.scale, p.YMin, p.YMax = scale{log: true}, 0, 1
			return
		}
	}
	p.scale = scaleFor(c.LogY, e.lo, e.hi)
	lo, hi := p.scale.at(e.lo), p.scale.at(e.hi)
	if lo == hi {
		margin := max(math.Abs(lo)*0.1, 1e-12)
		if c.LogY || lo == 0 {
			margin = 0.5
		}
		p.YMin, p.YMax = lo-margin, hi+margin
		return
	}
	margin := hi/50 - lo/50 // not (hi-lo)/50: it may overflow
	p.YMin, p.YMax = lo-margin, hi+margin
}

// Columns whose values lie farther than farBeyond times the range of the middle half from that half are left out
// of the range of a robust chart, at most one in outlierShare.
const (
	farBeyond    = 3
	outlierShare = 10
)

// robust is the range of e without the few columns that lie far beyond all others, and their number.
func (c Chart) robust(p Plot, lines []Line, e extent) (lo, hi float64, beyond int) {
	var columns []extent
	for _, l := range lines {
		from := l.Series.search(p.XMin, 0)
		for k := range c.Cols {
			end := p.XMin + (p.XMax-p.XMin)*float64(k+1)/float64(c.Cols)
			if k == c.Cols-1 {
				end = math.Nextafter(p.XMax, math.Inf(1))
			}
			to := l.Series.search(end, from)
			if x := l.Series.extent(from, to); x.lo <= x.hi {
				columns = append(columns, x)
			}
			from = to
		}
	}
	if len(columns) < 2*outlierShare {
		return e.lo, e.hi, 0
	}
	slices.SortFunc(columns, func(a, b extent) int { return cmp.Compare(a.lo+a.hi, b.lo+b.hi) })
	low, high := columns[len(columns)/4].lo, columns[len(columns)*3/4].hi
	reach := farBeyond * max(high-low, (e.hi-e.lo)*1e-3)
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, x := range columns {
		if x.lo < low-reach || x.hi > high+reach {
			beyond++
			continue
		}
		lo, hi = min(lo, x.lo), max(hi, x.hi)
	}
	if beyond == 0 || beyond*outlierShare > len(columns) {
		return e.lo, e.hi, 0
	}
	return lo, hi, beyond
}

// yTicks are two at least, where rows allow.
func (c Chart) yTicks(p Plot) []tick {
	n := max(2, p.Rows/3)
	t := p.scale.ticks(p.YMin, p.YMax, n, c.YLabel)
	for more := 2 * n; len(t) < 2 && more <= 8*n && p.Rows > 3; more *= 2 {
		t = p.scale.ticks(p.YMin, p.YMax, more, c.YLabel)
	}
	return t
}
