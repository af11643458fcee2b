package render

import (
	"image"
	"image/color"
)

// Gray returns the brightness of img, row by row, in [0,1].
func Gray(img image.Image) []float32 {
	b := img.Bounds()
	out := make([]float32, 0, b.Dx()*b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			out = append(out, float32(color.Gray16Model.Convert(img.At(x, y)).(color.Gray16).Y)/0xffff)
		}
	}
	return out
}

// RGBA returns a copy of img whose upper left corner is at (0,0).
func RGBA(img image.Image) *image.RGBA {
	return Scale(nil, img, img.Bounds(), img.Bounds().Size(), true)
}
