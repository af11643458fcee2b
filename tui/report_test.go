package tui

import (
	"context"
	"errors"
	"testing"

	"focusnfix/core/run"
)

// W writes a page about the run, or about those that are marked.
func TestReport(t *testing.T) {
	sampleRuns(t)
	var asked []run.Folder
	var refuse error
	d := drive(t, Options{Runs: "runs", Report: func(_ context.Context, runs []run.Folder) (string, error) {
		asked = runs
		return "report-k3f9.html", refuse
	}}, 120, 40)
	d.until("read", func() bool { return len(d.panes[tabRuns].(*runsPane).runs) > 1 })
	d.press("m", "down", "m", "W")
	d.shows("wrote report-k3f9.html")
	if len(asked) != 2 {
		t.Errorf("%d runs, want the two that are marked", len(asked))
	}
	d.openPart("violence")
	refuse = errors.New("no room")
	d.press("W")
	d.shows("no room")
	if len(asked) != 1 || asked[0].Dir != d.run.Folder.Dir {
		t.Errorf("%v, want the open run", asked)
	}
}
