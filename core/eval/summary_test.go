package eval

import (
	"math"
	"testing"
)

// Scores in two units: log-probabilities, whose range is that of a probability, and ratings, whose range is
// that of the base images.
func TestSummarize(t *testing.T) {
	role := Role{Aspect: "v"}
	rated := func(base, tuned, baseFault, tunedFault float64) map[Role]Verdict {
		return map[Role]Verdict{role: {base, tuned, baseFault, tunedFault, math.NaN(), math.NaN()}}
	}
	s := Summarize([]Image{
		{PSNR: 30, SSIM: 0.9, Verdicts: rated(0, 5, 0.9, 0.1)},
		{PSNR: 20, SSIM: 0.8, Verdicts: rated(10, 5, 0.9, 0.8)},
		{PSNR: 40, SSIM: 1, Verdicts: rated(0, 0.1, 0.1, 0.1)},
	}, 0.5, 0.1)
	a := s.Judges[role]
	if s.PSNR != 30 || s.SSIM != 0.9 || a.Faulty != 2 || a.Fixed != 1 || a.Wins != 1 || a.Losses != 1 || a.FixedShare() != 0.5 {
		t.Errorf("%+v", s)
	}
	if a.Range != 10 || math.Abs(a.Change-0.01/3) > 1e-12 {
		t.Errorf("range %g and change %g, want 10 and a third of a hundredth", a.Range, a.Change)
	}
	likely := func(baseFault, tunedFault, base, tuned float64) Image {
		return Image{Verdicts: map[Role]Verdict{role: {math.Log1p(-base), math.Log1p(-tuned), baseFault, tunedFault, base, tuned}}}
	}
	s = Summarize([]Image{
		likely(0.9, 0.1, 0.8, 0.2), // repaired
		likely(0.9, 0.1, 0.8, 0.7), // moved out of the region
		likely(0.9, 0.9, 0.8, 0.4), // still seen in the region
		likely(0.9, 0.9, 0.3, 0.3), // gray, but no fault
		likely(0.4, 0.1, 0.8, 0.1), // a fault outside the region
	}, 0.5, 0.2)
	a = s.Judges[role]
	if a.Faulty != 3 || a.Fixed != 1 || a.Range != 1 || a.Wins != 3 || a.Losses != 0 || math.Abs(a.Change-(0.6+0.1+0.4+0+0.7)/5) > 1e-9 {
		t.Errorf("%+v", a)
	}
}
