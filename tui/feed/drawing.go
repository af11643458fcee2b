package feed

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"os"
	"strings"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/render"
	"focusnfix/tui/picture"
)

// Drawing is an image file of a run folder and what is laid over it. Paths are from the folder.
type Drawing struct {
	Folder run.Folder
	Path   string
	Heat   string   // heatmap files, one a line; those that are not there do not count
	Mask   string   // file of a mask that is outlined; "" is none
	Minus  string   // image file: the absolute difference from it is shown, times diffGain; "" is none
	Box    core.Box // outlined; the zero box is none

	After  string  // image file that is shown right of the divider; "" is none
	Split  float64 // where the divider is, share of the width
	Region string  // core.Region that is outlined, whose heatmap is Fault; "" is none
	Fault  string
	Alone  bool   // the region is shown white on black, instead of the image
	Tiles  string // image files, one a line, that are shown in a grid of three columns instead of Path

	Version int // changes when a file was replaced
}

// Draw reads the files and blends them, at the size of the screen so that outlines are sharp: in pixels, or
// in blocks where the terminal shows images by characters.
func (d Drawing) Draw(files *Cache, box render.Box, blocks bool) (image.Image, error) {
	side := d.side(box)
	img, err := d.read(files, side)
	if err != nil {
		return nil, err
	}
	size := box.Fit(img.Bounds().Size(), 6)
	if !blocks || d.plain() {
		return d.drawAt(files, img, size, side)
	}
	cols, rows := box.Cells(box.Fit(img.Bounds().Size(), 1))
	small, err := d.drawAt(files, img, image.Pt(2*cols, 2*rows), side)
	if err != nil {
		return nil, err
	}
	return enlarged(small, image.Pt(cols*box.Cell.X, rows*box.Cell.Y)), nil
}

// side is as Cache.Read has it.
func (d Drawing) side(box render.Box) int {
	if d.Minus != "" { // a difference of images that were compressed is one of compression
		return 0
	}
	return max(box.Cols*box.Cell.X, box.Rows*box.Cell.Y)
}

// Bare reports whether a heatmap is to lie over the image and the run has none: of several aspects some may lack it.
func (d Drawing) Bare(files *Cache, box render.Box) bool {
	if d.Heat == "" {
		return false
	}
	for path := range strings.SplitSeq(d.Heat, "\n") {
		if _, err := files.Read(d.Folder, path, d.side(box)); err == nil {
			return false
		}
	}
	return true
}

// plain reports whether nothing is laid over the image.
func (d Drawing) plain() bool {
	return d.Heat == "" && d.Mask == "" && d.Box == (core.Box{}) && d.After == "" && (d.Region == "" || d.Tiles != "")
}

// enlarged is an image in large pixels, so that the encoder finds its aspect and leaves its pixels.
func enlarged(img image.Image, size image.Point) image.Image {
	from, out := render.RGBA(img), image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			out.SetRGBA(x, y, from.RGBAAt(x*from.Rect.Dx()/size.X, y*from.Rect.Dy()/size.Y))
		}
	}
	return out
}

// drawAt is the drawing of what was read, img, in a size in pixels; where nothing is laid over the image it keeps its
// own. side is as Cache.Read has it.
func (d Drawing) drawAt(files *Cache, img image.Image, size image.Point, side int) (image.Image, error) {
	var err error
	if d.Minus != "" {
		if img, err = d.difference(files, img); err != nil {
			return nil, err
		}
	}
	if d.plain() || size.X == 0 || size.Y == 0 {
		return img, nil
	}
	scaled := render.Scale(nil, img, img.Bounds(), size, false)
	for path := range strings.SplitSeq(d.Heat, "\n") {
		err := d.lay(files, path, side, scaled, func(o *render.Overlay, v []float32) { o.Heatmap = v })
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // see Bare
			return nil, err
		}
	}
	err = d.lay(files, d.Mask, side, scaled, func(o *render.Overlay, v []float32) { o.Mask = v })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if d.Tiles == "" { // which have their own
		if err := d.layRegion(files, side, scaled); err != nil {
			return nil, err
		}
	}
	outline(scaled, d.Box)
	return scaled, d.divide(files, side, scaled)
}

// lay lays one file over the image.
func (d Drawing) lay(files *Cache, path string, side int, on *image.RGBA, as func(*render.Overlay, []float32)) error {
	if path == "" {
		return nil
	}
	img, err := files.Read(d.Folder, path, side)
	if err != nil {
		return err
	}
	size := img.Bounds().Size()
	o := render.Overlay{Width: size.X, Height: size.Y, Alpha: 0.5, Contour: color.RGBA{255, 255, 255, 255}}
	as(&o, render.Gray(img))
	o.Draw(on)
	return nil
}

func (d Drawing) difference(files *Cache, img image.Image) (image.Image, error) {
	other, err := files.Read(d.Folder, d.Minus, 0)
	if err != nil {
		return nil, err
	}
	a, b := img.Bounds().Size(), other.Bounds().Size()
	if a != b {
		return nil, fmt.Errorf("%s: %dx%d pixels, want %dx%d", d.Minus, b.X, b.Y, a.X, a.Y)
	}
	return render.Difference(nil, render.RGBA(img), render.RGBA(other), picture.DiffGain), nil
}

// outline draws a box, white on black, so that it is seen on every image.
func outline(img *image.RGBA, b core.Box) {
	if b == (core.Box{}) {
		return
	}
	w, h := float64(img.Rect.Dx()), float64(img.Rect.Dy())
	r := image.Rect(int(b.Left*w), int(b.Top*h), int(b.Right*w), int(b.Bottom*h))
	lines := []color.RGBA{{0, 0, 0, 255}, {255, 255, 255, 255}, {255, 255, 255, 255}, {0, 0, 0, 255}}
	if img.Rect.Dx() < 200 { // of blocks
		lines = lines[1:2]
	}
	for i, c := range lines {
		q := r.Inset(i + 1 - (len(lines)+1)/2)
		for x := q.Min.X; x < q.Max.X; x++ {
			img.SetRGBA(x, q.Min.Y, c)
			img.SetRGBA(x, q.Max.Y-1, c)
		}
		for y := q.Min.Y; y < q.Max.Y; y++ {
			img.SetRGBA(q.Min.X, y, c)
			img.SetRGBA(q.Max.X-1, y, c)
		}
	}
}

// readRunImage reads an image of a run folder; info tells when it was written.
func readRunImage(f run.Folder, path string) (img image.Image, info os.FileInfo, err error) {
	file, err := f.Open(path)
	if err != nil {
		return nil, nil, noPicture(path, err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if info, err = file.Stat(); err != nil {
		return nil, nil, noPicture(path, err)
	}
	img, err = picture.Decode(path, file)
	return img, info, err
}

// Native is the drawing at the size of its image.
func (d Drawing) Native(cache *Cache) (image.Image, error) {
	img, err := d.read(cache, 0)
	if err != nil {
		return nil, err
	}
	return d.drawAt(cache, img, img.Bounds().Size(), 0)
}
