package tui

import (
	"image"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// The smallest screen that panes are made for; below it the screen says so.
const minCols, minRows = 60, 18

// layout is where the parts of the screen are.
type layout struct {
	small              bool // the screen is too small for anything
	tabs, body, footer image.Rectangle
}

// screenLayout is one row of tabs, the pane, and one row of keys.
func screenLayout(w, h int) layout {
	if w < minCols || h < minRows {
		return layout{small: true}
	}
	return layout{
		tabs: image.Rect(0, 0, w, 1), body: image.Rect(0, 1, w, h-1), footer: image.Rect(0, h-1, w, h),
	}
}

// fitLine is a line of exactly w cells: cut with an ellipsis, or filled with spaces.
func fitLine(s string, w int) string {
	if w <= 0 {
		return ""
	}
	n := ansi.StringWidth(s)
	if n > w {
		s = ansi.Truncate(s, w, "…")
		n = ansi.StringWidth(s)
	}
	return s + strings.Repeat(" ", max(w-n, 0))
}

// fitBlock is exactly h lines of w cells.
func fitBlock(lines []string, w, h int) string {
	out := make([]string, max(h, 0))
	for i := range out {
		line := ""
		if i < len(lines) {
			line = lines[i]
		}
		out[i] = fitLine(line, w)
	}
	return strings.Join(out, "\n")
}

// beside puts blocks of equal height next to each other.
func beside(blocks ...string) string {
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

// over lays a block on another at column x, row y.
func over(base, top string, x, y int) string {
	rows := strings.Split(base, "\n")
	for i, line := range strings.Split(top, "\n") {
		if at := y + i; at >= 0 && at < len(rows) {
			n := ansi.StringWidth(line)
			rows[at] = ansi.Cut(rows[at], 0, x) + line + ansi.Cut(rows[at], x+n, ansi.StringWidth(rows[at]))
		}
	}
	return strings.Join(rows, "\n")
}

// spread puts left and right at the ends of a line of w cells; right gives way.
func spread(left, right string, w int) string {
	gap := w - ansi.StringWidth(left) - ansi.StringWidth(right)
	if gap < 1 {
		return fitLine(left, w)
	}
	return left + strings.Repeat(" ", gap) + right
}

// message is a few lines in the middle of an area.
func message(w, h int, lines ...string) string {
	out := make([]string, max((h-len(lines))/2, 0), max(h, 0)+len(lines))
	for _, line := range lines {
		out = append(out, strings.Repeat(" ", max((w-ansi.StringWidth(line))/2, 0))+line)
	}
	return fitBlock(out, w, h)
}
