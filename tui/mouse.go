package tui

import (
	"image"

	tea "charm.land/bubbletea/v2"
)

// action is what a mouse did.
type action uint8

const (
	click action = iota
	release
	motion // with button: a drag
	wheel
)

// mouseMsg is the mouse over a pane.
type mouseMsg struct {
	x, y   int // cells from the pane's top left
	action action
	button tea.MouseButton // wheel: tea.MouseWheelUp or tea.MouseWheelDown, also left and right
	mod    tea.KeyMod
}

// in says whether the mouse is over a rectangle of the pane.
func (m mouseMsg) in(r image.Rectangle) bool { return image.Pt(m.x, m.y).In(r) }

// left says whether the left button was pressed.
func (m mouseMsg) left() bool { return m.action == click && m.button == tea.MouseLeft }

// lines is +1 or -1 for the wheel, else 0.
func (m mouseMsg) lines() int {
	switch {
	case m.action != wheel:
		return 0
	case m.button == tea.MouseWheelUp:
		return -1
	case m.button == tea.MouseWheelDown:
		return 1
	}
	return 0
}

func newMouse(msg tea.MouseMsg) mouseMsg {
	m := msg.Mouse()
	out := mouseMsg{x: m.X, y: m.Y, button: m.Button, mod: m.Mod}
	switch msg.(type) {
	case tea.MouseReleaseMsg:
		out.action = release
	case tea.MouseMotionMsg:
		out.action = motion
	case tea.MouseWheelMsg:
		out.action = wheel
	}
	return out
}
