package train

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestEvaluate: what an untrained model draws equals its base; a trained one is told from it.
func TestEvaluate(t *testing.T) {
	torchtest.Need(t)
	o := tinyOptions(t.TempDir())
	o.LearningRate = 3e-2
	tr := newTrainer(t, o)
	spot := eval.Role{Aspect: "spot"}
	e := &eval.Evaluator{Source: tr.References, Batch: 2, Judges: []eval.Judge{{Role: spot, Reward: spotted{}}, {Role: eval.Role{Aspect: "brightness", HeldOut: true}, Reward: bright{}}}}
	evaluate := func() []eval.Image {
		all, err := e.Evaluate([]core.Pair{{Prompt: "a chef", Seed: 100}, {Prompt: "a tree", Seed: 101}, {Prompt: "a tree", Seed: 102}}, func(images []eval.Image, b eval.Batch) error {
			if b.Tuned.Size(0) != int64(len(images)) || b.Mask.Size(3) != tinySide {
				t.Errorf("batch of %v and %v", b.Tuned, b.Mask)
			}
			return nil
		})
		if err != nil || len(all) != 3 {
			t.Fatal(len(all), err)
		}
		return all
	}
	for _, m := range evaluate() {
		v := m.Verdicts[spot]
		if m.PSNR != eval.MaxPSNR || m.SSIM < 0.99999 || math.Abs(v.Base-v.Tuned) > batchRounding || v.BaseFault < 0.89 || m.Coverage <= 0.05 {
			t.Errorf("untrained: %+v", m)
		}
	}
	steps(t, tr, 6)
	s := eval.Summarize(evaluate(), 0.5, 1e-6)
	a := s.Judges[spot]
	if s.Images != 3 || s.PSNR >= eval.MaxPSNR || a.Faulty != 3 || a.Fixed != 0 || a.Wins+a.Losses == 0 {
		t.Errorf("trained: %+v", s)
	}
	if len(s.Judges) != 2 {
		t.Errorf("judges %v", s.Judges)
	}
}

// A mask that a person paints is what training takes, bit for bit, from then on and in a training that is resumed.
func TestPaintedMask(t *testing.T) {
	torchtest.Need(t)
	dir, saved := t.TempDir(), t.TempDir()
	tr := newTrainer(t, tinyOptions(dir))
	steps(t, tr, 1)
	painted := corner()
	p := tr.PoolAt(0)
	maskOf := func(tr *Trainer) (values []float32) {
		torchtest.Run(t, func() {
			if err := tr.References.Prepare([]core.Pair{p}); err != nil {
				t.Fatal(err)
			}
			_, mask, _, err := tr.References.images([]core.Pair{p})
			if err != nil {
				t.Fatal(err)
			}
			values = mask.ToDevice(torch.CPU, torch.Float32).Floats()
		})
		return values
	}
	before := maskOf(tr)
	if err := writePNG(filepath.Join(tr.References.Path(p), "mask.png"), painted.Gray()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(maskOf(tr), before) {
		t.Error("a mask changes while a step may work with it")
	}
	tr.References.Forget()
	after := maskOf(tr)
	for i, faulty := range painted.Faulty {
		if (after[i] == 1) != faulty {
			t.Fatalf("pixel %d is %g, painted %v", i, after[i], faulty)
		}
	}
	tr.SetMaskRule(tr.Aspects[0].Name, 0.99, 0)
	if !slices.Equal(maskOf(tr), after) {
		t.Error("another rule changes what a person painted")
	}
	steps(t, tr, 1)
	if err := tr.Save(saved, nil); err != nil {
		t.Fatal(err)
	}
	again := newTrainer(t, tinyOptions(dir))
	if err := again.Load(saved); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(maskOf(again), after) {
		t.Error("after a resume the mask is another")
	}
}
