package render

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what was made; read the difference, then go test -update", path)
	}
}

// sample is a picture whose character depends on seed: noise, gradient, flat areas, one color.
func sample(w, h int, seed uint64) *image.RGBA {
	rng := rand.New(rand.NewPCG(seed, 1))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	few := [3]color.RGBA{}
	for i := range few {
		few[i] = color.RGBA{uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(rng.Uint32()), 255}
	}
	for y := range h {
		for x := range w {
			var c color.RGBA
			switch seed % 4 {
			case 0:
				c = color.RGBA{uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(rng.Uint32()), 255}
			case 1:
				c = color.RGBA{uint8(255 * x / w), uint8(255 * y / h), uint8(x ^ y), 255}
			case 2:
				c = few[(x/7+y/5)%3]
			default:
				c = few[0]
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

// checkSixel encodes, decodes, and compares: every pixel is painted once, in the palette's nearest color,
// or in one that Sticky allows.
func checkSixel(t *testing.T, s *Sixel, img *image.RGBA) {
	t.Helper()
	got, err := decodeSixel(s.Append(nil, img))
	if err != nil {
		t.Fatal(err)
	}
	if got.Rect.Size() != img.Rect.Size() {
		t.Fatalf("size %v, want %v", got.Rect.Size(), img.Rect.Size())
	}
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			p, q := pixel(img, x, y), pixel(got, x, y)
			if q[3] == 0 {
				t.Fatalf("(%d,%d) was not painted", x, y)
			}
			want := s.palette.rgb[s.palette.nearest[entry(p[0], p[1], p[2])]]
			have := [3]int32{int32(q[0]), int32(q[1]), int32(q[2])}
			at := [3]int32{int32(p[0]), int32(p[1]), int32(p[2])}
			if s.Dither == 0 && distance(&have, &at) > distance(&want, &at)+int32(s.Sticky*fresh) {
				t.Fatalf("(%d,%d): color %v for %v, nearest %v", x, y, have, at, want)
			}
			if s.Dither == 0 && s.Sticky == 0 && have != want {
				t.Fatalf("(%d,%d): color %v, want %v", x, y, have, want)
			}
		}
	}
}

func TestSixelDecodesToPalettePicture(t *testing.T) {
	sizes := []image.Point{{1, 1}, {1, 6}, {6, 1}, {2, 7}, {63, 5}, {64, 6}, {65, 13}, {127, 31}, {200, 48}, {333, 101}, {1100, 8}, {600, 600}}
	seeds := uint64(4)
	if underRace {
		seeds, sizes[len(sizes)-1] = 1, image.Pt(100, 100)
	}
	for i, size := range sizes {
		for seed := range seeds {
			for _, s := range []Sixel{{}, {Colors: 2 + i}, {Sticky: 20}, {Dither: 0.6}, {Dither: 1, Sticky: 40, Colors: 16}} {
				t.Run(fmt.Sprintf("%v/%d/colors=%d,sticky=%d,dither=%v", size, seed, s.Colors, s.Sticky, s.Dither), func(t *testing.T) {
					checkSixel(t, &s, sample(size.X, size.Y, seed))
				})
			}
		}
	}
}

func FuzzSixel(f *testing.F) {
	f.Add(uint16(600), uint16(600), uint64(0), 256, 20, float32(0.6), []byte("any pixels"))
	f.Add(uint16(1), uint16(1), uint64(1), 2, 0, float32(0), []byte{})
	f.Fuzz(func(t *testing.T, w, h uint16, seed uint64, colors, sticky int, dither float32, pixels []byte) {
		img := sample(1+int(w)%600, 1+int(h)%600, seed)
		for i, v := range pixels {
			if i < len(img.Pix) {
				img.Pix[i] = v // alpha too: it must not matter
			}
		}
		s := &Sixel{Colors: colors, Sticky: min(max(sticky, 0), 1000), Dither: dither}
		checkSixel(t, s, img)
	})
}

func TestSixelIsTheSameOnAnyNumberOfCores(t *testing.T) {
	img := photo(t, 256)
	for _, s := range []Sixel{{}, {Sticky: 20}, {Dither: 0.6, Sticky: 10}} {
		one, three := s, s
		a := one.appendWith(newWorkspace(1), nil, img)
		b := three.appendWith(newWorkspace(3), nil, img)
		if !bytes.Equal(a, b) {
			t.Errorf("sticky %d, dither %v: one core and three give different bytes", s.Sticky, s.Dither)
		}
	}
}

func TestSixelSubImage(t *testing.T) {
	img := photo(t, 512)
	part := img.SubImage(image.Rect(100, 60, 180, 120)).(*image.RGBA)
	alone := Scale(nil, img, part.Rect, part.Rect.Size(), false)
	if a, b := new(Sixel).Append(nil, part), new(Sixel).Append(nil, alone); !bytes.Equal(a, b) {
		t.Error("a part of an image is encoded otherwise than a copy of it")
	}
}

func TestSixelGolden(t *testing.T) {
	img := sample(40, 20, 2)
	golden(t, "flat40x20.six", new(Sixel).Append(nil, img))
	golden(t, "gradient24x12.six", (&Sixel{Colors: 8, Sticky: 20, Dither: 0.6}).Append(nil, sample(24, 12, 1)))
}

// The figures of DESIGN.md, section 12, and what we hold beyond them.
func TestSixelBytesAndFidelity(t *testing.T) {
	if underRace {
		t.Skip("too slow under the race detector; TestSixelIsTheSameOnAnyNumberOfCores covers both cores")
	}
	img := photo(t, 512)
	for _, c := range []struct {
		s     Sixel
		bytes int
		psnr  float64 // dB
	}{
		{Sixel{}, 540_000, 37.7},
		{Sixel{Sticky: 5}, 460_000, 37.7},
		{Sixel{Sticky: 10}, 410_000, 37.2},
		{Sixel{Sticky: 20}, 350_000, 36.2},
		{Sixel{Sticky: 20, Dither: 0.6}, 385_000, 36},
	} {
		out := c.s.Append(nil, img)
		decoded, err := decodeSixel(out)
		if err != nil {
			t.Fatal(err)
		}
		if got := psnr(img, decoded); len(out) > c.bytes || got < c.psnr {
			t.Errorf("sticky %d, dither %v: %d bytes, %.2f dB; want at most %d, at least %.2f",
				c.s.Sticky, c.s.Dither, len(out), got, c.bytes, c.psnr)
		}
	}
}

func TestSixelKeepsThePaletteWhileItSuits(t *testing.T) {
	s := &Sixel{Keep: true}
	first := photo(t, 256)
	s.Append(nil, first)
	kept := s.palette.percent
	first.SetRGBA(3, 3, color.RGBA{255, 0, 255, 255})
	s.Append(nil, first)
	if s.palette.percent != kept {
		t.Error("a changed pixel changed the palette")
	}
	other := sample(256, 256, 1)
	decoded, err := decodeSixel(s.Append(nil, other))
	if err != nil {
		t.Fatal(err)
	}
	if s.palette.percent == kept {
		t.Error("another image kept the palette")
	}
	if got := psnr(other, decoded); got < 30 {
		t.Errorf("another image: %.1f dB", got)
	}
	s.Colors = 16
	s.Append(nil, other)
	if s.palette.n > 16 {
		t.Errorf("%d colors after Colors was set to 16", s.palette.n)
	}
}

func TestSixelAllocatesNothingWhenReused(t *testing.T) {
	img := photo(t, 256)
	for _, s := range []*Sixel{{Keep: true}, {Keep: true, Sticky: 20}, {Dither: 0.6}} {
		w := newWorkspace(2)
		out := s.appendWith(w, nil, img)
		if n := testing.AllocsPerRun(5, func() { out = s.appendWith(w, out[:0], img) }); n != 0 {
			t.Errorf("keep %v, sticky %d, dither %v: %v allocations", s.Keep, s.Sticky, s.Dither, n)
		}
	}
}

func TestSixelAllocatesLittleForOnePicture(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	img := photo(t, 512)
	new(Sixel).Append(nil, img) // the shared workspace
	var before, after runtime.MemStats
	least := uint64(math.MaxUint64) // a collection may empty the pool of workspaces
	for range 5 {
		runtime.ReadMemStats(&before)
		new(Sixel).Append(nil, img)
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	if least > 1<<20 {
		t.Errorf("%d bytes, want at most 1 MiB", least)
	}
	t.Logf("%d bytes", least)
}

func TestSixelEmpty(t *testing.T) {
	if out := new(Sixel).Append([]byte("x"), image.NewRGBA(image.Rect(0, 0, 0, 5))); string(out) != "x" {
		t.Errorf("an empty image gave %q", out)
	}
}

func BenchmarkSixel(b *testing.B) {
	for _, size := range []int{512, 256} {
		img := photo(b, size)
		for _, c := range []struct {
			name string
			s    Sixel
		}{
			{"plain", Sixel{}},
			{"sticky=20", Sixel{Sticky: 20}},
			{"dither", Sixel{Dither: 0.6}},
			{"kept", Sixel{Keep: true}},
			{"kept,sticky=20", Sixel{Keep: true, Sticky: 20}},
		} {
			b.Run(fmt.Sprintf("%d/%s", size, c.name), func(b *testing.B) {
				b.ReportAllocs()
				var out []byte
				for b.Loop() {
					out = c.s.Append(out[:0], img)
				}
				b.ReportMetric(float64(len(out)), "sixel-bytes")
			})
		}
	}
}

// A sampled histogram must not miss thin lines: each of these columns has a color of its own.
func TestSixelPaletteSeesThinLines(t *testing.T) {
	for _, size := range []image.Point{{600, 600}, {1024, 512}, {1280, 1200}} {
		img := image.NewRGBA(image.Rectangle{Max: size})
		for i := range 8 {
			for y := range size.Y {
				img.SetRGBA(50*i+i, y, color.RGBA{uint8(255 * (i & 1)), uint8(127 * (i >> 1 & 1)), uint8(100 + 100*(i>>2)), 255})
			}
		}
		decoded, err := decodeSixel(new(Sixel).Append(nil, img))
		if err != nil {
			t.Fatal(err)
		}
		if got := psnr(img, decoded); got < 60 {
			t.Errorf("%v: %.1f dB", size, got)
		}
	}
}
