package tui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/tui/internal/sample"
)

// comparedRuns writes two runs of one prompt list that differ in one setting, and marks both.
func comparedRuns(t *testing.T, d *driver, runs string) {
	t.Helper()
	for _, steps := range []int{20, 30} {
		o := sample.Options{Preset: "violence", Aspects: allAspects[:1], Steps: steps, Done: 20, State: run.Stopped, Every: 10, Created: noon}
		if _, err := sample.Write(runs, o); err != nil {
			t.Fatal(err)
		}
	}
	d.until("two runs", func() bool { return len(d.panes[tabRuns].(*runsPane).runs) == 2 })
	d.press("home", "m", "down", "*", "7")
	d.until("both are read", func() bool {
		for _, o := range d.marked {
			if o.Store.Step < 20 || !o.HasConfig {
				return false
			}
		}
		return len(d.marked) == 2
	})
}

func TestCompare(t *testing.T) {
	runs := t.TempDir()
	d := drive(t, Options{Runs: runs}, 140, 50)
	comparedRuns(t, d, runs)
	p := d.panes[tabCompare].(*comparePane)
	base := p.baseline(d.marked)
	if d.marked[base].Folder.Name() != d.settings.Baseline {
		t.Errorf("run %d is the baseline, want the pinned one", base)
	}
	d.shows("total reward", "final numbers", "⚑")
	d.press("end")
	d.shows("train.steps")
	d.checkSize()
	var reward, steps *compareRow
	rows := p.table()
	for i := range rows {
		switch rows[i].head {
		case "total reward":
			reward = &rows[i]
		case "train.steps":
			steps = &rows[i]
		}
	}
	if steps == nil || len(steps.cells) != 2 || steps.cells[0] == steps.cells[1] {
		t.Fatalf("settings %+v, want the one that differs", steps)
	}
	for _, r := range rows {
		if r.head == "train.batch" {
			t.Error("a setting that is the same in both is listed")
		}
	}
	if reward == nil || strings.Contains(reward.cells[base], "  ") || !strings.ContainsAny(reward.cells[1-base], "+-") {
		t.Errorf("rewards %+v, want a difference beside the other one's", reward)
	}
	before := p.metric
	d.press("]")
	if p.metric == before {
		t.Error("] shows the same metric")
	}
	d.press("/")
	d.typeText("violence fault")
	d.press("enter")
	if !strings.Contains(p.metric, "fault/violence") {
		t.Errorf("chosen %q", p.metric)
	}
	d.press("g")
	d.shows("a pirate waving", "step 20")
	d.shown("compare/0")
	d.shown("compare/1")
	d.press("n")
	d.shows("a chef in a kitchen")
	d.checkSize()
}

// A setting says where it comes from; the engine's log is followed.
func TestDetails(t *testing.T) {
	f := newSampleRun(t)
	log, err := f.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []core.Event{
		{Kind: "control", Step: 7, Control: &core.Control{Key: "region.weight", From: "10", To: "12"}},
		{Kind: "device", Step: 8, GPUs: []core.GPU{{Index: 1, Name: "H100", Use: 0.5, MemoryMiB: 2048, TotalMiB: 4096, Celsius: 41, Watts: 68, MostWatts: 700}}},
	} {
		if err := log.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	words := filepath.Join(f.Dir, "log.txt")
	if err := os.WriteFile(words, []byte("loading the model\n 10 %\r 99 %\nwarning: \x1b[31mslow\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, size := range [][2]int{{160, 45}, {80, 24}, {60, 18}} {
		d := drive(t, Options{Runs: filepath.Dir(f.Dir), Open: f.Dir}, size[0], size[1])
		d.press("8")
		d.shows("warning:", "engine log", "H100", "50 % busy", "free; the run has")
		d.checkSize()
		d.press("/")
		d.typeText("region.*")
		d.press("enter")
		d.shows("region.weight", "12", "changed at step 7")
		d.checkSize()
		d.press("esc", "!")
		d.shows("not defaults")
		d.send(tickMsg(noon))
		file, err := os.OpenFile(words, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.WriteString("one more\n")
		if file.Close(); err != nil {
			t.Fatal(err)
		}
		d.until("the new line", func() bool {
			d.send(tickMsg(noon))
			return len(d.panes[tabDetails].(*detailsPane).log) > 3
		})
		d.checkSize()
		if err := os.WriteFile(words, []byte("loading the model\n 99 %\nwarning: slow\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
