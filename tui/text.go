package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// wrap breaks text into at most n lines of at most w cells; what is left over is cut with an ellipsis.
func wrap(text string, w, n int) []string {
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

// blank is w x h spaces.
func blank(w, h int) string { return fitBlock(nil, w, h) }

// stack puts blocks below each other in exactly w x h cells.
func stack(w, h int, blocks ...string) string {
	return fitBlock(strings.Split(strings.Join(blocks, "\n"), "\n"), w, h)
}

// emptyRows are n rows for stack.
func emptyRows(n int) []string { return make([]string, n) }

// oneLine is text without line breaks.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
