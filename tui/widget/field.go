package widget

import (
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
)

// NewField is a line of text to type into, in the screen's colors. Its cursor does not blink: nothing is
// sent to the terminal while nothing happens.
func (s Styles) NewField(placeholder string, width int) textinput.Model {
	f := textinput.New()
	f.Prompt, f.Placeholder = "", placeholder
	f.SetWidth(width)
	look := textinput.StyleState{Text: s.Text, Placeholder: s.FaintText, Suggestion: s.FaintText, Prompt: s.FaintText}
	styles := textinput.Styles{Focused: look, Blurred: look}
	styles.Cursor.Color, styles.Cursor.Shape, styles.Cursor.Blink = s.accent, tea.CursorBlock, false
	f.SetStyles(styles)
	return f
}
