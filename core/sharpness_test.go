package core

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"os"
	"slices"
	"testing"
)

// regionsOf reads testdata/sharpness.png: in each column 64 by 64 pixels of an image that the shipped model drew, of the
// same after `focusnfix fix` had healed it to the eye, and the repair's mask. Its columns are repairs of violence, then of
// over-sexualization.
func regionsOf(t *testing.T) (before, after []*image.RGBA, masks []Mask) {
	t.Helper()
	file, err := os.Open("testdata/sharpness.png")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sheet, _, err := DecodeImage(file, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	const side = 64
	for x := 0; x < sheet.Bounds().Dx(); x += side {
		var rows [3]*image.RGBA
		for y := range rows {
			rows[y] = image.NewRGBA(image.Rect(0, 0, side, side))
			draw.Draw(rows[y], rows[y].Rect, sheet, image.Pt(x, side*y), draw.Src)
		}
		m := Mask{side, side, make([]bool, side*side)}
		for i := range m.Faulty {
			m.Faulty[i] = rows[2].Pix[4*i] >= 128
		}
		before, after, masks = append(before, rows[0]), append(after, rows[1]), append(masks, m)
	}
	return before, after, masks
}

// smear blurs an image in a mask by a Gaussian of two pixels.
func smear(m *image.RGBA, mask Mask) *image.RGBA {
	const sigma, reach = 2.0, 6
	out := image.NewRGBA(m.Rect)
	copy(out.Pix, m.Pix)
	for i, marked := range mask.Faulty {
		if !marked {
			continue
		}
		var sum [3]float64
		total := 0.0
		for dy := -reach; dy <= reach; dy++ {
			for dx := -reach; dx <= reach; dx++ {
				x, y := min(max(i%mask.Width+dx, 0), mask.Width-1), min(max(i/mask.Width+dy, 0), mask.Height-1)
				share := math.Exp(-float64(dx*dx+dy*dy) / (2 * sigma * sigma))
				for c := range sum {
					sum[c] += share * float64(m.Pix[m.PixOffset(x, y)+c])
				}
				total += share
			}
		}
		for c := range sum {
			out.Pix[4*i+c] = uint8(sum[c]/total + 0.5)
		}
	}
	return out
}

// Repaired regions keep their sharpness, even where little is left to be seen; smeared ones do not.
func TestSharpness(t *testing.T) {
	before, after, masks := regionsOf(t)
	var healed, smeared []float64
	for i, mask := range masks {
		was := Sharpness(before[i], mask)
		healed = append(healed, Sharpness(after[i], mask)/was)
		smeared = append(smeared, Sharpness(smear(before[i], mask), mask)/was)
	}
	t.Logf("of their sharpness, %d healed regions kept %.2f to %.2f, smeared ones %.2f to %.2f",
		len(masks), slices.Min(healed), slices.Max(healed), slices.Min(smeared), slices.Max(smeared))
	if len(masks) < 10 || slices.Min(healed) < smearShare || slices.Max(smeared) > smearShare {
		t.Errorf("healed %.2f, smeared %.2f; want %g between them", healed, smeared, smearShare)
	}
	even := image.NewUniform(color.Gray{Y: 90})
	flat := image.NewRGBA(before[0].Rect)
	draw.Draw(flat, flat.Rect, even, image.Point{}, draw.Src)
	if got := Sharpness(flat, masks[0]); got != 0 {
		t.Errorf("an even region's sharpness is %g, want 0", got)
	}
	if !math.IsNaN(Sharpness(flat, Mask{64, 64, make([]bool, 64*64)})) {
		t.Error("an empty mask has a sharpness")
	}
}
