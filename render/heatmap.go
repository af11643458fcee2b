package render

import (
	"image"
	"image/color"
)

// Overlay lays a heatmap and a mask over a picture. Both are of any resolution; they are stretched over the
// whole picture.
type Overlay struct {
	Width, Height int
	Heatmap       []float32  // [Height,Width] in [0,1], 1 is faulty; nil for none
	Mask          []float32  // [Height,Width], at least 0.5 is faulty; nil for none
	Colors        *Colormap  // of the heatmap; nil is "heat"
	Alpha         float32    // opacity where the heatmap is 1; it falls with the heat
	Contour       color.RGBA // of the mask's edge, which is one pixel with a black one outside it
}

// Draw blends the overlay into the picture. A plane whose length is not Width*Height is not drawn.
func (o Overlay) Draw(img *image.RGBA) {
	if o.Width <= 0 || o.Height <= 0 || img.Rect.Empty() {
		return
	}
	if len(o.Heatmap) == o.Width*o.Height {
		o.drawHeat(img)
	}
	if len(o.Mask) == o.Width*o.Height {
		o.drawContour(img)
	}
}

func (o Overlay) drawHeat(img *image.RGBA) {
	colors := o.Colors
	if colors == nil {
		colors = Colors("heat")
	}
	s := o.sampler(o.Heatmap, img.Rect.Size())
	for y := range img.Rect.Dy() {
		row := s.row(y)
		for x, v := range row {
			alpha := int(256*min(max(o.Alpha*v, 0), 1) + 0.5)
			if alpha == 0 || v != v {
				continue
			}
			c := colors.At(v)
			p := pixel(img, x, y)
			for k, to := range [3]uint8{c.R, c.G, c.B} {
				p[k] = uint8((int(p[k])*(256-alpha) + int(to)*alpha + 128) >> 8)
			}
		}
	}
}

// drawContour draws the pixels of the mask that have a neighbor outside it, and those neighbors in black.
func (o Overlay) drawContour(img *image.RGBA) {
	width, height := img.Rect.Dx(), img.Rect.Dy()
	s := o.sampler(o.Mask, image.Pt(width, height))
	var rows [3][]bool // inside the mask: the rows above, here, below
	for i := range rows {
		rows[i] = make([]bool, width)
	}
	read := func(dst []bool, y int) {
		for x, v := range s.row(min(y, height-1)) { // beyond the edge the picture goes on
			dst[x] = v >= 0.5
		}
	}
	read(rows[1], 0)
	copy(rows[0], rows[1])
	for y := range height {
		read(rows[2], y+1)
		above, here, below := rows[0], rows[1], rows[2]
		for x, in := range here {
			around := [4]bool{above[x], below[x], here[max(x-1, 0)], here[min(x+1, width-1)]}
			if around == [4]bool{in, in, in, in} {
				continue
			}
			p := pixel(img, x, y)
			if in {
				p[0], p[1], p[2] = o.Contour.R, o.Contour.G, o.Contour.B
			} else {
				p[0], p[1], p[2] = 0, 0, 0
			}
		}
		rows[0], rows[1], rows[2] = rows[1], rows[2], rows[0]
	}
}

// sampler interpolates a plane bilinearly to the pixels of a picture.
type sampler struct {
	plane         []float32
	width, height int
	size          image.Point
	left          []int32   // for each pixel column, the plane's column left of it
	right         []float32 // and the weight of the next one
	line, out     []float32
}

func (o Overlay) sampler(plane []float32, size image.Point) *sampler {
	s := &sampler{plane: plane, width: o.Width, height: o.Height, size: size}
	s.left, s.right = make([]int32, size.X), make([]float32, size.X)
	for x := range s.left {
		k, t := position(x, size.X, o.Width)
		s.left[x], s.right[x] = int32(k), t
	}
	s.line, s.out = make([]float32, o.Width+1), make([]float32, size.X)
	return s
}

// position is where the center of pixel i of n lies among the centres of m values: after value k by t.
func position(i, n, m int) (k int, t float32) {
	at := min(max((float32(i)+0.5)*float32(m)/float32(n)-0.5, 0), float32(m-1))
	k = int(at)
	return k, at - float32(k)
}

// row is the plane at the picture's row y, valid until the next call.
func (s *sampler) row(y int) []float32 {
	k, t := position(y, s.size.Y, s.height)
	a := s.plane[k*s.width : (k+1)*s.width]
	b := a
	if k+1 < s.height {
		b = s.plane[(k+1)*s.width : (k+2)*s.width]
	}
	for i := range a {
		s.line[i] = a[i] + t*(b[i]-a[i])
	}
	s.line[s.width] = s.line[s.width-1]
	for x, i := range s.left {
		s.out[x] = s.line[i] + s.right[x]*(s.line[i+1]-s.line[i])
	}
	return s.out
}

// Difference is the picture of |a-b| times gain, channel by channel, of the area that both have; black is
// equal. dst's memory is reused when it suffices, and dst may be nil, but neither a nor b.
func Difference(dst, a, b *image.RGBA, gain float32) *image.RGBA {
	size := image.Pt(min(a.Rect.Dx(), b.Rect.Dx()), min(a.Rect.Dy(), b.Rect.Dy()))
	dst = canvas(dst, size)
	var times [256]uint8
	for i := range times {
		times[i] = uint8(min(max(float32(i)*gain+0.5, 0), 255))
	}
	for y := range size.Y {
		for x := range size.X {
			p, q, d := pixel(a, x, y), pixel(b, x, y), pixel(dst, x, y)
			for k := range 3 {
				d[k] = times[max(p[k], q[k])-min(p[k], q[k])]
			}
			d[3] = 255
		}
	}
	return dst
}
