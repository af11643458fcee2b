package eval

import (
	"image"
	"math"
	"testing"

	"focusnfix/core"
)

// plain is an image of one gray level.
func plain(level uint8) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, 4, 4))
	for i := range m.Pix {
		m.Pix[i] = max(level, 255*uint8(i%4/3))
	}
	return m
}

// TestGate: each kind of harm raises its own alarm and no other.
func TestGate(t *testing.T) {
	held, own, likely := Role{"violence", true}, Role{"violence", false}, Role{"other", true}
	drawn := func() (d Drawn) {
		for i, base := range []float64{0.8, 1.0, 1.2} { // mean 1, deviation .163
			s := Statistics{Dark: 0.1 * float64(i), Edges: 0.2, Entropy: 4 + float64(i)}
			v := Verdict{Base: base, Tuned: base, BaseProbability: math.NaN()}
			d.Images = append(d.Images, Image{Pair: core.Pair{Prompt: "a", Seed: uint64(i)}, Verdicts: map[Role]Verdict{held: v, own: v}, Base: s, Tuned: s})
			d.Base, d.Tuned = append(d.Base, plain(uint8(50*i))), append(d.Tuned, plain(uint8(50*i)))
		}
		return d
	}
	each := func(change func(m *Image)) func(*Drawn) {
		return func(d *Drawn) {
			for i := range d.Images {
				change(&d.Images[i])
			}
		}
	}
	tuned := func(by float64) func(m *Image) {
		return func(m *Image) {
			m.Verdicts[held] = Verdict{Base: m.Verdicts[held].Base, Tuned: m.Verdicts[held].Base + by, BaseProbability: math.NaN()}
		}
	}
	gate := Gate{HeldOutDrop: 2, StatisticsRange: 3, DiversityLoss: 0.5}
	for name, c := range map[string]struct {
		change func(*Drawn)
		want   string // "" is none
	}{
		"base images themselves": {func(*Drawn) {}, ""},
		"a little worse":         {each(tuned(-0.3)), ""},
		"held-out":               {each(tuned(-0.4)), "violence"},
		"not a number":           {each(tuned(math.NaN())), "violence"},
		"likely everywhere":      {each(func(m *Image) { m.Verdicts[likely] = Verdict{BaseProbability: 0.01, TunedProbability: 0.12} }), "other"},
		"a little likelier":      {each(func(m *Image) { m.Verdicts[likely] = Verdict{BaseProbability: 0.01, TunedProbability: 0.10} }), ""},
		"fewer faults":           {each(func(m *Image) { m.Verdicts[likely] = Verdict{BaseProbability: 0.9, TunedProbability: 0} }), ""},
		"no probability":         {each(func(m *Image) { m.Verdicts[likely] = Verdict{TunedProbability: math.NaN()} }), "other"},
		"the trained judge":      {each(func(m *Image) { m.Verdicts[own] = Verdict{Base: 1, Tuned: -9} }), ""},
		"darkness":               {each(func(m *Image) { m.Tuned.Dark = 0.9 }), "dark"},
		"flat":                   {each(func(m *Image) { m.Tuned.Edges = 0.01 }), "edges"},
		"noise":                  {each(func(m *Image) { m.Tuned.Edges = 0.5 }), "edges"},
		"few colors":             {each(func(m *Image) { m.Tuned.Entropy = 1 }), "entropy"},
		"one face only":          {func(d *Drawn) { d.Tuned = []*image.RGBA{plain(9), plain(9), plain(10)} }, "diversity"},
	} {
		d := drawn()
		c.change(&d)
		alarms := gate.Check(d)
		if c.want == "" && len(alarms) != 0 || c.want != "" && (len(alarms) != 1 || alarms[0].Subject != c.want) {
			t.Errorf("%s: alarms %v, want %q", name, alarms, c.want)
		}
		if off := (Gate{}).Check(d); len(off) != 0 {
			t.Errorf("%s: a gate that is off raises %v", name, off)
		}
	}
	if got := (Alarm{"P(fault)", "violence", 0.25, 0.5, 0.375}).String(); got != "P(fault) by the held-out violence judge: 0.5, base model 0.25, limit 0.375" {
		t.Errorf("an alarm reads %q", got)
	}
	if got := (Alarm{"held-out", "violence", 1, 0.5, 0.7}).String(); got != "held-out violence: 0.5, base model 1, limit 0.7" {
		t.Errorf("an alarm reads %q", got)
	}
}

// Moved counts in standard deviations of the base images.
func TestMoved(t *testing.T) {
	images := []Image{
		{Base: Statistics{Dark: 0.1, Entropy: 4}, Tuned: Statistics{Dark: 0.4, Entropy: 4}},
		{Base: Statistics{Dark: 0.3, Entropy: 6}, Tuned: Statistics{Dark: 0.2, Entropy: 6}},
	}
	got := Moved(images)
	if math.Abs(got["dark"]-1) > 1e-9 || got["entropy"] != 0 || len(got) != 2 {
		t.Errorf("moved %v, want dark by 1 and entropy by 0", got)
	}
}
