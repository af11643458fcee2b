package core

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
