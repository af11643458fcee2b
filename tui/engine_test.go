package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/tui/internal/sample"
)

// fakeEngine answers prompts and repairs when it is told to, and writes down what it was asked.
type fakeEngine struct {
	run.Engine // nil: nothing else is asked
	folder     run.Folder
	answer     chan error // one for each request: nil draws

	mu       sync.Mutex
	status   run.Status
	prompts  []run.GenerateRequest
	fixes    []run.FixRequest
	redraws  []run.RedrawRequest
	givenUp  int
	measures int    // evaluations that were asked for
	unspoken string // words that it does not know
	noFault  string // region of the nearest fault, if it finds none in those asked for
}

// serveFake makes the test the engine of a run.
func serveFake(t testing.TB, f run.Folder) *fakeEngine {
	t.Helper()
	e := &fakeEngine{folder: f, answer: make(chan error, 10)}
	listener, process, err := f.Listen()
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	info.State, info.Engine = run.Running, process
	if err := f.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run.Serve(ctx, listener, e) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return e
}

func (e *fakeEngine) Status(context.Context) (run.Status, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status, nil
}

func (e *fakeEngine) set(s run.Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = s
}

func (e *fakeEngine) Generate(ctx context.Context, r run.GenerateRequest) (core.PromptResult, error) {
	e.mu.Lock()
	e.prompts = append(e.prompts, r)
	e.mu.Unlock()
	return e.keep(ctx, r)
}

func (e *fakeEngine) Fix(ctx context.Context, r run.FixRequest) (core.FixResult, error) {
	e.mu.Lock()
	e.fixes = append(e.fixes, r)
	e.mu.Unlock()
	if err := e.wait(ctx); err != nil {
		return core.FixResult{}, err
	}
	if e.noFault != "" {
		return core.FixResult{Aspect: r.Aspect, Verdict: core.NoFault, Nearest: e.noFault}, nil
	}
	result := core.FixResult{
		Drawing: r.Drawing, Region: r.Region, Aspect: r.Aspect, Start: "base", Stack: r.Stack, Verdict: core.Repaired, Seconds: 1.25, OutsidePSNR: 34.5,
		Judges: []core.FixJudge{{Before: 0.98, After: 0.03, Found: true, Gone: true}, {HeldOut: true, Before: 0.9, After: 0.06, Found: true, Gone: true}},
		Trace:  []core.FixStep{{Trained: 0.98, HeldOut: 0.9}, {Step: 1, Trained: 0.03, HeldOut: 0.06}},
	}
	event, err := e.folder.WriteFix(result, func(dir string) error {
		errs := []error{os.Mkdir(filepath.Join(dir, "frames"), 0o755)}
		for i, name := range []string{"before", "after", "mask", "heat-artifacts", "heat-artifacts-tuned", "frames/000", "frames/001"} {
			errs = append(errs, writePlain(filepath.Join(dir, name+".png"), uint8(40*i)))
		}
		return errors.Join(errs...)
	})
	return *event.Fix, err
}

func (e *fakeEngine) Redraw(_ context.Context, r run.RedrawRequest) (paths []string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.redraws = append(e.redraws, r)
	for i := range r.Drawings {
		name := fmt.Sprintf("fixes/.redrawn-%d.png", i)
		if err := writePlain(filepath.Join(e.folder.Dir, name), uint8(20*i)); err != nil {
			return nil, err
		}
		paths = append(paths, name)
	}
	return paths, nil
}

// wait waits for the answer that the test gives, or for the request to be given up.
func (e *fakeEngine) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		e.mu.Lock()
		defer e.mu.Unlock()
		e.givenUp++
		return ctx.Err()
	case err := <-e.answer:
		return err
	}
}

func (e *fakeEngine) keep(ctx context.Context, r run.GenerateRequest) (core.PromptResult, error) {
	if err := e.wait(ctx); err != nil {
		return core.PromptResult{}, err
	}
	result := core.PromptResult{
		Drawing: core.Drawing{Prompt: r.Prompt, Negative: r.Negative, Seed: r.Seed, Sampling: core.Sampling{NumSteps: 10, GuidanceScale: 2.5}}, Seconds: 1.25, OutsidePSNR: 34.5,
		Aspects: []core.AspectScore{{Aspect: "violence", Base: 0.25, Reward: 0.75, BaseHeldOut: 0.2, HeldOut: 0.9, BaseFault: 0.75, Fault: 0.25, BaseHeldOutFault: 0.8, HeldOutFault: 0.1, Fixed: 1}}, Unknown: e.unspoken,
	}
	event, err := e.folder.WritePrompt(result, func(dir string) error {
		var errs []error
		for i, name := range []string{"base", "tuned", "mask", "heat-violence", "heat-violence-tuned", "heat-held-out-violence", "heat-held-out-violence-tuned"} {
			errs = append(errs, writePlain(filepath.Join(dir, name+".png"), uint8(40*i)))
		}
		return errors.Join(errs...)
	})
	return *event.Prompt, err
}

// waitFor waits until the engine was asked, or has seen that somebody gave up.
func (d *driver) waitFor(e *fakeEngine, what string, seen func() int) {
	d.t.Helper()
	d.until(what, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return seen() > 0
	})
}

// writePlain writes an image of one gray.
func writePlain(path string, grey uint8) error {
	m := image.NewGray(image.Rect(0, 0, 32, 32))
	for i := range m.Pix {
		m.Pix[i] = grey
	}
	m.Set(3, 3, color.White)
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(file, m), file.Close())
}

// newSampleRun is a run with images of four prompts at steps 0, 5 and 10.
func newSampleRun(t testing.TB) run.Folder {
	t.Helper()
	f, err := sample.Write(t.TempDir(), sample.Options{
		Preset: "violence", Aspects: []string{"violence", "artifacts"}, Steps: 60, Done: 12, State: run.Stopped, Every: 5,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// drivePane starts the screen on a run, on one of its tabs.
func drivePane(t testing.TB, o Options, tab string, w, h int) *driver {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	o.Runs = filepath.Dir(o.Open)
	d := drive(t, o, w, h)
	d.until("the run is read", func() bool { return d.run != nil && d.run.HasConfig && d.run.Store.Step == 12 && d.run.Behind == 0 })
	d.press(tab)
	return d
}

func mustDecode(t testing.TB, data []byte) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func plainText(s string) string { return ansi.Strip(s) }
