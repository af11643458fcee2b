package eval

import (
	"math"
	"testing"
)

// TestWilson against the formula in Python; 0 of 10 and 8 of 14 are textbook cases too.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 10, 0, 0.277533}, {10, 10, 0.722467, 1}, {8, 14, 0.325911, 0.786189}, {96, 100, 0.901630, 0.984337}, {0, 0, 0, 1},
	} {
		low, high := Wilson(c.k, c.n)
		if math.Abs(low-c.low) > 1e-4 || math.Abs(high-c.high) > 1e-4 {
			t.Errorf("%d of %d: %.6f to %.6f, want %.6f to %.6f", c.k, c.n, low, high, c.low, c.high)
		}
	}
}

func TestInterpolate(t *testing.T) {
	curve := []Point{{Share: 0.5, PSNR: 30}, {Share: 0, PSNR: 50}, {Share: 0.5, PSNR: 32}, {Share: 0.9, PSNR: 20}}
	for share, want := range map[float64]float64{0: 50, 0.25: 41, 0.5: 32, 0.7: 26, 0.9: 20} {
		if got, ok := Interpolate(curve, share); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("at %g: %g, %v; want %g", share, got, ok, want)
		}
	}
	if _, ok := Interpolate(curve, 0.95); ok {
		t.Error("a share that no checkpoint reaches was found")
	}
	if _, ok := Interpolate(curve[3:], 0.5); ok {
		t.Error("a share below every checkpoint's was found")
	}
	if _, ok := Interpolate(nil, 0.5); ok {
		t.Error("a curve of nothing was found")
	}
}
