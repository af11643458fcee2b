package render

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

// wild is a series with gaps, infinities and steps back.
func wild(rng *rand.Rand) *Series {
	s := new(Series)
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
	return s
}

// scan is the extent of the values, looked at one by one.
func scan(values []float64) extent {
	e := nothing
	for _, y := range values {
		if math.IsNaN(y) || math.IsInf(y, 0) {
			continue
		}
		e.lo, e.hi = min(e.lo, y), max(e.hi, y)
		if y > 0 {
			e.positive = min(e.positive, y)
		}
	}
	return e
}

// The pyramid must answer as a scan over all points does, whatever was appended and dropped.
func TestSeriesExtentIsThatOfAScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	for range 60 {
		s := wild(rng)
		if !slices.IsSorted(s.x) {
			t.Fatal("x falls")
		}
		for range 200 {
			i := rng.IntN(s.Len() + 1)
			j := i + rng.IntN(s.Len()-i+1)
			if got, want := s.extent(i, j), scan(s.y[i:j]); got != want {
				t.Fatalf("extent(%d,%d) of %d = %v, want %v", i, j, s.Len(), got, want)
			}
			at := rng.Float64()*6000 - 5
			if got, want := s.search(at, 0), sort.SearchFloat64s(s.x, at); got != want {
				t.Fatalf("search(%v) = %d, want %d", at, got, want)
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

// A series that was reset is as one that is new.
func TestSeriesReset(t *testing.T) {
	var again Series
	for n := range 3 {
		var fresh Series
		again.Reset()
		for i := range 5000 >> (2 * n) {
			y := math.Sin(float64(i*(n+1)) / 90)
			again.Append(float64(i), y)
			fresh.Append(float64(i), y)
		}
		for i := 0; i < fresh.Len(); i += 37 {
			for j := i; j <= fresh.Len(); j += 411 {
				if again.Len() != fresh.Len() || again.extent(i, j) != fresh.extent(i, j) {
					t.Fatalf("%d: points %d to %d of %d reach over %v, want %v", n, i, j, again.Len(), again.extent(i, j), fresh.extent(i, j))
				}
			}
		}
	}
}
