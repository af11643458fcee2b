package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// helpDialog lists the key table.
type helpDialog struct {
	s      *shared
	lines  []string
	scroll int
	w, h   int
}

func (a *app) openHelp() tea.Cmd {
	h := &helpDialog{s: a.shared}
	section := func(name string, table []binding) {
		h.lines = append(h.lines, a.styles.Bold.Render(name))
		for _, b := range table {
			keys := strings.Join(b.keys, " ")
			h.lines = append(h.lines, "  "+a.styles.KeyCap.Render(widget.FitLine(keys, 20))+" "+b.help)
		}
		h.lines = append(h.lines, "")
	}
	section(a.panes[a.tab].title(), a.panes[a.tab].keys())
	section("Everywhere", a.globalKeys())
	return a.openDialog(h)
}

func (h *helpDialog) title() string { return "Keys" }

func (h *helpDialog) update(msg tea.Msg) (bool, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		switch msg.String() {
		case "esc", "q", "?", "enter", "f1":
			return true, nil
		case "down", "j":
			h.scroll++
		case "up", "k":
			h.scroll--
		case "pgdown", "space":
			h.scroll += h.h
		case "pgup":
			h.scroll -= h.h
		}
	case widget.Mouse:
		h.scroll += 3 * msg.Lines()
	}
	h.scroll = max(min(h.scroll, len(h.lines)-h.h), 0)
	return false, nil
}

func (h *helpDialog) resize(w, rows int) {
	width := 0
	for _, line := range h.lines {
		width = max(width, picture.Width(line))
	}
	h.w, h.h = min(w, width), min(rows, len(h.lines))
	h.scroll = max(min(h.scroll, len(h.lines)-h.h), 0)
}

func (h *helpDialog) view() string {
	return widget.FitBlock(h.lines[h.scroll:h.scroll+h.h], h.w, h.h)
}
