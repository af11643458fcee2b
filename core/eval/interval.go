package eval

import (
	"cmp"
	"math"
	"slices"
)

// Wilson is the 95 % confidence interval of a share of which k of n were seen (Wilson, 1927): unlike the usual one
// it stays within 0 and 1 and has a width for k = 0 and k = n.
func Wilson(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959964 // of a normal distribution, 97.5 %
	share, count := float64(k)/float64(n), float64(n)
	center := share + z*z/(2*count)
	width := z * math.Sqrt(share*(1-share)/count+z*z/(4*count*count))
	return max((center-width)/(1+z*z/count), 0), min((center+width)/(1+z*z/count), 1)
}

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
