package render

import "math"

// grid is a chart's plot area: cells of several dots. A cell shows one line only, the last that was drawn
// there, so that colors do not bleed into one another.
type grid struct {
	cols, rows   int
	dotsX, dotsY int // of a cell
	bits         *[8]uint8
	cells        []gridCell // [rows,cols]
	x0, scaleX   float64    // dot column = (x-x0)*scaleX
	y1, scaleY   float64    // dot row = (y1-y)*scaleY, from the top
	scale        scale
	pattern      pattern // of the line that is drawn
}

// pattern is which columns of dots a line leaves out.
type pattern uint8

// The patterns. Without colors every line has its own.
const (
	solid pattern = iota
	dashes
	dots
	dashDot
	patterns
)

// gap reports whether the pattern leaves out a column of dots of cells that are dotsX wide.
func (p pattern) gap(column, dotsX int) bool {
	switch cell := column / dotsX; p {
	case dashes:
		return cell/2%2 == 1 // two cells, two empty
	case dots:
		return cell%2 == 1
	case dashDot:
		return cell%6 == 3 || cell%6 == 5
	}
	return false
}

type gridCell struct {
	line int16
	dots uint8 // zero: blank
}

// The bit of the dot (x,y) is at 2*y+x.
var (
	brailleBits  = [8]uint8{0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80} // Unicode, block U+2800
	quadrantBits = [8]uint8{1, 2, 4, 8}
	asciiBits    = [8]uint8{1, 0, 2}
)

// asciiDots are the characters for the sets of an upper (1) and a lower (2) dot.
var asciiDots = [4]string{" ", "'", ".", ":"}

func (c Chart) newGrid(p Plot) *grid {
	g := &grid{cols: p.Cols, rows: p.Rows, dotsX: 2, dotsY: 4, bits: &brailleBits, scale: p.scale}
	switch {
	case c.Profile == ASCII:
		g.dotsX, g.dotsY, g.bits = 1, 2, &asciiBits
	case c.Blocks:
		g.dotsY, g.bits = 2, &quadrantBits
	}
	g.cells = make([]gridCell, g.cols*g.rows)
	// the window's ends fall into the middle of the first and last dots
	g.x0, g.scaleX = p.XMin, float64(g.cols*g.dotsX-1)/(p.XMax-p.XMin)
	g.y1, g.scaleY = p.YMax, float64(g.rows*g.dotsY-1)/(p.YMax-p.YMin)
	return g
}

// height is the dot row of a value, or NaN for a gap.
func (g *grid) height(y float64) float64 {
	if h := (g.y1 - g.scale.at(y)) * g.scaleY; h-h == 0 {
		return h
	}
	return math.NaN()
}

// draw draws a series: in each column of dots the range of its points, and between columns straight lines,
// unless one of the two neighboring points is a gap.
func (g *grid) draw(s *Series, line int16) {
	width := g.cols * g.dotsX
	i := s.search(g.x0, 0)
	if i > 0 {
		i-- // the line comes in from the left
	}
	lastX, lastH := 0.0, math.NaN()
	for i < s.Len() {
		x := (s.x[i] - g.x0) * g.scaleX
		column := int(math.Round(min(max(x, -2), float64(width+1))))
		j := i + 1
		if column >= 0 {
			j = max(j, s.search(g.x0+(float64(column)+0.5)/g.scaleX, i))
		}
		if h := g.height(s.y[i]); h == h && lastH == lastH {
			g.segment(lastX, lastH, x, h, line)
		}
		if column >= width {
			return
		}
		g.extent(column, s.extent(i, j), line)
		lastX, lastH = (s.x[j-1]-g.x0)*g.scaleX, g.height(s.y[j-1])
		i = j
	}
}

func (g *grid) extent(column int, e extent, line int16) {
	if g.scale.log && g.scale.linear == 0 {
		e.lo = e.positive
	}
	if e.lo <= e.hi {
		g.span(column, g.height(e.hi), g.height(e.lo), line)
	}
}

// segment draws the straight line between two points, column by column.
func (g *grid) segment(x0, h0, x1, h1 float64, line int16) {
	slope := 0.0
	if x1 > x0 {
		slope = (h1 - h0) / (x1 - x0)
	}
	first := int(math.Round(max(x0, 0)))
	last := int(math.Round(min(x1, float64(g.cols*g.dotsX-1))))
	for column := first; column <= last; column++ {
		// the part of the line within the column
		from, to := max(x0, float64(column)-0.5), min(x1, float64(column)+0.5)
		a, b := h0+(from-x0)*slope, h0+(to-x0)*slope
		g.span(column, min(a, b), max(a, b), line)
	}
}

// span sets the dots of a column from row top to bottom.
func (g *grid) span(column int, top, bottom float64, line int16) {
	limit := float64(g.rows*g.dotsY - 1)
	if g.pattern.gap(column, g.dotsX) {
		return
	}
	if column < 0 || column >= g.cols*g.dotsX || !(bottom >= -0.5 && top <= limit+0.5) {
		return
	}
	x, bits := column/g.dotsX, column%g.dotsX
	a, b := int(math.Round(max(top, 0))), int(math.Round(min(bottom, limit)))
	for y := a; y <= b; y++ {
		cell := &g.cells[y/g.dotsY*g.cols+x]
		if cell.line != line {
			*cell = gridCell{line: line}
		}
		cell.dots |= g.bits[2*(y%g.dotsY)+bits]
	}
}

// row and column are the cell row of an axis value and the cell column of an x, which may lie outside.
func (g *grid) row(y float64) int { return int(math.Round((g.y1-y)*g.scaleY)) / g.dotsY }

func (g *grid) column(x float64) int {
	return int(math.Floor(math.Round((x-g.x0)*g.scaleX) / float64(g.dotsX)))
}

// glyph is the character of a cell's dots.
func (g *grid) glyph(dots uint8) string {
	switch g.bits {
	case &asciiBits:
		return asciiDots[dots]
	case &quadrantBits:
		return quadrants[dots]
	}
	return string(rune(0x2800 + int(dots)))
}
