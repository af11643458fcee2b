package engine

import (
	"bytes"
	"context"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/backbone"
	"focusnfix/model/families"
	"focusnfix/model/flow/flowtest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
	"focusnfix/presets"
)

// transformerConfig trains a tiny transformer on a real reward, NSFWJS.
func transformerConfig(t *testing.T, name string) core.Config {
	t.Helper()
	c := tinyConfig(t)
	c.Model.Path = flowtest.Read(t, "../../model").Models[name].WriteFolder(t)
	c.Sample.Scheduler, c.Sample.Size = "euler", core.Size{Width: tinySide, Height: tinySide}
	c.LoRA.Targets = []string{"attention", "feedforward"}
	c.Reward = []core.Reward{{
		Aspect: "over-sexualization", Model: "builtin:nsfw-mid", HeldOut: "builtin:nsfw-small", Weight: 1, Mask: true,
		Heatmap: "cam", Threshold: 0.001, Dilate: 2,
	}}
	c.Train.Steps, c.Train.CheckpointEvery, c.Train.ImagesEvery, c.Train.LearningRate = 3, 2, 9, 1e-3
	writeText(t, c.Train.Prompts, "a chef\na cat\n[held out]\na fox\n")
	return c
}

// The transformers train, stop, go on bit for bit, and export files that draw what was trained, in every dialect.
func TestTransformersTrain(t *testing.T) {
	for name, set := range map[string]func(c *core.Config){
		"sd3":    func(*core.Config) {},
		"sd35":   func(c *core.Config) { c.Train.BackpropSteps, c.Train.NoisedCopies = 1, 2 },
		"zimage": func(c *core.Config) { c.Sample.GuidanceScale, c.Train.Gradient = 1, "sparse" },
	} {
		t.Run(name, func(t *testing.T) {
			c := transformerConfig(t, name)
			set(&c)
			whole, stopped := newTinyRun(t, c), newTinyRun(t, c)
			if err := runTiny(t, whole); err != nil {
				t.Fatal(err)
			}
			stopAtFirstCheckpoint(t, stopped)
			if err := runTiny(t, stopped); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(lora(t, whole, c.Train.Steps), lora(t, stopped, c.Train.Steps)) {
				t.Error("the run that was stopped ended in other bytes")
			}
			if kept, _ := filepath.Glob(filepath.Join(whole.Dir, "reference", "prompts-*", "*.safetensors")); len(kept) != 4 {
				t.Errorf("%d encoded prompts are kept, want all three and the empty one", len(kept))
			}
			checkExports(t, c, whole)
		})
	}
}

