package render

import (
	"image/color"
	"math"
	"unicode/utf8"
)

// Chart draws curves with characters. Every column takes the smallest and the largest value of its
// points from the series' pyramids, so that no peak is lost and a frame's cost does not grow with
// their number.
type Chart struct {
	Cols, Rows int     // of the whole chart, labels included
	XMin, XMax float64 // the window; equal: all points
	YMin, YMax float64 // equal: what the window holds; with LogY both above zero
	LogY       bool    // values of zero and below are gaps
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
}

// Plot is a drawn chart.
type Plot struct {
	Lines                  []string // Rows lines of Cols cells
	Left, Cols, Rows       int      // the plot's area: columns left of it, its size in cells
	XMin, XMax, YMin, YMax float64  // of the area
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
		g.dashed = lines[i].Dashed
		g.draw(lines[i].Series, int16(i))
	}
	p.Lines = c.write(g, p, lines, yTicks, xTicks)
	return c.values(p)
}

// Plot is what Draw returns but for the drawn lines: where the plot is and what its window is.
func (c Chart) Plot(lines ...Line) Plot {
	p, _, _ := c.plot(lines)
	return c.values(p)
}

// values makes the range of a logarithmic plot, which is of exponents, one of values.
func (c Chart) values(p Plot) Plot {
	if c.LogY {
		p.YMin, p.YMax = math.Pow(10, p.YMin), math.Pow(10, p.YMax)
	}
	return p
}

// plot finds the area, its window and the ticks; with LogY the range of y is of exponents.
func (c Chart) plot(lines []Line) (p Plot, yTicks, xTicks []tick) {
	if c.Cols <= 0 || c.Rows <= 0 {
		return Plot{}, nil, nil
	}
	p = Plot{Cols: c.Cols, Rows: c.Rows}
	p.XMin, p.XMax = c.window(lines)
	p.YMin, p.YMax = c.valueRange(lines, p.XMin, p.XMax)
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

// valueRange is the range of y in the window, with a margin when it comes from the points; with LogY it
// is of exponents.
func (c Chart) valueRange(lines []Line, x0, x1 float64) (lo, hi float64) {
	if c.YMin < c.YMax && (!c.LogY || c.YMin > 0) {
		if c.LogY {
			return math.Log10(c.YMin), math.Log10(c.YMax)
		}
		return c.YMin, c.YMax
	}
	e := nothing
	for _, l := range lines {
		i := l.Series.search(x0, 0)
		e.join([]extent{l.Series.extent(i, l.Series.search(math.Nextafter(x1, math.Inf(1)), i))})
	}
	if c.LogY {
		if e.positive > e.hi {
			return 0, 1
		}
		lo, hi = math.Log10(e.positive), math.Log10(e.hi)
	} else {
		if e.lo > e.hi {
			return 0, 1
		}
		lo, hi = e.lo, e.hi
	}
	if lo == hi {
		margin := max(math.Abs(lo)*0.1, 1e-12)
		if c.LogY || lo == 0 {
			margin = 0.5
		}
		return lo - margin, hi + margin
	}
	margin := hi/50 - lo/50 // not (hi-lo)/50: it may overflow
	return lo - margin, hi + margin
}

func (c Chart) yTicks(p Plot) []tick {
	n := max(2, p.Rows/3)
	if c.LogY {
		return logTicks(p.YMin, p.YMax, n, c.YLabel)
	}
	t := ticks(p.YMin, p.YMax, n, c.YLabel)
	if len(t) < 2 && p.Rows > 3 {
		t = ticks(p.YMin, p.YMax, 2*n, c.YLabel)
	}
	return t
}
