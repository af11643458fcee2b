package sample

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"sync"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Engine goes on with a run at a pace, as a real one would, and takes commands on the run's socket.
type Engine struct {
	mu     sync.Mutex
	run    *Run
	step   int
	paused bool
	stop   bool
	busy   string
	far    run.Status // how far a repair is
}

var _ run.Engine = (*Engine)(nil)

// Serve writes a step every pace until the run's last, or until it is told to stop.
func Serve(ctx context.Context, f run.Folder, o Options, pace time.Duration) error {
	r, err := Open(f, o)
	if err != nil {
		return err
	}
	listener, process, err := f.Listen()
	if err != nil {
		return err
	}
	e := &Engine{run: r, step: r.info.Step}
	r.info.Engine, r.info.State = process, run.Running
	if err := r.SetInfo(r.info); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- run.Serve(ctx, listener, e) }()
	if e.step == 0 {
		err = r.Begin()
	}
	state := run.Done
	for err == nil && e.step < o.Steps {
		select {
		case <-ctx.Done():
			state, err = run.Stopped, ctx.Err()
		case <-time.After(pace):
			var ended bool
			if ended, err = e.advance(); ended {
				state, o.Steps = run.Stopped, 0
			}
		}
	}
	e.mu.Lock()
	err = errors.Join(err, r.append(core.Event{Kind: "state", State: state, Step: e.step}), r.End(state, e.step))
	e.mu.Unlock()
	cancel()
	return errors.Join(err, <-served)
}

func (e *Engine) advance() (stop bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop || e.paused {
		return e.stop, nil
	}
	e.step++
	return false, e.run.Step(e.step)
}

// Status tells the step.
func (e *Engine) Status(context.Context) (run.Status, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	state := run.Running
	if e.paused {
		state = run.Paused
	}
	return run.Status{State: state, Step: e.step, Steps: e.run.o.Steps, Busy: e.busy, Device: "cpu", Version: "test", Done: e.far.Done, Of: e.far.Of, Preview: e.far.Preview}, nil
}

func (e *Engine) command(name, state string, change func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
	if state != "" {
		e.run.info.State, e.run.info.Step = state, e.step
		if err := e.run.SetInfo(e.run.info); err != nil {
			return err
		}
	}
	return e.run.append(core.Event{Kind: "control", Step: e.step, Control: &core.Control{Key: name}})
}

// Pause waits until Resume.
func (e *Engine) Pause(context.Context) error {
	return e.command("pause", run.Paused, func() { e.paused = true })
}

// Resume goes on.
func (e *Engine) Resume(context.Context) error {
	return e.command("resume", run.Running, func() { e.paused = false })
}

// Stop ends the run.
func (e *Engine) Stop(context.Context) error { return e.command("stop", "", func() { e.stop = true }) }

// Checkpoint only says so in the log.
func (e *Engine) Checkpoint(context.Context) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	path := fmt.Sprintf("checkpoints/step-%06d", e.step)
	return path, e.run.append(core.Event{Kind: "checkpoint", Step: e.step, Path: path})
}

// Set changes the configuration in the folder.
func (e *Engine) Set(_ context.Context, key, value string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.run.Config()
	if err != nil {
		return err
	}
	from := ""
	for _, k := range c.Keys() {
		if k.Name == key {
			from = fmt.Sprint(k.Value)
		}
	}
	if err := c.Set(key, value); err != nil {
		return err
	}
	return e.run.append(core.Event{Kind: "control", Step: e.step, Control: &core.Control{Key: key, From: from, To: value}})
}

// Generate takes a second and draws an image with and without its fault.
func (e *Engine) Generate(ctx context.Context, r run.GenerateRequest) (core.PromptResult, error) {
	return e.prompt(ctx, r)
}

// Fix takes twelve steps to let the fault fade.
func (e *Engine) Fix(ctx context.Context, r run.FixRequest) (core.FixResult, error) {
	const steps = 12
	const preview = run.Fixes + "/.preview.png"
	defer e.progress(run.Status{})
	for step := range steps {
		path := filepath.Join(e.run.Dir, preview)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), savePNG(path, scene(int(r.Seed%4), 1-float64(step)/steps))); err != nil {
			return core.FixResult{}, err
		}
		left := 1 - float64(step)/steps
		e.progress(run.Status{Busy: "fix", Done: step, Of: steps, Preview: preview, Frame: &run.Frame{Trained: left, HeldOut: &left, Outside: 38, Seconds: float64(step) / 4}})
		select {
		case <-ctx.Done():
			return core.FixResult{}, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	return e.keepFix(r, steps)
}

