package render

import (
	"math"
	"strconv"
	"strings"
)

// tick is a labeled value of an axis.
type tick struct {
	value float64
	label string
}

// ticks are about n round values (1, 2 or 5 times a power of ten) in [lo,hi].
func ticks(lo, hi float64, n int, label func(float64) string) []tick {
	step := niceStep((hi - lo) / float64(max(1, n)))
	if step == 0 || math.IsInf(step, 0) || math.IsNaN(step) {
		return nil
	}
	if label == nil {
		scale := max(math.Abs(lo), math.Abs(hi))
		label = func(v float64) string { return numberLabel(v, step, scale) }
	}
	var out []tick
	// a little tolerance, or 0.3 is missed for being 3*0.1
	first, last := math.Ceil(lo/step-1e-9), math.Floor(hi/step+1e-9)
	for k := first; k <= last && len(out) < 100; k++ {
		v := k * step
		if k == 0 {
			v = 0 // not -0
		}
		out = append(out, tick{v, label(v)})
	}
	return out
}

// niceStep is the smallest of 1, 2, 5 times a power of ten that is at least v.
func niceStep(v float64) float64 {
	if v <= 0 {
		return 0
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range [...]float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logTicks are powers of ten in [lo,hi] (both are exponents), at most about n; below two decades also their
// doubles and fives.
func logTicks(lo, hi float64, n int, label func(float64) string) []tick {
	if label == nil {
		label = func(v float64) string { return numberLabel(v, v, v) }
	}
	multiples := []float64{1}
	if hi-lo < 2 {
		multiples = []float64{1, 2, 5}
	}
	every := math.Max(1, math.Ceil((hi-lo)/float64(max(1, n))))
	var out []tick
	for k := math.Floor(lo); k <= math.Ceil(hi) && len(out) < 100; k++ {
		if math.Mod(k, every) != 0 {
			continue
		}
		for _, m := range multiples {
			v := m * math.Pow(10, k)
			if e := math.Log10(v); e >= lo-1e-9 && e <= hi+1e-9 {
				out = append(out, tick{e, label(v)})
			}
		}
	}
	return out
}

// numberLabel writes v, a multiple of step, for an axis whose largest value is scale: as short as it can
// be told from its neighbors.
func numberLabel(v, step, scale float64) string {
	if v == 0 {
		return "0"
	}
	if scale < 1e-3 || scale >= 1e15 {
		digits := max(0, int(math.Floor(math.Log10(math.Abs(v))+1e-9)-math.Floor(math.Log10(step)+1e-9)))
		s := strconv.FormatFloat(v, 'e', min(digits, 6), 64)
		s = strings.Replace(s, "e-0", "e-", 1)
		return strings.Replace(s, "e+0", "e+", 1)
	}
	suffix := ""
	for _, u := range [...]struct {
		suffix string
		value  float64
	}{{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if scale >= 10*u.value || scale >= u.value && step >= u.value/10 {
			v, step, suffix = v/u.value, step/u.value, u.suffix
			break
		}
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	return strconv.FormatFloat(v, 'f', min(decimals, 9), 64) + suffix
}
