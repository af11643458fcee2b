package feed

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/render"
	"focusnfix/tui/picture"
)

// A box is as wide as a character's half where images are characters, and the image keeps its size.
func TestOutlineInBlocks(t *testing.T) {
	f := run.Folder{Dir: t.TempDir()}
	if err := writeGray(filepath.Join(f.Dir, "a.png"), 90); err != nil {
		t.Fatal(err)
	}
	d := Drawing{Folder: f, Path: "a.png", Box: core.Box{Left: 0.25, Top: 0.25, Right: 0.75, Bottom: 0.75}}
	for _, cell := range []image.Point{{X: 8, Y: 16}, {X: 10, Y: 19}} {
		box := render.Box{Cols: 24, Rows: 12, Cell: cell}
		img, err := d.Draw(NewCache(), box, true)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := Drawing{Folder: f, Path: "a.png"}.Draw(NewCache(), box, true)
		if err != nil {
			t.Fatal(err)
		}
		pics := picture.NewShelf(picture.Terminal{Protocol: picture.Blocks, Cell: cell})
		with, without := pics.Encode(img, box.Cols, box.Rows), pics.Encode(plain, box.Cols, box.Rows)
		if with.Cols != without.Cols || with.Rows != without.Rows {
			t.Errorf("cell %v: %dx%d cells, want %dx%d as without a box", cell, with.Cols, with.Rows, without.Cols, without.Rows)
		}
		small := render.Scale(nil, img, img.Bounds(), image.Pt(2*with.Cols, 2*with.Rows), false)
		x, y := 2*with.Cols/4, 2*with.Rows/4
		if c := small.RGBAAt(x, 2*with.Rows/2); c.R < 200 {
			t.Errorf("cell %v: the left side is %v, want white", cell, c)
		}
		if c := small.RGBAAt(with.Cols, y); c.R < 200 {
			t.Errorf("cell %v: the upper side is %v, want white", cell, c)
		}
		if c := small.RGBAAt(with.Cols, with.Rows); c.R > 120 {
			t.Errorf("cell %v: the middle is %v, want the image", cell, c)
		}
	}
}

// What is laid over an image has its own size; the image saved has its own too.
func TestNativeSize(t *testing.T) {
	f := run.Folder{Dir: t.TempDir()}
	if err := writeGray(filepath.Join(f.Dir, "a.png"), 90); err != nil {
		t.Fatal(err)
	}
	d := Drawing{Folder: f, Path: "a.png", Mask: "a.png", Minus: "a.png"}
	img, err := d.Native(NewCache())
	if err != nil || img.Bounds() != image.Rect(0, 0, 32, 32) {
		t.Fatalf("%v, %v", img, err)
	}
	d.Path = "../a.png"
	if _, err := d.Native(NewCache()); err == nil {
		t.Error("a path leads out of the run folder")
	}
}

// writeGray writes an image of 32x32 pixels of one gray.
func writeGray(path string, gray uint8) error {
	m := image.NewGray(image.Rect(0, 0, 32, 32))
	for i := range m.Pix {
		m.Pix[i] = gray
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
