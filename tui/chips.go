package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// chip is a word that can be clicked: a choice that is made or not, or a button.
type chip struct {
	text string
	on   bool
	do   func() tea.Cmd // nil: a label
}

// chipGap is the cells between two chips. Each has one cell of padding on both sides.
const chipGap = 1

func (c chip) width() int {
	if c.do == nil {
		return ansi.StringWidth(c.text)
	}
	return ansi.StringWidth(c.text) + 2
}

// chipRow draws chips next to each other, as many as fit into w cells.
func (s styles) chipRow(chips []chip, w int) string {
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
		case c.do == nil:
			b.WriteString(s.faintText.Render(c.text))
		case c.on:
			b.WriteString(s.selectedText.Render("[" + c.text + "]"))
		default:
			b.WriteString(" " + c.text + " ")
		}
	}
	return fitLine(b.String(), w)
}

// chipAt is the chip under a cell of the row that chipRow draws, or nil.
func chipAt(chips []chip, x, w int) *chip {
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
