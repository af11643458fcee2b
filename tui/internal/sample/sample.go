// Package sample writes run folders for tests and for trying the screen without an engine: events, drawn
// images, and an engine that only pretends to train. Numbers follow from the step, so that two runs of the
// same options are the same.
package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Options is what a sample run is like.
type Options struct {
	Preset  string
	Aspects []string
	Steps   int       // of the whole training
	Done    int       // steps that are in the log
	State   string    // as run.Info has it
	Created time.Time // of the first event; steps are two seconds apart
	Seed    uint64
	Every   int // steps between images; 0 is none
	Alarm   bool
}

// Prompts are what the images of a sample run show.
var Prompts = []string{"a pirate waving on a beach", "a chef in a kitchen", "two children in a park", "a knight by a castle"}

// Run is a sample run that is being written.
type Run struct {
	run.Folder
	o    Options
	log  *run.Log
	info run.Info
}

// Create makes a run folder in runs and begins its log.
func Create(runs string, o Options) (*Run, error) {
	c := core.Default()
	c.Train.Steps = o.Steps
	c.Reward = nil
	for _, a := range o.Aspects {
		r := core.Default().Reward[0]
		r.Aspect = a
		c.Reward = append(c.Reward, r)
	}
	folder, err := run.Create(runs, run.Info{Preset: o.Preset, Model: "builtin:scenes", Version: "test", Device: "cpu"}, c)
	if err != nil {
		return nil, err
	}
	return Open(folder, o)
}

// Open goes on with a run folder.
func Open(f run.Folder, o Options) (*Run, error) {
	info, err := f.Info()
	if err != nil {
		return nil, err
	}
	log, err := f.OpenLog()
	if err != nil {
		return nil, err
	}
	if !o.Created.IsZero() {
		info.Created = o.Created
	}
	return &Run{f, o, log, info}, nil
}

// Write writes a whole run: its events up to o.Done, images and the state.
func Write(runs string, o Options) (run.Folder, error) {
	r, err := Create(runs, o)
	if err != nil {
		return run.Folder{}, err
	}
	if err := r.Begin(); err != nil {
		return r.Folder, err
	}
	for step := 1; step <= o.Done; step++ {
		if err := r.Step(step); err != nil {
			return r.Folder, err
		}
	}
	if o.State == run.Done || o.State == run.Stopped || o.State == run.Failed {
		if err := r.append(core.Event{Kind: "state", State: o.State, Step: o.Done}); err != nil {
			return r.Folder, err
		}
	}
	return r.Folder, r.End(o.State, o.Done)
}

// Begin writes the events and the reference images of a run's start.
func (r *Run) Begin() error {
	if err := r.append(core.Event{Kind: "state", State: run.Running, Message: "training on cpu"}); err != nil {
		return err
	}
	if r.o.Every == 0 {
		return nil
	}
	for i := range Prompts {
		if err := r.reference(i); err != nil {
			return err
		}
	}
	return r.pictures(0)
}

// Step writes what one step of training leaves.
func (r *Run) Step(step int) error {
	if err := r.append(core.Event{Kind: "step", Step: step, Train: r.train(step)}); err != nil {
		return err
	}
	if r.o.Every > 0 && step%r.o.Every == 0 {
		if err := r.pictures(step); err != nil {
			return err
		}
	}
	if step%20 == 0 {
		path := fmt.Sprintf("checkpoints/step-%06d", step)
		if err := r.append(core.Event{Kind: "checkpoint", Step: step, Path: path}); err != nil {
			return err
		}
		if err := r.append(core.Event{Kind: "evaluation", Step: step, Evaluation: r.evaluation(step)}); err != nil {
			return err
		}
	}
	if r.o.Alarm && step == 30 {
		return r.append(core.Event{
			Kind: "alarm", Step: step, Message: "masks cover 61 % of the images",
			Alarm: &core.Alarm{Name: "coverage", Subject: "violence", Value: 0.61, Limit: 0.5, Action: "warn"},
		})
	}
	return nil
}

// End writes the state and closes the log.
func (r *Run) End(state string, step int) error {
	r.info.State, r.info.Step = state, step
	if state == run.Failed {
		r.info.Message = "the device is out of memory; lower train.batch"
	}
	if err := r.SetInfo(r.info); err != nil {
		return err
	}
	return r.log.Close()
}

func (r *Run) append(e core.Event) error {
	if !r.o.Created.IsZero() {
		e.Time = r.o.Created.Add(time.Duration(e.Step) * 2 * time.Second)
	}
	return r.log.Append(e)
}

// rise goes from 0 at step 0 to nearly 1 at the last.
func (r *Run) rise(step int) float64 {
	return 1 - math.Exp(-4*float64(step)/float64(max(r.o.Steps, 1)))
}

