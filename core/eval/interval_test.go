package eval

import (
	"math"
	"testing"
)

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
