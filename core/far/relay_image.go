package far

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	_ "image/png" // images of runs
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/image/draw"

	"focusnfix/core"
	"focusnfix/core/run"
)

const (
	smallFile   = 32 << 10 // bytes: such an image is sent as it is
	maxImage    = 64 << 20 // bytes of an image file
	jpegQuality = 88
	maxPath     = 400 // bytes
)

// imagePath reports whether a path may be that of an image of a run, from its folder.
func imagePath(name string) bool {
	return path.Ext(name) == ".png" && inImageFolder(name)
}

func inImageFolder(name string) bool {
	if len(name) > maxPath || !fs.ValidPath(name) || core.Clean(name) != name || strings.ContainsAny(name, `\:`) {
		return false
	}
	first, _, _ := strings.Cut(name, "/")
	return slices.Contains(imageFolders, first)
}

// wantedPath reports whether a path may be that of a file that the near end gets: an image, or what is said of images.
func wantedPath(name string) bool {
	if imagePath(name) || !inImageFolder(name) {
		return imagePath(name)
	}
	for _, pattern := range []string{run.References + "/*/meta.json", run.Fixes + "/*/fix.json", run.Fixes + "/kept.json", run.FixLoRA(run.Fixes + "/*")} {
		if ok, _ := path.Match(pattern, name); ok { // the patterns are sound
			return true
		}
	}
	return false
}

// picture is an image on its way.
type picture struct {
	head imageHead

	mu    sync.Mutex
	ready bool
	data  []byte // what is still to be sent
}

// making bounds the images that are scaled at the same time.
var making = make(chan struct{}, 2)

// image begins to make the image that is wanted.
func (s *relaying) image(w want) *picture {
	p := &picture{head: imageHead{id: w.ID}}
	s.beside(func() {
		making <- struct{}{}
		defer func() { <-making }()
		data, exact, full, err := readImage(s.folder, w)
		if err != nil {
			data, p.head.failed = []byte(err.Error()), true
		}
		p.mu.Lock()
		p.head.exact, p.head.full = exact, full
		p.data, p.ready = data, true
		p.mu.Unlock()
		s.out.nudge()
	})
	return p
}

// piece is the next piece of an image, if it has been made.
func (p *picture) piece() (f frame, last, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready {
		return frame{}, false, false
	}
	n := min(len(p.data), pieceBytes)
	p.head.last = n == len(p.data)
	f = frame{kindImage, append(p.head.append(nil), p.data[:n]...)}
	p.data = p.data[n:]
	return f, p.head.last, true
}

// readImage reads an image as large as it is needed: the file itself where that is asked for or it is small,
// else a JPEG.
func readImage(f run.Folder, w want) (data []byte, exact, full bool, err error) {
	if !wantedPath(w.Path) {
		return nil, false, false, fmt.Errorf("%q is not the path of an image of a run", w.Path)
	}
	file, err := f.Open(w.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, false, errors.New("no image " + w.Path)
	}
	if err != nil {
		return nil, false, false, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	data, err = io.ReadAll(io.LimitReader(file, maxImage+1))
	if err != nil {
		return nil, false, false, err
	}
	if len(data) > maxImage {
		return nil, false, false, fmt.Errorf("%s: over %d MiB", w.Path, maxImage>>20)
	}
	if w.Side <= 0 || len(data) <= smallFile || !imagePath(w.Path) {
		return data, true, true, nil
	}
	small, full, err := smaller(data, w.Side)
	if err != nil {
		return nil, false, false, fmt.Errorf("%s: %w", w.Path, err)
	}
	if len(small) >= len(data) {
		return data, true, true, nil
	}
	return small, false, full, nil
}

// smaller is an image as JPEG whose longer side has at most that many pixels; full is whether it has all.
func smaller(data []byte, side int) (small []byte, full bool, err error) {
	img, _, err := core.DecodeImage(bytes.NewReader(data), maxImage)
	if err != nil {
		return nil, false, err
	}
	size := img.Bounds().Size()
	longer := max(size.X, size.Y)
	if full = longer <= side; !full {
		img = scaled(img, max(1, size.X*side/longer), max(1, size.Y*side/longer))
	}
	var out bytes.Buffer
	err = jpeg.Encode(&out, img, &jpeg.Options{Quality: jpegQuality})
	return out.Bytes(), full, err
}

func scaled(img image.Image, w, h int) image.Image {
	r := image.Rect(0, 0, w, h)
	var to draw.Image = image.NewRGBA(r)
	if _, gray := img.(*image.Gray); gray {
		to = image.NewGray(r)
	}
	draw.CatmullRom.Scale(to, r, img, img.Bounds(), draw.Src, nil)
	return to
}
