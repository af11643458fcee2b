package render

import (
	"image"
	"image/color"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func TestBlocksGolden(t *testing.T) {
	img := photo(t, 512)
	for _, c := range []struct {
		name   string
		blocks Blocks
	}{
		{"half-truecolor", Blocks{}},
		{"half-256", Blocks{Profile: ANSI256}},
		{"half-16", Blocks{Profile: ANSI16}},
		{"half-ascii", Blocks{Profile: ASCII}},
		{"quadrant-truecolor", Blocks{Quadrants: true}},
		{"quadrant-256", Blocks{Profile: ANSI256, Quadrants: true}},
	} {
		lines := c.blocks.Lines(img, 24, 12)
		for _, l := range lines {
			if ansi.StringWidth(l) != 24 {
				t.Errorf("%s: a line of %d cells, want 24", c.name, ansi.StringWidth(l))
			}
		}
		golden(t, c.name+".golden", []byte(strings.Join(lines, "\n")+"\n"))
	}
}

func TestBlocksTwoColours(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 2, 2))
	red, blue := color.RGBA{255, 0, 0, 255}, color.RGBA{0, 0, 255, 255}
	img.SetRGBA(0, 0, red)
	img.SetRGBA(1, 0, blue)
	img.SetRGBA(0, 1, blue)
	img.SetRGBA(1, 1, blue)
	got := Blocks{Quadrants: true}.Lines(img, 1, 1)
	if want := "\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▘\x1b[m"; len(got) != 1 || got[0] != want {
		t.Errorf("quadrants: got %q, want %q", got, want)
	}
	got = Blocks{Profile: ANSI16}.Lines(img, 2, 1)
	if want := "\x1b[91m\x1b[44m▀ \x1b[m"; len(got) != 1 || got[0] != want {
		t.Errorf("half blocks: got %q, want %q", got, want)
	}
	if got := (Blocks{}).Lines(img, 0, 5); got != nil {
		t.Errorf("no columns gave %q", got)
	}
}

// The short cut must agree with the scaler: within the noise of another filter.
func TestShrinkLooksLikeScale(t *testing.T) {
	img := photo(t, 512)
	size := image.Pt(100, 52)
	if got := psnr(Scale(nil, img, img.Rect, size, false), shrink(img, size)); got < 28 {
		t.Errorf("%.1f dB", got)
	}
}

// Against xterm's table: every color of the cube and the grays is its own nearest.
func TestNearest256(t *testing.T) {
	level := []int{0, 95, 135, 175, 215, 255}
	for i := 16; i < 256; i++ {
		r, g, b := 8+10*(i-232), 8+10*(i-232), 8+10*(i-232)
		if i < 232 {
			r, g, b = level[(i-16)/36], level[(i-16)/6%6], level[(i-16)%6]
		}
		got := nearest256(r, g, b)
		if got != i {
			t.Errorf("(%d,%d,%d) is %d, want %d", r, g, b, got, i)
		}
	}
}
