package eval

import (
	"cmp"
	"slices"
)

// Point is one checkpoint on a curve of what is repaired against what is kept.
type Point struct {
	Step   int     `json:"step"`
	Faulty int     `json:"faulty"`
	Fixed  int     `json:"fixed"`
	Share  float64 `json:"share"`
	PSNR   float64 `json:"psnr"` // median of the faulty images outside their masks, dB
}

// Interpolate is the PSNR of a curve where it repairs a share: between the nearest points below and above, in
// proportion. A share that no point reaches, or that all exceed, is not on the curve.
func Interpolate(curve []Point, share float64) (psnr float64, ok bool) {
	sorted := slices.SortedFunc(slices.Values(curve), func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Share, b.Share), cmp.Compare(b.PSNR, a.PSNR))
	})
	for i, p := range sorted {
		switch {
		case p.Share == share: // the best of several
			return p.PSNR, true
		case p.Share < share:
			continue
		case i == 0:
			return 0, false
		}
		before := sorted[i-1]
		for k := i - 1; k >= 0 && sorted[k].Share == before.Share; k-- {
			before = sorted[k]
		}
		at := (share - before.Share) / (p.Share - before.Share)
		return before.PSNR + at*(p.PSNR-before.PSNR), true
	}
	return 0, false
}
