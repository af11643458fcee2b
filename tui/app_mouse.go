package tui

import (
	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/widget"
)

// mouse dispatches a mouse event: to the dialog, the tab bar, or the visible pane.
func (a *app) mouse(msg tea.MouseMsg) tea.Cmd {
	m := widget.NewMouse(msg)
	switch {
	case a.layout.small:
		return nil
	case a.dialog != nil:
		return a.dialogUpdate(m)
	case m.In(a.layout.tabs):
		if tab := a.tabAt(m.X); tab >= 0 && m.Left() {
			return a.show(tab)
		}
		return nil
	case m.In(a.layout.body) || m.Action == widget.Release || m.Action == widget.Motion && m.Button != tea.MouseNone:
		m.X, m.Y = m.X-a.layout.body.Min.X, m.Y-a.layout.body.Min.Y
		return a.front(m)
	}
	return nil
}
