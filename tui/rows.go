package tui

import (
	"image"

	tea "charm.land/bubbletea/v2"
)

// textRow is a line of a column beside a picture: text, or words that can be clicked.
type textRow struct {
	text  string
	chips []chip
}

// rowsView draws the rows in w x h cells.
func (s styles) rowsView(rows []textRow, w, h int) string {
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = r.text
		if r.chips != nil {
			lines[i] = s.chipRow(r.chips, w)
		}
	}
	return fitBlock(lines, w, h)
}

// chipRows spreads chips over as many rows of w cells as they need.
func chipRows(chips []chip, w int) []textRow {
	var rows []textRow
	used := 0
	for _, c := range chips {
		if len(rows) == 0 || used+chipGap+c.width() > w {
			rows, used = append(rows, textRow{}), -chipGap
		}
		last := &rows[len(rows)-1]
		last.chips = append(last.chips, c)
		used += chipGap + c.width()
	}
	return rows
}

// clickRows does what the word under the mouse says, of rows that lie in r.
func clickRows(m mouseMsg, r image.Rectangle, rows []textRow) tea.Cmd {
	if !m.left() || !m.in(r) || m.y-r.Min.Y >= len(rows) {
		return nil
	}
	c := chipAt(rows[m.y-r.Min.Y].chips, m.x-r.Min.X, r.Dx())
	if c == nil || c.do == nil {
		return nil
	}
	return c.do()
}
