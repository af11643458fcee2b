package tui

import (
	"math"
	"reflect"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

func TestFix(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	d := drivePane(t, Options{Open: f.Dir}, "5", 120, 40)
	p := d.panes[tabFix].(*fixPane)
	d.shows("a pirate waving", "seed 7", "image 1 of 4", "violence")
	d.until("the box that the mask gives", func() bool { return p.set })
	d.shown("fix/before")
	if w := d.deck.wishes["fix/before"]; !strings.HasSuffix(w.Path, "/base.png") || w.Box != p.box {
		t.Errorf("shows %+v", w.Drawing)
	}
	// A box drawn with the mouse over the lower left quarter, dragged beyond the edge.
	r := p.layout().large
	d.mouseAt(r.Min.X+r.Dx()/2, r.Min.Y+r.Dy()/2, func(m tea.Mouse) tea.Msg { return tea.MouseClickMsg(m) })
	d.mouseAt(r.Min.X-5, r.Max.Y+1, func(m tea.Mouse) tea.Msg { return tea.MouseMotionMsg(m) })
	d.mouseAt(r.Min.X-5, r.Max.Y+1, func(m tea.Mouse) tea.Msg { return tea.MouseReleaseMsg(m) })
	if distance(p.box, core.Box{Left: 0, Top: 0.5, Right: 0.5, Bottom: 1}) > 0.1 {
		t.Errorf("drawn %+v, want the lower left quarter", p.box)
	}
	d.press("shift+up", "a", "enter")
	d.shows("repairing…", "before", "now")
	e.set(run.Status{Busy: "fix", Done: 3, Of: 40, Preview: "images/step-000005/000-7.png"})
	d.shows("3 of 40")
	d.shown("fix/after")
	if w := d.deck.wishes["fix/after"]; w.Path != "images/step-000005/000-7.png" || w.Version != p.job.version(3) {
		t.Errorf("the image under way is %+v", w.Drawing)
	}
	e.answer <- nil
	d.shows("after", "repair 1 of 1", "artifacts repaired", "98 → 3 %", "34.5 dB", "1.2 s")
	want := run.FixRequest{Drawing: core.Drawing{Prompt: "a pirate waving on a beach", Seed: 7}, Aspect: "artifacts", Region: core.Region{p.box.Shape()}.String()}
	if len(e.fixes) != 1 || !reflect.DeepEqual(e.fixes[0], want) || math.Abs(p.box.Bottom-0.97) > 0.03 {
		t.Errorf("asked %+v, want %+v", e.fixes, want)
	}
	d.until("the repaired image with its region", func() bool {
		w := d.deck.wishes["fix/after"]
		return w.done && w.Path == "fixes/0001/after.png" && w.Mask == "fixes/0001/mask.png"
	})
	d.press("d")
	d.shows("difference × 4")
	d.checkSize()
	d.press("enter")
	d.shows("image 1 of", "repair")
}

func TestFixCancelled(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	d := drivePane(t, Options{Open: f.Dir}, "5", 80, 24)
	d.shows("arrows move the box")
	d.press("enter")
	d.shows("repairing…")
	d.waitFor(e, "the request", func() int { return len(e.fixes) })
	d.press("esc")
	d.shows("cancelled", "arrows move the box")
	d.waitFor(e, "the engine hears of it", func() int { return e.givenUp })
	d.checkSize()
}

// Another pane's image comes first, with its settings.
func TestFixOfAPrompt(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	e.answer <- nil
	d := drivePane(t, Options{Open: f.Dir}, "5", 120, 40)
	d.press("4")
	d.typeText("a cow")
	d.press("tab")
	d.typeText("a hat")
	d.press("enter")
	d.shows("result 1 of 1")
	d.press("esc", "F")
	d.shows("a cow", "image 1 of 5")
	p := d.panes[tabFix].(*fixPane)
	d.press("n", "N", "right") // and its box by a key
	d.until("a box", func() bool { return p.set })
	d.press("enter")
	d.shows("repairing…")
	e.answer <- nil
	d.shows("repair 1 of 1")
	want := core.Drawing{Prompt: "a cow", Negative: "a hat", Seed: 1, Sampling: core.Sampling{NumSteps: 10, GuidanceScale: 2.5}}
	if len(e.fixes) != 1 || e.fixes[0].Drawing != want {
		t.Errorf("asked %+v, want %+v", e.fixes, want)
	}
	d.press("3", "down", "F")
	d.shows("a chef in a kitchen", "image 1 of")
}

func TestFixWithoutBox(t *testing.T) {
	d := drivePane(t, Options{Open: newSampleRun(t).Dir}, "5", 80, 24)
	p := d.panes[tabFix].(*fixPane)
	d.until("the mask's box", func() bool { return p.set })
	p.boxEditor = boxEditor{}
	d.shows("Drag a box over the fault")
	d.press("enter")
	d.shows("draw a box over the fault first")
	d.press("up", "z", "left", "+")
	d.shows("box 26", "its top left corner")
	d.press("l")
	d.shows("nothing was repaired")
	d.clickWord("repair")
	d.shows("engine works on this run")
}
