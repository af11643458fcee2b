package tui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"focusnfix/core/run"
	"focusnfix/tui/internal/sample"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// noon is when the golden frames are.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func init() { time.Local = time.UTC } // of the golden frames

var allAspects = []string{"violence", "oversexualization", "artifacts", "misalignment"}

// TestMain puts every test into one time zone.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// sampleRuns writes four runs into ./runs of a new working folder, with names that do not change.
func sampleRuns(t testing.TB) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, o := range []sample.Options{
		{Preset: "artifacts", Aspects: allAspects[2:3], Steps: 60, Done: 60, State: run.Done, Created: noon.Add(-50 * time.Hour)},
		{Preset: "misalignment", Aspects: allAspects[3:], Steps: 80, Done: 34, State: run.Running, Created: noon.Add(-5 * time.Hour)},
		{Preset: "violence", Aspects: allAspects[:1], Steps: 60, Done: 12, State: run.Failed, Created: noon.Add(-3 * time.Hour)},
		{Preset: "all-aspects", Aspects: allAspects, Steps: 150, Done: 83, State: run.Stopped, Created: noon.Add(-20 * time.Minute), Alarm: true, Every: 10},
	} {
		f, err := sample.Write("runs", o)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(f.Dir, filepath.Join("runs", "2026-11-24-"+o.Preset+"-k3f9")); err != nil {
			t.Fatal(err)
		}
	}
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make golden writes it", err)
	}
	if got != string(want) {
		t.Errorf("%s has another frame; make golden rewrites it. Got:\n%s\nwant:\n%s", path, got, want)
	}
}

// The frames of four sizes, text only. Images are off: what they look like is the image layer's test.
func TestGoldenFrames(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	sampleRuns(t)
	for _, size := range [][2]int{{40, 12}, {60, 18}, {80, 24}, {120, 40}, {200, 60}} {
		name := fmt.Sprintf("%dx%d", size[0], size[1])
		check := func(d *driver, frame string) {
			t.Helper()
			d.checkSize()
			golden(t, filepath.Join(testdata, "frames", frame+"-"+name+".golden"), ansi.Strip(d.content())+"\n")
		}
		d := drive(t, Options{Runs: "runs"}, size[0], size[1])
		d.now = func() time.Time { return noon }
		d.probe.Choose("off")
		if size[0] == 40 {
			check(d, "small")
			continue
		}
		d.shows("all-aspects-k3f9", "83/150")
		d.until("rewards", func() bool { return len(d.panes[tabRuns].(*runsPane).all[0].Rewards) > 0 })
		check(d, "runs")
		d.press("?")
		check(d, "help")
		d.press("esc", "enter")
		d.until("the whole log", func() bool { return d.run != nil && d.run.Store.Step == 83 && d.run.HasConfig })
		check(d, "dashboard")
		if size[0] == 120 {
			d.press("i", "left", "left", "left", "f")
			check(d, "inspect")
			d.press("f", ":")
			check(d, "palette")
			d.press("esc")
		}
		d.press("8")
		d.shows("model.path", "engine log", "free; the run has")
		d.panes[tabDetails].(*detailsPane).space = run.Space{Used: 300 << 20, Free: 75 << 30, Total: 100 << 30}
		check(d, "details")
		d.press("1", "home", "m", "down", "m", "7")
		d.until("both marked runs", func() bool {
			return len(d.marked) == 2 && d.marked[0].Store.Step > 0 && d.marked[1].Store.Step > 0 && d.marked[0].HasConfig && d.marked[1].HasConfig
		})
		check(d, "compare")
	}
}

// Somebody who starts for the first time sees what enter does.
func TestFirstStart(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	started := ""
	o := Options{Runs: "runs"}
	o.Start = starter(&started)
	d := drive(t, o, 80, 24)
	d.shows("No runs yet in runs", "violence")
	golden(t, filepath.Join(testdata, "frames", "first-80x24.golden"), ansi.Strip(d.content())+"\n")
	d.press("enter")
	d.shows("Start violence?")
	if started != "" {
		t.Error("a run was started before anybody said yes")
	}
	d.press("enter")
	d.shows("step 0/60", "new")
	if started != "violence" {
		t.Errorf("enter started %q, want violence", started)
	}
}

// Keys that come before the list of runs is read choose and start nothing.
func TestNothingStartsBeforeTheListIsRead(t *testing.T) {
	sampleRuns(t)
	started := ""
	d := drive(t, Options{Runs: "runs", Start: starter(&started)}, 120, 40)
	d.press("enter", "enter", "e", "m", "x", "r")
	if d.dialog != nil || started != "" {
		t.Errorf("dialog %v, started %q, want neither", d.dialog, started)
	}
	d.shows("all-aspects-k3f9")
	d.press("enter")
	d.until("the run is open", func() bool { return d.run != nil })
	if started != "" {
		t.Errorf("started %q", started)
	}
}
