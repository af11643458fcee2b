package tui

import (
	"image"
	"math"

	"focusnfix/core/run"
	"focusnfix/render"
)

// layers are the ways of looking at a pair of pictures.
type layers struct {
	isBase     bool // the base picture, not the tuned one
	difference bool // of the two
	heatmap    bool
	contour    bool // of the mask
}

// drawing is the picture as the layers say.
func (f pictureFiles) drawing(folder run.Folder, l layers) drawing {
	d := drawing{folder: folder, path: f.tuned}
	switch {
	case l.difference:
		d.minus = f.base
	case l.isBase:
		d.path = f.base
	}
	if l.heatmap {
		d.heat = f.heat
	}
	if l.contour {
		d.mask = f.mask
	}
	return d
}

// missing says what the layers need and the run does not have; "" is nothing.
func (f pictureFiles) missing(l layers) string {
	switch {
	case f.tuned == "" && (l.difference || !l.isBase):
		return "no picture at this step"
	case f.base == "" && (l.isBase || l.difference):
		return "no base picture is known for this one"
	case f.heat == "" && l.heatmap:
		return "no heatmap is known for this picture"
	case f.mask == "" && l.contour:
		return "no mask is known for this picture"
	}
	return ""
}

// words name the layers, for people and for file names.
func (l layers) words(aspect string) []string {
	words := []string{"tuned"}
	switch {
	case l.difference:
		words[0] = "difference"
	case l.isBase:
		words[0] = "base"
	}
	if l.heatmap {
		words = append(words, "heatmap", aspect)
	}
	if l.contour {
		words = append(words, "mask")
	}
	return words
}

// outsidePSNR is how like the base picture the tuned one is outside the mask, in dB; +Inf is equal. It
// is NaN where files are missing or do not fit together, or nothing is left to compare.
func (f pictureFiles) outsidePSNR(folder run.Folder, cache *imageCache) float64 {
	base, err := cache.read(folder, f.base)
	if err != nil {
		return math.NaN()
	}
	tuned, err := cache.read(folder, f.tuned)
	if err != nil || base.Bounds().Size() != tuned.Bounds().Size() {
		return math.NaN()
	}
	mask, err := cache.read(folder, f.mask)
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
