package workshop

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/scenes"

	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// tinySizes are networks that learn in a second: enough to see losses fall and files fit together.
func tinySizes() *sizes {
	s := shippedSizes
	s.vae = vaeConfig(4, 8, 8, 8, 16)
	s.unet = unetConfig(4, 32, 16, 24)
	s.text = textConfig(32, 1, 24)
	s.judge = [2]scenes.JudgeWidths{{8, 8, 16, 16}, {8, 8, 16, 16}}
	s.encoded, s.statistic, s.pool = 80, 16, 80
	s.onCPU = map[string]effort{}
	for name, e := range shippedSizes.lessons {
		s.onCPU[name] = effort{steps: 20, batch: 4, rate: max(e.rate, 2e-3)}
	}
	return &s
}

// events reads a run's events of one stage.
func events(t *testing.T, out, stage string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		e := map[string]any{}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("event %q: %v", line, err)
		}
		if e["stage"] == stage && e["loss"] != nil {
			list = append(list, e)
		}
	}
	return list
}

// networksOf names the networks of a stage.
func networksOf(stage string) []string {
	if stage == "judge" || stage == "alignment" {
		return []string{stage, stage + "-heldout"}
	}
	return []string{stage}
}

// TestPretrain makes a tiny model from nothing: every network's loss falls, and the folder opens and
// draws as any diffusers folder does.
func TestPretrain(t *testing.T) {
	torchtest.Need(t)
	out := t.TempDir()
	o := PretrainOptions{Out: out, Device: torchtest.Device(), Threads: 2, sizes: tinySizes()}
	o.sizes.every = 2
	if err := Pretrain(t.Context(), "all", o); err != nil {
		t.Fatal(err)
	}
	for _, stage := range stages {
		for _, network := range networksOf(stage) {
			list := events(t, out, network)
			first, last := list[0]["loss"].(float64), list[len(list)-1]["loss"].(float64)
			if len(list) != 10 || last >= first {
				t.Errorf("%s: %d events, loss %.4f at first and %.4f at last, want 10 and less", network, len(list), first, last)
			}
		}
	}
	if err := PretrainReport(t.Context(), o, 32); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(out, "report.md")); err != nil || !strings.Contains(string(text), "drawn anew by the UNet | misalignment |") {
		t.Errorf("report %q (%v), want a row for every source and aspect", text, err)
	}
	p, err := sd.Load(filepath.Join(out, "model"), sd.LoadOptions{Device: torchtest.Device(), DType: torch.Float32})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	pictures, err := p.Generate(t.Context(), sd.Request{
		Wording: sd.Wording{Prompts: []string{"a chef in the park"}, GuidanceScale: drawGuidance, Width: scenes.Size, Height: scenes.Size},
		Seeds:   []uint64{1}, NumSteps: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := pictures[0].Bounds().Dx(); got != scenes.Size {
		t.Errorf("picture is %d pixels wide, want %d", got, scenes.Size)
	}
}

// TestPretrainResume stops a network in the middle and goes on: its weights are then, bit for bit, those
// of a run that was not stopped.
func TestPretrainResume(t *testing.T) {
	torchtest.Need(t)
	learn := func(out string, stopAt int) error {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		o := PretrainOptions{Out: out, Device: torchtest.Device(), Threads: 1, Resume: true, sizes: tinySizes()}
		o.sizes.every = 5
		o.Report = func(_ string, done, _ int, _ string) {
			if done == stopAt {
				stop()
			}
		}
		p, err := o.start()
		if err != nil {
			t.Fatal(err)
		}
		p.events = new(bytes.Buffer)
		return p.learnSight(ctx)
	}
	weightsOf := func(out string) []byte {
		data, err := os.ReadFile(filepath.Join(out, "state", "sight-weights.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	straight, stopped := t.TempDir(), t.TempDir()
	if err := learn(straight, -1); err != nil {
		t.Fatal(err)
	}
	if err := learn(stopped, 10); err == nil || !strings.Contains(err.Error(), "step 10 of 20") {
		t.Fatalf("a stopped run says %v, want where it stopped", err)
	}
	if err := learn(stopped, -1); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(weightsOf(straight), weightsOf(stopped)) {
		t.Error("weights after a stop in the middle differ from those without")
	}
}

// TestPretrainKeepsCheckpoint refuses to overwrite a run that nobody asked to go on with.
func TestPretrainKeepsCheckpoint(t *testing.T) {
	torchtest.Need(t)
	o := PretrainOptions{Out: t.TempDir(), Device: torchtest.Device(), Threads: 1, Steps: 2, sizes: tinySizes()}
	if err := Pretrain(t.Context(), "sight", o); err != nil {
		t.Fatal(err)
	}
	if err := Pretrain(t.Context(), "sight", o); err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("a second run over a checkpoint says %v, want a hint at --resume", err)
	}
}

// TestFoldLatents checks that folding latents' mean and spread into the convolutions around them
// changes no decoded image, and leaves latents of mean 0 and variance 1.
func TestFoldLatents(t *testing.T) {
	torchtest.Run(t, func() {
		o := PretrainOptions{Out: t.TempDir(), Device: torchtest.Device(), Threads: 1, sizes: tinySizes()}
		p, err := o.start()
		if err != nil {
			t.Fatal(err)
		}
		f, vector, err := newLayout(3, func(params nn.Params) { p.buildVAE(params) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer torch.Drop(vector)
		decode := func() (pictures torch.Tensor) {
			err := withNetwork(f, vector, torch.Float32, p.buildVAE, func(vae *sd.VAE) error {
				generator, err := New(Options{Seed: 5})
				if err != nil {
					return err
				}
				batch := make([]Scene, 2)
				generator.Fill(batch, 0)
				pictures = torch.Own(vae.Decode(vae.Encode(packScenes(batch).picture(torchtest.Device(), torch.Float32)).Mean))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return pictures
		}
		before := decode()
		defer torch.Drop(before)
		if err := p.foldLatents(f, vector); err != nil {
			t.Fatal(err)
		}
		after := decode()
		defer torch.Drop(after)
		if d := torchtest.MaxDiff(after, before); d > 1e-4 {
			t.Errorf("folding changes decoded pictures by %g, want at most 1e-4", d)
		}
		mean, spread, err := p.measureLatents(f, vector)
		if err != nil {
			t.Fatal(err)
		}
		for c := range mean {
			if mean[c] > 1e-3 || mean[c] < -1e-3 || spread[c] > 1.001 || spread[c] < 0.999 {
				t.Errorf("channel %d has mean %g and spread %g after folding, want 0 and 1", c, mean[c], spread[c])
			}
		}
	})
}

// TestTokenizerIsLearned checks that every word of the grammar is one token.
func TestTokenizerIsLearned(t *testing.T) {
	o := PretrainOptions{Out: t.TempDir()}
	p := &pretraining{out: o.Out, sizes: &shippedSizes}
	if _, err := p.writeTokenizer(); err != nil {
		t.Fatal(err)
	}
	tokenizer, err := clip.LoadTokenizer(p.folder("tokenizer"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range scenes.Words() {
		if n := tokenizer.Encode(word).Count; n != 3 {
			t.Errorf("%q is %d tokens, want one between start and end", word, n-2)
		}
	}
}
