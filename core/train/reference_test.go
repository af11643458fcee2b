package train

import (
	"math"
	"testing"

	"focusnfix/core"
	"focusnfix/core/eval"
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
