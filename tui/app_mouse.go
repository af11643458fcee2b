package tui

import (
	tea "charm.land/bubbletea/v2"
)

// mouse dispatches a mouse event: to the dialog, the tab bar, or the visible pane.
func (a *app) mouse(msg tea.MouseMsg) tea.Cmd {
	m := newMouse(msg)
	switch {
	case a.layout.small:
		return nil
	case a.dialog != nil:
		return a.dialogUpdate(m)
	case m.in(a.layout.tabs):
		if tab := a.tabAt(m.x); tab >= 0 && m.left() {
			return a.show(tab)
		}
		return nil
	case m.in(a.layout.body) || m.action == release || m.action == motion && m.button != tea.MouseNone:
		m.x, m.y = m.x-a.layout.body.Min.X, m.y-a.layout.body.Min.Y
		return a.front(m)
	}
	return nil
}
