package tui

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
	"focusnfix/tui/internal/sample"
)

// open shows a run of the sample runs by a part of its name.
func (d *driver) openPart(part string) {
	d.t.Helper()
	dirs, err := filepath.Glob("runs/*" + part + "*")
	if err != nil || len(dirs) != 1 {
		d.t.Fatalf("%q names %d runs, %v", part, len(dirs), err)
	}
	d.send(openMsg{dirs[0]})
	d.until("the run is read", func() bool { return d.run.State != "" || d.run.Err != nil })
}

// A folder that is not as it should be is shown with the reason; the other runs stay in the list.
func TestBrokenRuns(t *testing.T) {
	sampleRuns(t)
	dir := func(name string) string {
		path := filepath.Join("runs", name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir("newer"), "run.json"), `{"format":99,"id":"newer"}`)
	write(filepath.Join(dir("garbage"), "run.json"), `{"format":`)
	d := drive(t, Options{Runs: "runs"}, 200, 40)
	d.shows("newer", "format 99, this program knows 1", "unreadable", "garbage", "unexpected end of", "artifacts-k3f9")
	d.send(openMsg{"runs/newer"})
	d.shows("2 Dashboard", "format 99, this program knows 1; update focusnfix")
	for _, tab := range []string{"3", "4", "5", "2"} {
		d.press(tab)
		d.checkSize()
	}
	d.send(openMsg{"runs/nowhere"})
	d.shows("runs/nowhere")
	d.checkSize()
}

// A torn last line is not read, and read when it is whole; lines that are none are counted.
func TestTornLog(t *testing.T) {
	sampleRuns(t)
	log := "runs/2026-11-24-violence-k3f9/events.jsonl"
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndexByte(bytes.TrimSpace(text), '\n') + 1
	torn := append(append([]byte("this is no event\n"), text[:last]...), text[last:last+20]...)
	if err := os.WriteFile(log, torn, 0o644); err != nil {
		t.Fatal(err)
	}
	d := drive(t, Options{Runs: "runs"}, 120, 40)
	d.openPart("violence")
	d.until("all but the torn line", func() bool { return d.run.Store.Step == 12 })
	if d.run.Store.Lost != 1 {
		t.Errorf("%d lines lost, want 1", d.run.Store.Lost)
	}
	n := len(d.run.Store.Log)
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(text[last+20:]); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	d.until("the rest of the line", func() bool { return len(d.run.Store.Log) == n+1 })
}

// Images that are missing or broken say so in their place.
func TestMissingPictures(t *testing.T) {
	sampleRuns(t)
	dir := "runs/2026-11-24-all-aspects-k3f9"
	if err := os.WriteFile(filepath.Join(dir, "images", "step-000080", "000-7.png"), []byte("no image"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "reference")); err != nil {
		t.Fatal(err)
	}
	d := drive(t, Options{Runs: "runs"}, 120, 40)
	d.openPart("all-aspects")
	d.shows("no image", "neither a PNG nor a")
	d.checkSize()
}

// A run whose files may not be read says so.
func TestNoPermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("the superuser may read everything")
	}
	sampleRuns(t)
	log := "runs/2026-11-24-violence-k3f9/events.jsonl"
	if err := os.Chmod(log, 0); err != nil {
		t.Fatal(err)
	}
	d := drive(t, Options{Runs: "runs"}, 120, 40)
	d.openPart("violence")
	d.shows("permission denied")
}

