package train

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// dark is a judge that finds a fault where the image is bright.
type dark struct{ spotted }

func (dark) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	return images.MeanKeep(1)
}

// corner is the region of a repair: a square in the middle.
func corner() core.Mask {
	m := core.Mask{Width: tinySide, Height: tinySide, Faulty: make([]bool, tinySide*tinySide)}
	for y := 8; y < 16; y++ {
		for x := 8; x < 16; x++ {
			m.Faulty[y*tinySide+x] = true
		}
	}
	return m
}

// fixTrainer averages its weights and augments images, both of which a repair could disturb.
func fixTrainer(t *testing.T) *Trainer {
	t.Helper()
	o := tinyOptions(t.TempDir())
	o.Augment, o.Average = true, 0.9
	return newTrainer(t, o)
}

// A repair changes its image in the region more than outside, until the judge is content, and leaves
// the training as it was, bit for bit.
func TestFix(t *testing.T) {
	torchtest.Need(t)
	plain, fixed := fixTrainer(t), fixTrainer(t)
	steps(t, plain, 2)
	steps(t, fixed, 2)
	f := Fix{
		Drawing: core.Drawing{Prompt: "a chef", Seed: 9, Sampling: fixed.Sampling}, Region: corner(), Aspect: "spot",
		Judges: []eval.Judge{{Role: eval.Role{Aspect: "spot"}, Reward: dark{}}}, Steps: 8,
	}
	var seen []float64
	f.Progress = func(_ int, image torch.Tensor) {
		seen = append(seen, image.Narrow(2, 8, 8).Narrow(3, 8, 8).Mean().Item())
	}
	torchtest.Run(t, func() {
		r, err := fixed.Fix(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		if r.Clean || r.Steps != 8 || len(seen) != 9 || seen[8] >= seen[0] {
			t.Errorf("clean %v after %d steps, brightness %v; want 8 steps that darken it", r.Clean, r.Steps, seen)
		}
		if r.Inside >= r.Outside || r.Image.Equal(r.Base) {
			t.Errorf("PSNR %g dB in the region, %g outside", r.Inside, r.Outside)
		}
		f.Threshold = r.Image.MeanKeep(1).Narrow(2, 8, 8).Narrow(3, 8, 8).Max().Item() // what 8 steps reach
		if r, err = fixed.Fix(context.Background(), f); err != nil || !r.Clean || r.Steps > 8 {
			t.Errorf("clean %v after %d steps, %v; want a content judge", r.Clean, r.Steps, err)
		}
	})
	steps(t, plain, 2)
	steps(t, fixed, 2)
	if !slices.Equal(weightsOf(t, plain), weightsOf(t, fixed)) {
		t.Error("training goes on otherwise after a repair")
	}
}

func TestFixRefuses(t *testing.T) {
	torchtest.Need(t)
	tr := fixTrainer(t)
	f := Fix{Drawing: core.Drawing{Prompt: "a chef", Seed: 9, Sampling: tr.Sampling}, Region: corner(), Aspect: "zebra", Steps: 3}
	torchtest.Run(t, func() {
		if _, err := tr.Fix(context.Background(), f); err == nil {
			t.Error("an unknown aspect was taken")
		}
		f.Aspect, f.Region = "spot", core.Mask{Width: 3, Height: 3, Faulty: make([]bool, 9)}
		if _, err := tr.Fix(context.Background(), f); err == nil {
			t.Error("a region of another size was taken")
		}
		f.Region = corner()
		ctx, cancel := context.WithCancel(context.Background())
		f.Progress = func(step int, _ torch.Tensor) {
			if step == 1 {
				cancel()
			}
		}
		before := weightsOf(t, tr)
		if _, err := tr.Fix(ctx, f); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if !slices.Equal(weightsOf(t, tr), before) {
			t.Error("a cancelled repair changed the weights")
		}
	})
}

// The weights of another checkpoint serve for as long as they are asked for.
func TestWithAnotherCheckpoint(t *testing.T) {
	torchtest.Need(t)
	tr, dir := newTrainer(t, tinyOptions(t.TempDir())), t.TempDir()
	steps(t, tr, 1)
	first := weightsOf(t, tr)
	if err := tr.Save(dir, nil); err != nil {
		t.Fatal(err)
	}
	steps(t, tr, 1)
	second := weightsOf(t, tr)
	torchtest.Run(t, func() {
		err := tr.With(dir, func() error {
			if !slices.Equal(weightsOf(t, tr), first) {
				t.Error("not the weights of the checkpoint")
			}
			return nil
		})
		if err != nil || !slices.Equal(weightsOf(t, tr), second) {
			t.Errorf("the weights from before are not back, %v", err)
		}
	})
}

// Watching judges are told of each step's images, and phases take time that adds up.
func TestWatch(t *testing.T) {
	torchtest.Need(t)
	o := tinyOptions(t.TempDir())
	o.Watch = []eval.Judge{{Role: eval.Role{Aspect: "spot"}, Reward: spotted{}}, {Role: eval.Role{Aspect: "spot", HeldOut: true}, Reward: bright{}}}
	r := steps(t, newTrainer(t, o), 3)
	own, heldOut := r.Verdicts[eval.Role{Aspect: "spot"}], r.Verdicts[eval.Role{Aspect: "spot", HeldOut: true}]
	if len(own) != 2 || len(heldOut) != 2 || own[0].Base == 0 || heldOut[0].Base == heldOut[0].Tuned {
		t.Errorf("judged %+v and %+v", own, heldOut)
	}
	s := r.Measured.Seconds
	phases := s.Sample + s.Decode + s.Reward + s.Backward
	if min(s.Sample, s.Decode, s.Reward, s.Backward) <= 0 || s.Step < phases || math.IsNaN(s.Step) {
		t.Errorf("seconds %+v", s)
	}
	if len(r.Measured.Inside) != 2 {
		t.Errorf("PSNR inside %v, want one a picture", r.Measured.Inside)
	}
}
