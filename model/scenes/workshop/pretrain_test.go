package workshop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/scenes"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// tinyRecipe is a recipe with networks that learn in a second: enough to see losses fall and files fit
// together.
func tinyRecipe(of *recipe) *recipe {
	s := *of
	s.vae = vaeConfig(4, 8, 8, 8, 16)
	s.unet = unetConfig(4, 32, 16, 24)
	s.text = textConfig(32, 1, 24)
	s.judge = [2]scenes.JudgeWidths{{8, 8, 16, 16}, {8, 8, 16, 16}}
	s.encoded, s.statistic, s.pool = 80, 16, 80
	if s.data.healthy > 0 {
		s.pool = 3 * poolBlock // two healthy blocks and another
	}
	s.lessons = map[string]effort{}
	for name, e := range shippedRecipe.lessons {
		s.lessons[name] = effort{steps: 20, batch: 4, rate: max(e.rate, 2e-3)}
	}
	s.onCPU = s.lessons
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

// TestPretrain makes a tiny model from nothing by the newest recipe: every network's loss falls, and the
// folder opens and draws as any diffusers folder does.
func TestPretrain(t *testing.T) {
	torchtest.Need(t)
	out := t.TempDir()
	o := PretrainOptions{Out: out, Device: torchtest.Device(), Threads: 2}
	recipe := tinyRecipe(newestRecipe())
	recipe.every = 2
	p, err := o.startWith(recipe)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.make(t.Context(), "all", 0); err != nil {
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
	if err := p.measure(t.Context(), 32); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(out, "report.md")); err != nil || !strings.Contains(string(text), "drawn anew by the UNet | misalignment |") {
		t.Errorf("report %q (%v), want a row for every source and aspect", text, err)
	}
	pipeline, err := sd.Load(filepath.Join(out, "model"), backbone.LoadOptions{Device: torchtest.Device(), DType: torch.Float32})
	if err != nil {
		t.Fatal(err)
	}
	defer pipeline.Close()
	pictures, err := backbone.Generate(t.Context(), pipeline, backbone.Request{
		Wording: backbone.Wording{Prompts: []string{"a chef in the park"}, GuidanceScale: drawGuidance, Width: scenes.Size, Height: scenes.Size},
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
		o := PretrainOptions{Out: out, Device: torchtest.Device(), Threads: 1, Resume: true}
		recipe := tinyRecipe(&shippedRecipe)
		recipe.every = 5
		o.Report = func(_ string, done, _ int, _ string) {
			if done == stopAt {
				stop()
			}
		}
		p, err := o.startWith(recipe)
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
	o := PretrainOptions{Out: t.TempDir(), Device: torchtest.Device(), Threads: 1, Steps: 2}
	again := func(r *recipe, resume bool) error {
		o.Resume = resume
		p, err := o.startWith(r)
		if err != nil {
			t.Fatal(err)
		}
		return p.make(t.Context(), "sight", 0)
	}
	shipped := tinyRecipe(&shippedRecipe)
	if err := again(shipped, false); err != nil {
		t.Fatal(err)
	}
	if err := again(shipped, false); err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("a second run over a checkpoint says %v, want a hint at --resume", err)
	}
	if err := again(tinyRecipe(newestRecipe()), true); err == nil || !strings.Contains(err.Error(), "recipe 1, want 2") {
		t.Errorf("resumed by another recipe says %v, want which", err)
	}
}

// TestPartsAreKept: what one sitting made of a long preparation the next one reads.
func TestPartsAreKept(t *testing.T) {
	torchtest.Need(t)
	p, err := PretrainOptions{Out: t.TempDir(), Device: torch.CPU, Threads: 1}.start()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(p.out, "state"), 0o755); err != nil {
		t.Fatal(err)
	}
	var made []int
	fill := func(from, to int) (part torch.Tensor, err error) {
		if from == 6 && len(made) == 2 {
			return part, context.Canceled
		}
		made = append(made, from)
		err = torch.Run(func() {
			part = torch.Own(torch.Arange(float64(from), float64(to), 1, torch.Float32, torch.CPU).To(torch.Uint8))
		})
		return part, err
	}
	if _, err := p.inParts("rows", 8, 3, torch.CPU, fill); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the last part", err)
	}
	made = append(made, -1) // the next sitting
	whole, err := p.inParts("rows", 8, 3, torch.CPU, fill)
	if err != nil {
		t.Fatal(err)
	}
	defer torch.Drop(whole)
	if want := []int{0, 3, -1, 6}; !slices.Equal(made, want) {
		t.Errorf("made parts from %v, want %v", made, want)
	}
	if err := torch.Run(func() {
		if got := whole.Ints(); !slices.Equal(got, []int64{0, 1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("rows %v", got)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// TestFoldLatents checks that folding latents' mean and spread into the convolutions around them
// changes no decoded image, and leaves latents of mean 0 and variance 1.
func TestFoldLatents(t *testing.T) {
	torchtest.Run(t, func() {
		o := PretrainOptions{Out: t.TempDir(), Device: torchtest.Device(), Threads: 1}
		p, err := o.startWith(tinyRecipe(&shippedRecipe))
		if err != nil {
			t.Fatal(err)
		}
		p.dtype = torch.Float32
		f, start, err := newLayout(3, func(params nn.Params) { p.buildVAE(params) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		vector := torch.Own(start.ToDevice(torchtest.Device(), torch.Float32))
		torch.Drop(start)
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
	p := &pretraining{out: o.Out, recipe: &shippedRecipe}
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
