package render

import (
	"image"
	"image/color"
)

// Blocks draws pictures with characters: works in every terminal.
type Blocks struct {
	Profile Profile
	// Quadrants uses quarter blocks: twice the resolution across, but two colors for four pixels. Sharper
	// for drawings; half blocks are truer for photos.
	Quadrants bool
}

// quadrants are the glyphs by the set of quarters in the foreground color: 1 upper left, 2 upper right,
// 4 lower left, 8 lower right.
var quadrants = [16]string{
	" ", "▘", "▝", "▀", "▖", "▌", "▞", "▛",
	"▗", "▚", "▐", "▜", "▄", "▙", "▟", "█",
}

// ramp goes from dark to light, for profiles without colors.
const ramp = " .:-=+*#%@"

// Lines draws the whole picture, stretched, in rows lines of cols cells. Each line resets its colors.
func (b Blocks) Lines(img *image.RGBA, cols, rows int) []string {
	if cols <= 0 || rows <= 0 || img.Rect.Empty() {
		return nil
	}
	size := image.Pt(cols, 2*rows)
	if b.Quadrants {
		size.X = 2 * cols
	}
	small := shrink(img, size)
	p := pen{profile: b.Profile, fg: noShade, bg: noShade}
	lines := make([]string, rows)
	for y := range lines {
		for x := range cols {
			switch {
			case b.Profile >= Mono:
				p.put(b.character(small, x, y), noShade, noShade)
			case b.Quadrants:
				b.quadrant(&p, small, 2*x, 2*y)
			default:
				top, bottom := b.Profile.shade(small.RGBAAt(x, 2*y)), b.Profile.shade(small.RGBAAt(x, 2*y+1))
				if top == bottom {
					p.put(" ", p.fg, bottom)
				} else {
					p.put("▀", top, bottom)
				}
			}
		}
		lines[y] = p.line()
	}
	return lines
}

// shrink scales the picture: to much smaller sizes by the mean of the pixels that fall on each new one, which
// is ten times as fast as Scale and looks the same.
func shrink(img *image.RGBA, size image.Point) *image.RGBA {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if w < 4*size.X || h < 4*size.Y {
		return Scale(nil, img, img.Rect, size, false)
	}
	dst := canvas(nil, size)
	for y := range size.Y {
		y0, y1 := y*h/size.Y, (y+1)*h/size.Y
		for x := range size.X {
			x0, x1 := x*w/size.X, (x+1)*w/size.X
			var r, g, b int
			for sy := y0; sy < y1; sy++ {
				row := img.Pix[sy*img.Stride+4*x0 : sy*img.Stride+4*x1]
				for ; len(row) >= 4; row = row[4:] {
					r += int(row[0])
					g += int(row[1])
					b += int(row[2])
				}
			}
			n := (x1 - x0) * (y1 - y0)
			dst.SetRGBA(x, y, color.RGBA{uint8(divide(r, n)), uint8(divide(g, n)), uint8(divide(b, n)), 255})
		}
	}
	return dst
}

// character is the ASCII character for the brightness of cell (x,y).
func (b Blocks) character(img *image.RGBA, x, y int) string {
	var sum, n int
	each := 1
	if b.Quadrants {
		each = 2
	}
	for dx := range each {
		for dy := range 2 {
			c := img.RGBAAt(each*x+dx, 2*y+dy)
			sum += 299*int(c.R) + 587*int(c.G) + 114*int(c.B)
			n++
		}
	}
	i := sum / n * len(ramp) / 255001
	return ramp[i : i+1]
}

// quadrant draws the 2x2 pixels at (x,y) with the two colors that lose least: of the seven ways to
// divide four pixels, the one with the smallest squared error to the means.
func (b Blocks) quadrant(p *pen, img *image.RGBA, x, y int) {
	px := [4]color.RGBA{img.RGBAAt(x, y), img.RGBAAt(x+1, y), img.RGBAAt(x, y+1), img.RGBAAt(x+1, y+1)}
	best, at := 1<<30, 0
	var fg, bg color.RGBA
	for set := range 8 { // the lower right pixel is always background; 0 is one color
		f, fe := mean(px, set)
		g, ge := mean(px, 15&^set)
		if fe+ge < best {
			best, at, fg, bg = fe+ge, set, f, g
		}
	}
	front, back := b.Profile.shade(fg), b.Profile.shade(bg)
	if at == 0 || front == back {
		p.put(" ", p.fg, back)
		return
	}
	p.put(quadrants[at], front, back)
}

// mean is the mean color of the pixels in set and their squared error to it.
func mean(px [4]color.RGBA, set int) (color.RGBA, int) {
	var n, r, g, b int
	for i, c := range px {
		if set>>i&1 != 0 {
			n++
			r += int(c.R)
			g += int(c.G)
			b += int(c.B)
		}
	}
	if n == 0 {
		return color.RGBA{}, 0
	}
	r, g, b = divide(r, n), divide(g, n), divide(b, n)
	e := 0
	for i, c := range px {
		if set>>i&1 != 0 {
			e += squared(int(c.R)-r, int(c.G)-g, int(c.B)-b)
		}
	}
	return color.RGBA{uint8(r), uint8(g), uint8(b), 255}, e
}
