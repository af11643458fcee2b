package tui

import (
	"math"

	"focusnfix/core"
)

// boxEditor is the rectangle that a person draws over an image, with the mouse or with keys.
type boxEditor struct {
	box    core.Box
	set    bool // there is one
	grip   grip // what the arrow keys move
	anchor [2]float64
	drawn  bool // the mouse button is down
}

// grip is the part of a box that keys move.
type grip uint8

const (
	gripBox grip = iota
	gripTopLeft
	gripBottomRight
	grips
)

func (g grip) String() string {
	return [...]string{"the box", "its top left corner", "its bottom right corner"}[g]
}

// A box is at least boxLeast wide and high; keys move it by boxStep. Both are parts of the image.
const (
	boxLeast = 0.04
	boxStep  = 0.02
)

// initial is the box that keys begin with.
func (b *boxEditor) initial() {
	b.box, b.set = core.Box{Left: 0.3, Top: 0.3, Right: 0.7, Bottom: 0.7}, true
}

// press begins a new box at a point of the image.
func (b *boxEditor) press(x, y float64) {
	b.anchor, b.drawn = [2]float64{x, y}, true
	b.drag(x, y)
}

// drag draws the box from where the button was pressed to here.
func (b *boxEditor) drag(x, y float64) {
	if !b.drawn {
		return
	}
	b.box = core.Box{
		Left: min(x, b.anchor[0]), Right: max(x, b.anchor[0]),
		Top: min(y, b.anchor[1]), Bottom: max(y, b.anchor[1]),
	}
	b.box.Left, b.box.Right = apart(b.box.Left, b.box.Right)
	b.box.Top, b.box.Bottom = apart(b.box.Top, b.box.Bottom)
	b.set = true
}

func (b *boxEditor) release() { b.drawn = false }

// apart keeps low and high within [0,1] and at least boxLeast apart.
func apart(low, high float64) (float64, float64) {
	low, high = min(max(low, 0), 1), min(max(high, 0), 1)
	if short := boxLeast - (high - low); short > 0 {
		low = max(low-short/2, 0)
		high = min(low+boxLeast, 1)
		low = min(low, high-boxLeast)
	}
	return low, high
}

// move moves the grip by steps; without a box there is one then.
func (b *boxEditor) move(dx, dy int, g grip) {
	if !b.set {
		b.initial()
		return
	}
	b.box.Left, b.box.Right = slide(b.box.Left, b.box.Right, float64(dx)*boxStep, g)
	b.box.Top, b.box.Bottom = slide(b.box.Top, b.box.Bottom, float64(dy)*boxStep, g)
}

func slide(low, high, by float64, g grip) (float64, float64) {
	switch g {
	case gripTopLeft:
		return math.Round(1000*min(max(low+by, 0), high-boxLeast)) / 1000, high
	case gripBottomRight:
		return low, math.Round(1000*max(min(high+by, 1), low+boxLeast)) / 1000
	}
	by = min(max(by, -low), 1-high)
	return math.Round(1000*(low+by)) / 1000, math.Round(1000*(high+by)) / 1000
}

// grow makes the box larger, or smaller with a negative n, on every side.
func (b *boxEditor) grow(n int) {
	if !b.set {
		b.initial()
		return
	}
	by := float64(n) * boxStep
	if n < 0 && (b.box.Right-b.box.Left+2*by < boxLeast || b.box.Bottom-b.box.Top+2*by < boxLeast) {
		return
	}
	b.box.Left, b.box.Right = apart(b.box.Left-by, b.box.Right+by)
	b.box.Top, b.box.Bottom = apart(b.box.Top-by, b.box.Bottom+by)
}

// toPicture is where cell (x,y) of a rectangle of w x h cells lies in an image of cols x rows cells in
// its middle, in [0,1]; inside is false beside the image.
func toPicture(x, y, w, h, cols, rows int) (u, v float64, inside bool) {
	x, y = x-(w-cols)/2, y-(h-rows)/2
	inside = x >= 0 && x < cols && y >= 0 && y < rows
	u = (float64(x) + 0.5) / float64(max(cols, 1))
	v = (float64(y) + 0.5) / float64(max(rows, 1))
	return min(max(u, 0), 1), min(max(v, 0), 1), inside
}
