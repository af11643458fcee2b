package tui

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"focusnfix/core"
	"focusnfix/core/run"
)

// The frames of the panes with images, text only.
func TestGoldenPanes(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	sampleRuns(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	e := &fakeEngine{folder: run.Folder{Dir: filepath.Join("runs", "2026-11-24-all-aspects-k3f9")}, answer: make(chan error, 2)}
	e.answer <- nil
	e.answer <- nil
	_, errA := e.keep(context.Background(), run.GenerateRequest{Drawing: core.Drawing{Prompt: "a detective and a dog in the park at night", Negative: "rain", Seed: 12}})
	_, errB := e.Fix(context.Background(), run.FixRequest{Drawing: core.Drawing{Prompt: "a chef in a kitchen", Seed: 7}, Aspect: "artifacts", Region: "box:0.3,0.3,0.2,0.2"})
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	for _, size := range [][2]int{{60, 18}, {80, 24}, {120, 40}} {
		d := drive(t, Options{Runs: "runs", Open: e.folder.Dir}, size[0], size[1])
		d.now = func() time.Time { return noon }
		d.probe.Choose("off")
		check := func(frame string) {
			t.Helper()
			d.checkSize()
			name := fmt.Sprintf("%s-%dx%d.golden", frame, size[0], size[1])
			golden(t, filepath.Join(testdata, "frames", name), ansi.Strip(d.content())+"\n")
		}
		d.until("the run is read", func() bool { return d.run != nil && d.run.Store.Step == 83 && d.run.HasConfig })
		d.press("3")
		d.images()
		d.shows("images are off")
		p := d.panes[tabImages].(*imagesPane)
		d.press("left", "left", "f", "h")
		d.images()
		d.until("the PSNR", func() bool {
			at, _ := p.current()
			v, known := p.psnr[p.gallery.Files(at, "")]
			return known && v == v
		})
		check("images")
		d.press("f", "h", "g", "down")
		d.images()
		check("images-grid")
		d.press("4")
		d.shows("a detective")
		both := func(a, b string) {
			t.Helper()
			d.until("both images", func() bool { return d.deck.wishes[a].done && d.deck.wishes[b].done })
		}
		both("prompt/base", "prompt/tuned")
		d.press("esc")
		check("prompt")
		d.press("e")
		d.typeText("a guard with a sw")
		check("prompt-typing")
		d.press("esc", "5")
		fix := d.panes[tabFix].(*fixPane)
		d.until("the mask's box", func() bool { return fix.set })
		d.shows("images are off")
		check("fix")
		d.until("the repair", func() bool { return len(fix.fixes.List) == 1 })
		d.press("l")
		d.shows("artifacts repaired")
		d.until("the image", func() bool { return d.deck.wishes["fix/image"].done })
		check("fix-result")
	}
}