// An engine that was killed shows as crashed, with its last words and the way on.
func TestCrashed(t *testing.T) {
	sampleRuns(t)
	if err := os.WriteFile("runs/2026-11-24-misalignment-k3f9/log.txt", []byte("loading\nCUDA out of memory: tried 2 GiB\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	resumed := make(chan string, 1)
	o := Options{Runs: "runs", Resume: func(_ context.Context, f run.Folder) error { resumed <- f.Name(); return nil }}
	d := drive(t, o, 120, 40)
	d.openPart("misalignment")
	d.shows("crashed", "CUDA out of memory: tried 2 GiB", "resumes from the last checkpoint")
	d.press("p")
	d.shows("no engine works on this run")
	d.press("r")
	d.until("resumed", func() bool { return len(resumed) == 1 })
	if name := <-resumed; name != "2026-11-24-misalignment-k3f9" {
		t.Errorf("r resumed %s", name)
	}
}

// A run whose engine was killed stays crashed while another engine draws for it, and can be resumed.
func TestCrashedButDrawing(t *testing.T) {
	sampleRuns(t)
	f := run.Folder{Dir: "runs/2026-11-24-misalignment-k3f9"}
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	listener, process, err := f.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	process.Idle = true
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	info.Engine = process
	if err := f.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	resumed := make(chan string, 1)
	o := Options{Runs: "runs", Resume: func(_ context.Context, f run.Folder) error { resumed <- f.Name(); return nil }}
	d := drive(t, o, 120, 40)
	d.openPart("misalignment")
	d.shows("● crashed (drawing only)", "an engine that only draws")
	d.press("r")
	d.until("resumed", func() bool { return len(resumed) == 1 })
}

// Commands reach the engine and are seen in the log.
func TestControl(t *testing.T) {
	sampleRuns(t)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	o := sample.Options{Preset: "violence", Aspects: allAspects[:1], Steps: 100000, Every: 0}
	r, err := sample.Create("runs", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.End("", 0); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- sample.Serve(context.Background(), r.Folder, o, 15*time.Millisecond) }()
	d := drive(t, Options{Runs: "runs"}, 120, 40)
	d.send(openMsg{r.Dir})
	d.until("running", func() bool { return d.run.State == run.Running && d.run.Store.Step > 3 })
	d.press("p")
	d.shows("told to pause", "● paused")
	d.press("e")
	d.shows("Change a setting", "train.learning_rate", "region.weight", "reward.violence.weight")
	d.press("down", "enter")
	d.shows("outside the mask", "> 12")
	d.press("backspace", "backspace")
	for _, c := range "-4" {
		d.press(string(c))
	}
	d.press("enter")
	d.shows("region.weight", "0 to 1e+06") // refused before it is sent
	d.press("backspace", "backspace", "2", "0", "enter")
	d.shows("region.weight: 12 → 20")
	d.press("c")
	d.shows("saved checkpoints/step-")
	d.press("p")
	d.shows("● running")
	d.press("x")
	d.shows("Stop the run?")
	d.press("n", "x", "y")
	d.shows("● stopped")
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// The wheel, dragging and hovering work on charts; a click chooses.
func TestChartMouse(t *testing.T) {
	sampleRuns(t)
	d := drive(t, Options{Runs: "runs"}, 150, 50)
	d.openPart("all-aspects")
	d.until("read", func() bool { return d.run.Store.Step == 83 })
	d.content()
	p := d.panes[tabDashboard].(*dashboardPane)
	at := func(chart int) tea.Mouse {
		r := p.layout.charts[chart]
		c := r.Min.Add(r.Size().Div(2)).Add(d.layout.body.Min)
		return tea.Mouse{X: c.X, Y: c.Y, Button: tea.MouseLeft}
	}
	hero := at(0)
	hover := hero
	hover.Button = tea.MouseNone
	d.send(tea.MouseMotionMsg(hover))
	d.shows("reward step 4")
	wheel := hero
	wheel.Button = tea.MouseWheelUp
	d.send(tea.MouseWheelMsg(wheel))
	zoomed := p.curves.Window
	if zoomed.All() || zoomed.Lo <= 1 || zoomed.Hi >= 83 {
		t.Errorf("after the wheel in the middle: window %+v", zoomed)
	}
	d.send(tea.MouseClickMsg(hero))
	hero.X += 10
	d.send(tea.MouseMotionMsg(hero))
	d.send(tea.MouseReleaseMsg(hero))
	if p.curves.Window.Lo >= zoomed.Lo {
		t.Errorf("dragging to the right: window %+v, was %+v", p.curves.Window, zoomed)
	}
	d.content()
	d.send(tea.MouseClickMsg(at(2)))
	if p.chosen != 2 {
		t.Errorf("a click on the third chart chose %d", p.chosen)
	}
	d.press("esc")
	if !p.curves.Window.All() {
		t.Error("esc does not leave the zoom")
	}
	if !strings.Contains(d.content(), "loss") {
		t.Error("the loss is not on the screen")
	}
}
