package tui

import (
	"context"
	"errors"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Evaluate answers when the test says so.
func (e *fakeEngine) Evaluate(ctx context.Context, _ run.EvaluateRequest) (core.Evaluation, error) {
	e.mu.Lock()
	e.measures++
	e.mu.Unlock()
	if err := e.wait(ctx); err != nil {
		return core.Evaluation{}, err
	}
	return core.Evaluation{Pictures: 24, OutsidePSNR: 31.5, Aspects: []core.AspectScore{{Aspect: "violence", Base: 0.2, Reward: 0.9, HeldOut: 0.8, BaseHeldOut: 0.1, Fixed: 0.9}}}, nil
}

// A run is evaluated from its dashboard, with its progress and its result; esc cancels that, and what fails says why.
func TestMeasure(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	d := drivePane(t, Options{Open: f.Dir}, "2", 120, 40)
	d.press("J")
	d.shows("evaluating held-out prompts…", "esc cancels")
	e.set(run.Status{Busy: "evaluate", Done: 3, Of: 24})
	d.shows("3 of 24")
	d.press("J")
	d.shows("an evaluation is under way")
	e.answer <- nil
	d.until("the end", func() bool { return d.panes[tabDashboard].(*dashboardPane).job == nil })
	d.shows("held out, 24 images: violence 0.8", "(90 % fixed)")
	if strings.Contains(d.content(), "esc cancels") {
		t.Error("the header still shows progress")
	}
	d.press("J")
	d.waitFor(e, "the second evaluation", func() int { return e.measures - 1 })
	d.press("esc")
	d.shows("evaluation canceled")
	d.waitFor(e, "the engine to give up", func() int { return e.givenUp })
	d.press("J")
	e.answer <- errors.New("no held-out prompts")
	d.shows("not evaluated: no held-out prompts")
	d.checkSize()
}

// The newest checkpoint is exported in the chosen format; of a run on another machine a line says how.
func TestExportFromScreen(t *testing.T) {
	f := newSampleRun(t)
	formats := make(chan string, 1)
	d := drivePane(t, Options{Open: f.Dir, Export: func(_ context.Context, of run.Folder, format string) (string, error) {
		if of.Dir != f.Dir {
			return "", errors.New("another run")
		}
		formats <- format
		return "/home/me/out.safetensors", nil
	}}, "2", 120, 40)
	d.press("ctrl+e")
	d.shows("Export the LoRA", "diffusers", "web interfaces")
	d.press("down", "enter")
	d.shows("saved /home/me/out.safetensors")
	if got := <-formats; got != "kohya" {
		t.Errorf("format %s", got)
	}
	d.run.Info.Far = &run.Far{Host: "gpu"}
	d.press("ctrl+e")
	d.shows("the weights are on gpu: ssh gpu focusnfix export")
}
