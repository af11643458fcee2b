package feed

import (
	"image"
	"math"

	"focusnfix/core/run"
	"focusnfix/render"
)

// Overlay is what lies over an image.
type Overlay uint8

// The overlays, in the order in which a key goes through them.
const (
	Outline Overlay = iota // of the mask: where training may change the image
	Heat                   // the heatmap of the image's own faults
	Nothing
	overlays
)

// Next is the overlay that follows.
func (o Overlay) Next() Overlay { return (o + 1) % overlays }

func (o Overlay) String() string { return [...]string{"mask", "heatmap", ""}[o] }

// Layers are the ways of showing a base and a tuned image in one place.
type Layers struct {
	IsBase     bool // the base image, not the tuned one
	Difference bool // of the two
	Over       Overlay
}

// heat is the heatmap that the layers show, which is the shown image's own; "" is none.
func (f Files) heat(l Layers) string {
	switch {
	case l.Over != Heat || l.Difference:
		return ""
	case l.IsBase:
		return f.Heat
	}
	return f.TunedHeat
}

// Drawing is the image as the layers say.
func (f Files) Drawing(folder run.Folder, l Layers) Drawing {
	d := Drawing{Folder: folder, Path: f.tuned, Heat: f.heat(l)}
	switch {
	case l.Difference:
		d.Minus = f.Base
	case l.IsBase:
		d.Path = f.Base
	}
	if l.Over == Outline {
		d.Mask = f.Mask
	}
	return d
}

// Missing says which image the layers need and the run does not have; "" is none.
func (f Files) Missing(l Layers) string {
	switch {
	case f.tuned == "" && (l.Difference || !l.IsBase):
		return "no image at this step"
	case f.Base == "" && (l.IsBase || l.Difference):
		return "no base image is known for this one"
	}
	return ""
}

// Without says what is to lie over the image and is not known; "" is nothing.
func (f Files) Without(l Layers) string {
	switch {
	case l.Over == Outline && f.Mask == "":
		return "no mask is known for this image"
	case l.Over == Heat && l.Difference:
		return "a difference has no heatmap"
	case l.Over == Heat && !l.IsBase && f.TunedHeat == "" && f.Heat != "":
		return "the base image alone has a heatmap"
	case l.Over == Heat && f.heat(l) == "":
		return "no heatmap is known for this image"
	}
	return ""
}

// Words name the layers, for people and for file names.
func (l Layers) Words(aspect string) []string {
	parts := []string{"tuned"}
	switch {
	case l.Difference:
		parts[0] = "difference"
	case l.IsBase:
		parts[0] = "base"
	}
	switch l.Over {
	case Heat:
		parts = append(parts, "heatmap", aspect)
	case Outline:
		parts = append(parts, "mask")
	}
	return parts
}

// OutsidePSNR is how like the base image the tuned one is outside the mask, in dB; +Inf is equal. It
// is NaN where files are missing or do not fit together, or nothing is left to compare.
func (f Files) OutsidePSNR(folder run.Folder, cache *Cache) float64 {
	base, err := cache.Read(folder, f.Base, IfHere)
	if err != nil {
		return math.NaN()
	}
	tuned, err := cache.Read(folder, f.tuned, IfHere)
	if err != nil || base.Bounds().Size() != tuned.Bounds().Size() {
		return math.NaN()
	}
	mask, err := cache.Read(folder, f.Mask, IfHere)
	if err != nil || mask.Bounds().Size() != base.Bounds().Size() {
		return math.NaN()
	}
	return psnrOutside(render.RGBA(base), render.RGBA(tuned), render.Gray(mask))
}

// psnrOutside compares two images of one size where the mask is below 0.5.
func psnrOutside(a, b *image.RGBA, mask []float32) float64 {
	var sum, n float64
	for i, m := range mask {
		if m >= 0.5 {
			continue
		}
		for k := 4 * i; k < 4*i+3; k++ {
			d := float64(a.Pix[k]) - float64(b.Pix[k])
			sum += d * d
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return 10 * math.Log10(255*255*n/sum)
}
