package feed

import (
	"image"
	"math"

	"focusnfix/core/run"
	"focusnfix/render"
)

// Layers are the ways of looking at a pair of pictures.
type Layers struct {
	IsBase     bool // the base picture, not the tuned one
	Difference bool // of the two
	Heatmap    bool
	Contour    bool // of the mask
}

// Drawing is the picture as the layers say.
func (f Files) Drawing(folder run.Folder, l Layers) Drawing {
	d := Drawing{Folder: folder, Path: f.tuned}
	switch {
	case l.Difference:
		d.Minus = f.Base
	case l.IsBase:
		d.Path = f.Base
	}
	if l.Heatmap {
		d.Heat = f.Heat
	}
	if l.Contour {
		d.Mask = f.Mask
	}
	return d
}

// Missing says what the layers need and the run does not have; "" is nothing.
func (f Files) Missing(l Layers) string {
	switch {
	case f.tuned == "" && (l.Difference || !l.IsBase):
		return "no picture at this step"
	case f.Base == "" && (l.IsBase || l.Difference):
		return "no base picture is known for this one"
	case f.Heat == "" && l.Heatmap:
		return "no heatmap is known for this picture"
	case f.Mask == "" && l.Contour:
		return "no mask is known for this picture"
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
	if l.Heatmap {
		parts = append(parts, "heatmap", aspect)
	}
	if l.Contour {
		parts = append(parts, "mask")
	}
	return parts
}

// OutsidePSNR is how like the base picture the tuned one is outside the mask, in dB; +Inf is equal. It
// is NaN where files are missing or do not fit together, or nothing is left to compare.
func (f Files) OutsidePSNR(folder run.Folder, cache *Cache) float64 {
	base, err := cache.Read(folder, f.Base)
	if err != nil {
		return math.NaN()
	}
	tuned, err := cache.Read(folder, f.tuned)
	if err != nil || base.Bounds().Size() != tuned.Bounds().Size() {
		return math.NaN()
	}
	mask, err := cache.Read(folder, f.Mask)
	if err != nil || mask.Bounds().Size() != base.Bounds().Size() {
		return math.NaN()
	}
	return psnrOutside(render.RGBA(base), render.RGBA(tuned), render.Gray(mask))
}

// psnrOutside compares two pictures of one size where the mask is below 0.5.
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
