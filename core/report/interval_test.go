package report

import (
	"math"
	"testing"

	"focusnfix/core"
)

// The share of fixed faults has its interval where the last evaluation says how many faults there were, and none in logs
// that do not.
func TestInterval(t *testing.T) {
	evaluated := func(faulty float64) *Measured {
		m := &Measured{Of: map[string]core.Metric{}, column: map[string]int{}}
		for _, fixed := range []float64{0.1, 0.9} {
			m.add(&core.Event{Kind: Evaluation, Evaluation: &core.Evaluation{Aspects: []core.AspectScore{{Aspect: "violence", Fixed: fixed, Faulty: faulty}}}})
		}
		return m
	}
	for _, c := range []struct {
		name   string
		faulty float64
		want   string
	}{
		{"fixed/violence", 20, "18 of 20, 95 % interval 70–97 %"},
		{"fixed/violence", math.NaN(), ""},
		{"fixed/violence", 0, ""},
		{"reward/violence", 20, ""},
		{"fixed/artifacts", 20, ""},
	} {
		if got := evaluated(c.faulty).interval(c.name); got != c.want {
			t.Errorf("%s of %g: %q, want %q", c.name, c.faulty, got, c.want)
		}
	}
}
