package train

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// low is a judge that finds a fault in the lower half of whatever it sees.
type low struct{ spotted }

func (low) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	heat := images.NewZeros(images.Size(0), 1, tinySide, tinySide)
	heat.Narrow(2, tinySide*3/4, tinySide/4).Fill(0.9)
	return heat
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

// fixOf repairs the region at the trainer's own corner.
func fixOf(region core.Mask) Fix {
	return Fix{
		Region: func(core.Heatmap) (core.Mask, error) { return region, nil }, Aspect: "spot", Reward: spotted{}, Steps: 8, Threshold: 0.01,
		Judges: []eval.Judge{{Role: eval.Role{Aspect: "spot"}, Reward: dark{}}},
	}
}

// onCanvas calls f with an image of the trainer.
func onCanvas(t *testing.T, tr *Trainer, ofRun bool, f func(*Canvas)) {
	t.Helper()
	c, err := tr.Canvas(t.Context(), core.Drawing{Prompt: "a chef", Seed: 9, Sampling: tr.Sampling}, ofRun, torch.Tensor{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f(c)
}

// A repair changes its image in the region more than outside, until the judge is content, and leaves
// the training as it was, bit for bit. Its file draws the repaired image again, over base weights and the run's.
func TestFix(t *testing.T) {
	torchtest.Need(t)
	plain, fixed := fixTrainer(t), fixTrainer(t)
	steps(t, plain, 2)
	steps(t, fixed, 2)
	for _, ofRun := range []bool{false, true} {
		f := fixOf(corner())
		f.LoRA = filepath.Join(t.TempDir(), "lora.safetensors")
		var seen []float64
		f.Progress = func(frame FixFrame) { seen = append(seen, frame.Trained) }
		onCanvas(t, fixed, ofRun, func(c *Canvas) {
			r, err := c.Fix(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != core.Visible || r.Steps != 8 || len(seen) != 9 || seen[8] >= seen[0] {
				t.Errorf("%s after %d steps, brightness %v; want 8 steps that darken it", r.Verdict, r.Steps, seen)
			}
			if r.InsidePSNR >= r.OutsidePSNR || r.Start != map[bool]string{false: "base", true: "run"}[ofRun] {
				t.Errorf("PSNR %g dB in the region, %g outside, begins with %s", r.InsidePSNR, r.OutsidePSNR, r.Start)
			}
			again, err := c.Draw(t.Context(), []Stacked{{f.LoRA, 1}})
			if err != nil || !slices.Equal(again.Pix, r.After.Pix) {
				t.Errorf("its file draws another image, %v", err)
			}
			undone, err := c.Draw(t.Context(), nil)
			if err != nil || !slices.Equal(undone.Pix, r.Before.Pix) {
				t.Errorf("the image before is another, %v", err)
			}
			f.Threshold, f.LoRA = seen[8], "" // what 8 steps reach
			if r, err = c.Fix(t.Context(), f); err != nil || !r.FixResult.Judges[0].Gone {
				t.Errorf("%+v after %d steps, %v; want a content judge", r.FixResult.Judges, r.Steps, err)
			}
		})
	}
	steps(t, plain, 2)
	steps(t, fixed, 2)
	if !slices.Equal(weightsOf(t, plain), weightsOf(t, fixed)) {
		t.Error("training goes on otherwise after a repair")
	}
}

// A region without a fault is left alone, and says where the nearest fault is.
func TestFixOfNoFault(t *testing.T) {
	torchtest.Need(t)
	tr := fixTrainer(t)
	onCanvas(t, tr, false, func(c *Canvas) {
		f := fixOf(corner())
		f.Judges[0].Reward = low{}
		before := weightsOf(t, tr)
		r, err := c.Fix(t.Context(), f)
		if err != nil || r.Verdict != core.NoFault || r.Steps != 0 || r.After != r.Before {
			t.Errorf("%s after %d steps, %v", r.Verdict, r.Steps, err)
		}
		region, err := core.ParseRegion(r.Nearest)
		if err != nil || region[0].Points[1].Y != 1 || region[0].Points[0].Y < 0.5 {
			t.Errorf("nearest %q, %v; want the lower half", r.Nearest, err)
		}
		if !slices.Equal(weightsOf(t, tr), before) {
			t.Error("looking changed the weights")
		}
	})
}

// A cancelled repair ends with nothing written and nothing changed, whenever that happens.
func TestFixCancelled(t *testing.T) {
	torchtest.Need(t)
	tr := fixTrainer(t)
	before := weightsOf(t, tr)
	onCanvas(t, tr, true, func(c *Canvas) {
		for i := range 20 {
			f := fixOf(corner())
			f.Threshold, f.Steps, f.LoRA = 0, 1000, filepath.Join(t.TempDir(), "lora.safetensors")
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(rand.N(200*(i+1)))*time.Millisecond/4, cancel)
			r, err := c.Fix(ctx, f)
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("cancelled: %v after %d steps", err, r.Steps)
			}
			if _, err := os.Stat(f.LoRA); err == nil {
				t.Error("a cancelled repair wrote its file")
			}
		}
		drawn, err := c.Draw(t.Context(), nil)
		if err != nil || drawn == nil {
			t.Error(err)
		}
	})
	if !slices.Equal(weightsOf(t, tr), before) {
		t.Error("a cancelled repair changed the weights")
	}
}

func TestFixRefuses(t *testing.T) {
	torchtest.Need(t)
	onCanvas(t, fixTrainer(t), false, func(c *Canvas) {
		for want, change := range map[string]func(*Fix){
			"no judge": func(f *Fix) { f.Judges = nil },
			"want the image's": func(f *Fix) {
				f.Region = func(core.Heatmap) (core.Mask, error) {
					return core.Mask{Width: 3, Height: 3, Faulty: make([]bool, 9)}, nil
				}
			},
			"no such file": func(f *Fix) { f.Stack = []Stacked{{"nowhere.safetensors", 1}} },
		} {
			f := fixOf(corner())
			change(&f)
			if _, err := c.Fix(t.Context(), f); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
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
