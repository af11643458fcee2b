package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"
)

// binding is one row of the key table, by which keys are dispatched and from which help, footer and
// palette are written.
type binding struct {
	keys  []string       // as tea.KeyPressMsg.String writes them; the first is the one that is shown
	short string         // one or two words for the footer; "" is not shown there
	help  string         // what it does, a line of help
	do    func() tea.Cmd // nil: the row only explains, as of the mouse
}

// bind is a row whose keys are separated by spaces in the table of the caller.
func bind(do func() tea.Cmd, short, help string, keys ...string) binding {
	return binding{keys, short, help, do}
}

// lookup finds the row of a key.
func lookup(table []binding, key string) (binding, bool) {
	for _, b := range table {
		if b.do != nil && slices.Contains(b.keys, key) {
			return b, true
		}
	}
	return binding{}, false
}

// globalKeys work in every pane.
func (a *app) globalKeys() []binding {
	tab := func(n int) func() tea.Cmd { return func() tea.Cmd { return a.show(n) } }
	return []binding{
		bind(tab(tabRuns), "", "the runs", "1"),
		bind(tab(tabDashboard), "", "the run's dashboard", "2"),
		bind(tab(tabImages), "", "its pictures", "3"),
		bind(tab(tabPrompt), "", "try a prompt", "4"),
		bind(tab(tabFix), "", "repair a region of a picture", "5"),
		bind(func() tea.Cmd { return a.show((a.tab + 1) % len(a.panes)) }, "", "next tab", "tab"),
		bind(func() tea.Cmd { return a.show((a.tab + len(a.panes) - 1) % len(a.panes)) }, "", "tab before", "shift+tab"),
		bind(a.openHelp, "help", "this help", "?", "f1"),
		bind(a.openPalette, "", "all commands by name; typing finds them", ":", "ctrl+p"),
		bind(a.openSettings, "", "settings of the screen: colours, smoothing, pictures", "S"),
		bind(func() tea.Cmd { return tea.Suspend }, "", "to the shell; fg comes back", "ctrl+z"),
		bind(func() tea.Cmd { return tea.Quit }, "quit", "leave the screen; runs go on", "q", "ctrl+c"),
	}
}

// key dispatches a key: to the dialog that is open, to a text field, or by the key table.
func (a *app) key(msg tea.KeyPressMsg) tea.Cmd {
	name := msg.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case a.dialog != nil:
		return a.dialogUpdate(msg)
	case a.panes[a.tab].typing():
		return a.front(msg)
	}
	if b, ok := lookup(a.panes[a.tab].keys(), name); ok {
		return b.do()
	}
	if b, ok := lookup(a.globalKeys(), name); ok {
		return b.do()
	}
	return nil
}

// paste goes where keys go.
func (a *app) paste(msg tea.PasteMsg) tea.Cmd {
	switch {
	case a.dialog != nil:
		return a.dialogUpdate(msg)
	case a.panes[a.tab].typing():
		return a.front(msg)
	}
	return nil
}
