package tui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// The charts fill a grid of the size and in the order that the user has set, on pages; both are kept.
func TestChartGrid(t *testing.T) {
	sampleRuns(t)
	d := drive(t, Options{Runs: "runs", Open: "runs/2026-11-24-all-aspects-k3f9"}, 160, 50)
	d.probe.Choose("off")
	d.until("the whole log", func() bool { return d.run != nil && d.run.Store.Step == 83 && d.run.HasConfig })
	p := d.panes[tabDashboard].(*dashboardPane)
	d.press("g")
	d.checkSize()
	if len(p.layout.charts) != 4 {
		t.Errorf("%d charts in the grid, want 2 x 2", len(p.layout.charts))
	}
	d.press("}", ")")
	if len(p.layout.charts) != 9 || d.settings.GridRows != 3 || d.settings.GridCols != 3 {
		t.Errorf("%d charts in %d x %d, want 3 x 3", len(p.layout.charts), d.settings.GridRows, d.settings.GridCols)
	}
	d.checkSize()
	first := p.page()
	d.press("pgdown")
	if second := p.page(); second[0] != first[8]+1 || p.chosen != second[0] {
		t.Errorf("the second page is %v, with %d chosen", second, p.chosen)
	}
	d.press("pgup")
	before := p.specs[0].Title
	d.press("shift+right")
	if p.specs[1].Title != before || p.chosen != 1 || !strings.Contains(d.settings.Charts, orderSep+before) {
		t.Errorf("moved: %q is at 1, want %q; kept as %q", p.specs[1].Title, before, d.settings.Charts)
	}
	p.refresh()
	if p.specs[1].Title != before {
		t.Error("the order is lost with the next step")
	}
	d.press("/")
	d.typeText("*psnr*")
	d.press("enter")
	if kept := p.kept(); len(kept) != 1 || p.specs[kept[0]].Title != "PSNR, dB" || p.chosen != kept[0] {
		t.Errorf("the filter leaves %v", kept)
	}
	d.press("g")
	d.checkSize()
	d.press("/")
	d.typeText("\x7f")
	d.press("esc", "esc")
	if p.filter != "" {
		t.Errorf("esc leaves the filter %q", p.filter)
	}
	d.press("/")
	d.typeText("checkpoints")
	d.press("enter")
	text := ansi.Strip(d.content())
	if !strings.Contains(text, "saved checkpoints/step-000080") || strings.Contains(text, "held out, 16 images") {
		t.Errorf("the log is not filtered:\n%s", text)
	}
}

func TestSaveChart(t *testing.T) {
	sampleRuns(t)
	d := drive(t, Options{Runs: "runs", Open: "runs/2026-11-24-all-aspects-k3f9"}, 120, 40)
	d.until("the whole log", func() bool { return d.run != nil && d.run.Store.Step == 83 && d.run.HasConfig })
	for _, ending := range []string{"png", "svg", "csv"} {
		d.press("s")
		d.typeText(ending)
		d.press("enter")
		d.until("saved "+ending, func() bool { return strings.HasSuffix(d.notice.text, "."+ending) })
		files, err := filepath.Glob("*." + ending)
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %v, %v", ending, files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{"png": "PNG", "svg": "<polyline", "csv": "step,violence,"}[ending]; !strings.Contains(string(text), want) {
			t.Errorf("%s has no %s: %.200s", files[0], want, text)
		}
		d.notice = notice{}
	}
}
