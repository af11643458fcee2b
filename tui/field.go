package tui

import (
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
)

// newField is a line of text to type into, in the screen's colors. Its cursor does not blink: nothing is
// sent to the terminal while nothing happens.
func (s styles) newField(placeholder string, width int) textinput.Model {
	f := textinput.New()
	f.Prompt, f.Placeholder = "", placeholder
	f.SetWidth(width)
	look := textinput.StyleState{Text: s.text, Placeholder: s.faintText, Suggestion: s.faintText, Prompt: s.faintText}
	styles := textinput.Styles{Focused: look, Blurred: look}
	styles.Cursor.Color, styles.Cursor.Shape, styles.Cursor.Blink = s.accent, tea.CursorBlock, false
	f.SetStyles(styles)
	return f
}
