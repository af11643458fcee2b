package tui

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// menuItem is a line of a menu.
type menuItem struct {
	name, note string
	do         func() tea.Cmd
}

// menu is a list to choose from; typing narrows it down.
type menu struct {
	s       *shared
	head    string
	items   []menuItem
	found   []menuItem
	at      int
	top     int // the first visible line
	w, rows int // of the list
	filter  textinput.Model
}

func newMenu(s *shared, title string, items []menuItem) *menu {
	m := &menu{s: s, head: title, items: items, found: items, filter: s.styles.NewField("type to narrow down", 40)}
	m.filter.Focus()
	return m
}

func (m *menu) title() string { return m.head }

func (m *menu) update(msg tea.Msg) (bool, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		switch msg.String() {
		case "esc":
			return true, nil
		case "down", "ctrl+n", "tab":
			m.move(1)
			return false, nil
		case "up", "ctrl+p", "shift+tab":
			m.move(-1)
			return false, nil
		case "pgdown":
			m.move(m.rows)
			return false, nil
		case "pgup":
			m.move(-m.rows)
			return false, nil
		case "enter":
			return m.choose(m.at)
		}
	case widget.Mouse:
		m.move(msg.Lines())
		if i := m.top + msg.Y - 2; msg.Left() && msg.Y >= 2 && i < len(m.found) {
			return m.choose(i)
		}
		return false, nil
	}
	before := m.filter.Value()
	var cmd tea.Cmd
	m.filter, cmd = m.filter.Update(msg)
	if m.filter.Value() != before {
		m.narrow()
	}
	return false, cmd
}

// choose runs an item. It may open a dialog of its own, which takes the place of this one.
func (m *menu) choose(i int) (bool, tea.Cmd) {
	if i < 0 || i >= len(m.found) {
		return false, nil
	}
	m.s.dialog = nil
	return true, m.found[i].do()
}

func (m *menu) move(n int) {
	m.at = max(min(m.at+n, len(m.found)-1), 0)
	m.scroll()
}

// narrow keeps the items that have every typed word.
func (m *menu) narrow() {
	parts := strings.Fields(strings.ToLower(m.filter.Value()))
	m.found, m.at, m.top = nil, 0, 0
next:
	for _, item := range m.items {
		text := strings.ToLower(item.name + " " + item.note)
		for _, word := range parts {
			if !strings.Contains(text, word) {
				continue next
			}
		}
		m.found = append(m.found, item)
	}
}

func (m *menu) resize(w, h int) {
	m.w, m.rows = w, max(min(len(m.items), h-2), 1)
	m.scroll()
}

// scroll keeps the chosen item among the visible ones.
func (m *menu) scroll() { m.top = min(max(m.top, m.at-m.rows+1), max(m.at, 0)) }

func (m *menu) view() string {
	names, notes := 0, 0
	for _, item := range m.items {
		names, notes = max(names, picture.Width(item.name)), max(notes, picture.Width(item.note))
	}
	names = min(names, m.w*2/3)
	width := max(min(names+2+notes+2, m.w), 40)
	lines := []string{m.s.styles.AccentText.Render("> ") + m.filter.View(), ""}
	for i := range m.rows {
		if i += m.top; i < len(m.found) {
			lines = append(lines, m.line(m.found[i], i == m.at, names, width))
		}
	}
	if len(m.found) == 0 {
		lines = append(lines, m.s.styles.FaintText.Render("nothing has these words"))
	}
	return widget.FitBlock(lines, width, m.rows+2)
}

func (m *menu) line(item menuItem, chosen bool, names, width int) string {
	mark, name, note := "  ", m.s.styles.Text, m.s.styles.FaintText
	if chosen {
		mark, name, note = "▸ ", m.s.styles.SelectedText, note.Background(m.s.styles.Selected)
	}
	return name.Render(mark+widget.FitLine(item.name, names)) + note.Render(widget.FitLine("  "+item.note, max(width-names-2, 0)))
}
