package render

import (
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"math"
	"os"
	"testing"
)

// sixelDecoder reads sixel as DEC STD 070 has it, as far as our encoder may use it. It refuses what a
// terminal would forgive: pixels outside the raster or painted twice, colours that were not defined.
type sixelDecoder struct {
	data []byte
	at   int
}

func (d *sixelDecoder) number() (int, error) {
	start, n := d.at, 0
	for d.at < len(d.data) && d.data[d.at] >= '0' && d.data[d.at] <= '9' && n < 1<<20 {
		n = 10*n + int(d.data[d.at]-'0')
		d.at++
	}
	if d.at == start {
		return 0, fmt.Errorf("byte %d: no number", start)
	}
	return n, nil
}

// numbers reads n numbers divided by semicolons.
func (d *sixelDecoder) numbers(n int) ([]int, error) {
	var out []int
	for i := range n {
		if i > 0 {
			if d.at >= len(d.data) || d.data[d.at] != ';' {
				return nil, fmt.Errorf("byte %d: want a semicolon", d.at)
			}
			d.at++
		}
		v, err := d.number()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// decodeSixel returns the picture; pixels that nothing painted are transparent.
func decodeSixel(data []byte) (*image.RGBA, error) {
	const intro = "\x1bP0;1;q\""
	if len(data) < len(intro) || string(data[:len(intro)]) != intro {
		return nil, fmt.Errorf("no sixel introducer")
	}
	d := &sixelDecoder{data: data, at: len(intro)}
	raster, err := d.numbers(4)
	if err != nil {
		return nil, err
	}
	img := image.NewRGBA(image.Rect(0, 0, raster[2], raster[3]))
	registers := map[int][3]uint8{}
	x, y, color := 0, 0, -1
	for d.at < len(data) {
		c := data[d.at]
		d.at++
		switch {
		case c == 0x1b:
			if d.at != len(data)-1 || data[d.at] != '\\' {
				return nil, fmt.Errorf("byte %d: want the string terminator and the end", d.at)
			}
			return img, nil
		case c == '$':
			x = 0
		case c == '-':
			x, y = 0, y+6
		case c == '#':
			if color, err = d.number(); err != nil {
				return nil, err
			}
			if d.at < len(data) && data[d.at] == ';' {
				d.at++
				v, err := d.numbers(4)
				if err != nil || v[0] != 2 || max(v[1], v[2], v[3]) > 100 {
					return nil, fmt.Errorf("byte %d: colour %v: %v", d.at, v, err)
				}
				registers[color] = [3]uint8{shown(v[1]), shown(v[2]), shown(v[3])}
			}
		case c == '!' || c >= '?' && c <= '~':
			n := 1
			if c == '!' {
				if n, err = d.number(); err != nil || d.at == len(data) {
					return nil, fmt.Errorf("byte %d: repeat: %v", d.at, err)
				}
				c = data[d.at]
				d.at++
			}
			if c < '?' || c > '~' {
				return nil, fmt.Errorf("byte %d: %q is no sixel", d.at, c)
			}
			rgb, ok := registers[color]
			if !ok {
				return nil, fmt.Errorf("byte %d: colour %d was not defined", d.at, color)
			}
			for ; n > 0; n-- {
				if err := paintSixel(img, x, y, c-'?', rgb); err != nil {
					return nil, err
				}
				x++
			}
		default:
			return nil, fmt.Errorf("byte %d: %q", d.at-1, c)
		}
	}
	return nil, fmt.Errorf("no string terminator")
}

// shown is what terminals make of a channel in per cent.
func shown(percent int) uint8 { return uint8(math.Round(float64(percent) * 255 / 100)) }

func paintSixel(img *image.RGBA, x, y int, mask byte, rgb [3]uint8) error {
	for r := range 6 {
		if mask>>r&1 == 0 {
			continue
		}
		if !image.Pt(x, y+r).In(img.Rect) {
			return fmt.Errorf("(%d,%d) is outside of %v", x, y+r, img.Rect)
		}
		o := img.PixOffset(x, y+r)
		if img.Pix[o+3] != 0 {
			return fmt.Errorf("(%d,%d) was painted twice", x, y+r)
		}
		img.Pix[o], img.Pix[o+1], img.Pix[o+2], img.Pix[o+3] = rgb[0], rgb[1], rgb[2], 255
	}
	return nil
}

// photo is the part of testdata/photo512.png with its upper left corner at (256-size/2, 256-size/2).
func photo(t testing.TB, size int) *image.RGBA {
	t.Helper()
	f, err := os.Open("testdata/photo512.png")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	full, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.Draw(img, img.Rect, full, image.Pt(256-size/2, 256-size/2), draw.Src)
	return img
}

// psnr compares two pictures of the same size, in dB.
func psnr(a, b *image.RGBA) float64 {
	sum := 0.0
	for y := range a.Rect.Dy() {
		for x := range a.Rect.Dx() {
			p, q := pixel(a, x, y), pixel(b, x, y)
			for k := range 3 {
				d := float64(p[k]) - float64(q[k])
				sum += d * d
			}
		}
	}
	return 10 * math.Log10(255*255*3*float64(a.Rect.Dx()*a.Rect.Dy())/sum)
}
