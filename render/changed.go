package render

import (
	"bytes"
	"image"
)

// Changed appends to dst the parts of next that differ from prev: rectangles in pixels, relative to
// the pictures' upper left corners, on the borders of cells, their heights a multiple of six where that
// is possible without leaving the picture. Drawn opaquely over prev they give next in every terminal
// (transparent pixels do so in xterm only). Pictures of different size, and pictures of which more than
// half has changed, give one rectangle: all of it. Equal pictures give none.
func Changed(dst []image.Rectangle, prev, next *image.RGBA, cell image.Point) []image.Rectangle {
	all := image.Rectangle{Max: next.Rect.Size()}
	if all.Empty() {
		return dst
	}
	if prev == nil || prev.Rect.Size() != all.Max || cell.X <= 0 || cell.Y <= 0 {
		return append(dst, all)
	}
	// rows of cells whose height is a multiple of six: two rectangles never share a band
	step := cell.Y
	for step%bandRows != 0 {
		step += cell.Y
	}
	start, area := len(dst), 0
	for y := 0; y < all.Max.Y; y += step {
		r := image.Rect(0, y, all.Max.X, min(y+step, all.Max.Y))
		x0, x1 := changedColumns(prev, next, r)
		if x0 >= x1 {
			continue
		}
		r.Min.X, r.Max.X = x0/cell.X*cell.X, min((x1+cell.X-1)/cell.X*cell.X, all.Max.X)
		area += r.Dx() * r.Dy()
		if last := len(dst) - 1; last >= start && joins(dst[last], r) {
			dst[last] = dst[last].Union(r)
		} else {
			dst = append(dst, r)
		}
	}
	if 2*area > all.Dx()*all.Dy() {
		return append(dst[:start], all)
	}
	return dst
}

// joins reports whether a and b, which lies below it, are better sent as one: a sixel has some 1,000
// bytes of palette, worth about as many pixels.
func joins(a, b image.Rectangle) bool {
	if a.Max.Y != b.Min.Y {
		return false
	}
	u := a.Union(b)
	return u.Dx()*u.Dy() <= a.Dx()*a.Dy()+b.Dx()*b.Dy()+1000
}

// changedColumns is the range of columns in which the pictures differ in the rows of r.
func changedColumns(prev, next *image.RGBA, r image.Rectangle) (x0, x1 int) {
	x0, x1 = r.Max.X, 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		a := prev.Pix[y*prev.Stride : y*prev.Stride+4*r.Max.X]
		b := next.Pix[y*next.Stride : y*next.Stride+4*r.Max.X]
		if bytes.Equal(a, b) {
			continue
		}
		i := 0
		for a[i] == b[i] {
			i++
		}
		j := len(a) - 1
		for a[j] == b[j] {
			j--
		}
		x0, x1 = min(x0, i/4), max(x1, j/4+1)
	}
	return x0, x1
}