func (r *Run) aspects(step int, noise *rand.Rand, spread float64, heldOut bool) []core.AspectScore {
	var all []core.AspectScore
	for i, name := range r.o.Aspects {
		base := 0.35 + 0.08*float64(i)
		gain := (0.5 - 0.09*float64(i)) * r.rise(step)
		a := core.AspectScore{
			Aspect: name, Base: base, Reward: base + gain + spread*noise.NormFloat64(),
			BaseHeldOut: math.NaN(), HeldOut: math.NaN(), Fixed: math.NaN(), Faulty: math.NaN(),
			BaseFault: 1 - base, BaseHeldOutFault: math.NaN(), HeldOutFault: math.NaN(),
		}
		a.Reward = min(a.Reward, 1)
		a.Fault = 1 - a.Reward
		if heldOut {
			a.BaseHeldOut, a.HeldOut, a.Fixed = base-0.02, base-0.02+0.85*gain, 0.9*r.rise(step)
			a.BaseHeldOutFault, a.HeldOutFault = 1-a.BaseHeldOut, 1-a.HeldOut
		}
		all = append(all, a)
	}
	return all
}

func (r *Run) train(step int) *core.TrainStep {
	noise := rand.New(rand.NewPCG(r.o.Seed, uint64(step)))
	t := &core.TrainStep{
		Aspects: r.aspects(step, noise, 0.05, false), Region: 0.02 + 0.01*r.rise(step), Coverage: 0.12 + 0.02*noise.NormFloat64(),
		InsidePSNR: 14 + noise.NormFloat64(), OutsidePSNR: 44 - 10*r.rise(step) + 0.6*noise.NormFloat64(),
		GradNorm: 0.8 * math.Exp(0.4*noise.NormFloat64()), LearningRate: 4e-3 * min(1, float64(step)/10),
		SampleSeconds: 0.7, DecodeSeconds: 0.2, RewardSeconds: 0.2, BackwardSeconds: 0.9, StepSeconds: 2 + 0.1*noise.NormFloat64(),
		MemoryMiB: 412, DeviceUse: 0.94,
	}
	for _, a := range t.Aspects {
		t.Reward += a.Reward / float64(len(t.Aspects))
	}
	t.Loss = 12*t.Region - t.Reward
	return t
}

func (r *Run) evaluation(step int) *core.Evaluation {
	noise := rand.New(rand.NewPCG(r.o.Seed+1, uint64(step)))
	return &core.Evaluation{
		Pictures: 16, Aspects: r.aspects(step, noise, 0, true), OutsidePSNR: 36 - 2*r.rise(step),
		Statistics: map[string]float64{"dark": 0.3, "edges": 0.8},
	}
}

// reference draws what the base model makes of a prompt, where it is faulty, and the mask.
func (r *Run) reference(i int) error {
	dir := filepath.Join(r.Dir, "reference", key(i))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := savePNG(filepath.Join(dir, "base.png"), scene(i, 1)); err != nil {
		return err
	}
	if err := savePNG(filepath.Join(dir, "mask.png"), spot(i, true)); err != nil {
		return err
	}
	mask := core.Mask{Width: spot(i, true).Rect.Dx(), Height: spot(i, true).Rect.Dy()}
	for _, v := range spot(i, true).Pix {
		mask.Faulty = append(mask.Faulty, v > 127)
	}
	meta := fmt.Sprintf(`{"Version": 1, "Prompt": %q, "Seed": 7, "MaskHash": %d}`, Prompts[i], mask.Hash())
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte(meta), 0o644); err != nil {
		return err
	}
	for _, a := range r.o.Aspects[:1] {
		if err := savePNG(filepath.Join(dir, run.HeatmapName(a, false)+".png"), spot(i, false)); err != nil {
			return err
		}
	}
	return nil
}

func key(i int) string { return fmt.Sprintf("%016x", 0x9e3779b97f4a7c15*uint64(i+1)) }

func (r *Run) pictures(step int) error {
	e := core.Event{Kind: "pictures", Step: step}
	noise := rand.New(rand.NewPCG(r.o.Seed+2, uint64(step)))
	for i, prompt := range Prompts {
		p := core.Picture{
			Index: i, Prompt: prompt, Seed: 7, Path: run.PicturePath(step, i, 7),
			Reference: "reference/" + key(i), Aspects: r.aspects(step, noise, 0.03, true),
		}
		path := filepath.Join(r.Dir, filepath.FromSlash(p.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := savePNG(path, scene(i, 1-r.rise(step))); err != nil {
			return err
		}
		for _, a := range r.o.Aspects[:1] {
			heat := run.PictureHeatmap(path, run.HeatmapName(a, false))
			if err := savePNG(heat, faded(spot(i, false), 1-r.rise(step))); err != nil {
				return err
			}
		}
		e.Pictures = append(e.Pictures, p)
	}
	return r.append(e)
}
