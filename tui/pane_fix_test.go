package tui

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"math"
	"os"
	"path/filepath"
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
	d.shows("a pirate waving", "seed 7", "image 1 of 4", "violence", "[base model]")
	d.until("the box that the mask gives", func() bool { return p.set })
	d.shown("fix/image")
	if w := d.deck.wishes["fix/image"]; !strings.HasSuffix(w.Path, "/base.png") || w.Box != p.box {
		t.Errorf("shows %+v", w.Drawing)
	}
	// A box drawn with the mouse over the lower left quarter, dragged beyond the edge.
	r := p.layout().image
	d.mouseAt(r.Min.X+r.Dx()/2, r.Min.Y+r.Dy()/2, func(m tea.Mouse) tea.Msg { return tea.MouseClickMsg(m) })
	d.mouseAt(r.Min.X-5, r.Max.Y+1, func(m tea.Mouse) tea.Msg { return tea.MouseMotionMsg(m) })
	d.mouseAt(r.Min.X-5, r.Max.Y+1, func(m tea.Mouse) tea.Msg { return tea.MouseReleaseMsg(m) })
	if distance(p.box, core.Box{Left: 0, Top: 0.5, Right: 0.5, Bottom: 1}) > 0.1 {
		t.Errorf("drawn %+v, want the lower left quarter", p.box)
	}
	d.press("shift+up", "a", "enter")
	d.shows("repairing…")
	heldOut := 0.4
	e.set(run.Status{Busy: "fix", Done: 3, Of: 40, Preview: "images/step-000005/000-7.png", Frame: &run.Frame{Trained: 0.2, HeldOut: &heldOut, Outside: 33, Seconds: 1.5}})
	d.shows("3 of 40", "20 %", "40 %", "33.0 dB")
	d.shown("fix/image")
	if w := d.deck.wishes["fix/image"]; w.After != "images/step-000005/000-7.png" || w.Version != p.job.version(3) || w.Split != 0 {
		t.Errorf("the image under way is %+v", w.Drawing)
	}
	e.answer <- nil
	d.shows("repair 1 of 1", "artifacts repaired", "98 → 3 %", "34.5 dB", "1.2 s", "base weights")
	want := run.FixRequest{Drawing: core.Drawing{Prompt: "a pirate waving on a beach", Seed: 7}, Aspect: "artifacts", Region: core.Region{p.box.Shape()}.String()}
	if len(e.fixes) != 1 || !reflect.DeepEqual(e.fixes[0], want) || math.Abs(p.box.Bottom-0.97) > 0.03 {
		t.Errorf("asked %+v, want %+v", e.fixes, want)
	}
	d.until("before and after with a divider", func() bool {
		w := d.deck.wishes["fix/image"]
		return w.done && w.Path == "fixes/0001/before.png" && w.After == "fixes/0001/after.png" && w.Split == 0.5
	})
	d.press("left", "left", "d")
	if w := d.deck.wishes["fix/image"]; w.Minus != "fixes/0001/before.png" || math.Abs(p.split-0.4) > 1e-9 {
		t.Errorf("the difference is %+v, the divider at %g", w.Drawing, p.split)
	}
	d.press("d")
	d.mouseAt(r.Min.X+r.Dx()/4, r.Min.Y+5, func(m tea.Mouse) tea.Msg { return tea.MouseClickMsg(m) })
	d.mouseAt(r.Min.X+r.Dx()/2, r.Min.Y+5, func(m tea.Mouse) tea.Msg { return tea.MouseReleaseMsg(m) })
	if math.Abs(p.split-0.25) > 0.05 {
		t.Errorf("the divider is at %g, want it where the mouse pressed", p.split)
	}
	d.press("z")
	d.shows("artifacts repaired: artifacts 98 → 3 %")
	if strings.Contains(d.content(), "1 Runs") {
		t.Error("alone, but the tabs are there")
	}
	d.press("z")
	d.checkSize()
}

