package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/flow/flowtest"
	"focusnfix/model/reward"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/presets"
)

func openTiny(t testing.TB, c core.Config) *Session {
	t.Helper()
	torchtest.Need(t)
	s, err := Open(c, Settings{References: t.TempDir(), Kinds: tinyKinds})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A session has what a training and an evaluation need, and gives all of its memory back.
func TestOpen(t *testing.T) {
	torchtest.Need(t)
	before := torch.Live()
	c := tinyConfig(t)
	s, err := Open(c, Settings{References: t.TempDir(), Kinds: tinyKinds})
	if err != nil {
		t.Fatal(err)
	}
	o := s.Options
	if o.Sampling.Size.Width != tinySide || o.Sampling.NumSteps != 3 || o.Warmup != warmupSteps || len(o.Model) != 32 {
		t.Errorf("options %+v", o)
	}
	if !slices.Equal(o.Prompts, []string{"a chef", "a cat", "a tree", "a dog"}) || !slices.Equal(s.HeldOut, []string{"a fox", "a house"}) {
		t.Errorf("prompts %q, held out %q", o.Prompts, s.HeldOut)
	}
	if len(s.Judges) != 2 || s.Judges[0].HeldOut || !s.Judges[1].HeldOut || s.Judges[1].Aspect != "spot" {
		t.Errorf("judges %+v", s.Judges)
	}
	if !o.Augment || o.Gradient != train.Chained || o.Aspects[0].Guard {
		t.Errorf("options %+v, want augmented images, a chained gradient and no guard", o)
	}
	trainer, err := s.Trainer()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trainer.Step(); err != nil {
		t.Error(err)
	}
	trainer.Close()
	s.Close()
	if now := torch.Live(); now != before {
		t.Errorf("%d tensors are alive after Close, %d before Open", now, before)
	}
}

// What the model predicts and how guidance is rescaled are settings of a run.
func TestPredictionIsASetting(t *testing.T) {
	c := tinyConfig(t)
	c.Model.Prediction, c.Model.ZeroSNR, c.Sample.GuidanceRescale = "v_prediction", "on", 0.7
	s := openTiny(t, c)
	scheduler := s.Pipeline.About().Scheduler.(sd.SchedulerConfig)
	if scheduler.PredictionType != "v_prediction" || !scheduler.RescaleBetasToZero || scheduler.TimestepSpacing != "trailing" {
		t.Errorf("scheduler %+v, want v-prediction, rescaled betas and trailing timesteps", scheduler)
	}
	if s.Options.Sampling.GuidanceRescale != 0.7 {
		t.Errorf("guidance is rescaled by %g, want 0.7", s.Options.Sampling.GuidanceRescale)
	}
}

// Images for evaluation come from held-out prompts, each with a seed of its own that no training has.
func TestHeldOutPairs(t *testing.T) {
	s := &Session{HeldOut: []string{"a", "b"}, Options: train.Options{Seed: 3}}
	if got := s.HeldOutPairs(0); len(got) != 2 {
		t.Errorf("%d pairs by default, want every prompt once", len(got))
	}
	seen := map[core.Pair]bool{}
	for _, p := range s.HeldOutPairs(5) {
		if seen[p] || p.Seed < heldOutSeeds {
			t.Errorf("pair %+v comes twice or is of a seed that is trained on", p)
		}
		seen[p] = true
	}
}

// What is wrong is said in one line that names the key.
func TestOpenRefuses(t *testing.T) {
	torchtest.Need(t)
	for name, c := range map[string]struct {
		change func(*core.Config)
		want   string
	}{
		"model":       {func(c *core.Config) { c.Model.Path = "/nowhere" }, "model.path: /nowhere is not there; `focusnfix pull"},
		"builtin":     {func(c *core.Config) { c.Model.Path = "builtin:sd" }, `model.path: "builtin:sd", want`},
		"device":      {func(c *core.Config) { c.Model.Device = "cuda:99" }, `device "cuda:99"`},
		"judge":       {func(c *core.Config) { c.Reward[0].Model = "zebra" }, `reward.spot.model: reward "zebra": unknown, want builtin:nsfw-mid`},
		"held out":    {func(c *core.Config) { c.Reward[0].HeldOut = "spot:zebra" }, `reward.spot.held_out: reward "spot:zebra": no spot`},
		"scenes":      {func(c *core.Config) { c.Reward[0].Model = "scenes" }, `reward.spot.model: reward "scenes:spot": `},
		"words":       {func(c *core.Config) { c.Reward[0].Aspect, c.Reward[0].Model = "violence", "scenes?words=1" }, "words=1: want 0 to 100, for misalignment"},
		"no words":    {func(c *core.Config) { c.Reward[0].Aspect, c.Reward[0].Model = "misalignment", "scenes?words=x" }, "words=x: want 0 to 100, for misalignment"},
		"cam":         {func(c *core.Config) { c.Reward[0].Model, c.Reward[0].Heatmap = "torchscript:/nowhere", "cam" }, `reward.spot.heatmap: "cam", but torchscript says itself`},
		"prompts":     {func(c *core.Config) { c.Train.Prompts = "zebra" }, `train.prompts: no file "zebra"; want a text file or one of`},
		"no held out": {func(c *core.Config) { writeText(t, c.Train.Prompts, "a\n[held out]\n") }, "no prompt after"},
	} {
		config := tinyConfig(t)
		c.change(&config)
		s, err := Open(config, Settings{Kinds: tinyKinds})
		if err == nil {
			s.Close()
			t.Errorf("%s: taken", name)
		} else if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", name, err, c.want)
		}
	}
}

