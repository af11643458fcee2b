package widget

import (
	"image"

	tea "charm.land/bubbletea/v2"
)

// Action is what the mouse did.
type Action uint8

// The actions.
const (
	Click Action = iota
	Release
	Motion // with button: a drag
	Wheel
)

// Mouse is the mouse over a pane.
type Mouse struct {
	X, Y   int // cells from the pane's top left
	Action Action
	Button tea.MouseButton // wheel: tea.MouseWheelUp or tea.MouseWheelDown, also left and right
}

// In reports whether the mouse is over a rectangle of the pane.
func (m Mouse) In(r image.Rectangle) bool { return image.Pt(m.X, m.Y).In(r) }

// Left reports whether the left button was pressed.
func (m Mouse) Left() bool { return m.Action == Click && m.Button == tea.MouseLeft }

// Lines is +1 or -1 for the wheel, else 0.
func (m Mouse) Lines() int {
	switch {
	case m.Action != Wheel:
		return 0
	case m.Button == tea.MouseWheelUp:
		return -1
	case m.Button == tea.MouseWheelDown:
		return 1
	}
	return 0
}

// NewMouse returns what bubbletea tells of the mouse, counted from the screen's top left.
func NewMouse(msg tea.MouseMsg) Mouse {
	m := msg.Mouse()
	out := Mouse{X: m.X, Y: m.Y, Button: m.Button}
	switch msg.(type) {
	case tea.MouseReleaseMsg:
		out.Action = Release
	case tea.MouseMotionMsg:
		out.Action = Motion
	case tea.MouseWheelMsg:
		out.Action = Wheel
	}
	return out
}
