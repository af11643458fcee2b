package engine

import (
	"context"
	"errors"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
	"focusnfix/model/reward"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// lamp is a judge that finds a fault where the square is lighter than limit, and says how probable that is.
type lamp struct{ spot }

const lampLimit = 0.25

func (lamp) FaultProbability(score float64) float64 { return 1 / (1 + math.Exp(400*(score+lampLimit))) }

func (l lamp) Heatmap(images torch.Tensor, prompts []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		heat := l.Score(images, prompts).AddScalar(lampLimit).MulScalar(-400).Sigmoid().Reshape(-1, 1, 1, 1)
		return l.spot.Heatmap(images, prompts).DivScalar(0.9).Mul(heat)
	})
}

var lampKinds = []reward.Kind{{Name: "lamp", Use: "lamp:x", Open: func(string, url.Values, torch.Device) (reward.Reward, error) {
	return lamp{spot{true, 1}}, nil
}}}

// lampRun is a run with a checkpoint before training, of step 0, and one after it, of step 12.
func lampRun(t *testing.T, runs string, regionWeight float64, prompts string) run.Folder {
	t.Helper()
	c := tinyConfig(t)
	c.Train.Prompts, c.Region.Weight = prompts, regionWeight
	c.Reward[0].Model, c.Reward[0].HeldOut, c.Train.LearningRate, c.Train.Augment = "lamp:trained", "lamp:held-out", 5e-2, false
	c.Train.Schedule, c.Train.BackpropSteps = "constant", 3
	s, err := Open(c, Settings{Kinds: lampKinds, References: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := run.Create(runs, run.Info{Preset: "lamp", Model: "tiny", ModelHash: s.Options.Model}, c)
	if err != nil {
		t.Fatal(err)
	}
	trainer, err := s.Trainer()
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	for _, steps := range []int{0, 12} {
		for range steps {
			if _, err := trainer.Step(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.WriteCheckpoint(trainer.Done(), func(dir string) error { return trainer.Save(dir, nil) }); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func compareLamps(t *testing.T, c Compare) *eval.Comparison {
	t.Helper()
	for i := range c.Runs {
		all, err := c.Runs[i].Run.Checkpoints()
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			if one.Step == c.Runs[i].Checkpoint.Step {
				c.Runs[i].Checkpoint = one
			}
		}
	}
	c.Pictures, c.Shown, c.Kinds = 5, 2, lampKinds
	before := torch.Live()
	r, err := c.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if now := torch.Live(); now != before {
		t.Errorf("%d tensors are alive after a comparison, %d before", now, before)
	}
	return r
}

// TestCompare: untrained weights change nothing and repair nothing; trained ones repair, and the run without
// the region term is looked at where it repairs as much.
func TestCompare(t *testing.T) {
	torchtest.Need(t)
	runs, prompts := t.TempDir(), tinyConfig(t).Train.Prompts
	ours, draft := lampRun(t, runs, 0.3, prompts), lampRun(t, runs, 0, prompts)
	found, err := FindDraft(runs, "lamp")
	if err != nil || found.Name() != draft.Name() {
		t.Fatalf("found %v (%v), want %s", found, err, draft.Name())
	}
	if _, err := FindDraft(runs, "violence"); err == nil || !strings.Contains(err.Error(), "region.weight 0") {
		t.Errorf("of another preset: %v", err)
	}
	for _, step := range []int{0, 12} {
		r := compareLamps(t, Compare{Runs: []Tuned{{ours, run.Checkpoint{Step: step}}}, Against: &draft})
		if r.Faulty < 5 || r.Pictures < r.Faulty || r.Missed != 0 || len(r.Tunings) != 2 || len(r.Rows) != 2 || len(r.Rows[1].Tuned) != 2 {
			t.Fatalf("%+v", r)
		}
		a, b := r.Tunings[0], r.Tunings[1]
		t.Logf("step %d: ours %d of %d at %.1f dB, draft's step %d %d at %.1f dB", step, a.Fixed, r.Faulty, a.PSNR, b.Step, b.Fixed, b.PSNR)
		if a.Step != step || b.Step != step || b.RegionWeight != 0 || len(a.Judges) != 2 || !a.Judges[1].HeldOut || !a.Judges[0].Trained {
			t.Errorf("step %d: ours is %d, draft's %d: %+v", step, a.Step, b.Step, a.Judges)
		}
		if v := a.Judges[1]; v.Wins+v.Ties+v.Losses != r.Faulty || v.Faulty != r.Faulty {
			t.Errorf("step %d: %+v", step, v)
		}
		if step == 0 && (a.Fixed != 0 || a.PSNR < 90 || math.Abs(a.Judges[1].Change) > 1e-4 || a.Diversity != r.Diversity) {
			t.Errorf("untrained: %+v", a)
		}
		if step == 12 && (a.Fixed == 0 || a.PSNR > 60 || a.Judges[1].Change <= 0 || a.PSNR <= b.PSNR) {
			t.Errorf("trained: %+v, draft %+v", a, b)
		}
	}
	r := compareLamps(t, Compare{Runs: []Tuned{{ours, run.Checkpoint{Step: 12}}}, Every: true, Prompts: []string{"a chef", "a cat", "a fox"}})
	if v := r.Tunings[0].Judges[1]; !r.Every || r.Pictures != 3 || len(r.Tunings[0].Pictures) != 3 || v.Wins+v.Ties+v.Losses != 3 {
		t.Errorf("every prompt once: %+v, judged %+v", r, v)
	}
}

// TestCompareSeveral: runs side by side and together; at half its strength a LoRA repairs no more and keeps more.
func TestCompareSeveral(t *testing.T) {
	torchtest.Need(t)
	runs, prompts := t.TempDir(), tinyConfig(t).Train.Prompts
	f := lampRun(t, runs, 0.3, prompts)
	at := run.Checkpoint{Step: 12}
	full := compareLamps(t, Compare{Runs: []Tuned{{f, at}, {f, run.Checkpoint{}}}})
	if s := full.Together; s == nil || s.Runs != 2 || s.Faulty != 2*full.Faulty || s.Fixed != full.Tunings[0].Fixed || s.Least != 0 || len(full.Rows[0].Tuned) != 2 {
		t.Errorf("together %+v of %+v", full.Together, full.Tunings)
	}
	half := compareLamps(t, Compare{Runs: []Tuned{{f, at}}, Strength: 0.5})
	if a, b := half.Tunings[0], full.Tunings[0]; a.Strength != 0.5 || a.PSNR <= b.PSNR || a.Fixed > b.Fixed || half.Together != nil {
		t.Errorf("at half its strength %d at %.1f dB, at full %d at %.1f dB", a.Fixed, a.PSNR, b.Fixed, b.PSNR)
	}
}

// References go elsewhere where the run's folder cannot be written.
func TestCompareReferences(t *testing.T) {
	f := run.Folder{Dir: t.TempDir()}
	own, drop, err := Compare{Runs: []Tuned{{Run: f}}}.references()
	drop()
	if entries, failed := os.ReadDir(own); err != nil || failed != nil || own != filepath.Join(f.Dir, "reference") || len(entries) != 0 {
		t.Errorf("%s with %v in it (%v), want the run's own", own, entries, errors.Join(err, failed))
	}
	file := filepath.Join(f.Dir, "file") // no folder can be made below it, whoever asks
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	other, drop, err := Compare{Runs: []Tuned{{Run: run.Folder{Dir: file}}}}.references()
	if err != nil || strings.HasPrefix(other, f.Dir) {
		t.Errorf("%s (%v), want a passing folder", other, err)
	}
	drop()
	if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", other, err)
	}
}

func TestCompareRefuses(t *testing.T) {
	torchtest.Need(t)
	runs, prompts := t.TempDir(), tinyConfig(t).Train.Prompts
	f := lampRun(t, runs, 0.3, prompts)
	other, err := run.Create(runs, run.Info{Preset: "x", ModelHash: "another"}, core.Default())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Compare{Runs: []Tuned{{Run: f}}, Against: &other, Kinds: lampKinds}).Do(t.Context()); err == nil || !strings.Contains(err.Error(), "draw with other models or samplers") {
		t.Errorf("another model: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Compare{Runs: []Tuned{{Run: f}}, Pictures: 5, Kinds: lampKinds}).Do(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}
