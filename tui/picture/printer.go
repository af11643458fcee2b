package picture

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // formats that View reads
	_ "image/png"
	"io"
	"os"
	"strings"

	"focusnfix/core"
	"focusnfix/render"
)

// Printer writes picture files to a terminal or a pipe, one below the other: the command of that name.
type Printer struct {
	Terminal   Terminal
	Cols, Rows int  // the largest picture in cells; 0 cols is 80, 0 rows is as high as it takes
	Enlarge    bool // also beyond a screen pixel for a pixel
	Inline     bool // w is a terminal: the cursor is put below the picture, whatever the terminal does
	// Heat and Mask are picture files, read as gray values, that are laid over every picture; white is
	// faulty. Diff is a picture file of the same size: the absolute difference is shown, times diffGain.
	Heat, Mask, Diff string
}

// DiffGain makes differences of a few levels visible.
const DiffGain = 4

// maxFileSize is the longest picture file, in bytes; core.CheckImage has the other limits.
const maxFileSize = 256 << 20

// Files writes the pictures of the files, each under its name if there are several. It stops at the
// first that cannot be read.
func (v Printer) Files(w io.Writer, files []string) error {
	var overlay render.Overlay
	var err error
	if overlay, err = v.overlay(); err != nil {
		return err
	}
	for _, name := range files {
		img, err := v.load(name)
		if err != nil {
			return err
		}
		if len(files) > 1 {
			if _, err := fmt.Fprintln(w, core.Clean(name)); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(w, v.show(img, overlay)); err != nil {
			return err
		}
	}
	return nil
}

func (v Printer) overlay() (render.Overlay, error) {
	o := render.Overlay{Alpha: 0.65, Contour: color.RGBA{255, 255, 255, 255}}
	for _, m := range []struct {
		file string
		to   *[]float32
	}{{v.Heat, &o.Heatmap}, {v.Mask, &o.Mask}} {
		if m.file == "" {
			continue
		}
		img, err := readImage(m.file)
		if err != nil {
			return o, err
		}
		size := img.Bounds().Size()
		if o.Width > 0 && (size.X != o.Width || size.Y != o.Height) {
			return o, fmt.Errorf("%s: %dx%d pixels, want %dx%d as %s has", m.file, size.X, size.Y, o.Width, o.Height, v.Heat)
		}
		o.Width, o.Height = size.X, size.Y
		*m.to = render.Gray(img)
	}
	return o, nil
}

// load reads a picture, or its difference from v.Diff.
func (v Printer) load(name string) (image.Image, error) {
	img, err := readImage(name)
	if err != nil || v.Diff == "" {
		return img, err
	}
	other, err := readImage(v.Diff)
	if err != nil {
		return nil, err
	}
	a, b := img.Bounds().Size(), other.Bounds().Size()
	if a != b {
		return nil, fmt.Errorf("%s: %dx%d pixels, want %dx%d as %s has", v.Diff, b.X, b.Y, a.X, a.Y, name)
	}
	return render.Difference(nil, render.RGBA(img), render.RGBA(other), DiffGain), nil
}

// show is the picture's bytes. The overlay is drawn at the size of the screen, so that contours are sharp.
func (v Printer) show(img image.Image, overlay render.Overlay) string {
	size := img.Bounds().Size()
	if v.Terminal.Protocol == Off {
		return fmt.Sprintf("[image of %dx%d pixels]\n", size.X, size.Y)
	}
	if overlay.Width > 0 {
		cols, rows := v.cells(size)
		fit := render.Box{Cols: cols, Rows: rows, Cell: v.Terminal.Cell}.Fit(size, 6)
		if fit.X > 0 && fit.Y > 0 {
			scaled := render.Scale(nil, img, img.Bounds(), fit, false)
			overlay.Draw(scaled)
			img = scaled
		}
	}
	return v.encode(img).inline(v.Inline)
}

// encode makes the picture as large as it is shown.
func (v Printer) encode(img image.Image) Encoded {
	cols, rows := v.cells(img.Bounds().Size())
	return NewShelf(v.Terminal).Encode(img, cols, rows)
}

// cells is the room for a picture of size pixels.
func (v Printer) cells(size image.Point) (cols, rows int) {
	cols, rows = cmp.Or(v.Cols, 80), cmp.Or(v.Rows, 1000)
	if cell := v.Terminal.Cell; !v.Enlarge {
		cols = min(cols, (size.X+cell.X-1)/cell.X)
		rows = min(rows, (size.Y+cell.Y-1)/cell.Y)
	}
	return cols, rows
}

// inline is the picture as it is written into running text. On a terminal it makes room first and goes
// back up, since terminals differ in where a picture leaves the cursor.
func (p Encoded) inline(terminal bool) string {
	switch {
	case p.Rows == 0:
		return ""
	case !p.pixels():
		return strings.Join(p.text, "\n") + "\n"
	case p.protocol == KittyCells:
		var b strings.Builder
		b.WriteString(p.data)
		k := render.Kitty{ID: p.id, Cols: p.Cols, Rows: p.Rows, Placeholders: true}
		for row := range p.Rows {
			b.WriteString(k.Row(row) + "\n")
		}
		return b.String()
	case !terminal:
		return p.data + "\n"
	}
	return fmt.Sprintf("%s\x1b[%dA\x1b7%s\x1b8\x1b[%dB", strings.Repeat("\n", p.Rows), p.Rows, p.data, p.Rows)
}

// readImage reads a PNG or JPEG file within the limits.
func readImage(name string) (image.Image, error) {
	f, err := os.Open(name)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	return Decode(name, f)
}

// Decode reads a PNG or JPEG picture within the limits; name is for errors.
func Decode(name string, f io.ReadSeeker) (image.Image, error) {
	img, format, err := core.DecodeImage(f, maxFileSize)
	switch {
	case errors.Is(err, image.ErrFormat):
		return nil, fmt.Errorf("%s: neither a PNG nor a JPEG image", name)
	case err != nil && format != "":
		return nil, fmt.Errorf("%s: broken %s image: %w", name, format, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return img, nil
}
