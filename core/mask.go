package core

import (
	"fmt"
	"image"
	"io"
)

// Mask marks the faulty pixels of an image, row by row.
type Mask struct {
	Width, Height int
	Faulty        []bool
}

// Dilate grows the mask by n pixels on every side, corners included: a pixel is faulty if one at most n
// columns and n rows away was.
func (m Mask) Dilate(n int) Mask {
	rows := Mask{m.Width, m.Height, make([]bool, len(m.Faulty))}
	for y := range m.Height {
		grow(rows.Faulty, m.Faulty, y*m.Width, 1, m.Width, n)
	}
	out := Mask{m.Width, m.Height, make([]bool, len(m.Faulty))}
	for x := range m.Width {
		grow(out.Faulty, rows.Faulty, x, m.Width, m.Height, n)
	}
	return out
}

// grow dilates one line of count pixels, which lie stride apart, by n on both sides.
func grow(out, in []bool, start, stride, count, n int) {
	reach := -1 // last pixel that one seen so far still reaches
	for i := range min(n, count) {
		if in[start+i*stride] {
			reach = i + n
		}
	}
	for i := range count {
		if ahead := i + n; ahead < count && in[start+ahead*stride] {
			reach = ahead + n
		}
		out[start+i*stride] = i <= reach
	}
}

// Coverage is the share of the image that is faulty.
func (m Mask) Coverage() float64 {
	count := 0
	for _, faulty := range m.Faulty {
		if faulty {
			count++
		}
	}
	return float64(count) / float64(max(len(m.Faulty), 1))
}

// MaskRule makes a mask out of a heatmap.
type MaskRule struct {
	Threshold float64 // heatmap in [0,1]; above it a pixel is faulty
	Dilate    int     // pixels that the mask grows on every side
	MinArea   float64 // share of the image; a smaller mask counts as no fault
}

// Mask is what the rule makes of a heatmap.
func (r MaskRule) Mask(h Heatmap) Mask {
	return h.Threshold(r.Threshold).AtLeast(r.MinArea).Dilate(r.Dilate)
}

// AtLeast is the mask itself, or an empty one if it covers less than a share of the image: a speck is
// no fault.
func (m Mask) AtLeast(share float64) Mask {
	if m.Coverage() >= share {
		return m
	}
	return Mask{m.Width, m.Height, make([]bool, len(m.Faulty))}
}

// Union marks what either mask does. Both must be of one size.
func (m Mask) Union(other Mask) (Mask, error) {
	if m.Width != other.Width || m.Height != other.Height {
		return Mask{}, fmt.Errorf("masks of %dx%d and %dx%d pixels, want one size", m.Width, m.Height, other.Width, other.Height)
	}
	out := Mask{m.Width, m.Height, make([]bool, len(m.Faulty))}
	for i := range out.Faulty {
		out.Faulty[i] = m.Faulty[i] || other.Faulty[i]
	}
	return out, nil
}

// ReadMask reads a mask's PNG file: what is brighter than half is faulty.
func ReadMask(r io.Reader) (Mask, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxMaskFile))
	if err != nil {
		return Mask{}, err
	}
	h, err := ReadHeatmap(data)
	return h.Threshold(0.5), err
}

// maxMaskFile is the most bytes of a mask's file that are read.
const maxMaskFile = 64 << 20

// Gray is white where the mask is faulty. Its PNG reads back with ReadHeatmap and Threshold(0.5).
func (m Mask) Gray() *image.Gray {
	picture := image.NewGray(image.Rect(0, 0, m.Width, m.Height))
	for i, faulty := range m.Faulty {
		if faulty {
			picture.Pix[i] = 255
		}
	}
	return picture
}
