package widget

import (
	"image"
	"slices"
	"strings"
)

// Canvas puts blocks of text together that do not overlap.
type Canvas struct {
	w    int
	rows [][]span
}

// span is one line of a block.
type span struct {
	x, w int
	text string
}

// NewCanvas returns a blank canvas of w x h cells.
func NewCanvas(w, h int) *Canvas { return &Canvas{w, make([][]span, h)} }

// Put places a block; every line is cut or filled to the rectangle's width.
func (c *Canvas) Put(r image.Rectangle, block string) {
	for i, line := range strings.Split(block, "\n") {
		if y := r.Min.Y + i; y < r.Max.Y && y >= 0 && y < len(c.rows) && r.Dx() > 0 {
			c.rows[y] = append(c.rows[y], span{r.Min.X, r.Dx(), FitLine(line, r.Dx())})
		}
	}
}

func (c *Canvas) String() string {
	var b strings.Builder
	for y, row := range c.rows {
		if y > 0 {
			b.WriteByte('\n')
		}
		slices.SortFunc(row, func(a, b span) int { return a.x - b.x })
		x := 0
		for _, s := range row {
			b.WriteString(strings.Repeat(" ", max(s.x-x, 0)))
			b.WriteString(s.text)
			x = s.x + s.w
		}
		b.WriteString(strings.Repeat(" ", max(c.w-x, 0)))
	}
	return b.String()
}
