package widget

import (
	"image"

	tea "charm.land/bubbletea/v2"
)

// Row is a line of a column beside an image: text, or words that can be clicked.
type Row struct {
	Text  string
	Chips []Chip
}

// RowsView draws the rows in w x h cells.
func (s Styles) RowsView(rows []Row, w, h int) string {
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = r.Text
		if r.Chips != nil {
			lines[i] = s.chipRow(r.Chips, w)
		}
	}
	return FitBlock(lines, w, h)
}

// ChipRows spreads chips over as many rows of w cells as they need.
func ChipRows(chips []Chip, w int) []Row {
	var rows []Row
	used := 0
	for _, c := range chips {
		if len(rows) == 0 || used+chipGap+c.width() > w {
			rows, used = append(rows, Row{}), -chipGap
		}
		last := &rows[len(rows)-1]
		last.Chips = append(last.Chips, c)
		used += chipGap + c.width()
	}
	return rows
}

// ClickRows does what the word under the mouse says, of rows that lie in r.
func ClickRows(m Mouse, r image.Rectangle, rows []Row) tea.Cmd {
	if !m.Left() || !m.In(r) || m.Y-r.Min.Y >= len(rows) {
		return nil
	}
	c := chipAt(rows[m.Y-r.Min.Y].Chips, m.X-r.Min.X, r.Dx())
	if c == nil || c.Do == nil {
		return nil
	}
	return c.Do()
}