// The next repair builds on the one before; undo and redo show the very files, and a repair after undo forgets what
// was undone.
func TestFixUndo(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	d := drivePane(t, Options{Open: f.Dir}, "5", 120, 40)
	p := d.panes[tabFix].(*fixPane)
	d.until("a box", func() bool { return p.set })
	repair := func(n int) {
		t.Helper()
		e.answer <- nil
		d.press("enter")
		d.shows(fmt.Sprintf("repair %d of %d", n, n))
	}
	repair(1)
	bytesOf := func() string {
		data, err := os.ReadFile(filepath.Join(f.Dir, filepath.FromSlash(p.history.now().path)))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first := bytesOf()
	d.press("enter", "up")
	repair(2)
	if want := []core.FixUse{{Path: "fixes/0001", Strength: 1}}; len(e.fixes) != 2 || !reflect.DeepEqual(e.fixes[1].Stack, want) {
		t.Errorf("the second builds on %+v, want %+v", e.fixes[1].Stack, want)
	}
	second := bytesOf()
	d.press("U")
	if bytesOf() != first {
		t.Error("undo does not show the bytes of the first repair")
	}
	d.press("R")
	if bytesOf() != second {
		t.Error("redo does not show the bytes of the second repair")
	}
	d.press("U", "U")
	d.shows("[base model]")
	if at := p.history.now(); len(at.stack) != 0 || !strings.HasSuffix(at.path, "fixes/0001/before.png") {
		t.Errorf("undone to %+v", at)
	}
	d.press("U")
	d.shows("nothing to undo")
	d.press("R", "enter", "up")
	repair(3)
	d.press("R")
	d.shows("nothing to redo")
	if got := len(p.history.now().stack); got != 2 {
		t.Errorf("%d fixes on the image, want those of the first and the third repair", got)
	}
	d.checkSize()
}

// What is kept survives the program, and its strength redraws the image.
func TestFixKept(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	d := drivePane(t, Options{Open: f.Dir}, "5", 120, 40)
	p := d.panes[tabFix].(*fixPane)
	d.until("a box", func() bool { return p.set })
	e.answer <- nil
	d.press("enter")
	d.shows("repair 1 of 1")
	d.press("K")
	d.shows("kept", "1.0")
	d.press("-", "-")
	d.shows("0.8")
	d.until("the image at that strength", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		n := len(e.redraws)
		return n > 0 && math.Abs(e.redraws[n-1].Stack[0].Strength-0.8) < 1e-9 && len(p.more.paths) == 1
	})
	kept, err := f.KeptFixes()
	if err != nil || len(kept) != 1 || kept[0].Path != "fixes/0001" {
		t.Errorf("kept %+v, %v", kept, err)
	}
	d.press("+", "-", "V") // the last wish is drawn, whatever the engine is at
	d.until("nine images", func() bool { return len(p.more.paths) == 9 })
	d.shown("fix/image")
	d.press("esc", "space")
	d.shows("frame 1 of 2")
	d.until("the last frame", func() bool { return p.more.frame == 1 })
	d.press("esc")

	again := drivePane(t, Options{Open: f.Dir}, "5", 120, 40)
	again.until("the repair", func() bool { return len(again.panes[tabFix].(*fixPane).fixes.List) == 1 })
	again.press("l")
	again.shows("repair 1 of 1", "kept", "0.8", "violence repaired")
}

// A region without a fault says so, and offers the nearest one.
func TestFixOfNoFault(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	e.noFault = "box:0.5,0.6,0.2,0.1"
	e.answer <- nil
	d := drivePane(t, Options{Open: f.Dir}, "5", 120, 40)
	p := d.panes[tabFix].(*fixPane)
	d.until("a box", func() bool { return p.set })
	d.press("enter")
	d.shows("no violence found here", "take the nearest")
	d.press("esc")
	if distance(p.box, core.Box{Left: 0.5, Top: 0.6, Right: 0.7, Bottom: 0.7}) > 1e-9 {
		t.Errorf("the box is %+v", p.box)
	}
	if all, err := f.Fixes(); err != nil || len(all) != 0 {
		t.Errorf("kept %v, %v", all, err)
	}
}

