package widget

import (
	"strings"

	"focusnfix/tui/picture"

	tea "charm.land/bubbletea/v2"
)

// Chip is a word that can be clicked: a choice that is made or not, or a button.
type Chip struct {
	Text string
	On   bool
	Do   func() tea.Cmd // nil: a label
}

// chipGap is the cells between two chips. Each has one cell of padding on both sides.
const chipGap = 1

func (c Chip) width() int {
	if c.Do == nil {
		return picture.Width(c.Text)
	}
	return picture.Width(c.Text) + 2
}

// chipRow draws chips next to each other, as many as fit into w cells.
func (s Styles) chipRow(chips []Chip, w int) string {
	var b strings.Builder
	left := w
	for i, c := range chips {
		if i > 0 && left > 0 {
			b.WriteString(strings.Repeat(" ", chipGap))
			left -= chipGap
		}
		if c.width() > left {
			break
		}
		left -= c.width()
		switch {
		case c.Do == nil:
			b.WriteString(s.FaintText.Render(c.Text))
		case c.On:
			b.WriteString(s.SelectedText.Render("[" + c.Text + "]"))
		default:
			b.WriteString(" " + c.Text + " ")
		}
	}
	return FitLine(b.String(), w)
}

// chipAt is the chip under a cell of the row that chipRow draws, or nil.
func chipAt(chips []Chip, x, w int) *Chip {
	at := 0
	for i := range chips {
		width := chips[i].width()
		if at+width > w {
			return nil
		}
		if x >= at && x < at+width {
			return &chips[i]
		}
		at += width + chipGap
	}
	return nil
}
