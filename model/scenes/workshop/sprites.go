package workshop

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"sync"
	"sync/atomic"

	"golang.org/x/image/draw"
)

// sprite is an image with transparency, ready to be put on a canvas.
type sprite struct {
	width, height int
	pix           []uint8 // [height,width,4] RGBA, colors multiplied by alpha
}

const (
	maxSide = 96 // pixels, the longest side a sprite is drawn at
	// faintAlpha is the alpha below which a scaled pixel counts as empty: masks hold every pixel with
	// any alpha, and the filter's faint rim would widen them without being seen.
	faintAlpha = 8
)

// sheet holds the sprites of all entities and items, by their index in those lists.
type sheet struct {
	entities, items []scaled
}

// scaled is one sprite at every size asked for so far.
type scaled struct {
	original *image.RGBA
	sides    [maxSide + 1]atomic.Pointer[sprite]
}

// loadSheet decodes the embedded sprites once.
var loadSheet = sync.OnceValues(func() (*sheet, error) {
	s := &sheet{entities: make([]scaled, len(entities)), items: make([]scaled, len(items))}
	for i := range entities {
		if err := s.entities[i].load(entities[i].Name); err != nil {
			return nil, err
		}
	}
	for i := range items {
		if err := s.items[i].load(items[i].name); err != nil {
			return nil, err
		}
	}
	return s, nil
})

func (s *scaled) load(name string) error {
	file, err := fs.ReadFile(spriteFiles, "sprites/"+name+".png")
	if err != nil {
		return err
	}
	picture, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return fmt.Errorf("sprites/%s.png: %w", name, err)
	}
	s.original = image.NewRGBA(picture.Bounds())
	draw.Draw(s.original, picture.Bounds(), picture, picture.Bounds().Min, draw.Src)
	return nil
}

// at returns the sprite with the given long side in pixels. It is scaled with alpha multiplied in,
// so that what is transparent does not bleed into the edge.
func (s *scaled) at(side int) *sprite {
	side = min(maxSide, max(8, side))
	if ready := s.sides[side].Load(); ready != nil {
		return ready
	}
	from := s.original.Bounds()
	long := max(from.Dx(), from.Dy())
	w := max(1, (from.Dx()*side+long/2)/long)
	h := max(1, (from.Dy()*side+long/2)/long)
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.CatmullRom.Scale(to, to.Bounds(), s.original, from, draw.Src, nil)
	for i := 0; i < len(to.Pix); i += 4 {
		if to.Pix[i+3] < faintAlpha {
			clear(to.Pix[i : i+4])
		}
	}
	ready := &sprite{width: w, height: h, pix: to.Pix}
	s.sides[side].Store(ready) // two workers may both scale it; the results are equal
	return ready
}
