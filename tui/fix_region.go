package tui

import (
	"math"
	"slices"

	"focusnfix/core"
)

// fixTool is what the mouse and the arrow keys do to the region.
type fixTool uint8

const (
	toolBox     fixTool = iota
	toolBrush           // paints, or erases
	toolPolygon         // corner by corner
	toolHeat            // takes the heatmap above a threshold, grown
	fixTools
)

func (t fixTool) String() string { return [...]string{"box", "brush", "polygon", "heat"}[t] }

// regionEditor is the region that a person draws over an image: a box or the heatmap's, and what is painted over it.
type regionEditor struct {
	boxEditor
	tool      fixTool
	heat      bool // the region begins with the heatmap's, rather than with the box
	threshold float64
	grow      int // pixels
	shapes    core.Region
	drawing   bool // a stroke, with the mouse button down
	corners   []core.Point
	erase     bool
	radius    float64
	cursor    core.Point // that keys move
}

const (
	thresholdStep = 0.05
	cursorStep    = 0.02 // share of the image
	radiusStep    = 0.01
	closeCorner   = 0.03 // a corner this near to the first closes a polygon
)

func newRegionEditor() regionEditor {
	return regionEditor{threshold: 0.3, grow: 4, radius: 0.05, cursor: core.Point{X: 0.5, Y: 0.5}}
}

// region is what is drawn, nil where nothing is.
func (r *regionEditor) region() (all core.Region) {
	switch {
	case r.heat:
		all = append(all, r.heatShape())
	case r.set:
		all = append(all, r.box.Shape())
	}
	all = append(all, r.shapes...)
	if len(r.corners) > 2 {
		all = append(all, r.polygon())
	}
	return all
}

// heatShape is what the heatmap says above the threshold, grown.
func (r *regionEditor) heatShape() core.Shape {
	return core.Shape{Kind: core.HeatShape, Threshold: r.threshold, Grow: r.grow}
}

// stroke is one of the brush through points.
func (r *regionEditor) stroke(points ...core.Point) core.Shape {
	return core.Shape{Kind: core.BrushShape, Erase: r.erase, Radius: r.radius, Points: points}
}

func (r *regionEditor) polygon() core.Shape {
	return core.Shape{Kind: core.PolygonShape, Erase: r.erase, Points: r.corners}
}

// isBox reports whether the region is the box alone, which is shown sharper.
func (r *regionEditor) isBox() bool {
	return r.set && !r.heat && len(r.shapes) == 0 && len(r.corners) < 3
}

// choose takes a tool.
func (r *regionEditor) choose(t fixTool) {
	r.letGo()
	r.closePolygon()
	if r.tool = t; t == toolHeat || t == toolBox {
		r.heat = t == toolHeat
	}
}

// pressAt begins what the tool does with the mouse.
func (r *regionEditor) pressAt(x, y float64) {
	p := core.Point{X: x, Y: y}
	switch r.tool {
	case toolBox:
		r.press(x, y)
	case toolBrush:
		r.shapes, r.drawing = append(r.shapes, r.stroke(p)), true
	case toolPolygon:
		r.corner(p)
	case toolHeat:
	}
	r.cursor = p
}

// dragTo goes on with it.
func (r *regionEditor) dragTo(x, y float64) {
	switch {
	case r.drawn:
		r.drag(x, y)
	case r.drawing:
		last := &r.shapes[len(r.shapes)-1]
		if far := last.Points[len(last.Points)-1]; math.Hypot(x-far.X, y-far.Y) > r.radius/4 {
			last.Points = append(last.Points, core.Point{X: x, Y: y})
		}
	}
}

func (r *regionEditor) letGo() {
	r.release()
	r.drawing = false
}

// corner adds one to the polygon; one at the first closes it.
func (r *regionEditor) corner(p core.Point) {
	if len(r.corners) > 2 && math.Hypot(p.X-r.corners[0].X, p.Y-r.corners[0].Y) < closeCorner {
		r.closePolygon()
		return
	}
	r.corners = append(slices.Clone(r.corners), p)
}

// closePolygon makes a shape of the corners, if there are enough.
func (r *regionEditor) closePolygon() {
	if len(r.corners) > 2 {
		r.shapes = append(r.shapes, r.polygon())
		r.drawing = false // the stroke is no longer the last shape
	}
	r.corners = nil
}

// arrow is an arrow key; with shift, strong.
func (r *regionEditor) arrow(dx, dy int, strong bool) {
	switch r.tool {
	case toolBox:
		g := r.grip
		if strong {
			g = gripBottomRight
		}
		r.move(dx, dy, g)
	case toolHeat:
		r.threshold = min(max(math.Round((r.threshold-float64(dy)*thresholdStep)*100)/100, 0), 0.95)
		r.grow = min(max(r.grow+dx, 0), 64)
	default:
		from := r.cursor
		r.cursor = core.Point{X: min(max(from.X+float64(dx)*cursorStep, 0), 1), Y: min(max(from.Y+float64(dy)*cursorStep, 0), 1)}
		if strong && r.tool == toolBrush {
			r.shapes = append(r.shapes, r.stroke(from, r.cursor))
		}
	}
}

// point is a dab of the brush, or a corner, where the keys' cursor is.
func (r *regionEditor) point() {
	switch r.tool {
	case toolBrush:
		r.pressAt(r.cursor.X, r.cursor.Y)
		r.letGo()
	case toolPolygon:
		r.corner(r.cursor)
	default:
	}
}

// larger makes the box, the brush or the heatmap's region larger, or smaller with a negative n.
func (r *regionEditor) larger(n int) {
	switch r.tool {
	case toolBox:
		r.boxEditor.grow(n)
	case toolHeat:
		r.grow = min(max(r.grow+n, 0), 64)
	default:
		r.radius = min(max(r.radius+float64(n)*radiusStep, radiusStep), 0.3)
	}
}

// takeBack removes the last corner, or the last thing painted.
func (r *regionEditor) takeBack() {
	r.letGo() // of a stroke that is taken back while it is drawn
	switch {
	case len(r.corners) > 0:
		r.corners = r.corners[:len(r.corners)-1]
	case len(r.shapes) > 0:
		r.shapes = r.shapes[:len(r.shapes)-1]
	}
}

// cursorBox is where the keys' cursor is, for brush and polygon.
func (r *regionEditor) cursorBox() core.Box {
	if r.tool != toolBrush && r.tool != toolPolygon {
		return core.Box{}
	}
	by := 0.01
	if r.tool == toolBrush {
		by = r.radius
	}
	return core.Box{Left: max(r.cursor.X-by, 0), Top: max(r.cursor.Y-by, 0), Right: min(r.cursor.X+by, 1), Bottom: min(r.cursor.Y+by, 1)}
}
