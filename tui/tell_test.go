package tui

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
	"focusnfix/tui/feed"
)

// The terminal's title and progress say how far the opened run is.
func TestTitleAndProgress(t *testing.T) {
	sampleRuns(t)
	d := drive(t, Options{Runs: "runs"}, 120, 40)
	if got := d.View().WindowTitle; got != "focusnfix" {
		t.Errorf("title %q without a run", got)
	}
	d.openPart("all-aspects")
	d.until("read", func() bool { return d.run.Store.Step == 83 && d.run.HasConfig })
	if v := d.View(); v.WindowTitle != "stopped all-aspects-k3f9" || v.ProgressBar != nil {
		t.Errorf("title %q, progress %v of a stopped run", v.WindowTitle, v.ProgressBar)
	}
	d.run.State = run.Running
	if v := d.View(); v.WindowTitle != "55 % all-aspects-k3f9" || v.ProgressBar == nil || v.ProgressBar.Value != 55 {
		t.Errorf("title %q, progress %v of a running one", v.WindowTitle, v.ProgressBar)
	}
	d.run.State = run.Crashed
	if v := d.View(); v.ProgressBar == nil || v.ProgressBar.State != tea.ProgressBarError {
		t.Errorf("progress %v of a crashed one", v.ProgressBar)
	}
}

// The end of a run is told once, as the user has set.
func TestTellsTheEnd(t *testing.T) {
	d := drive(t, Options{Runs: t.TempDir()}, 80, 24)
	o := &feed.Run{Folder: run.Folder{Dir: "runs/2026-11-24-violence-k3f9"}, State: run.Done}
	for _, c := range []struct{ tell, before, want string }{
		{tellBell, run.Running, "\a"},
		{tellNotify, run.Paused, "\x1b]9;violence-k3f9: done\x1b\\"},
		{tell777, run.Running, "\x1b]777;notify;focusnfix;violence-k3f9: done\x1b\\"},
		{tellOff, run.Running, ""},
		{tellBell, run.Done, ""},
		{tellBell, "", ""},
	} {
		d.settings.Tell = c.tell
		got := ""
		if cmd := d.tellEnd(c.before, o); cmd != nil {
			got = fmt.Sprint(cmd().(tea.RawMsg).Msg)
		}
		if got != c.want {
			t.Errorf("%s, from %q: wrote %q, want %q", c.tell, c.before, got, c.want)
		}
	}
	if got := oneLine("a\x1b\\b\n"); strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("control characters: %q", got)
	}
}

// The user's command runs for what no engine tells: a crash, and all of a run on another machine.
func TestNotifyCommand(t *testing.T) {
	d := drive(t, Options{Runs: t.TempDir()}, 80, 24)
	out := filepath.Join(t.TempDir(), "told")
	d.settings.Tell, d.settings.Notify.Command = tellOff, "echo \"$FNF_STATE $FNF_TEXT\" >>'"+out+"'"
	for _, o := range []*feed.Run{
		{Folder: run.Folder{Dir: "runs/2026-11-24-violence-k3f9"}, State: run.Done},
		{Folder: run.Folder{Dir: "runs/2026-11-24-violence-k3f9"}, State: run.Crashed},
		{Folder: run.Folder{Dir: "runs/2026-11-24-violence-k3f9"}, State: run.Done, Info: run.Info{Far: &run.Far{Host: "gpu"}}},
	} {
		if cmd := d.tellEnd(run.Running, o); cmd != nil {
			if msg := cmd(); msg != nil {
				t.Errorf("%s: %v", o.State, msg)
			}
		}
	}
	told, err := os.ReadFile(out)
	if want := "crashed violence-k3f9: crashed\ndone violence-k3f9: done\n"; err != nil || string(told) != want {
		t.Errorf("told %q, %v, want %q", told, err, want)
	}
	if err := d.settings.save(); err != nil {
		t.Fatal(err)
	}
	if again, err := loadSettings(); err != nil || again.Notify != d.settings.Notify {
		t.Errorf("saving other settings keeps %+v, %v", again.Notify, err)
	}
}

// What is copied is what is shown.
func TestCopy(t *testing.T) {
	sampleRuns(t)
	d := drive(t, Options{Runs: "runs"}, 120, 40)
	d.openPart("violence")
	d.until("read", func() bool { return d.run.Store.Step > 0 && d.run.HasConfig })
	d.press("Y")
	d.shows("Copy", "name of the run", "2026-11-24-violence-k3f9", "focusnfix attach")
	for _, c := range "attach" {
		d.press(string(c))
	}
	d.press("enter")
	d.shows("copied: focusnfix attach 2026-11-24-violence-k3f9")
}
