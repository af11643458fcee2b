package core

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
)

// Heatmap is a fault score in [0,1] for each pixel, row by row.
type Heatmap struct {
	Width, Height int
	Score         []float32
}

// ReadHeatmap reads a PNG file: gray is the score, of 8 or 16 bits; colors count by their luma. One
// that CheckImage refuses is an error.
func ReadHeatmap(data []byte) (Heatmap, error) {
	head, err := png.DecodeConfig(bytes.NewReader(data))
	if err == nil {
		err = CheckImage(head)
	}
	if err != nil {
		return Heatmap{}, err
	}
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return Heatmap{}, err
	}
	b := m.Bounds()
	h := Heatmap{b.Dx(), b.Dy(), make([]float32, 0, b.Dx()*b.Dy())}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			gray := color.Gray16Model.Convert(m.At(x, y)).(color.Gray16)
			h.Score = append(h.Score, float32(gray.Y)/math.MaxUint16)
		}
	}
	return h, nil
}

// Gray is the heatmap in 8 bits, rounded to the nearest; what is not a number is 0.
func (h Heatmap) Gray() *image.Gray {
	m := image.NewGray(image.Rect(0, 0, h.Width, h.Height))
	for i, s := range h.Score {
		m.Pix[i] = uint8(quantize(s, math.MaxUint8))
	}
	return m
}

// Gray16 is the heatmap in 16 bits, which a threshold survives to 1e-5.
func (h Heatmap) Gray16() *image.Gray16 {
	m := image.NewGray16(image.Rect(0, 0, h.Width, h.Height))
	for i, s := range h.Score {
		v := quantize(s, math.MaxUint16)
		m.Pix[2*i], m.Pix[2*i+1] = uint8(v>>8), uint8(v)
	}
	return m
}

func quantize(score float32, top float64) uint16 {
	v := float64(score)
	if math.IsNaN(v) {
		return 0
	}
	return uint16(min(max(v, 0), 1)*top + 0.5)
}

// Threshold marks the pixels above t, which is in [0,1].
func (h Heatmap) Threshold(t float64) Mask {
	m := Mask{h.Width, h.Height, make([]bool, len(h.Score))}
	for i, s := range h.Score {
		m.Faulty[i] = float64(s) > t
	}
	return m
}

// Strongest is the larger of two heatmaps at each pixel; an empty one counts as zero.
func (h Heatmap) Strongest(other Heatmap) Heatmap {
	if len(h.Score) == 0 {
		return other
	}
	all := Heatmap{Width: h.Width, Height: h.Height, Score: make([]float32, len(h.Score))}
	for i := range all.Score {
		all.Score[i] = max(h.Score[i], other.Score[i])
	}
	return all
}