// What can be told without loading is.
func TestCheck(t *testing.T) {
	c := tinyConfig(t)
	if err := Check(c); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*core.Config){
		`no file "x"`:  func(c *core.Config) { c.Train.Prompts = "x" },
		"is not there": func(c *core.Config) { c.Model.Path = "/nowhere" },
	} {
		wrong := c
		change(&wrong)
		if err := Check(wrong); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Saliency finds where a score comes from, of any judge.
func TestSaliency(t *testing.T) {
	c := tinyConfig(t)
	c.Reward[0].Heatmap = "saliency"
	s := openTiny(t, c)
	torchtest.Run(t, func() {
		images := torch.Zeros(torch.Float32, torchtest.Device(), 2, 3, tinySide, tinySide).AddScalar(0.5)
		heat := s.Judges[0].Reward.Heatmap(images, []string{"a", "b"})
		inside, corner := heat.Narrow(2, 10, 4).Narrow(3, 10, 4).Min().Item(), heat.Narrow(2, 24, 8).Narrow(3, 24, 8).Max().Item()
		if got := torch.ShapeString(heat.Shape()); got != "[2,1,32,32]" || inside < 0.5 || corner > 0.1 {
			t.Errorf("heatmap %s: at least %g in the square, at most %g far from it", got, inside, corner)
		}
	})
}

// The model's attention to words shows where the fault is, as strongly as the judge finds one.
func TestAttention(t *testing.T) {
	c := tinyConfig(t)
	c.Reward[0].Heatmap = "attention:chef, cat"
	s := openTiny(t, c)
	torchtest.Run(t, func() {
		images := torch.Zeros(torch.Float32, torchtest.Device(), 2, 3, tinySide, tinySide).AddScalar(0.5)
		images.Narrow(2, 0, 16).Fill(0.9)
		heat := s.Judges[0].Heatmap(images, []string{"a chef", "a tree"})
		with, without := heat.Narrow(0, 0, 1).Max().Item(), heat.Narrow(0, 1, 1).Max().Item()
		if got := torch.ShapeString(heat.Shape()); got != "[2,1,32,32]" || !(with > 0.7 && with <= 0.9001) || without != 0 {
			t.Errorf("heatmap %s: at most %g with a word and %g without, want the judge's 0.9 and 0", got, with, without)
		}
	})
	trainer, err := s.Trainer()
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	if _, err := trainer.Step(); err != nil {
		t.Error(err)
	}
}

// Transformers have no attention to words that could be watched so.
func TestAttentionOfATransformer(t *testing.T) {
	torchtest.Need(t)
	for name, r := range flowtest.Read(t, "../../model").Models {
		c := tinyConfig(t)
		c.Model.Path, c.Sample.Scheduler, c.Reward[0].Heatmap = r.WriteFolder(t), "euler", "attention"
		if _, err := Open(c, Settings{References: t.TempDir(), Kinds: tinyKinds}); err == nil || !strings.Contains(err.Error(), "reward.spot.heatmap: attention is watched in UNets") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every preset's names are known; what it lacks is weights.
func TestPresetsOpen(t *testing.T) {
	torchtest.Need(t)
	t.Chdir(t.TempDir())
	for _, name := range presets.Names() {
		text, err := presets.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := core.Load([]core.Layer{{Name: name, Text: text}}, []string{"model.device=cpu"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := readPrompts(c.Train.Prompts); err != nil && filepath.Ext(c.Train.Prompts) != ".txt" { // a list that the user brings
			t.Errorf("%s: %v", name, err)
		}
		for _, r := range c.Reward {
			for _, spec := range []string{r.Model, r.HeldOut} {
				kind, _, _ := strings.Cut(spec, ":")
				kind, _, _ = strings.Cut(kind, "?")
				known := kind == scenesJudge || kind == scenesHeldOut || spec == ""
				if _, err := reward.Open(spec, torch.CPU); !known && err != nil && strings.Contains(err.Error(), "unknown") {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "unet.safetensors")
	weights := make([]byte, 3<<20)
	of := func() string {
		if err := os.WriteFile(path, weights, 0o644); err != nil {
			t.Fatal(err)
		}
		sum, err := fingerprint(dir)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	first := of()
	if of() != first {
		t.Error("the same files have two fingerprints")
	}
	weights[5] = 1
	second := of()
	weights[fingerprintHead+3] = 1
	third := of()
	weights = append(weights, 0)
	fourth := of()
	if first == second || second == third || third == fourth {
		t.Error("files with other bytes have one fingerprint")
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if got, err := fingerprint(link); err != nil || got != fourth {
		t.Errorf("through a link: %s, %v; want %s", got, err, fourth)
	}
	if got, err := fingerprint(path); err != nil || got == "" {
		t.Errorf("of a single file: %q, %v", got, err)
	}
}

// The checkpoint of a run folder that an older version made still loads, with its configuration.
func TestOldCheckpointLoads(t *testing.T) {
	torchtest.Need(t)
	f := run.Folder{Dir: "../run/testdata/old/2026-11-27-violence-26vv"}
	c, err := f.Config()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(c, Settings{References: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	trainer, err := s.Trainer()
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	if err := trainer.Load(filepath.Join(f.Dir, "checkpoints", "step-000004")); err != nil {
		t.Fatal(err)
	}
	if trainer.Done() != 4 {
		t.Errorf("%d steps are done, want 4", trainer.Done())
	}
	drawn := core.Pair{Prompt: "a detective in the park", Seed: 0}
	if name := filepath.Base(trainer.References.Path(drawn)); name != "8f5c780f5ab91dd4" {
		t.Errorf("the reference of %+v is looked for in %s, want the older run's 8f5c780f5ab91dd4", drawn, name)
	}
}

// TestReadPrompts: the held-out prompts of a list, every line of a file once, and no file.
func TestReadPrompts(t *testing.T) {
	_, heldOut, err := presets.Prompts("scenes-violence")
	if got, failed := ReadPrompts("scenes-violence"); err != nil || failed != nil || !slices.Equal(got, heldOut) {
		t.Errorf("of a list: %d prompts (%v), want its %d held-out ones (%v)", len(got), failed, len(heldOut), err)
	}
	path := filepath.Join(t.TempDir(), "mine.txt")
	if err := os.WriteFile(path, []byte("# mine\na fox\na hen\n\na fox\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadPrompts(path); err != nil || !slices.Equal(got, []string{"a fox", "a hen"}) {
		t.Errorf("of a file: %q (%v)", got, err)
	}
	if _, err := ReadPrompts("zebra"); err == nil || !strings.HasPrefix(err.Error(), `no file "zebra"; want a text file or one of`) {
		t.Errorf("no file: %v", err)
	}
}
