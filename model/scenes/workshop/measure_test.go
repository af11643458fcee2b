package workshop

import (
	"math"
	"testing"
)

func TestMeasures(t *testing.T) {
	// By hand: of the four pairs (faulty, faultless) three are in order, one is a tie.
	if got := areaUnderCurve([]float64{0.9, 0.5, 0.5, 0.1}, []bool{true, true, false, false}); math.Abs(got-0.875) > 1e-12 {
		t.Errorf("area under the curve %g, want 0.875", got)
	}
	if got := intersectionOverUnion([]float32{0.9, 0.6, 0.1, 0.2}, []uint8{1, 0, 1, 0}); math.Abs(got-1.0/3) > 1e-12 {
		t.Errorf("intersection over union %g, want a third", got)
	}
	if got := correlation([]float64{1, 2, 3}, []float64{-2, -4, -6}); math.Abs(got+1) > 1e-12 {
		t.Errorf("correlation %g, want -1", got)
	}
}
