package tui

import (
	"image"
)

// The smallest screen that panes are made for; below it the screen says so.
const minCols, minRows = 60, 18

// layout is where the parts of the screen are.
type layout struct {
	small              bool // the screen is too small for anything
	tabs, body, footer image.Rectangle
}

// screenLayout is one row of tabs, the pane, and one row of keys; or the pane alone.
func screenLayout(w, h int, alone bool) layout {
	if alone {
		return layout{body: image.Rect(0, 0, w, h)}
	}
	if w < minCols || h < minRows {
		return layout{small: true}
	}
	return layout{
		tabs: image.Rect(0, 0, w, 1), body: image.Rect(0, 1, w, h-1), footer: image.Rect(0, h-1, w, h),
	}
}
