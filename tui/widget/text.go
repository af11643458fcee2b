package widget

import (
	"strings"

	"focusnfix/tui/picture"

	"github.com/charmbracelet/x/ansi"
)

// Wrap breaks text into at most n lines of at most w cells; what is left over is cut with an ellipsis.
func Wrap(text string, w, n int) []string {
	lines := strings.Split(ansi.Wrap(text, max(w, 1), ""), "\n")
	if len(lines) > n && n > 0 {
		rest := strings.Join(lines[n-1:], " ")
		lines = append(lines[:n-1], ansi.Truncate(rest, max(w, 1), "…"))
	}
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

// FitLine is a line of exactly w cells: cut with an ellipsis, or filled with spaces.
func FitLine(s string, w int) string {
	if w <= 0 {
		return ""
	}
	n := picture.Width(s)
	if n > w {
		s = ansi.Truncate(s, w, "…")
		n = picture.Width(s)
	}
	return s + strings.Repeat(" ", max(w-n, 0))
}

// FitBlock is exactly h lines of w cells.
func FitBlock(lines []string, w, h int) string {
	out := make([]string, max(h, 0))
	for i := range out {
		line := ""
		if i < len(lines) {
			line = lines[i]
		}
		out[i] = FitLine(line, w)
	}
	return strings.Join(out, "\n")
}

// Beside puts blocks of equal height next to each other.
func Beside(blocks ...string) string {
	rows := strings.Split(blocks[0], "\n")
	for _, b := range blocks[1:] {
		for i, line := range strings.Split(b, "\n") {
			if i < len(rows) {
				rows[i] += line
			}
		}
	}
	return strings.Join(rows, "\n")
}

// Over lays a block on another at column x, row y.
func Over(base, top string, x, y int) string {
	rows := strings.Split(base, "\n")
	for i, line := range strings.Split(top, "\n") {
		if at := y + i; at >= 0 && at < len(rows) {
			n := picture.Width(line)
			rows[at] = picture.Cut(rows[at], 0, x) + line + picture.Cut(rows[at], x+n, picture.Width(rows[at]))
		}
	}
	return strings.Join(rows, "\n")
}

// Spread puts left and right at the ends of a line of w cells; right gives way.
func Spread(left, right string, w int) string {
	gap := w - picture.Width(left) - picture.Width(right)
	if gap < 1 {
		return FitLine(left, w)
	}
	return left + strings.Repeat(" ", gap) + right
}

// Message is a few lines in the middle of an area.
func Message(w, h int, lines ...string) string {
	out := make([]string, max((h-len(lines))/2, 0), max(h, 0)+len(lines))
	for _, line := range lines {
		out = append(out, strings.Repeat(" ", max((w-picture.Width(line))/2, 0))+line)
	}
	return FitBlock(out, w, h)
}

// Blank is w x h spaces.
func Blank(w, h int) string { return FitBlock(nil, w, h) }

// Stack puts blocks below each other in exactly w x h cells.
func Stack(w, h int, blocks ...string) string {
	return FitBlock(strings.Split(strings.Join(blocks, "\n"), "\n"), w, h)
}

// EmptyRows are n rows for stack.
func EmptyRows(n int) []string { return make([]string, n) }

// OneLine is text without line breaks.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
