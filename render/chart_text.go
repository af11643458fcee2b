package render

import (
	"strings"
	"unicode/utf8"
)

// marks are the characters of axes.
type marks struct{ axis, tick, guide, rule string }

var (
	lineMarks  = marks{"│", "┤", "┈", "┊"}
	asciiMarks = marks{"|", "+", "-", "|"}
)

// write puts labels, axis, guides, rules and dots together: one string a row.
func (c Chart) write(g *grid, p Plot, lines []Line, yTicks, xTicks []tick) []string {
	w := chartWriter{
		pen: pen{profile: c.Profile, fg: noShade, bg: noShade}, marks: lineMarks, axis: c.Profile.shade(c.Axis),
		guides: c.Guides, ruled: make([]bool, p.Cols), shades: make([]shade, len(lines)),
	}
	if c.Profile == ASCII {
		w.marks = asciiMarks
	}
	for i := range lines {
		w.shades[i] = c.Profile.shade(lines[i].Color)
	}
	for _, x := range c.Rules {
		if k := g.column(x); k >= 0 && k < p.Cols {
			w.ruled[k] = true
		}
	}
	labels := make([]string, p.Rows)
	for _, t := range yTicks {
		if r := g.row(t.value); r >= 0 && r < p.Rows {
			labels[r] = clip(t.label, p.Left-1)
		}
	}
	out := make([]string, 0, c.Rows)
	for y, label := range labels {
		w.gutter(label, p.Left)
		w.cells(g, y, label != "")
		out = append(out, w.line())
	}
	if p.Rows < c.Rows {
		w.put(xLabels(g, p, xTicks, c.Cols), w.axis, noShade)
		out = append(out, w.line())
	}
	return out
}

// chartWriter writes a chart's rows.
type chartWriter struct {
	pen
	marks  marks
	axis   shade
	guides bool
	ruled  []bool  // columns with a rule
	shades []shade // of the lines
}

// gutter writes the label, if any, and the axis in left cells.
func (w *chartWriter) gutter(label string, left int) {
	if left == 0 {
		return
	}
	edge := w.marks.axis
	if label != "" {
		edge = w.marks.tick
	}
	w.put(strings.Repeat(" ", left-1-utf8.RuneCountInString(label))+label+edge, w.axis, noShade)
}

// cells writes row y of the grid.
func (w *chartWriter) cells(g *grid, y int, labelled bool) {
	for x, cell := range g.cells[y*g.cols : (y+1)*g.cols] {
		switch {
		case cell.dots != 0:
			w.put(g.glyph(cell.dots), w.shades[cell.line], noShade)
		case w.ruled[x]:
			w.put(w.marks.rule, w.axis, noShade)
		case w.guides && labelled:
			w.put(w.marks.guide, w.axis, noShade)
		default:
			w.put(" ", w.fg, noShade)
		}
	}
}

// xLabels is the row below the plot: each label centered under its value, left out where it would touch
// another.
func xLabels(g *grid, p Plot, xTicks []tick, cols int) string {
	row := []rune(strings.Repeat(" ", cols))
	free := p.Left // the first column that may be used
	before := ""
	for _, t := range xTicks {
		if t.label == before { // a time that is written in minutes
			continue
		}
		n := utf8.RuneCountInString(t.label)
		at := min(p.Left+g.column(t.value)-n/2, cols-n)
		if at < free {
			at = free
			if free > p.Left || n > p.Cols { // only the first label may be moved
				continue
			}
		}
		copy(row[at:], []rune(t.label))
		free, before = at+n+1, t.label
	}
	return string(row)
}

// clip shortens a label to n runes.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(0, n)])
}

var (
	sparks      = [8]string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}
	asciiSparks = [8]string{"_", "_", ".", "-", "-", "=", "^", "#"}
)

// Sparkline draws the values as one line of cols cells, from their smallest to their largest. Several
// values in a cell give their mean; NaN and infinities are blank. Fewer values than cells stand at the
// right. It has no colors; ASCII characters with the ASCII profile.
func Sparkline(values []float64, cols int, p Profile) string {
	if cols <= 0 {
		return ""
	}
	means := make([]float64, cols)
	e := nothing
	blank := max(0, cols-len(values))
	for k := range means[blank:] {
		n := cols - blank
		means[blank+k] = finiteMean(values[k*len(values)/n : (k+1)*len(values)/n])
	}
	e.add(means[blank:])
	glyphs := &sparks
	if p == ASCII {
		glyphs = &asciiSparks
	}
	var s strings.Builder
	for k, v := range means {
		switch {
		case k < blank || v-v != 0:
			s.WriteByte(' ')
		case e.lo == e.hi:
			s.WriteString(glyphs[3])
		default:
			s.WriteString(glyphs[min(7, int(8*((v/2-e.lo/2)/(e.hi/2-e.lo/2))))])
		}
	}
	return s.String()
}

// finiteMean is the mean of the finite values, or a NaN if there are none.
func finiteMean(values []float64) float64 {
	sum, n := 0.0, 0.0
	for _, v := range values {
		if v-v == 0 {
			n++
			sum += (v - sum) / n
		}
	}
	return sum * (n / n) // n/n is NaN for none
}
