package train

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestSSIMMatchesScikitImage compares with scikit-image on the pixels whose window lies inside, which
// the mask leaves (testdata/ref/ssim.py).
func TestSSIMMatchesScikitImage(t *testing.T) {
	text, err := os.ReadFile("testdata/ref/ssim.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ SSIM float64 }
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	const side, border = 40, 5
	torchtest.Run(t, func() {
		ramp := torch.Linspace(0, 1, side, torch.Float32, torch.CPU).Expand(1, 3, side, side)
		picture := func(name string) torch.Tensor {
			noise := nntest.Uniform(name, 3, side, side).AddScalar(1).DivScalar(2)
			return ramp.AddScaled(noise, 0.3).DivScalar(1.3)
		}
		mask := torch.Ones(torch.Float32, torch.CPU, 1, 1, side, side)
		mask.Narrow(2, border, side-2*border).Narrow(3, border, side-2*border).Zero()
		x, y := picture("ssim.x"), picture("ssim.y")
		if got := outsideSSIM(x, y, mask)[0]; math.Abs(got-want.SSIM) > 1e-4 {
			t.Errorf("SSIM %.6f, scikit-image has %.6f", got, want.SSIM)
		}
		if got := outsideSSIM(x, x, mask)[0]; math.Abs(got-1) > 1e-5 {
			t.Errorf("SSIM of equal pictures is %g", got)
		}
		if got := outsideSSIM(x, y, mask.OnesLike())[0]; got != 1 {
			t.Errorf("SSIM under a full mask is %g, want 1", got)
		}
	})
}

func TestOutsidePSNR(t *testing.T) {
	torchtest.Run(t, func() {
		base := torch.Full(0.5, torch.Float32, torch.CPU, 3, 3, 4, 4)
		mask := torch.Zeros(torch.Float32, torch.CPU, 3, 1, 4, 4)
		mask.Narrow(0, 2, 1).Fill(1)
		image := base.Clone()
		image.Narrow(0, 0, 1).Fill(0.6) // 0.1 off everywhere: 20 dB
		image.Narrow(0, 2, 1).Fill(0.9) // under a full mask
		got := outsidePSNR(image, base, mask)
		if math.Abs(got[0]-20) > 1e-3 || got[1] != maxPSNR || got[2] != maxPSNR {
			t.Errorf("PSNR %v, want 20, %d, %d", got, maxPSNR, maxPSNR)
		}
	})
}

// TestStatistics on pictures whose numbers are known: black, and columns of two colours.
func TestStatistics(t *testing.T) {
	torchtest.Run(t, func() {
		images := torch.Zeros(torch.Float32, torch.CPU, 2, 3, 8, 8)
		columns := images.Narrow(0, 1, 1)
		for x := int64(0); x < 8; x += 2 {
			columns.Narrow(3, x, 1).Fill(1)
		}
		got := pictureStatistics(images)
		if got[0] != (Statistics{Dark: 1}) {
			t.Errorf("black: %+v", got[0])
		}
		if s := got[1]; s.Dark != 0.5 || math.Abs(s.Edges-0.5) > 1e-6 || math.Abs(s.Entropy-1) > 1e-9 {
			t.Errorf("columns: %+v, want half dark, edges .5, entropy 1 bit", s)
		}
		if d := diversity(images, []string{"a", "a"}); math.Abs(d-math.Sqrt(0.5)) > 1e-6 {
			t.Errorf("diversity %g, want %g", d, math.Sqrt(0.5))
		}
		if d := diversity(images, []string{"a", "b"}); d != 0 {
			t.Errorf("diversity of two prompts %g, want 0", d)
		}
	})
}

func TestGate(t *testing.T) {
	base := View{
		HeldOut:    map[string][]float64{"violence": {0.8, 1.0, 1.2}}, // mean 1, deviation .163
		Statistics: []Statistics{{Dark: 0.1, Edges: 0.2, Entropy: 4}, {Dark: 0.3, Edges: 0.2, Entropy: 5}},
		Diversity:  0.2,
	}
	gate := NewGate(Gate{HeldOutDrop: 2, StatisticsRange: 3, DiversityLoss: 0.5}, base)
	if alarms := gate.Check(base); len(alarms) != 0 {
		t.Errorf("the base model's own pictures: %v", alarms)
	}
	for name, c := range map[string]struct {
		change func(*View)
		want   string
	}{
		"held-out":      {func(v *View) { v.HeldOut = map[string][]float64{"violence": {0.5, 0.6, 0.7}} }, "held-out violence"},
		"not a number":  {func(v *View) { v.HeldOut = map[string][]float64{"violence": {math.NaN()}} }, "held-out violence"},
		"no judge":      {func(v *View) { v.HeldOut = nil }, "held-out violence"},
		"darkness":      {func(v *View) { v.Statistics = []Statistics{{Dark: 0.9, Edges: 0.2, Entropy: 4.5}} }, "dark"},
		"flat":          {func(v *View) { v.Statistics = []Statistics{{Dark: 0.2, Edges: 0.01, Entropy: 4.5}} }, "edges"},
		"noise":         {func(v *View) { v.Statistics = []Statistics{{Dark: 0.2, Edges: 0.5, Entropy: 4.5}} }, "edges"},
		"few colours":   {func(v *View) { v.Statistics = []Statistics{{Dark: 0.2, Edges: 0.2, Entropy: 1}} }, "entropy"},
		"one face only": {func(v *View) { v.Diversity = 0.05 }, "diversity"},
	} {
		now := base
		c.change(&now)
		alarms := gate.Check(now)
		if len(alarms) != 1 || alarms[0].What != c.want {
			t.Errorf("%s: alarms %v, want one of %s", name, alarms, c.want)
		}
	}
	if alarms := NewGate(Gate{}, base).Check(View{}); len(alarms) != 0 {
		t.Errorf("a gate that is off: %v", alarms)
	}
}

// TestEvaluate: an untrained model equals its base; a trained one is told from it, and a summary
// counts faults, fixes, wins and losses.
func TestEvaluate(t *testing.T) {
	torchtest.Need(t)
	o := tinyOptions(t.TempDir())
	o.LearningRate = 3e-2
	tr := newTrainer(t, o)
	pairs := []Pair{{"a chef", 100}, {"a tree", 101}}
	judges := []Judge{{"spot", spotted{}, false}, {"brightness", bright{}, true}}
	evaluate := func() (all []Evaluated) {
		torchtest.Run(t, func() {
			var pictures Pictures
			var err error
			if all, pictures, err = tr.Evaluate(pairs, judges); err != nil {
				t.Fatal(err)
			}
			if pictures.Tuned.String() != "float32[2,3,32,32]" || pictures.Mask.String() != "float32[2,1,32,32]" {
				t.Errorf("pictures %v and %v", pictures.Tuned, pictures.Mask)
			}
		})
		return all
	}
	for _, e := range evaluate() {
		j := e.Judged["spot"]
		if e.PSNR != maxPSNR || e.SSIM < 0.99999 || math.Abs(j.Base-j.Tuned) > batchRounding || j.BaseFault < 0.89 {
			t.Errorf("untrained: %+v", e)
		}
	}
	steps(t, tr, 6)
	all := evaluate()
	s := Summarize(all, 0.5, 1e-6)
	a := s.Aspects["spot"]
	if s.Pictures != 2 || s.PSNR >= maxPSNR || a.Faulty != 2 || a.Fixed != 0 || a.Wins+a.Losses == 0 {
		t.Errorf("trained: %+v", s)
	}
	if _, ok := s.Aspects["held-out brightness"]; !ok {
		t.Errorf("no held-out judge in %+v", s.Aspects)
	}
}

// Scores in two units: log-probabilities, whose range is that of a probability, and ratings, whose range is
// that of the base pictures.
func TestSummarize(t *testing.T) {
	rated := func(base, tuned, baseFault, tunedFault float64) map[string]Judged {
		return map[string]Judged{"v": {base, tuned, baseFault, tunedFault, math.NaN(), math.NaN()}}
	}
	s := Summarize([]Evaluated{
		{PSNR: 30, SSIM: 0.9, Judged: rated(0, 5, 0.9, 0.1)},
		{PSNR: 20, SSIM: 0.8, Judged: rated(10, 5, 0.9, 0.8)},
		{PSNR: 40, SSIM: 1, Judged: rated(0, 0.1, 0.1, 0.1)},
	}, 0.5, 0.1)
	a := s.Aspects["v"]
	if s.PSNR != 30 || s.SSIM != 0.9 || a.Faulty != 2 || a.Fixed != 1 || a.Wins != 1 || a.Losses != 1 || a.FixedShare() != 0.5 {
		t.Errorf("%+v", s)
	}
	if a.Range != 10 || math.Abs(a.Change-0.01/3) > 1e-12 {
		t.Errorf("range %g and change %g, want 10 and a third of a hundredth", a.Range, a.Change)
	}
	likely := func(baseFault, tunedFault, base, tuned float64) Evaluated {
		return Evaluated{Judged: map[string]Judged{"v": {math.Log1p(-base), math.Log1p(-tuned), baseFault, tunedFault, base, tuned}}}
	}
	s = Summarize([]Evaluated{
		likely(0.9, 0.1, 0.8, 0.2), // repaired
		likely(0.9, 0.1, 0.8, 0.7), // moved out of the region
		likely(0.9, 0.9, 0.8, 0.4), // still seen in the region
		likely(0.9, 0.9, 0.3, 0.3), // grey, but no fault
		likely(0.4, 0.1, 0.8, 0.1), // a fault outside the region
	}, 0.5, 0.2)
	a = s.Aspects["v"]
	if a.Faulty != 3 || a.Fixed != 1 || a.Range != 1 || a.Wins != 3 || a.Losses != 0 || math.Abs(a.Change-(0.6+0.1+0.4+0+0.7)/5) > 1e-9 {
		t.Errorf("%+v", a)
	}
}
