package tui

import (
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/render"
	"focusnfix/tui/feed"
)

// unfit is what a file's name should not have.
var unfit = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// save writes what the Images pane shows as PNG, at the image's own size.
func (p *imagesPane) save() tea.Cmd {
	at, ok := p.current()
	if !ok {
		return p.say("there is no image to save")
	}
	files := p.gallery.Files(at, p.aspect)
	if missing := files.Missing(p.Layers); missing != "" {
		return p.say("nothing to save: %s", missing)
	}
	parts := p.Words(p.aspect)
	name := fmt.Sprintf("%s-step-%06d-%03d-%d-%s", p.run.Folder.Name(), at.Step, at.Sample.Index, at.Sample.Seed, strings.Join(parts, "-"))
	about := fmt.Sprintf("%s; seed %d; step %d; %s", p.gallery.Texts[at.Sample.Index], at.Sample.Seed, at.Step, strings.Join(parts, " "))
	return p.saveDrawings(name, about, files.Drawing(p.run.Folder, p.Layers))
}

// saveDrawings writes drawings side by side into the working folder and says where.
func (s *shared) saveDrawings(name, about string, drawings ...feed.Drawing) tea.Cmd {
	cache := s.deck.files
	return func() tea.Msg {
		var all []image.Image
		for _, d := range drawings {
			img, err := d.Native(cache)
			if err != nil {
				return failure(err)
			}
			all = append(all, img)
		}
		return saved(writeNewPNG(unfit.ReplaceAllString(name, "-"), joined(all), core.PNGText{Key: "Description", Text: about}))
	}
}

// joined is the images side by side.
func joined(all []image.Image) image.Image {
	if len(all) == 1 {
		return all[0]
	}
	var size image.Point
	for _, img := range all {
		size = image.Pt(size.X+img.Bounds().Dx(), max(size.Y, img.Bounds().Dy()))
	}
	out := image.NewRGBA(image.Rectangle{Max: size})
	x := 0
	for _, img := range all {
		from := render.RGBA(img)
		for y := range from.Rect.Dy() {
			copy(out.Pix[out.PixOffset(x, y):], from.Pix[y*from.Stride:y*from.Stride+4*from.Rect.Dx()])
		}
		x += from.Rect.Dx()
	}
	return out
}

// writeNewPNG writes an image into a file that was not there, and returns its whole path.
func writeNewPNG(name string, img image.Image, texts ...core.PNGText) (string, error) {
	return writeNew(name, "png", func(w io.Writer) error { return core.WritePNG(w, img, texts...) })
}

// writeNew writes a file that was not there and returns its whole path: the name with a number if it is taken.
func writeNew(name, ending string, write func(io.Writer) error) (string, error) {
	for n := 1; ; n++ {
		path := name + "." + ending
		if n > 1 {
			path = fmt.Sprintf("%s-%d.%s", name, n, ending)
		}
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		err = write(file)
		if closing := file.Close(); err == nil {
			err = closing
		}
		if err != nil {
			_ = os.Remove(path) // the first error counts
			return "", err
		}
		return whole(path), nil
	}
}

// whole is the whole path of a file, or the path as it is where that is not known.
func whole(path string) string {
	if all, err := filepath.Abs(path); err == nil {
		return all
	}
	return path
}

// saved says where a file was written, or why it was not.
func saved(path string, err error) tea.Msg {
	if err != nil {
		return failure(fmt.Errorf("not saved: %w", err))
	}
	return noticeMsg{text: "saved " + path}
}
