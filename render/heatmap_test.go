package render

import (
	"bytes"
	"encoding/csv"
	"image"
	"image/color"
	"image/draw"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// The compact tables against matplotlib's: 3 of 255 levels is what linear interpolation loses.
func TestColormapsMatchMatplotlib(t *testing.T) {
	f, err := os.Open("testdata/ref/colormaps.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil || len(rows) != 256 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, row := range rows {
		for n, name := range []string{"viridis", "magma", "turbo"} {
			c := Colors(name)[i]
			for k, got := range [3]uint8{c.R, c.G, c.B} {
				want, err := strconv.Atoi(row[1+3*n+k])
				if err != nil {
					t.Fatal(err)
				}
				if math.Abs(float64(got)-float64(want)) > 3 {
					t.Errorf("%s[%d] is %v, want %v", name, i, c, row[1+3*n:4+3*n])
				}
			}
		}
	}
	if Colors("jet") != nil {
		t.Error("jet exists")
	}
}

// Whoever sees no colors must still see the order: brightness (Rec. 709, linear light) rises.
func TestColormapsRiseInBrightness(t *testing.T) {
	linear := func(v uint8) float64 { return math.Pow(float64(v)/255, 2.2) }
	for _, name := range []string{"viridis", "magma", "heat"} {
		last := -1.0
		for i, c := range Colors(name) {
			now := 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
			if now < last-2e-3 { // one level of green
				t.Errorf("%s falls at %d: %v, %v", name, i, last, now)
			}
			last = max(last, now)
		}
	}
}

func TestColormapAt(t *testing.T) {
	m := Colors("heat")
	for _, c := range []struct {
		v    float32
		want color.RGBA
	}{
		{0, color.RGBA{0, 0x72, 0xb2, 255}},
		{1, color.RGBA{0xf0, 0xe4, 0x42, 255}},
		{-3, m[0]},
		{7, m[255]},
		{float32(math.NaN()), m[0]},
		{float32(math.Inf(1)), m[255]},
	} {
		if got := m.At(c.v); got != c.want {
			t.Errorf("At(%v) = %v, want %v", c.v, got, c.want)
		}
	}
}

func TestLegend(t *testing.T) {
	for _, cols := range []int{0, 3, 6, 7, 40} {
		if w := ansi.StringWidth(Colors("heat").Legend(cols, "0", "0.5", TrueColor)); w != cols {
			t.Errorf("%d cells, want %d", w, cols)
		}
	}
	if got, want := Colors("heat").Legend(16, "0", "1", ASCII), "0  .::-=+*##%@ 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func uniform(w, h int, c color.RGBA) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	return img
}

func TestOverlay(t *testing.T) {
	grey := color.RGBA{100, 100, 100, 255}
	red := color.RGBA{255, 0, 0, 255}
	img := uniform(40, 40, grey)
	o := Overlay{Width: 2, Height: 2, Heatmap: []float32{0, 0, 0, 1}, Mask: []float32{0, 0, 0, 1}, Alpha: 1, Contour: red}
	o.Draw(img)
	if got := img.RGBAAt(0, 0); got != grey {
		t.Errorf("no heat: %v, want %v", got, grey)
	}
	if got, want := img.RGBAAt(39, 39), Colors("heat").At(1); got != want {
		t.Errorf("full heat: %v, want %v", got, want)
	}
	// the mask's edge is where the interpolated value is 0.5: at the right border in the middle
	edge, outside := 0, 0
	for y := range 40 {
		switch img.RGBAAt(39, y) {
		case red:
			edge = y
		case color.RGBA{0, 0, 0, 255}:
			outside = y
		}
	}
	if edge != 20 || outside != 19 {
		t.Errorf("contour in row %d, black in row %d; want 20, 19", edge, outside)
	}
	before := append([]uint8(nil), img.Pix...)
	Overlay{Width: 3, Height: 3, Heatmap: []float32{1}, Mask: []float32{1}, Alpha: 1}.Draw(img)
	Overlay{}.Draw(img)
	if !bytes.Equal(before, img.Pix) {
		t.Error("planes of the wrong size were drawn")
	}
}

func TestOverlayFullMaskHasNoContour(t *testing.T) {
	img := uniform(9, 7, color.RGBA{1, 2, 3, 255})
	want := append([]uint8(nil), img.Pix...)
	Overlay{Width: 1, Height: 1, Mask: []float32{1}, Contour: color.RGBA{255, 0, 0, 255}}.Draw(img)
	if !bytes.Equal(img.Pix, want) {
		t.Error("a mask without an edge in the image drew one")
	}
}

func TestDifference(t *testing.T) {
	a, b := uniform(4, 3, color.RGBA{10, 200, 30, 255}), uniform(5, 2, color.RGBA{12, 190, 30, 255})
	got := Difference(nil, a, b, 20)
	if got.Rect != image.Rect(0, 0, 4, 2) || got.RGBAAt(3, 1) != (color.RGBA{40, 200, 0, 255}) {
		t.Errorf("%v of %v", got.RGBAAt(3, 1), got.Rect)
	}
	if got := Difference(got, a, b, 1000).RGBAAt(0, 0); got != (color.RGBA{255, 255, 0, 255}) {
		t.Errorf("gain 1000: %v", got)
	}
}

func BenchmarkOverlay(b *testing.B) {
	img := photo(b, 512)
	o := Overlay{Width: 64, Height: 64, Heatmap: make([]float32, 64*64), Alpha: 0.7}
	for i := range o.Heatmap {
		o.Heatmap[i] = float32(i%64) / 64
	}
	o.Mask = o.Heatmap
	for b.Loop() {
		o.Draw(img)
	}
}
