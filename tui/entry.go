package tui

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/widget"
)

// entry asks for one value.
type entry struct {
	s     *shared
	head  string
	lines []string // above the field
	field textinput.Model
	w     int
	err   error
	done  func(text string) (tea.Cmd, error) // an error keeps the dialog open and is shown
}

// askValue opens a dialog for one value that is text now.
func (s *shared) askValue(title, text string, done func(string) (tea.Cmd, error), lines ...string) tea.Cmd {
	e := &entry{s: s, head: title, lines: lines, field: s.styles.NewField("", 40), done: done}
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

func (e *entry) resize(w, _ int) { e.w = w }

func (e *entry) view() string {
	lines := append([]string{}, e.lines...)
	lines = append(lines, "", e.s.styles.AccentText.Render("> ")+e.field.View())
	if e.err != nil {
		lines = append(lines, e.s.styles.BadText.Render(widget.FitLine(e.err.Error(), min(e.w, len(e.err.Error())))))
	}
	key := e.s.styles.KeyCap
	return strings.Join(append(lines, "", key.Render("enter")+" set   "+key.Render("esc")+" leave it"), "\n")
}
