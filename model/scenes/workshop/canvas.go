package workshop

import (
	"math"

	"focusnfix/model/scenes"
)

// rgb is a color, each channel in [0,255].
type rgb [3]float64

// mixed returns the color that lies t of the way from a to b.
func (a rgb) mixed(b rgb, t float64) rgb {
	return rgb{a[0] + (b[0]-a[0])*t, a[1] + (b[1]-a[1])*t, a[2] + (b[2]-a[2])*t}
}

// varied returns the color with its brightness and each channel moved by up to amount.
func (a rgb) varied(r *random, amount float64) rgb {
	shift := r.between(-amount, amount)
	for i := range a {
		a[i] = min(255, max(0, a[i]+shift+r.between(-amount, amount)*0.4))
	}
	return a
}

// canvas draws anti-aliased shapes on an RGB image of Size x Size pixels. Coordinates are in
// pixels; pixel (x, y) covers the square from (x, y) to (x+1, y+1).
type canvas struct {
	pixels []uint8 // [Size,Size,3]
}

// blend mixes the color into pixel (x, y), which must lie on the canvas; alpha is in [0,1].
func (c *canvas) blend(x, y int, color rgb, alpha float64) {
	p := c.pixels[3*(y*scenes.Size+x) : 3*(y*scenes.Size+x)+3 : 3*(y*scenes.Size+x)+3]
	if alpha >= 1 {
		p[0], p[1], p[2] = uint8(color[0]+0.5), uint8(color[1]+0.5), uint8(color[2]+0.5)
		return
	}
	for i := range p {
		v := float64(p[i])
		p[i] = uint8(v + (color[i]-v)*alpha + 0.5)
	}
}

// gradient fills the rows from y0 up to y1 with a vertical run from top to bottom.
func (c *canvas) gradient(y0, y1 int, top, bottom rgb) {
	for y := max(0, y0); y < min(scenes.Size, y1); y++ {
		color := top.mixed(bottom, (float64(y-y0)+0.5)/float64(y1-y0))
		row := c.pixels[3*y*scenes.Size : 3*(y+1)*scenes.Size]
		r, g, b := uint8(color[0]+0.5), uint8(color[1]+0.5), uint8(color[2]+0.5)
		for i := 0; i < len(row); i += 3 {
			row[i], row[i+1], row[i+2] = r, g, b
		}
	}
}

// span returns the whole pixels that [low,high) touches, clipped to the canvas.
func span(low, high float64) (from, to int) {
	return max(0, int(math.Floor(low))), min(scenes.Size, int(math.Ceil(high)))
}

// overlap returns how much of [i,i+1) lies in [low,high).
func overlap(i int, low, high float64) float64 {
	return max(0, min(high, float64(i+1))-max(low, float64(i)))
}

// rect fills a rectangle.
func (c *canvas) rect(x0, y0, x1, y1 float64, color rgb, alpha float64) {
	xFrom, xTo := span(x0, x1)
	yFrom, yTo := span(y0, y1)
	for y := yFrom; y < yTo; y++ {
		rowAlpha := alpha * overlap(y, y0, y1)
		for x := xFrom; x < xTo; x++ {
			c.blend(x, y, color, rowAlpha*overlap(x, x0, x1))
		}
	}
}

// ellipse fills an ellipse with radii rx and ry around (cx, cy).
func (c *canvas) ellipse(cx, cy, rx, ry float64, color rgb, alpha float64) {
	xFrom, xTo := span(cx-rx-1, cx+rx+1)
	yFrom, yTo := span(cy-ry-1, cy+ry+1)
	for y := yFrom; y < yTo; y++ {
		for x := xFrom; x < xTo; x++ {
			if a := ellipseCover(float64(x)+0.5-cx, float64(y)+0.5-cy, rx, ry); a > 0 {
				c.blend(x, y, color, alpha*a)
			}
		}
	}
}

// ellipseCover returns how much of the pixel whose center is at (dx, dy) lies inside an ellipse
// around the origin: its distance to the rim, to first order, as a ramp one pixel wide.
func ellipseCover(dx, dy, rx, ry float64) float64 {
	u, v := dx/rx, dy/ry
	q := math.Sqrt(u*u + v*v)
	if q < 1e-6 {
		return 1
	}
	slope := math.Sqrt(u*u/(rx*rx)+v*v/(ry*ry)) / q
	return min(1, max(0, 0.5+(1-q)/slope))
}

// glow adds a soft ellipse that fades to nothing at its rim.
func (c *canvas) glow(cx, cy, rx, ry float64, color rgb, alpha float64) {
	xFrom, xTo := span(cx-rx, cx+rx)
	yFrom, yTo := span(cy-ry, cy+ry)
	for y := yFrom; y < yTo; y++ {
		for x := xFrom; x < xTo; x++ {
			if a := glowAlpha(float64(x)+0.5-cx, float64(y)+0.5-cy, rx, ry); a > 0 {
				c.blend(x, y, color, alpha*a)
			}
		}
	}
}

// glowAlpha falls from 1 in the middle of an ellipse around the origin to 0 at its rim.
func glowAlpha(dx, dy, rx, ry float64) float64 {
	inside := max(0, 1-dx*dx/(rx*rx)-dy*dy/(ry*ry))
	return inside * inside
}

// crescent fills the part of a disc of radius r around (cx, cy) that a second disc, moved by
// (dx, dy), leaves free.
func (c *canvas) crescent(cx, cy, r, dx, dy float64, color rgb) {
	xFrom, xTo := span(cx-r-1, cx+r+1)
	yFrom, yTo := span(cy-r-1, cy+r+1)
	for y := yFrom; y < yTo; y++ {
		for x := xFrom; x < xTo; x++ {
			px, py := float64(x)+0.5-cx, float64(y)+0.5-cy
			c.blend(x, y, color, ellipseCover(px, py, r, r)*(1-ellipseCover(px-dx, py-dy, r, r)))
		}
	}
}

// under fills everything below the line y = height(x), row by row down to the bottom row. The
// color may depend on x and on the depth below the line.
func (c *canvas) under(bottom int, height func(x float64) float64, color func(x, depth float64) rgb) {
	for x := range scenes.Size {
		middle := float64(x) + 0.5
		top := height(middle)
		from, to := span(top, float64(bottom))
		for y := from; y < to; y++ {
			c.blend(x, y, color(middle, float64(y)+0.5-top), overlap(y, top, float64(bottom)))
		}
	}
}

// triangle fills the triangle with a level base from (x0, y) to (x1, y) and its tip at (tipX, tipY)
// above the base.
func (c *canvas) triangle(x0, x1, y, tipX, tipY float64, color rgb) {
	from, to := span(tipY, y)
	for row := from; row < to; row++ {
		t := min(1, (float64(row)+0.5-tipY)/(y-tipY))
		c.rect(tipX+(x0-tipX)*t, float64(row), tipX+(x1-tipX)*t, float64(row+1), color, overlap(row, tipY, y))
	}
}
