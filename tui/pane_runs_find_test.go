package tui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"focusnfix/core/run"
)

// runNames are the runs in the list, from the top.
func (d *driver) runNames() string {
	var names []string
	for _, r := range d.panes[tabRuns].(*runsPane).runs {
		names = append(names, r.Info.Preset)
	}
	return strings.Join(names, " ")
}

func TestFilterRuns(t *testing.T) {
	sampleRuns(t)
	d := drive(t, Options{Runs: "runs"}, 120, 40)
	d.shows("all-aspects-k3f9", "83/150")
	list := d.panes[tabRuns].(*runsPane)
	for _, c := range []struct{ query, want string }{
		{"viol", "violence"},
		{"state:done", "artifacts"},
		{"not state:done step>=12", "all-aspects violence misalignment"},
		{"cfg.train.steps=80", "misalignment"},
		{"has:alarm", "all-aspects"},
		{"fault/artifacts<30", "all-aspects artifacts"},
		{"state:done or (preset=violence)", "violence artifacts"},
		{"quiet park? qxp", ""},
	} {
		d.press("/")
		d.typeText(c.query)
		if got := list.filter.field.Value(); got != c.query {
			t.Fatalf("typed %q, the filter has %q", c.query, got)
		}
		d.until(c.query+": "+c.want, func() bool { return d.runNames() == c.want })
		d.press("enter")
		if list.typing() {
			t.Error("enter leaves the focus in the filter")
		}
		d.checkSize()
		if text := ansi.Strip(d.content()); !strings.Contains(text, "of 4") {
			t.Errorf("no count with the filter:\n%s", text)
		}
		d.press("esc")
		d.until("all runs again", func() bool { return d.runNames() == "all-aspects violence misalignment artifacts" })
	}
	d.press("/")
	d.typeText("state:done (")
	d.shows("it ends where a word is wanted")
	d.press("esc")
	for _, want := range []string{
		"all-aspects artifacts misalignment violence", "misalignment artifacts violence all-aspects", "all-aspects artifacts misalignment violence",
	} {
		d.press("O")
		if got := d.runNames(); got != want && want != "misalignment artifacts violence all-aspects" {
			t.Errorf("sorted: %s, want %s", got, want)
		}
	}
}

// A run can be given a title and tags, be pinned as the baseline, and thrown away.
func TestKeepRunsInOrder(t *testing.T) {
	sampleRuns(t)
	d := drive(t, Options{Runs: "runs"}, 160, 40)
	d.shows("all-aspects-k3f9", "83/150")
	set := func(item, text string) {
		d.press("L")
		d.typeText(item)
		d.press("enter")
		d.typeText(text)
		d.press("enter")
	}
	set("title", "the good one")
	d.shows("the good one")
	set("tags", "paper keep")
	d.shows("paper keep")
	if l, err := (run.Folder{Dir: "runs/2026-11-24-all-aspects-k3f9"}).Label(); err != nil || l.Title != "the good one" || len(l.Tags) != 2 {
		t.Errorf("label %+v, %v", l, err)
	}
	d.press("*")
	d.shows("⚑ the good one")
	if len(d.marked) != 1 || d.settings.Baseline != "2026-11-24-all-aspects-k3f9" {
		t.Errorf("baseline %q of %d marked", d.settings.Baseline, len(d.marked))
	}
	d.press("delete")
	d.shows("Move the run to the trash?")
	d.press("esc")
	if _, err := os.Stat("runs/2026-11-24-all-aspects-k3f9"); err != nil {
		t.Fatal(err)
	}
	d.press("delete", "y")
	d.until("three runs are left", func() bool { return d.runNames() == "violence misalignment artifacts" })
	if _, err := os.Stat(filepath.Join("runs", ".trash", "2026-11-24-all-aspects-k3f9", "run.json")); err != nil || len(d.marked) != 0 {
		t.Errorf("the run is not in the trash: %v; %d are marked", err, len(d.marked))
	}
}
