package render

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"
)

func TestFit(t *testing.T) {
	for _, c := range []struct {
		name string
		box  Box
		src  image.Point
		step int
		want image.Point
	}{
		{"square into wide", Box{60, 20, image.Pt(10, 20)}, image.Pt(512, 512), 1, image.Pt(400, 400)},
		{"sixel", Box{60, 20, image.Pt(10, 20)}, image.Pt(512, 512), 6, image.Pt(396, 396)},
		{"wide into square", Box{20, 10, image.Pt(10, 20)}, image.Pt(800, 200), 6, image.Pt(192, 48)},
		{"enlarged", Box{10, 10, image.Pt(10, 20)}, image.Pt(5, 10), 1, image.Pt(100, 200)},
		{"hair line", Box{10, 10, image.Pt(10, 20)}, image.Pt(1000, 1), 6, image.Pt(100, 6)},
		{"nothing", Box{10, 10, image.Pt(10, 20)}, image.Pt(0, 7), 6, image.Point{}},
		{"lower than a band", Box{10, 1, image.Pt(4, 5)}, image.Pt(5, 5), 6, image.Point{}},
		{"no cell size", Box{10, 10, image.Point{}}, image.Pt(5, 5), 1, image.Point{}},
	} {
		if got := c.box.Fit(c.src, c.step); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFitProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 5000 {
		b := Box{1 + rng.IntN(200), 1 + rng.IntN(80), image.Pt(4+rng.IntN(20), 6+rng.IntN(40))}
		src := image.Pt(1+rng.IntN(2000), 1+rng.IntN(2000))
		checkFit(t, b, src, 1)
		checkFit(t, b, src, 6)
		r := image.Rectangle{Max: src}.Add(image.Pt(5, 7))
		fill := b.Fill(r)
		if fill.Empty() || !fill.In(r) || (fill.Dx() != src.X && fill.Dy() != src.Y) {
			t.Fatalf("%+v.Fill(%v) = %v", b, r, fill)
		}
	}
}

func checkFit(t *testing.T, b Box, src image.Point, step int) {
	t.Helper()
	got, area := b.Fit(src, step), b.Size()
	if got.X < 1 || got.X > area.X || got.Y < step || got.Y > area.Y || got.Y%step != 0 {
		t.Fatalf("%+v.Fit(%v,%d) = %v", b, src, step, got)
	}
	// as large as it can be: one side touches, but for the rounding of the height
	if got.X < area.X && got.Y <= min(area.Y, divide(area.X*src.Y, src.X))-step {
		t.Fatalf("%+v.Fit(%v,%d) = %v is too small for %v", b, src, step, got, area)
	}
	// the aspect holds as far as whole pixels and steps allow
	want := float64(src.X) * float64(got.Y) / float64(src.Y)
	if math.Abs(float64(got.X)-want) > 1 && got.X < area.X && got.X > 1 {
		t.Fatalf("%+v.Fit(%v,%d) = %v, want width %.1f", b, src, step, got, want)
	}
	if cols, rows := b.Cells(got); cols > b.Cols || rows > b.Rows {
		t.Fatalf("%v covers %dx%d cells of %+v", got, cols, rows, b)
	}
}

func TestScale(t *testing.T) {
	img := photo(t, 512)
	small := Scale(nil, img, img.Rect, image.Pt(64, 64), false)
	back := Scale(nil, small, small.Rect, image.Pt(512, 512), true)
	if got := psnr(img, back); got < 20 {
		t.Errorf("down and up again: %.1f dB", got)
	}
	// averages stay: no pixels are skipped when a fine pattern is scaled down
	stripes := image.NewRGBA(image.Rect(0, 0, 512, 512))
	for i := range 512 * 512 {
		v := uint8(i % 2 * 255)
		stripes.SetRGBA(i%512, i/512, color.RGBA{v, v, v, 255})
	}
	if c := Scale(nil, stripes, stripes.Rect, image.Pt(100, 100), false).RGBAAt(50, 50); c.R < 115 || c.R > 140 {
		t.Errorf("stripes of 0 and 255 became %d", c.R)
	}
	if got := Scale(small, img, img.Rect, image.Pt(8, 8), true); got != small || got.Rect.Dx() != 8 {
		t.Error("memory was not reused")
	}
	if got := Scale(nil, img, image.Rect(600, 600, 700, 700), image.Pt(3, 3), true); got.Pix[0] != 0 || got.Rect.Dx() != 3 {
		t.Error("outside of the image is not black")
	}
}
