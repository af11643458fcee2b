package render

import "math"

// scale is how a y axis divides its height: evenly, by logarithm, or by logarithm in both directions from zero,
// where linear is the value around which it goes over from even to logarithmic.
type scale struct {
	log    bool
	linear float64
}

// linearShare is the part of the largest value that a logarithmic axis with negative values is even in.
const linearShare = 1e-3

// scaleFor is the scale for values from lo to hi.
func scaleFor(log bool, lo, hi float64) scale {
	if log && lo < 0 {
		return scale{log: true, linear: max(-lo, hi, math.SmallestNonzeroFloat64/linearShare) * linearShare}
	}
	return scale{log: log}
}

// at is where a value stands; NaN is nowhere.
func (s scale) at(y float64) float64 {
	switch {
	case s.linear > 0:
		return math.Copysign(math.Log10(1+math.Abs(y)/s.linear), y)
	case s.log && y <= 0:
		return math.NaN()
	case s.log:
		return math.Log10(y)
	}
	return y
}

// value is the value that stands there.
func (s scale) value(at float64) float64 {
	switch {
	case s.linear > 0:
		return math.Copysign((math.Pow(10, math.Abs(at))-1)*s.linear, at)
	case s.log:
		return math.Pow(10, at)
	}
	return at
}

// ticks are about n labeled places from lo to hi.
func (s scale) ticks(lo, hi float64, n int, label func(float64) string) []tick {
	switch {
	case s.linear > 0:
		return s.bothWays(lo, hi, n, label)
	case s.log:
		return logTicks(lo, hi, n, label)
	}
	return ticks(lo, hi, n, label)
}

// bothWays are zero and powers of ten in both directions from it.
func (s scale) bothWays(lo, hi float64, n int, label func(float64) string) []tick {
	if label == nil {
		label = func(v float64) string {
			return numberLabel(v, max(math.Abs(v), math.SmallestNonzeroFloat64), math.Abs(v))
		}
	}
	first := math.Ceil(math.Log10(s.linear))
	last := math.Floor(math.Log10(max(math.Abs(s.value(lo)), math.Abs(s.value(hi)))))
	every := max(1, math.Ceil(2*(last-first+1)/float64(max(1, n))))
	var out []tick
	add := func(v float64) {
		if at := s.at(v); at >= lo-1e-9 && at <= hi+1e-9 {
			out = append(out, tick{at, label(v)})
		}
	}
	for k := last; k >= first; k -= every {
		add(-math.Pow(10, k))
	}
	add(0)
	for k := last; k >= first; k -= every {
		add(math.Pow(10, k))
	}
	return out
}
