package engine

import (
	"context"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/model/torch/torchtest"
)

// working starts an engine in the background and gives its other end.
func working(t *testing.T, f run.Folder, o Options) (*run.Client, <-chan error) {
	t.Helper()
	torchtest.Need(t)
	o.Folder, o.Version, o.Kinds = f, "test", tinyKinds
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() {
		ended <- Run(ctx, o)
		close(gone)
	}()
	t.Cleanup(func() {
		cancel()
		<-gone
	})
	for range 500 {
		if client, err := f.Dial(); err == nil {
			t.Cleanup(client.Close)
			return client, ended
		}
		select {
		case err := <-ended:
			t.Fatalf("the engine ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("no engine listens")
	return nil, nil
}

// until waits for a status.
func until(t *testing.T, client *run.Client, what string, ok func(run.Status) bool) run.Status {
	t.Helper()
	var s run.Status
	for range 1500 {
		var err error
		if s, err = client.Status(context.Background()); err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if ok(s) {
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waiting for %s: status %+v", what, s)
	return s
}

func has(events []core.Event, ok func(core.Event) bool) bool { return slices.ContainsFunc(events, ok) }

// Over the real socket: pause, change settings, draw, evaluate, repair, continue, stop.
func TestControl(t *testing.T) {
	c := tinyConfig(t)
	c.Train.Steps = 500
	f := newTinyRun(t, c)
	client, ended := working(t, f, Options{})
	ctx := context.Background()
	until(t, client, "a step", func(s run.Status) bool { return s.Step >= 1 })
	if err := client.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	paused := until(t, client, "the pause", func(s run.Status) bool { return s.State == run.Paused })
	for key, value := range map[string]string{"train.learning_rate": "0.002", "region.weight": "20", "reward.spot.weight": "0.5"} {
		if err := client.Set(ctx, key, value); err != nil {
			t.Errorf("set %s: %v", key, err)
		}
	}
	if good, err := isGood(run.Checkpoint{Dir: filepath.Join(f.Dir, "checkpoints", "step-000000")}); !good || err != nil {
		t.Errorf("step 0 is good: %v, %v", good, err)
	}
	if err := client.Set(ctx, "train.batch", "3"); err == nil || !strings.Contains(err.Error(), "cannot be changed") {
		t.Errorf("set train.batch: %v", err)
	}
	if err := client.Set(ctx, "region.weight", "-1"); err == nil || !strings.Contains(err.Error(), "want 0 to") {
		t.Errorf("set region.weight=-1: %v", err)
	}
	if path, err := client.Checkpoint(ctx); err != nil || !strings.HasPrefix(path, "checkpoints/step-") {
		t.Errorf("checkpoint %q, %v", path, err)
	}
	checkGenerate(t, f, client)
	if v, err := client.Evaluate(ctx, run.EvaluateRequest{Pictures: 3}); err != nil || v.Pictures != 3 || len(v.Aspects) != 1 {
		t.Errorf("evaluation %+v, %v", v, err)
	}
	checkFix(t, f, client)
	if s := until(t, client, "anything", func(run.Status) bool { return true }); s.Step != paused.Step {
		t.Errorf("a paused run went from step %d to %d", paused.Step, s.Step)
	}
	if err := client.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	until(t, client, "another step", func(s run.Status) bool { return s.Step > paused.Step && s.State == run.Running })
	if err := client.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	checkStopped(t, f)
}

func checkStopped(t *testing.T, f run.Folder) {
	t.Helper()
	info, err := f.Info()
	if err != nil || info.State != run.Stopped {
		t.Fatalf("info %+v, %v", info, err)
	}
	lora(t, f, info.Step)
	if c, err := f.Config(); err != nil || c.Region.Weight != 20 || c.Train.LearningRate != 0.002 || c.Reward[0].Weight != 0.5 {
		t.Errorf("config.toml has region.weight %g, learning_rate %g, weight %g; %v", c.Region.Weight, c.Train.LearningRate, c.Reward[0].Weight, err)
	}
	events := eventsOf(t, f)
	for _, key := range []string{"pause", "resume", "stop", "checkpoint"} {
		if !has(events, func(e core.Event) bool { return e.Control != nil && e.Control.Key == key }) {
			t.Errorf("no control event %s", key)
		}
	}
	if !has(events, func(e core.Event) bool {
		return e.Control != nil && *e.Control == core.Control{Key: "region.weight", From: "12", To: "20"}
	}) {
		t.Error("no control event of the region weight from 12 to 20")
	}
	last := events[len(events)-1]
	if last.Train != nil || last.State != run.Stopped {
		t.Errorf("the last event is %+v", last)
	}
	if i := slices.IndexFunc(events, func(e core.Event) bool { return e.Train != nil && e.Step == info.Step }); events[i].Train.LearningRate > 0.002 {
		t.Errorf("learning rate %g after it was set to 0.002", events[i].Train.LearningRate)
	}
}

func checkGenerate(t *testing.T, f run.Folder, client *run.Client) {
	t.Helper()
	ctx := context.Background()
	now, err := client.Generate(ctx, run.GenerateRequest{Drawing: core.Drawing{Prompt: "a fox", Seed: 4}})
	if err != nil {
		t.Fatal(err)
	}
	if now.NumSteps != 3 || now.GuidanceScale != 2 || len(now.Aspects) != 1 || !(now.OutsidePSNR > 0) || now.Fix {
		t.Errorf("prompt %+v", now)
	}
	for _, name := range []string{"base", "tuned", "mask", "heat-spot", "heat-spot-tuned", "heat-held-out-spot", "heat-held-out-spot-tuned"} {
		if _, err := os.Stat(filepath.Join(f.Dir, now.Path, name+".png")); err != nil {
			t.Error(err)
		}
	}
	untrained, err := client.Generate(ctx, run.GenerateRequest{Drawing: core.Drawing{Prompt: "a fox", Seed: 4, Sampling: core.Sampling{NumSteps: 2}}, Checkpoint: "checkpoints/step-000000"})
	if err != nil || untrained.OutsidePSNR < 90 || untrained.NumSteps != 2 {
		t.Errorf("by the untrained checkpoint %+v, %v; want equal pictures", untrained, err)
	}
	for want, r := range map[string]run.GenerateRequest{
		"no prompt": {}, "no checkpoint": {Drawing: core.Drawing{Prompt: "a"}, Checkpoint: "../x"}, "num_steps": {Drawing: core.Drawing{Prompt: "a", Sampling: core.Sampling{NumSteps: 5000}}}, "guidance_scale": {Drawing: core.Drawing{Prompt: "a", Sampling: core.Sampling{GuidanceScale: -1}}},
	} {
		if _, err := client.Generate(ctx, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", r, err, want)
		}
	}
}

func checkFix(t *testing.T, f run.Folder, client *run.Client) {
	t.Helper()
	r := run.FixRequest{Drawing: core.Drawing{Prompt: "a fox", Seed: 4}, Aspect: "spot", Region: "box:0.25,0.25,0.25,0.25", Steps: 12}
	result, err := client.Fix(context.Background(), r)
	if err != nil || result.Path != "fixes/0001" || result.Steps != 12 || result.Verdict != core.Visible || len(result.Trace) != 13 {
		t.Errorf("fix %+v, %v; want 12 updates that the judge is not content with", result, err)
	}
	for _, name := range []string{"before.png", "after.png", "mask.png", "frames/012.png", "lora.safetensors", "fix.json"} {
		if _, err := os.Stat(filepath.Join(f.Dir, result.Path, name)); err != nil {
			t.Error(err)
		}
	}
	checkRedraw(t, f, client, result)
	for want, change := range map[string]func(*run.FixRequest){
		`no aspect "zebra" in this run, want spot`:       func(r *run.FixRequest) { r.Aspect = "zebra" },
		"`focusnfix pull openai/clip-vit-large-patch14`": func(r *run.FixRequest) { r.Fault = "the sword" },
		"want words for what is to go":                   func(r *run.FixRequest) { r.Fault = "../sword" },
		"no shape in it":                                 func(r *run.FixRequest) { r.Region = "" },
		"leaves the image":                               func(r *run.FixRequest) { r.Region = "box:0.5,0.5,0.9,0.9" },
		"want base or run":                               func(r *run.FixRequest) { r.Start = "zebra" },
		"strength of at most":                            func(r *run.FixRequest) { r.Stack = []core.FixUse{{Path: "../x", Strength: 1}} },
		"no such file":                                   func(r *run.FixRequest) { r.Region = "mask:nowhere.png" },
	} {
		r := r
		change(&r)
		if _, err := client.Fix(context.Background(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", r, err, want)
		}
	}
}

// checkRedraw draws the image before and after a fix from its file again, byte for byte.
func checkRedraw(t *testing.T, f run.Folder, client *run.Client, fix core.FixResult) {
	t.Helper()
	for name, stack := range map[string][]core.FixUse{
		"before.png": nil, "after.png": {{Path: fix.Path, Strength: 1}},
	} {
		paths, err := client.Redraw(context.Background(), run.RedrawRequest{Drawings: []core.Drawing{fix.Drawing, {Prompt: "a fox", Seed: 5}}, Stack: stack})
		if err != nil || len(paths) != 2 {
			t.Fatalf("redraw: %v, %v", paths, err)
		}
		if !samePixels(t, filepath.Join(f.Dir, paths[0]), filepath.Join(f.Dir, fix.Path, name)) {
			t.Errorf("%s: drawn again otherwise", name)
		}
	}
}

func samePixels(t *testing.T, paths ...string) bool {
	t.Helper()
	var seen [2]image.Image
	for i, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		seen[i], err = png.Decode(file)
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return reflect.DeepEqual(seen[0], seen[1])
}

// An idle engine serves, leaves the run's state as it is, and ends by itself; told to continue, it trains.
func TestIdle(t *testing.T) {
	c := tinyConfig(t)
	c.Train.Steps = 2
	f := newTinyRun(t, c)
	client, ended := working(t, f, Options{Idle: true, IdleTime: 300 * time.Millisecond})
	if r, err := client.Generate(context.Background(), run.GenerateRequest{Drawing: core.Drawing{Prompt: "a fox"}}); err != nil || r.OutsidePSNR < 90 {
		t.Errorf("generated %+v, %v; want equal pictures before training", r, err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if info, err := f.Info(); err != nil || info.State != "" {
		t.Errorf("info %+v, %v", info, err)
	}
	client, ended = working(t, f, Options{Idle: true})
	until(t, client, "the model", func(s run.Status) bool { return s.Busy == "" })
	if err := client.Resume(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if info, err := f.Info(); err != nil || info.State != run.Done || info.Step != 2 {
		t.Errorf("info %+v, %v", info, err)
	}
	client, _ = working(t, f, Options{Idle: true})
	until(t, client, "the model", func(s run.Status) bool { return s.Busy == "" })
	if err := client.Resume(context.Background()); err == nil || !strings.Contains(err.Error(), "training is done, all 2 steps of it") {
		t.Errorf("going on with what is done: %v", err)
	}
}

// What a prompt test draws can be seen meanwhile: as the model's own decoder shows it, or a TAESD.
func TestPreview(t *testing.T) {
	for _, path := range []string{"vae", "../../model/sd/testdata/ref/taesd"} {
		c := tinyConfig(t)
		c.Sample.Preview, c.Train.Steps = path, 500
		f := newTinyRun(t, c)
		client, ended := working(t, f, Options{})
		result, err := client.Generate(t.Context(), run.GenerateRequest{Drawing: core.Drawing{Prompt: "a fox", Seed: 4}})
		if err != nil || result.Seed != 4 {
			t.Errorf("%s: %+v, %v", path, result, err)
		}
		for _, name := range []string{run.PreviewBase, run.Preview} {
			if file, err := os.Open(filepath.Join(f.Dir, name)); err != nil {
				t.Error(err)
			} else if _, err := png.Decode(file); err != nil || file.Close() != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := client.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	c := tinyConfig(t)
	c.Sample.Preview = "nowhere"
	if _, err := Open(c, Settings{References: t.TempDir(), Kinds: tinyKinds}); err == nil || !strings.Contains(err.Error(), "sample.preview: nowhere: is not there") {
		t.Errorf("a missing decoder: %v", err)
	}
}

// A request that is given up ends soon, whether it waits or is under way, and the run continues.
func TestGivenUp(t *testing.T) {
	c := tinyConfig(t)
	c.Train.Steps = 500
	f := newTinyRun(t, c)
	client, ended := working(t, f, Options{})
	until(t, client, "a step", func(s run.Status) bool { return s.Step >= 1 })
	ctx, cancel := context.WithCancel(context.Background())
	given := make(chan error, 1)
	go func() {
		_, err := client.Fix(ctx, run.FixRequest{Drawing: core.Drawing{Prompt: "a fox"}, Aspect: "spot", Steps: 1000, Region: "box:0.25,0.25,0.25,0.25"})
		given <- err
	}()
	busy := until(t, client, "the repair", func(s run.Status) bool { return s.Busy == "fix" && s.Done > 1 })
	if busy.Of != 1000 || busy.Preview != fixPreview || busy.Frame == nil {
		t.Errorf("status %+v", busy)
	}
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	after := until(t, client, "a further step", func(s run.Status) bool { return s.Step > busy.Step })
	if after.Frame != nil {
		t.Errorf("a frame of the repair is left over: %+v", after.Frame)
	}
	if err := client.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