// A region of an image is repaired on a transformer as on a UNet: the image changes there more than elsewhere, and its file
// draws it again byte for byte. Prompts that the run does not know are encoded beside the loaded transformer.
func TestTransformersFix(t *testing.T) {
	for name, set := range map[string]func(c *core.Config){
		"sd35":   func(c *core.Config) { c.Sample.GuidanceScale = 3 },
		"zimage": func(c *core.Config) { c.Sample.GuidanceScale, c.Train.Gradient = 1, "sparse" },
	} {
		t.Run(name, func(t *testing.T) {
			c := transformerConfig(t, name)
			c.Reward = tinyConfig(t).Reward
			c.Train.LearningRate = 0.01
			set(&c)
			f := newTinyRun(t, c)
			client, ended := working(t, f, Options{Idle: true, IdleTime: time.Second})
			fix, err := client.Fix(t.Context(), run.FixRequest{
				Drawing: core.Drawing{Prompt: "two cats in the park", Seed: 4}, Aspect: "spot", Region: "box:0.25,0.25,0.5,0.5", Steps: 6,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s after %d steps: PSNR %.1f dB in the region, %.1f outside", fix.Verdict, fix.Steps, fix.InsidePSNR, fix.OutsidePSNR)
			if fix.Steps != 6 || !(fix.InsidePSNR < 80) || fix.InsidePSNR >= fix.OutsidePSNR {
				t.Errorf("%+v: want 6 steps that change the region more than the rest", fix)
			}
			checkRedraw(t, f, client, fix)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// stopAtFirstCheckpoint works on a run until it has learned something.
func stopAtFirstCheckpoint(t *testing.T, f run.Folder) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil && newestStep(t, f) < 2 {
			time.Sleep(5 * time.Millisecond)
		}
		stop()
	}()
	err := Run(ctx, Options{Folder: f, Version: "test", Kinds: tinyKinds})
	stop()
	<-done
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
}

// checkExports draws with the exported files.
func checkExports(t *testing.T, c core.Config, f run.Folder) {
	t.Helper()
	all, err := f.Checkpoints()
	if err != nil {
		t.Fatal(err)
	}
	last := all[len(all)-1].Dir
	base, want := drawWith(t, c, ""), drawWith(t, c, train.LoRAFile(last))
	if farthest(base, want) < 1e-4 {
		t.Error("training changed nothing")
	}
	for _, dialect := range []weights.Dialect{weights.PEFT, weights.Kohya, weights.ComfyUI} {
		out := filepath.Join(t.TempDir(), string(dialect)+".safetensors")
		if err := Export(last, out, dialect, Origin{Program: "test", Config: c}); err != nil {
			t.Error(err)
			continue
		}
		if d := farthest(want, drawWith(t, c, out)); d > 1e-5 { // sums in another order
			t.Errorf("%s draws another image: off by %g", dialect, d)
		}
	}
}

// drawWith are the numbers of an image that the model draws with a LoRA file.
func drawWith(t *testing.T, c core.Config, lora string) (image []float64) {
	t.Helper()
	m, err := families.Open(c.Model.Path, backbone.LoadOptions{Device: torchtest.Device(), DType: torch.Float32})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if lora != "" {
		if _, err := m.AttachLoRA(lora, 1); err != nil {
			t.Fatal(err)
		}
	}
	torchtest.Run(t, func() {
		torch.NoGrad(func() {
			latents, err := backbone.Sample(context.Background(), m, backbone.Request{
				Wording: backbone.Wording{Prompts: []string{"a chef"}, GuidanceScale: 2, Width: tinySide, Height: tinySide},
				Seeds:   []uint64{3}, NumSteps: 3,
			})
			if err != nil {
				t.Fatal(err)
			}
			image = m.Decode(latents).Doubles()
		})
	})
	return image
}

func farthest(a, b []float64) (most float64) {
	for i := range a {
		most = max(most, math.Abs(a[i]-b[i]))
	}
	return most
}

// A sampler that the transformers do not have is refused by name.
func TestTransformersRefuse(t *testing.T) {
	torchtest.Need(t)
	c := transformerConfig(t, "sd3")
	c.Sample.Scheduler = "ddim"
	if _, err := Open(c, Settings{}); err == nil || !strings.Contains(err.Error(), "is drawn with the scheduler euler, not with ddim") {
		t.Errorf("got %v", err)
	}
	c = transformerConfig(t, "zimage")
	c.LoRA.Targets = []string{"convolution"}
	s, err := Open(c, Settings{Kinds: slices.Clone(tinyKinds)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Trainer(); err == nil || !strings.Contains(err.Error(), `"convolution" is unknown to this model, want attention, feedforward`) {
		t.Errorf("got %v", err)
	}
}

// The presets of the transformers train in miniature: their own sampler, gradient and targets, on tiny weights.
func TestTransformerPresetsInMiniature(t *testing.T) {
	for preset, model := range map[string]string{"sd35-violence": "sd35", "zimage-violence": "zimage", "flowbp-draft-lv": "sd35"} {
		text, err := presets.Read(preset)
		if err != nil {
			t.Fatal(err)
		}
		c, err := core.Load([]core.Layer{{Name: preset, Text: text}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		tiny := transformerConfig(t, model)
		c.Model, c.Sample.Size, c.Sample.NumSteps = tiny.Model, tiny.Sample.Size, 5
		c.Reward = tinyConfig(t).Reward
		c.Train.Steps, c.Train.Batch, c.Train.Accumulate, c.Train.Prompts = 1, 2, 1, tiny.Train.Prompts
		f := newTinyRun(t, c)
		if err := runTiny(t, f); err != nil {
			t.Errorf("%s: %v", preset, err)
		}
		if events := eventsOf(t, f); countKinds(events)["step"] != 1 {
			t.Errorf("%s: events %v", preset, countKinds(events))
		}
	}
}
