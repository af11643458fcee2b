package report

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io/fs"
	"math"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/render"
)

// imagePart is one image of a run: base and tuned, and what lies over them.
type imagePart struct {
	Prompt string
	Seed   uint64
	W, H   int
	Base   template.URL // empty: not in the folder
	Tuned  template.URL
	Mask   template.URL
	Heats  []heatPart
	Scores []scoreRow
}

type heatPart struct {
	Aspect string
	Image  template.URL
}

type scoreRow struct{ Aspect, Base, Tuned, Class string }

const (
	mostImages = 12 // of a run
	keptPNG    = 24 << 10
	quality    = 85       // of JPEG
	maxFile    = 64 << 20 // bytes of an image file
)

// sides are the longer sides of images that are tried until all fit, in pixels.
var sides = []int{768, 512, 384, 256, 160}

// addImages puts the newest images of the runs into their parts, at most maxSize bytes of them.
func addImages(ctx context.Context, parts []runPart, all []gathered, maxSize int64) error {
	for _, side := range sides {
		var size int64
		for i := range parts {
			p, g := &parts[i], all[i]
			p.Images, p.ImagesAt, p.Left = nil, g.LastAt, 0
			for n, picture := range g.Last {
				if err := ctx.Err(); err != nil {
					return err
				}
				if n >= mostImages || size > maxSize {
					p.Left++
					continue
				}
				part, bytes := g.image(picture, side)
				if part.Tuned == "" {
					continue // its file is gone
				}
				if size += bytes; size > maxSize {
					p.Left++
					continue
				}
				p.Images = append(p.Images, part)
			}
		}
		if size <= maxSize {
			return nil
		}
	}
	return nil
}

// image reads what there is of one image, and tells how many bytes it takes in the page.
func (g gathered) image(p core.Picture, side int) (part imagePart, size int64) {
	part = imagePart{Prompt: p.Prompt, Seed: p.Seed}
	put := func(to *template.URL, data []byte, kind string) {
		*to = template.URL("data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString(data))
		size += int64(len(*to))
	}
	tuned, err := g.read(p.Path, side)
	if err != nil {
		return part, 0
	}
	tuned = fit(tuned, side)
	part.W, part.H = tuned.Bounds().Dx(), tuned.Bounds().Dy()
	data, kind := encoded(tuned)
	put(&part.Tuned, data, kind)
	if p.Reference != "" {
		if base, err := g.read(p.Reference+"/base.png", side); err == nil {
			data, kind := encoded(fit(base, side))
			put(&part.Base, data, kind)
		}
		if mask, err := g.read(p.Reference+"/mask.png", side); err == nil {
			put(&part.Mask, overlay(outline(fit(mask, side))), "png")
		}
	}
	for _, a := range p.Aspects {
		m := core.AspectMetric("reward")
		part.Scores = append(part.Scores, scoreRow{
			words.Aspect(a.Aspect), m.Text(a.Base), m.Text(a.Reward), map[int]string{1: "better", -1: "worse"}[m.Judge(a.Reward-a.Base)],
		})
		heat, err := g.read(p.Reference+"/"+run.HeatmapName(a.Aspect, false)+".png", side)
		if p.Reference == "" || err != nil {
			continue
		}
		h := heatPart{Aspect: words.Aspect(a.Aspect)}
		put(&h.Image, overlay(heated(fit(heat, min(side, 256)))), "png")
		part.Heats = append(part.Heats, h)
	}
	return part, size
}

// read reads an image of a run, with at least side pixels along its longer side if the file has them.
func (g gathered) read(name string, side int) (img image.Image, err error) {
	if g.fetch != nil {
		if name, err = g.fetch(g.folder, name, side); err != nil {
			return nil, err
		}
	}
	file, err := g.folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %w: over %d MiB", name, fs.ErrInvalid, maxFile>>20)
	}
	img, _, err = core.DecodeImage(file, maxFile)
	return img, err
}

// fit is an image whose longer side has at most that many pixels.
func fit(img image.Image, side int) image.Image {
	b := img.Bounds()
	longer := max(b.Dx(), b.Dy())
	if longer <= side {
		return img
	}
	return render.Scale(nil, img, b, image.Pt(max(1, b.Dx()*side/longer), max(1, b.Dy()*side/longer)), false)
}

// encoded is an image as PNG if that is small, else as JPEG. Encoding it again leaves behind whatever else its file had.
func encoded(img image.Image) (data []byte, kind string) {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err == nil && b.Len() <= keptPNG {
		return b.Bytes(), "png"
	}
	b.Reset()
	_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}) // into memory, of a checked size
	return b.Bytes(), "jpeg"
}

// overlay is an image with transparency, as PNG.
func overlay(img image.Image) []byte {
	var b bytes.Buffer
	_ = png.Encode(&b, img) // into memory, of a checked size
	return b.Bytes()
}

// level is how light a pixel is, in [0,1].
func level(img image.Image, x, y int) float32 {
	return float32(color.Gray16Model.Convert(img.At(x, y)).(color.Gray16).Y) / math.MaxUint16
}

// heated is a heatmap in colors, transparent where it is cold.
func heated(heat image.Image) image.Image {
	b, colors := heat.Bounds(), render.Colors("heat")
	out := image.NewPaletted(image.Rect(0, 0, b.Dx(), b.Dy()), nil)
	for i := range 64 {
		v := float32(i) / 63
		c := colors.At(v)
		out.Palette = append(out.Palette, color.NRGBA{c.R, c.G, c.B, uint8(230 * v)})
	}
	for y := range b.Dy() {
		for x := range b.Dx() {
			out.SetColorIndex(x, y, uint8(level(heat, b.Min.X+x, b.Min.Y+y)*63+0.5))
		}
	}
	return out
}

// outline is the border of a mask, white on black so that it is seen on every image.
func outline(mask image.Image) image.Image {
	b := mask.Bounds()
	w, h := b.Dx(), b.Dy()
	out := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.NRGBA{}, color.NRGBA{0, 0, 0, 255}, color.NRGBA{255, 255, 255, 255}})
	inside := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < w && y < h && level(mask, b.Min.X+x, b.Min.Y+y) >= 0.5
	}
	for y := range h {
		for x := range w {
			here := inside(x, y)
			if inside(x-1, y) == here && inside(x+1, y) == here && inside(x, y-1) == here && inside(x, y+1) == here {
				continue
			}
			i := uint8(1)
			if here {
				i = 2
			}
			out.SetColorIndex(x, y, i)
		}
	}
	return out
}
