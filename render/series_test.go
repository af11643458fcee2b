package render

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The pyramid must answer as a scan over all points does, whatever was appended and dropped.
func TestSeriesExtentIsThatOfAScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	for range 60 {
		var s Series
		x := 0.0
		for range rng.IntN(6000) {
			switch rng.IntN(400) {
			case 0:
				x = max(0, x-float64(rng.IntN(700)))
			case 1:
				s.Append(math.NaN(), 1)
				s.Append(math.Inf(1), 1)
			default:
				x += float64(rng.IntN(3))
			}
			y := rng.NormFloat64() * math.Exp(rng.NormFloat64())
			switch rng.IntN(20) {
			case 0:
				y = math.NaN()
			case 1:
				y = math.Inf(rng.IntN(2)*2 - 1)
			}
			s.Append(x, y)
		}
		for k := 1; k < s.Len(); k++ {
			if s.x[k] < s.x[k-1] {
				t.Fatalf("x falls at %d: %v, %v", k, s.x[k-1], s.x[k])
			}
		}
		for range 200 {
			i := rng.IntN(s.Len() + 1)
			j := i + rng.IntN(s.Len()-i+1)
			want := nothing
			for _, y := range s.y[i:j] {
				if !math.IsNaN(y) && !math.IsInf(y, 0) {
					want.lo, want.hi = min(want.lo, y), max(want.hi, y)
				}
				if y > 0 && !math.IsInf(y, 0) {
					want.positive = min(want.positive, y)
				}
			}
			if got := s.extent(i, j); got != want {
				t.Fatalf("extent(%d,%d) of %d = %v, want %v", i, j, s.Len(), got, want)
			}
			at := rng.Float64()*(x+10) - 5
			k := s.search(at, 0)
			if k < s.Len() && s.x[k] < at || k > 0 && s.x[k-1] >= at {
				t.Fatalf("search(%v) = %d", at, k)
			}
		}
	}
}

func TestSeriesGoesBack(t *testing.T) {
	var s Series
	for i := range 100 {
		s.Append(float64(i), 1)
	}
	s.Append(50, 9)
	if x, y := s.At(s.Len() - 1); s.Len() != 51 || x != 50 || y != 9 {
		t.Errorf("%d points, the last (%v,%v); want 51, (50,9)", s.Len(), x, y)
	}
}
