package render

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"math"
	"os"
	"testing"
)

// sixelDecoder reads sixel as DEC STD 070 has it, as far as our encoder may use it. It refuses what a
// terminal would forgive: pixels outside the raster or painted twice, colors that were not defined.
type sixelDecoder struct {
	data      []byte
	at        int
	img       *image.RGBA
	x, y      int
	color     int
	registers map[int][3]uint8
}

// decodeSixel returns the picture; pixels that nothing painted are transparent.
func decodeSixel(data []byte) (*image.RGBA, error) {
	const intro = "\x1bP0;1;q\""
	if !bytes.HasPrefix(data, []byte(intro)) {
		return nil, errors.New("no sixel introducer")
	}
	d := &sixelDecoder{data: data, at: len(intro), color: -1, registers: map[int][3]uint8{}}
	raster, err := d.numbers(4)
	if err != nil {
		return nil, err
	}
	d.img = image.NewRGBA(image.Rect(0, 0, raster[2], raster[3]))
	for string(data[d.at:]) != "\x1b\\" {
		if d.at == len(data) {
			return nil, errors.New("no string terminator")
		}
		if err := d.command(); err != nil {
			return nil, fmt.Errorf("byte %d: %w", d.at, err)
		}
	}
	return d.img, nil
}

// command reads one command.
func (d *sixelDecoder) command() error {
	c := d.data[d.at]
	d.at++
	switch c {
	case '$':
		d.x = 0
		return nil
	case '-':
		d.x, d.y = 0, d.y+6
		return nil
	case '#':
		return d.selectColor()
	case '!':
		n, err := d.number()
		if err != nil || d.at == len(d.data) {
			return fmt.Errorf("repeat: %w", err)
		}
		c = d.data[d.at]
		d.at++
		return d.paint(c, n)
	}
	return d.paint(c, 1)
}

func (d *sixelDecoder) selectColor() (err error) {
	if d.color, err = d.number(); err != nil {
		return err
	}
	if d.at == len(d.data) || d.data[d.at] != ';' {
		return nil
	}
	d.at++
	v, err := d.numbers(4)
	if err != nil {
		return err
	}
	if v[0] != 2 || max(v[1], v[2], v[3]) > 100 {
		return fmt.Errorf("color %v", v)
	}
	d.registers[d.color] = [3]uint8{shown(v[1]), shown(v[2]), shown(v[3])}
	return nil
}

// paint paints the sixel c in n columns.
func (d *sixelDecoder) paint(c byte, n int) error {
	if c < '?' || c > '~' {
		return fmt.Errorf("%q is no sixel", c)
	}
	rgb, ok := d.registers[d.color]
	if !ok {
		return fmt.Errorf("color %d was not defined", d.color)
	}
	for ; n > 0; n-- {
		for r := range 6 {
			if (c-'?')>>r&1 == 0 {
				continue
			}
			if !image.Pt(d.x, d.y+r).In(d.img.Rect) {
				return fmt.Errorf("(%d,%d) is outside of %v", d.x, d.y+r, d.img.Rect)
			}
			p := pixel(d.img, d.x, d.y+r)
			if p[3] != 0 {
				return fmt.Errorf("(%d,%d) was painted twice", d.x, d.y+r)
			}
			p[0], p[1], p[2], p[3] = rgb[0], rgb[1], rgb[2], 255
		}
		d.x++
	}
	return nil
}

func (d *sixelDecoder) number() (int, error) {
	start, n := d.at, 0
	for d.at < len(d.data) && d.data[d.at] >= '0' && d.data[d.at] <= '9' && n < 1<<20 {
		n = 10*n + int(d.data[d.at]-'0')
		d.at++
	}
	if d.at == start {
		return 0, errors.New("no number")
	}
	return n, nil
}

// numbers reads n numbers divided by semicolons.
func (d *sixelDecoder) numbers(n int) ([]int, error) {
	var out []int
	for i := range n {
		if i > 0 {
			if d.at == len(d.data) || d.data[d.at] != ';' {
				return nil, errors.New("want a semicolon")
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

// shown is what terminals make of a channel in per cent.
func shown(percent int) uint8 { return uint8(math.Round(float64(percent) * 255 / 100)) }

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
