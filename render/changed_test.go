package render

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"math/rand/v2"
	"testing"
)

func TestChangedCoversEveryDifference(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		size := image.Pt(1+rng.IntN(300), 1+rng.IntN(300))
		cell := image.Pt(1+rng.IntN(12), 1+rng.IntN(24))
		prev := sample(size.X, size.Y, 1)
		next := Scale(nil, prev, prev.Rect, size, true)
		for range rng.IntN(4) {
			next.SetRGBA(rng.IntN(size.X), rng.IntN(size.Y), color.RGBA{255, 0, 0, 255})
		}
		rects := Changed(nil, prev, next, cell)
		for i, r := range rects {
			if r.Empty() || !r.In(next.Rect) || r.Min.X%cell.X != 0 || r.Min.Y%cell.Y != 0 {
				t.Fatalf("%v of %v is not on the borders of %v cells", r, size, cell)
			}
			if r.Max.Y != size.Y && r.Dy()%6 != 0 {
				t.Fatalf("%v of %v is neither a multiple of six high nor at the lower edge", r, size)
			}
			for _, o := range rects[:i] {
				if o.Overlaps(r) {
					t.Fatalf("%v and %v overlap", o, r)
				}
			}
			draw.Draw(prev, r, next, r.Min, draw.Src)
		}
		if !bytes.Equal(prev.Pix, next.Pix) {
			t.Fatalf("%v: the changed rectangles %v do not give the next image", size, rects)
		}
	}
}

func TestChanged(t *testing.T) {
	cell := image.Pt(10, 19) // 114 rows are a multiple of both 19 and 6
	prev := photo(t, 512)
	draw96 := func(x, y int) *image.RGBA {
		next := Scale(nil, prev, prev.Rect, prev.Rect.Size(), true)
		draw.Draw(next, image.Rect(x, y, x+96, y+96), image.NewUniform(color.RGBA{9, 9, 200, 255}), image.Point{}, draw.Src)
		return next
	}
	for _, c := range []struct {
		name       string
		prev, next *image.RGBA
		want       []image.Rectangle
	}{
		{"equal", prev, prev, nil},
		{"no image before", nil, prev, []image.Rectangle{prev.Rect}},
		{"another size", photo(t, 256), prev, []image.Rectangle{prev.Rect}},
		{"most of it", sample(512, 512, 0), prev, []image.Rectangle{prev.Rect}},
		{"an object", prev, draw96(105, 5), []image.Rectangle{image.Rect(100, 0, 210, 114)}},
		{"over two rows, joined", prev, draw96(105, 100), []image.Rectangle{image.Rect(100, 0, 210, 228)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Changed(nil, c.prev, c.next, cell)
			if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	// the price of an update, DESIGN.md's reason for the rectangles
	s := &Sixel{Keep: true, Sticky: 20}
	full := len(s.Append(nil, prev))
	next := draw96(105, 5)
	part := 0
	for _, r := range Changed(nil, prev, next, cell) {
		part += len(s.Append(nil, next.SubImage(r).(*image.RGBA)))
	}
	if 20*part > full {
		t.Errorf("an update is %d bytes, the image %d: want less than a twentieth", part, full)
	}
}
