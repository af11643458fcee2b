package tui

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"os"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
	"focusnfix/render"
)

// drawing is a picture file of a run folder and what is laid over it. Paths are from the folder.
type drawing struct {
	folder run.Folder
	path   string
	heat   string  // heatmap files, one a line; those that are not there do not count
	mask   string  // file of a mask that is outlined; "" is none
	minus  string  // picture file: the absolute difference from it is shown, times diffGain; "" is none
	box    run.Box // outlined; the zero box is none

	version int // changes when a file was replaced
}

// deck knows which drawing each picture name is to show, and keeps decoded files for a while.
type deck struct {
	pictures   *Pictures
	files      *imageCache
	wishes     map[string]wish
	number     int
	generation int // of the terminal: pictures of an earlier one have to be encoded again
}

// wish is what a name is to show.
type wish struct {
	drawing
	cols, rows, generation int
	number                 int  // grows with every wish
	busy                   bool // a command works for this name, on this wish or one before
	done                   bool
	err                    error
}

// drawnMsg is a picture that was encoded.
type drawnMsg struct {
	name   string
	number int
	pic    Picture
	err    error
}

// shownMsg tells that the picture called name is there now, or why not.
type shownMsg struct {
	name string
	err  error
}

func newDeck(p *Pictures) *deck {
	return &deck{pictures: p, files: newImageCache(), wishes: map[string]wish{}}
}

// want makes d the picture called name, at most cols x rows cells large. It returns the command that
// encodes it, or nil where that is done or under way. The picture before stays until then. One command at
// a time works for a name: when it is done the newest wish is next, and those in between are left out.
func (s *shared) want(name string, d drawing, cols, rows int) tea.Cmd {
	k := s.deck
	old, ok := k.wishes[name]
	if ok && old.drawing == d && old.cols == cols && old.rows == rows && old.generation == k.generation {
		return nil
	}
	if d.path == "" || cols <= 0 || rows <= 0 {
		s.unwant(name)
		return nil
	}
	k.number++
	k.wishes[name] = wish{drawing: d, cols: cols, rows: rows, generation: k.generation, number: k.number, busy: true}
	if old.busy {
		return nil
	}
	return s.encode(name)
}

// encode is the command that makes the picture called name as it is wished now.
func (s *shared) encode(name string) tea.Cmd {
	w := s.deck.wishes[name]
	d, cols, rows, number, cell := w.drawing, w.cols, w.rows, w.number, s.probe.Terminal().Cell
	pictures, files := s.deck.pictures, s.deck.files
	return func() tea.Msg {
		img, err := d.draw(files, render.Box{Cols: cols, Rows: rows, Cell: cell}, pictures.inBlocks())
		if err != nil {
			return drawnMsg{name: name, number: number, err: err}
		}
		return drawnMsg{name: name, number: number, pic: pictures.Encode(img, cols, rows)}
	}
}

// unwant forgets the picture called name.
func (s *shared) unwant(name string) {
	delete(s.deck.wishes, name)
	s.deck.pictures.Hide(name)
}

// picture is the text of the picture called name in w x h cells: the picture, or why it is not there.
func (s *shared) picture(name string, w, h int) string {
	wish, ok := s.deck.wishes[name]
	switch {
	case ok && wish.err != nil:
		return message(w, h, wrap(wish.err.Error(), w, 3)...)
	case ok && wish.done && s.probe.Terminal().Protocol == Off:
		return message(w, h, s.styles.faintText.Render("picture off"))
	}
	return s.deck.pictures.View(name, w, h)
}

// takeDrawn shows an encoded picture, also one that is out of date while the newest wish is still to be made:
// so a slider that is dragged shows where it is. It returns the command for that wish.
func (s *shared) takeDrawn(msg drawnMsg) (shown bool, next tea.Cmd) {
	k := s.deck
	w, ok := k.wishes[msg.name]
	if !ok {
		return false, nil
	}
	if msg.err != nil {
		k.pictures.Hide(msg.name)
	} else {
		k.pictures.Show(msg.name, msg.pic)
	}
	if w.number != msg.number {
		return true, s.encode(msg.name)
	}
	w.done, w.err, w.busy = true, msg.err, false
	k.wishes[msg.name] = w
	return true, nil
}

