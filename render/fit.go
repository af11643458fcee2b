package render

import (
	"image"

	"golang.org/x/image/draw"
)

// Box is an area of the screen: columns, rows, and the size of a cell in pixels.
type Box struct {
	Cols, Rows int
	Cell       image.Point
}

// Size is the box in pixels.
func (b Box) Size() image.Point {
	return image.Pt(max(0, b.Cols)*b.Cell.X, max(0, b.Rows)*b.Cell.Y)
}

// Fit is the largest size in pixels with the aspect of src that fits into the box. The height is a
// multiple of step, and at least step: 6 for sixel, where terminals pad the last band, 1 otherwise. It is
// never above the box's, unless that is lower than step; the result is then zero, as for an empty src.
func (b Box) Fit(src image.Point, step int) image.Point {
	area := b.Size()
	step = max(1, step)
	if src.X <= 0 || src.Y <= 0 || area.X == 0 || area.Y < step {
		return image.Point{}
	}
	h := min(area.Y, divide(area.X*src.Y, src.X))
	h = max(step, h/step*step)
	w := min(area.X, max(1, divide(h*src.X, src.Y)))
	return image.Pt(w, h)
}

// Fill is the largest centered part of src that has the box's aspect: scaled to the box it leaves no margin.
func (b Box) Fill(src image.Rectangle) image.Rectangle {
	area, size := b.Size(), src.Size()
	if area.X == 0 || area.Y == 0 || src.Empty() {
		return image.Rectangle{}
	}
	w := min(size.X, max(1, divide(size.Y*area.X, area.Y)))
	h := min(size.Y, max(1, divide(size.X*area.Y, area.X)))
	at := src.Min.Add(image.Pt((size.X-w)/2, (size.Y-h)/2))
	return image.Rectangle{at, at.Add(image.Pt(w, h))}
}

// Cells is the number of columns and rows that a picture of that size in pixels covers.
func (b Box) Cells(size image.Point) (cols, rows int) {
	if b.Cell.X <= 0 || b.Cell.Y <= 0 {
		return 0, 0
	}
	return (size.X + b.Cell.X - 1) / b.Cell.X, (size.Y + b.Cell.Y - 1) / b.Cell.Y
}

// divide is a/b rounded to the nearest integer, for positive numbers.
func divide(a, b int) int { return (a + b/2) / b }

// Scale scales the part r of src to size and returns it on black; dst's memory is reused when it
// suffices, and dst may be nil. With fast it interpolates between few pixels, for pictures that move;
// otherwise it filters with Catmull-Rom over all of them (x/image/draw), and enlarges small
// pictures of up to 64 pixels in square pixels, as they are.
func Scale(dst *image.RGBA, src image.Image, r image.Rectangle, size image.Point, fast bool) *image.RGBA {
	dst = canvas(dst, size)
	r = r.Intersect(src.Bounds())
	if r.Empty() || dst.Rect.Empty() {
		clear(dst.Pix)
		return dst
	}
	var scaler draw.Interpolator = draw.CatmullRom
	switch {
	case r.Size() == size:
		draw.Draw(dst, dst.Rect, src, r.Min, draw.Src)
		return dst
	case size.X >= 2*r.Dx() && max(r.Dx(), r.Dy()) <= 64:
		scaler = draw.NearestNeighbor
	case fast:
		scaler = draw.ApproxBiLinear
	}
	scaler.Scale(dst, dst.Rect, src, r, draw.Src, nil)
	return dst
}

// canvas is a picture of that size, in dst's memory if it suffices.
func canvas(dst *image.RGBA, size image.Point) *image.RGBA {
	size = image.Pt(max(0, size.X), max(0, size.Y))
	if n := 4 * size.X * size.Y; dst != nil && cap(dst.Pix) >= n {
		*dst = image.RGBA{Pix: dst.Pix[:n], Stride: 4 * size.X, Rect: image.Rectangle{Max: size}}
		return dst
	}
	return image.NewRGBA(image.Rectangle{Max: size})
}
