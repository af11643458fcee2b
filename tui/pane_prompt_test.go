package tui

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

func (d *driver) typeText(text string) {
	for _, r := range text {
		d.send(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
}

// shown waits until an image is there.
func (d *driver) shown(name string) {
	d.t.Helper()
	d.until(name, func() bool { cols, _ := d.deck.shelf.Shown(name); return cols > 0 && d.deck.wishes[name].done })
}

func TestPromptIsDrawn(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	d := drivePane(t, Options{Open: f.Dir}, "4", 120, 40)
	d.shows("type what to draw", "steps 10", "guidance 2.5")
	e.set(run.Status{Busy: "generate", Done: 4, Of: 10})
	d.typeText("a q by 5?") // keys of the app and of tabs are text here
	d.press("tab")
	d.typeText("dogs")
	d.press("tab", "up", "enter")
	d.shows("drawing… 0 s, 4 of 10", "esc cancel")
	e.answer <- nil
	d.shows("a q by 5?", "not dogs", "seed 2, 10 steps", "guidance 2.5, 1.2 s", "75.0 %", "25.0 %", "held-out", "10.0 %", "34.5 dB", "result 1 of 1, prompts/0001")
	d.shown("prompt/base")
	d.shown("prompt/tuned")
	if want := (run.GenerateRequest{Drawing: core.Drawing{Prompt: "a q by 5?", Negative: "dogs", Seed: 2}}); len(e.prompts) != 1 || e.prompts[0] != want {
		t.Errorf("asked %+v, want %+v", e.prompts, want)
	}
	d.checkSize()
	d.press("esc", "h")
	d.until("heatmaps", func() bool {
		return strings.HasSuffix(d.deck.wishes["prompt/base"].Heat, "heat-violence.png") && strings.HasSuffix(d.deck.wishes["prompt/tuned"].Heat, "heat-violence-tuned.png")
	})
	d.press("a")
	d.shows("[held-out-violence]")
	d.press("d")
	d.shows("difference × 4")
	// Another one with the next seed, in the same field; then back to the first result.
	d.press("t", "enter")
	e.answer <- nil
	d.shows("result 2 of 2")
	d.press("left")
	d.shows("result 1 of 2")
	d.press("u", "esc")
	if r, err := d.panes[tabPrompt].(*promptPane).form.request(); err != nil || r.Negative != "dogs" || r.Seed != 2 || r.NumSteps != 10 {
		t.Errorf("reused %+v, %v", r, err)
	}
	if got := loadHistory(historyFile()).lines; len(got) != 1 || got[0] != "a q by 5?" {
		t.Errorf("history %q", got)
	}
}

// Where the engine shows images while they are drawn, the pane does: first the base model's, then both.
func TestPromptIsPreviewed(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	d := drivePane(t, Options{Open: f.Dir}, "4", 120, 40)
	data, err := os.ReadFile(filepath.Join(f.Dir, "images/step-000005/000-7.png"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{run.PreviewBase, run.Preview} {
		if err := f.WriteFile(path, data); err != nil {
			t.Fatal(err)
		}
	}
	e.set(run.Status{Busy: "generate", Done: 4, Of: 10, Preview: run.PreviewBase})
	d.typeText("a cow")
	d.press("enter")
	d.shows("drawing… 0 s, 4 of 10", "base", "tuned")
	d.shown("prompt/base")
	if base, tuned := d.deck.wishes["prompt/base"], d.deck.wishes["prompt/tuned"]; base.Path != run.PreviewBase || tuned.Path != "" {
		t.Errorf("shows %q and %q while the base model draws", base.Path, tuned.Path)
	}
	before := d.deck.wishes["prompt/base"].Version
	e.set(run.Status{Busy: "generate", Done: 2, Of: 10, Preview: run.Preview})
	d.shows("2 of 10")
	d.shown("prompt/tuned")
	if base, tuned := d.deck.wishes["prompt/base"], d.deck.wishes["prompt/tuned"]; base.Path != run.PreviewBase || base.Version == before || tuned.Path != run.Preview {
		t.Errorf("shows %+v and %+v while the tuned model draws", base.Drawing, tuned.Drawing)
	}
	e.answer <- nil
	d.shows("result 1 of 1")
	d.until("the finished images", func() bool { return d.deck.wishes["prompt/base"].Path == "prompts/0001/base.png" })
}

func TestPromptCancelled(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	d := drivePane(t, Options{Open: f.Dir}, "4", 80, 24)
	d.typeText("a cow")
	d.press("enter")
	d.shows("drawing…")
	d.press("enter")
	d.shows("one is being drawn")
	d.waitFor(e, "the request", func() int { return len(e.prompts) })
	d.press("esc")
	d.shows("cancelled")
	d.waitFor(e, "the engine hears of it", func() int { return e.givenUp })
	e.answer <- errors.New("prompt: 900 words, want at most 77")
	d.press("enter")
	d.shows("prompt: 900 words")
	e.unspoken = "nebula"
	e.answer <- nil
	d.press("enter")
	d.shows("the model never saw: nebula")
	d.checkSize()
}

// Without an engine the user is asked, and what was typed is drawn when one is there.
func TestPromptWakesAnEngine(t *testing.T) {
	f := newSampleRun(t)
	var e *fakeEngine
	o := Options{Open: f.Dir, Wake: func(context.Context, run.Folder) error {
		e = serveFake(t, f)
		e.answer <- nil
		return nil
	}}
	d := drivePane(t, o, "4", 80, 24)
	d.typeText("a cow")
	d.press("enter")
	d.shows("No engine works on this run")
	d.press("n")
	d.press("enter")
	d.shows("No engine works on this run")
	d.press("y")
	d.shows("result 1 of 1")
	if len(e.prompts) != 1 || e.prompts[0].Prompt != "a cow" {
		t.Errorf("asked %+v", e.prompts)
	}
}

// Where nothing can start an engine, or it does not start, the reason is shown.
func TestPromptWithoutEngine(t *testing.T) {
	f := newSampleRun(t)
	d := drivePane(t, Options{Open: f.Dir}, "4", 80, 24)
	d.press("enter")
	d.shows("prompt: \"\", want a text")
	d.typeText("a cow")
	d.press("enter")
	d.shows("no engine works on this run")
	d.options.Wake = func(context.Context, run.Folder) error { return errors.New("the model's file is missing") }
	d.press("enter")
	d.shows("Start one")
	d.press("y")
	d.shows("start an engine: the model's file is missing")
}

func TestPromptMouseAndPaste(t *testing.T) {
	d := drivePane(t, Options{Open: newSampleRun(t).Dir}, "4", 120, 40)
	p := d.panes[tabPrompt].(*promptPane)
	d.click(20, 1)
	if p.form.focus != fieldPrompt {
		t.Fatalf("a click on the prompt: focus on %d", p.form.focus)
	}
	d.send(tea.PasteMsg{Content: "a cat\nand a dog\t"})
	if got := p.form.fields[fieldPrompt].Value(); got != "a cat and a dog" {
		t.Errorf("pasted %q", got)
	}
	d.clickWord("fixed")
	d.shows("next")
	d.clickWord("guidance")
	if p.form.focus != fieldGuidance {
		t.Errorf("a click on guidance: focus on %d", p.form.focus)
	}
	d.press("esc")
	if p.typing() {
		t.Error("esc does not end typing")
	}
}

// Earlier results are found by their prompts.
func TestFindPrompt(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	d := drivePane(t, Options{Open: f.Dir}, "4", 120, 40)
	p := d.panes[tabPrompt].(*promptPane)
	for i, prompt := range []string{"a dog", "a cat"} {
		d.shows("steps 10")
		p.form.fill(run.GenerateRequest{Drawing: core.Drawing{Prompt: prompt, Seed: 1}})
		d.press("enter")
		e.answer <- nil
		d.until("result", func() bool { return len(p.results.List) == i+1 && p.job == nil })
	}
	d.press("esc", "/")
	d.typeText("dog")
	d.press("enter")
	d.shows("result 1 of 2", "1 result; / finds")
	d.press("/", "x", "enter")
	d.shows("no prompt matches")
	d.checkSize()
}