// draw reads the files and blends them, at the size of the screen so that outlines are sharp: in pixels, or
// in blocks where the terminal shows pictures by characters.
func (d drawing) draw(files *imageCache, box render.Box, blocks bool) (image.Image, error) {
	img, err := files.read(d.folder, d.path)
	if err != nil {
		return nil, err
	}
	size := box.Fit(img.Bounds().Size(), 6)
	if !blocks || d.plain() {
		return d.drawAt(files, size)
	}
	cols, rows := box.Cells(box.Fit(img.Bounds().Size(), 1))
	small, err := d.drawAt(files, image.Pt(cols, 2*rows))
	if err != nil {
		return nil, err
	}
	return enlarged(small, image.Pt(cols*box.Cell.X, rows*box.Cell.Y)), nil
}

// plain says whether nothing is laid over the picture.
func (d drawing) plain() bool { return d.heat == "" && d.mask == "" && d.box == (run.Box{}) }

// enlarged is a picture in large pixels, so that the encoder finds its aspect and leaves its pixels.
func enlarged(img image.Image, size image.Point) image.Image {
	from, out := toRGBA(img), image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			out.SetRGBA(x, y, from.RGBAAt(x*from.Rect.Dx()/size.X, y*from.Rect.Dy()/size.Y))
		}
	}
	return out
}

// drawAt is the drawing in a size in pixels; where nothing is laid over the picture it keeps its own.
func (d drawing) drawAt(files *imageCache, size image.Point) (image.Image, error) {
	img, err := files.read(d.folder, d.path)
	if err != nil {
		return nil, err
	}
	if d.minus != "" {
		if img, err = d.difference(files, img); err != nil {
			return nil, err
		}
	}
	if d.plain() || size.X == 0 || size.Y == 0 {
		return img, nil
	}
	scaled := render.Scale(nil, img, img.Bounds(), size, false)
	for path := range strings.SplitSeq(d.heat, "\n") {
		err := d.lay(files, path, scaled, func(o *render.Overlay, v []float32) { o.Heatmap = v })
		one := !strings.Contains(d.heat, "\n")
		if err != nil && (one || !errors.Is(err, fs.ErrNotExist)) { // of several aspects some may have none
			return nil, err
		}
	}
	if err := d.lay(files, d.mask, scaled, func(o *render.Overlay, v []float32) { o.Mask = v }); err != nil {
		return nil, err
	}
	outline(scaled, d.box)
	return scaled, nil
}

// lay lays one file over the picture.
func (d drawing) lay(files *imageCache, path string, on *image.RGBA, as func(*render.Overlay, []float32)) error {
	if path == "" {
		return nil
	}
	img, err := files.read(d.folder, path)
	if err != nil {
		return err
	}
	size := img.Bounds().Size()
	o := render.Overlay{Width: size.X, Height: size.Y, Alpha: 0.65, Contour: color.RGBA{255, 255, 255, 255}}
	as(&o, greys(img))
	o.Draw(on)
	return nil
}

func (d drawing) difference(files *imageCache, img image.Image) (image.Image, error) {
	other, err := files.read(d.folder, d.minus)
	if err != nil {
		return nil, err
	}
	a, b := img.Bounds().Size(), other.Bounds().Size()
	if a != b {
		return nil, fmt.Errorf("%s: %dx%d pixels, want %dx%d", d.minus, b.X, b.Y, a.X, a.Y)
	}
	rgba := func(m image.Image) *image.RGBA { return render.Scale(nil, m, m.Bounds(), a, true) }
	return render.Difference(nil, rgba(img), rgba(other), diffGain), nil
}

// outline draws a box, white on black, so that it is seen on every picture.
func outline(img *image.RGBA, b run.Box) {
	if b == (run.Box{}) {
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

// readRunImage reads a picture of a run folder; info tells when it was written.
func readRunImage(f run.Folder, path string) (img image.Image, info os.FileInfo, err error) {
	file, err := f.Open(path)
	if err != nil {
		return nil, nil, noPicture(path, err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if info, err = file.Stat(); err != nil {
		return nil, nil, noPicture(path, err)
	}
	img, err = decodeImage(path, file)
	return img, info, err
}
