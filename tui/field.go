package tui

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
)

// newField is a line of text to type into, in the screen's colours. Its cursor does not blink: nothing is
// sent to the terminal while nothing happens.
func (s *shared) newField(placeholder string, width int) textinput.Model {
	f := textinput.New()
	f.Prompt, f.Placeholder = "", placeholder
	f.SetWidth(width)
	look := textinput.StyleState{Text: s.styles.text, Placeholder: s.styles.faintText, Suggestion: s.styles.faintText, Prompt: s.styles.faintText}
	styles := textinput.Styles{Focused: look, Blurred: look}
	styles.Cursor.Color, styles.Cursor.Shape, styles.Cursor.Blink = s.styles.accent, tea.CursorBlock, false
	f.SetStyles(styles)
	return f
}

// entry asks for one value.
type entry struct {
	s     *shared
	head  string
	lines []string // above the field
	field textinput.Model
	err   error
	done  func(text string) (tea.Cmd, error) // an error keeps the dialog open and is shown
}

// askValue opens a dialog for one value that is text now.
func (s *shared) askValue(title, text string, done func(string) (tea.Cmd, error), lines ...string) tea.Cmd {
	e := &entry{s: s, head: title, lines: lines, field: s.newField("", 40), done: done}
	e.field.SetValue(text)
	return tea.Batch(e.field.Focus(), s.openDialog(e))
}

func (e *entry) title() string { return e.head }

func (e *entry) update(msg tea.Msg) (bool, tea.Cmd) {
	if key, ok := msg.(tea.KeyPressMsg); ok {
		switch key.String() {
		case "esc":
			return true, nil
		case "enter":
			var cmd tea.Cmd
			cmd, e.err = e.done(strings.TrimSpace(e.field.Value()))
			return e.err == nil, cmd
		}
	}
	var cmd tea.Cmd
	e.field, cmd = e.field.Update(msg)
	return false, cmd
}

func (e *entry) view(w, _ int) string {
	lines := append([]string{}, e.lines...)
	lines = append(lines, "", e.s.styles.accentText.Render("> ")+e.field.View())
	if e.err != nil {
		lines = append(lines, e.s.styles.badText.Render(fitLine(e.err.Error(), min(w, len(e.err.Error())))))
	}
	key := e.s.styles.keyCap
	return strings.Join(append(lines, "", key.Render("enter")+" set   "+key.Render("esc")+" leave it"), "\n")
}
