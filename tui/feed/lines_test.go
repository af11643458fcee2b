package feed

import (
	"math"
	"testing"
)

func TestEMA(t *testing.T) {
	e := ema{weight: 0.9, unit: 1}
	for i, v := range []float64{5, 5, math.NaN(), 5} {
		if got := e.next(float64(i), v); got != v && !(v != v && got != got) && math.Abs(got-v) > 1e-12 {
			t.Errorf("value %d of a constant curve: %v, want %v", i, got, v)
		}
	}
	// a gap of steps forgets as much as the steps would have
	dense, sparse := ema{weight: 0.8, unit: 1}, ema{weight: 0.8, unit: 1}
	dense.next(0, 0)
	sparse.next(0, 0)
	for i := 1; i < 10; i++ {
		dense.next(float64(i), 1)
	}
	if got := sparse.next(50, 1); got < 0.99 {
		t.Errorf("50 steps later the old value still counts: %v", got)
	}
	if got, want := dense.next(10, 1), 1-0.2*math.Pow(0.8, 10)/(1-math.Pow(0.8, 11)); math.Abs(got-want) > 1e-12 {
		t.Errorf("after ten ones: %v, want %v", got, want)
	}
}
