package picture

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"focusnfix/render"
)

// writePNG writes a picture whose right half is bright.
func writePNG(t *testing.T, dir, name string, w, h int, bright uint8) string {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := w / 2; x < w; x++ {
			img.SetGray(x, y, color.Gray{bright})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, dir, name, b.Bytes())
}

func writeFile(t *testing.T, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func show(t *testing.T, v Printer, files ...string) string {
	t.Helper()
	var b strings.Builder
	if err := v.Files(&b, files); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestView(t *testing.T) {
	dir := t.TempDir()
	pic := writePNG(t, dir, "pic.png", 80, 60, 200)
	blocks := Printer{Terminal: Terminal{Protocol: Blocks, Cell: image.Pt(10, 20), Profile: render.TrueColor}}
	if got := show(t, blocks, pic); strings.Count(got, "\n") != 3 || ansi.StringWidth(strings.Split(got, "\n")[0]) != 8 {
		t.Errorf("80x60 pixels are 8x3 cells of 10x20: %q", got)
	}
	if got := show(t, blocks, pic, pic); strings.Count(got, pic) != 2 {
		t.Errorf("two files have their names above them: %q", got)
	}
	wide := blocks
	wide.Cols, wide.Enlarge = 40, true
	if got := show(t, wide, pic); ansi.StringWidth(strings.Split(got, "\n")[0]) != 40 {
		t.Errorf("enlarged to 40 columns: %q", got)
	}
	sixel := blocks
	sixel.Terminal.Protocol = Sixel
	if got := show(t, sixel, pic); !strings.HasPrefix(got, "\x1bP") || !strings.HasSuffix(got, "\x1b\\\n") {
		t.Errorf("sixel into a pipe: %.20q ... %.20q", got, got[max(len(got)-20, 0):])
	}
	sixel.Inline = true
	if got := show(t, sixel, pic); !strings.HasPrefix(got, "\n\n\n\x1b[3A\x1b7\x1bP") || !strings.HasSuffix(got, "\x1b8\x1b[3B") {
		t.Errorf("sixel on a terminal: %.30q", got)
	}
	off := blocks
	off.Terminal.Protocol = Off
	if got := show(t, off, pic); got != "[image of 80x60 pixels]\n" {
		t.Errorf("no images: %q", got)
	}
	cells := blocks
	cells.Terminal.Protocol = KittyCells
	if got := show(t, cells, pic); strings.Count(got, "\U0010EEEE") != 8*3 || !strings.Contains(got, "Ptmux;") {
		t.Errorf("placeholders: %q", got)
	}
}

func TestViewOverlayAndDifference(t *testing.T) {
	dir := t.TempDir()
	pic, same := writePNG(t, dir, "pic.png", 80, 60, 200), writePNG(t, dir, "same.png", 80, 60, 200)
	other := writePNG(t, dir, "other.png", 80, 60, 190)
	heat := writePNG(t, dir, "heat.png", 8, 6, 255)
	v := Printer{Terminal: Terminal{Protocol: Blocks, Cell: image.Pt(10, 20), Profile: render.TrueColor}}
	plain := show(t, v, pic)
	v.Heat = heat
	hot := show(t, v, pic)
	v.Mask = heat
	if both := show(t, v, pic); hot == plain || both == hot {
		t.Error("the heatmap or the mask is not seen")
	}
	v.Heat, v.Mask, v.Diff = "", "", same
	black := show(t, v, pic)
	if strings.Contains(black, "200") {
		t.Errorf("equal images differ: %q", black)
	}
	if v.Diff = other; !strings.Contains(show(t, v, pic), "40;40;40") {
		t.Errorf("10 levels times 4 are 40: %q", show(t, v, pic))
	}
}

func TestViewErrors(t *testing.T) {
	dir := t.TempDir()
	pic := writePNG(t, dir, "pic.png", 8, 6, 200)
	whole, err := os.ReadFile(pic)
	if err != nil {
		t.Fatal(err)
	}
	huge := append([]byte{}, whole...)
	copy(huge[16:], []byte{0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff}) // IHDR says 65535x65535
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	for name, c := range map[string]struct{ file, diff, heat, mask, want string }{
		"none":      {filepath.Join(dir, "none"), "", "", "", "no such file"},
		"text":      {writeFile(t, dir, "text", []byte("hello")), "", "", "", "neither a PNG nor a JPEG"},
		"cut":       {writeFile(t, dir, "cut", whole[:len(whole)-20]), "", "", "", "broken png image"},
		"huge":      {writeFile(t, dir, "huge", huge), "", "", "", "65535x65535 pixels, want sides of 1 to"},
		"diff size": {pic, writePNG(t, dir, "small.png", 4, 4, 1), "", "", "4x4 pixels, want 8x6"},
		"mask size": {pic, "", pic, writePNG(t, dir, "mask.png", 4, 4, 1), "4x4 pixels, want 8x6"},
		"heat":      {pic, "", filepath.Join(dir, "none"), "", "no such file"},
	} {
		v := Printer{Terminal: Terminal{Protocol: Blocks, Cell: image.Pt(10, 20)}, Diff: c.diff, Heat: c.heat, Mask: c.mask}
		err := v.Files(&strings.Builder{}, []string{c.file})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q in one line", name, err, c.want)
		}
	}
}

// FuzzReadImage reads any bytes as a picture.
func FuzzReadImage(f *testing.F) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "fuzz")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		img, err := readImage(path)
		if err == nil && img.Bounds().Empty() {
			t.Error("an empty image was read")
		}
	})
}