// keepFix writes a repair of so many steps.
func (e *Engine) keepFix(r run.FixRequest, steps int) (core.FixResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := int(r.Seed % 4)
	result := core.FixResult{
		Drawing: r.Drawing, Region: r.Region, Aspect: r.Aspect, Start: "base", Stack: r.Stack, Verdict: core.Repaired, Steps: steps,
		Judges:     []core.FixJudge{{Before: 0.98, After: 0.03, Found: true, Gone: true}, {HeldOut: true, Before: 0.95, After: 0.08, Found: true, Gone: true}},
		InsidePSNR: 14.5, OutsidePSNR: 38, Sharpness: 0.4, SharpnessNow: 0.39, Seconds: 3, FirstSeconds: 0.3,
	}
	for step := range steps {
		left := 1 - float64(step)/float64(steps)
		result.Trace = append(result.Trace, core.FixStep{Step: step, Trained: left, HeldOut: left, Outside: 38, Seconds: float64(step) / 4})
	}
	event, err := e.run.WriteFix(result, func(dir string) error {
		errs := []error{
			savePNG(filepath.Join(dir, "before.png"), scene(i, 1)), savePNG(filepath.Join(dir, "after.png"), scene(i, 0.1)),
			e.heatmaps(dir, i), savePNG(filepath.Join(dir, "mask.png"), spot(i, true)), os.Mkdir(filepath.Join(dir, "frames"), 0o755),
		}
		for step := range steps {
			errs = append(errs, savePNG(filepath.Join(dir, run.FixFrame("", step)), scene(i, 1-float64(step)/float64(steps))))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return result, err
	}
	event.Step = e.step
	return *event.Fix, e.run.append(event)
}

// ReloadMasks has nothing to do: nothing is trained.
func (e *Engine) ReloadMasks(context.Context) error { return nil }

// Redraw draws images without their fault.
func (e *Engine) Redraw(_ context.Context, r run.RedrawRequest) (paths []string, err error) {
	for i, d := range r.Drawings {
		name := fmt.Sprintf("%s/.redrawn-%d.png", run.Fixes, i)
		strength := 0.0
		for _, use := range r.Stack {
			strength += use.Strength
		}
		path := filepath.Join(e.run.Dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), savePNG(path, scene(int(d.Seed%4), 1-min(strength, 1)))); err != nil {
			return nil, err
		}
		paths = append(paths, name)
	}
	return paths, nil
}

func (e *Engine) progress(p run.Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.far = p
}

func (e *Engine) prompt(ctx context.Context, r run.GenerateRequest) (core.PromptResult, error) {
	select {
	case <-ctx.Done():
		return core.PromptResult{}, ctx.Err()
	case <-time.After(time.Second):
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	i := int(r.Seed % 4)
	result := core.PromptResult{
		Drawing: r.Drawing, OutsidePSNR: 34.2, Seconds: 1, Aspects: []core.AspectScore{},
	}
	result.Sampling = r.Or(core.Sampling{NumSteps: 10, GuidanceScale: 2.5})
	for _, a := range e.run.o.Aspects {
		result.Aspects = append(result.Aspects, core.AspectScore{Aspect: a, Base: 0.3, Reward: 0.9, BaseHeldOut: 0.28, HeldOut: 0.81, BaseFault: 0.7, Fault: 0.1, BaseHeldOutFault: 0.72, HeldOutFault: 0.19, Fixed: 1})
	}
	event, err := e.run.WritePrompt(result, func(dir string) error {
		return errors.Join(savePNG(filepath.Join(dir, "base.png"), scene(i, 1)), savePNG(filepath.Join(dir, "tuned.png"), scene(i, 0.1)),
			e.heatmaps(dir, i), savePNG(filepath.Join(dir, "mask.png"), spot(i, true)))
	})
	if err != nil {
		return result, err
	}
	event.Step = e.step
	return *event.Prompt, e.run.append(event)
}

// heatmaps are every judge's of the base and of the tuned image.
func (e *Engine) heatmaps(dir string, i int) error {
	var errs []error
	for _, aspect := range e.run.o.Aspects {
		for _, name := range []string{"heat-" + aspect, "heat-held-out-" + aspect} {
			errs = append(errs, savePNG(filepath.Join(dir, name+".png"), spot(i, false)),
				savePNG(filepath.Join(dir, name+"-tuned.png"), image.NewGray(image.Rect(0, 0, 64, 64))))
		}
	}
	return errors.Join(errs...)
}

// Evaluate is the evaluation of the step.
func (e *Engine) Evaluate(context.Context, run.EvaluateRequest) (core.Evaluation, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.run.evaluation(e.step)
	return *v, e.run.append(core.Event{Kind: "evaluation", Step: e.step, Evaluation: v})
}
