package render

import (
	"image/color"
	"strconv"
)

// Profile is how many colors the terminal has.
type Profile int

// The profiles, best first. Mono has no colors; ASCII has no characters beyond ASCII either.
const (
	TrueColor Profile = iota
	ANSI256
	ANSI16
	Mono
	ASCII
)

// basic16 are xterm's sixteen default colors.
var basic16 = [16][3]int{
	{0, 0, 0},
	{205, 0, 0},
	{0, 205, 0},
	{205, 205, 0},
	{0, 0, 238},
	{205, 0, 205},
	{0, 205, 205},
	{229, 229, 229},
	{127, 127, 127},
	{255, 0, 0},
	{0, 255, 0},
	{255, 255, 0},
	{92, 92, 255},
	{255, 0, 255},
	{0, 255, 255},
	{255, 255, 255},
}

// shade is a color as a profile can show it: 24 bits of RGB, or a palette index.
type shade int32

const noShade shade = -1

func (p Profile) shade(c color.RGBA) shade {
	switch p {
	case TrueColor:
		return shade(c.R)<<16 | shade(c.G)<<8 | shade(c.B)
	case ANSI256:
		return shade(nearest256(int(c.R), int(c.G), int(c.B)))
	case ANSI16:
		return shade(nearest16(int(c.R), int(c.G), int(c.B)))
	}
	return noShade
}

func squared(r, g, b int) int { return r*r + g*g + b*b }

// nearest256 is the index of the nearest color of xterm's 6x6x6 cube or its 24 grays.
func nearest256(r, g, b int) int {
	level := func(v int) (index, value int) {
		if v < 48 {
			return 0, 0
		}
		i := max(1, (v-35)/40)
		return i, 55 + 40*i
	}
	ri, rv := level(r)
	gi, gv := level(g)
	bi, bv := level(b)
	grey := min(max(((r+g+b)/3-3)/10, 0), 23)
	v := 8 + 10*grey
	if squared(r-v, g-v, b-v) < squared(r-rv, g-gv, b-bv) {
		return 232 + grey
	}
	return 16 + 36*ri + 6*gi + bi
}

func nearest16(r, g, b int) int {
	best, at := 1<<30, 0
	for i, c := range basic16 {
		if e := squared(r-c[0], g-c[1], b-c[2]); e < best {
			best, at = e, i
		}
	}
	return at
}

// appendColor appends the sequence that makes s the foreground color, or the background color.
func (p Profile) appendColor(dst []byte, s shade, background bool) []byte {
	base := 30
	if background {
		base = 40
	}
	number := func(v int) { dst = strconv.AppendInt(dst, int64(v), 10) }
	dst = append(dst, "\x1b["...)
	switch p {
	case TrueColor:
		number(base + 8)
		dst = append(dst, ";2;"...)
		number(int(s >> 16))
		dst = append(dst, ';')
		number(int(s >> 8 & 255))
		dst = append(dst, ';')
		number(int(s & 255))
	case ANSI256:
		number(base + 8)
		dst = append(dst, ";5;"...)
		number(int(s))
	default:
		if s >= 8 {
			base += 60 - 8
		}
		number(base + int(s))
	}
	return append(dst, 'm')
}

// pen appends text in colors and writes only the changes of color.
type pen struct {
	profile Profile
	dst     []byte
	fg, bg  shade
}

func (p *pen) put(glyph string, fg, bg shade) {
	if (fg == noShade && p.fg != noShade) || (bg == noShade && p.bg != noShade) {
		p.reset()
	}
	if fg != p.fg {
		p.dst = p.profile.appendColor(p.dst, fg, false)
		p.fg = fg
	}
	if bg != p.bg {
		p.dst = p.profile.appendColor(p.dst, bg, true)
		p.bg = bg
	}
	p.dst = append(p.dst, glyph...)
}

func (p *pen) reset() {
	if p.fg != noShade || p.bg != noShade {
		p.dst = append(p.dst, "\x1b[m"...)
	}
	p.fg, p.bg = noShade, noShade
}

// line returns the text since the last line, colors reset.
func (p *pen) line() string {
	p.reset()
	s := string(p.dst)
	p.dst = p.dst[:0]
	return s
}