// A fault in words is asked of the engine in place of the aspect. Keys go into the field; esc leaves what was said.
func TestFixInWords(t *testing.T) {
	f := newSampleRun(t)
	e := serveFake(t, f)
	d := drivePane(t, Options{Open: f.Dir}, "5", 120, 40)
	p := d.panes[tabFix].(*fixPane)
	d.until("a box", func() bool { return p.set })
	d.press("I")
	d.shows("Fault in words")
	d.typeText("quit")
	d.press("esc")
	if p.fault != "" || d.dialog != nil {
		t.Errorf("left with %q", p.fault)
	}
	d.press("I")
	d.typeText("a sword")
	d.press("enter")
	d.shows("[a sword]")
	d.press("enter")
	d.waitFor(e, "the request", func() int { return len(e.fixes) })
	if r := e.fixes[0]; r.Fault != "a sword" || r.Aspect != "a sword" {
		t.Errorf("asked for %q, %q", r.Fault, r.Aspect)
	}
	e.answer <- errors.New("a fault in words needs the weights of a CLIP")
	d.shows("needs the weights of a")
	d.press("a")
	d.shows("words…")
	if p.fault != "" {
		t.Errorf("with an aspect it still looks for %q", p.fault)
	}
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
	d.press("n", "N", "right", "B") // and its box by a key
	d.until("a box", func() bool { return p.set })
	d.press("enter")
	d.shows("repairing…", "begins with the run's")
	e.answer <- nil
	d.shows("repair 1 of 1")
	want := core.Drawing{Prompt: "a cow", Negative: "a hat", Seed: 1, Sampling: core.Sampling{NumSteps: 10, GuidanceScale: 2.5}}
	if len(e.fixes) != 1 || e.fixes[0].Drawing != want || e.fixes[0].Start != "run" {
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
	d.shows("mark the fault first")
	d.press("up", "C", "left", "+")
	d.shows("box 26", "its top left corner")
	d.press("l")
	d.shows("nothing was repaired")
	d.clickWord("repair")
	d.shows("engine works on this run")
}

// What is painted, erased, cut out and taken from the heatmap is one region.
func TestFixRegionTools(t *testing.T) {
	d := drivePane(t, Options{Open: newSampleRun(t).Dir}, "5", 120, 40)
	p := d.panes[tabFix].(*fixPane)
	d.until("the mask's box", func() bool { return p.set })
	r := p.layout().image
	d.until("the image", func() bool { cols, _ := d.deck.shelf.Shown("fix/image"); return cols > 0 })
	d.press("T")
	d.mouseAt(r.Min.X+r.Dx()/2, r.Min.Y+r.Dy()/2, func(m tea.Mouse) tea.Msg { return tea.MouseClickMsg(m) })
	d.mouseAt(r.Min.X+r.Dx()/2+8, r.Min.Y+r.Dy()/2, func(m tea.Mouse) tea.Msg { return tea.MouseMotionMsg(m) })
	d.mouseAt(r.Min.X+r.Dx()/2+8, r.Min.Y+r.Dy()/2, func(m tea.Mouse) tea.Msg { return tea.MouseReleaseMsg(m) })
	d.press("E", "P", "shift+left", "T", "P", "left", "P", "up", "P", "T", "up", "right", "right")
	region := p.region()
	var kinds []string
	for _, s := range region {
		kinds = append(kinds, map[bool]string{true: "-"}[s.Erase]+string(s.Kind))
	}
	if got := strings.Join(kinds, " "); got != "heat brush -brush -brush -polygon" {
		t.Errorf("the region is %s", got)
	}
	if region[0].Threshold != 0.35 || region[0].Grow != 6 || len(region[1].Points) != 2 {
		t.Errorf("the region is %s", region)
	}
	d.shows("threshold", "0.35", "6 px")
	d.press("backspace")
	if len(p.region()) != 4 {
		t.Error("backspace takes nothing back")
	}
	d.shown("fix/image")
	if w := d.deck.wishes["fix/image"]; w.Region != p.region().String() || w.err != nil {
		t.Errorf("shows %+v", w)
	}
}

// FuzzRegionEditor: whatever the mouse and the keys do, the region is one that the engine reads.
func FuzzRegionEditor(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 255})
	f.Add([]byte("TdrawEerasePpoint"))
	f.Fuzz(func(t *testing.T, acts []byte) {
		e := newRegionEditor()
		at := func(b byte) float64 { return float64(b)/200 - 0.1 } // beside the image, too
		in := func(b byte) float64 { return min(max(at(b), 0), 1) }
		for i, act := range acts {
			next := acts[(i+1)%len(acts)]
			switch act % 11 {
			case 0:
				e.choose(fixTool(next % uint8(fixTools)))
			case 1:
				e.pressAt(in(next), in(act))
			case 2:
				e.dragTo(in(next), in(act))
			case 3:
				e.letGo()
			case 4:
				e.arrow(int(next%5)-2, int(act/11%5)-2, next%2 == 0)
			case 5:
				e.point()
			case 6:
				e.larger(int(next%7) - 3)
			case 7:
				e.takeBack()
			case 8:
				e.erase = !e.erase
			case 9:
				e.closePolygon()
			case 10:
				e.grip = (e.grip + 1) % grips
			}
			if r := e.region(); len(r) > 0 {
				if again, err := core.ParseRegion(r.String()); err != nil || len(again) != len(r) {
					t.Fatalf("%s: %v", r, err)
				}
			}
		}
	})
}

func TestWriteGIF(t *testing.T) {
	var frames []image.Image
	for i := range 3 {
		m := image.NewRGBA(image.Rect(0, 0, 8, 8))
		m.SetRGBA(i, i, color.RGBA{255, 0, 0, 255})
		frames = append(frames, m)
	}
	var b bytes.Buffer
	if err := writeGIF(&b, frames); err != nil {
		t.Fatal(err)
	}
	g, err := gif.DecodeAll(&b)
	if err != nil || len(g.Image) != 3 || g.Delay[0] != gifRest || g.Delay[1] != gifDelay {
		t.Fatalf("%d frames, %v", len(g.Image), err)
	}
	if r, _, _, _ := g.Image[2].At(2, 2).RGBA(); r>>8 < 200 {
		t.Errorf("frame 2 has red %d at its pixel", r>>8)
	}
}
