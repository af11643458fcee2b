package cmd

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// logged writes a run with three steps, of which the third is made twice, and an evaluation.
func logged(t *testing.T, runs string, offset float64) run.Folder {
	t.Helper()
	f := newTestRun(t, runs, "violence")
	log, err := f.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	no := math.NaN()
	at := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	step := func(n int, loss float64) core.Event {
		return core.Event{Time: at, Kind: "step", Step: n, Train: &core.TrainStep{
			Loss: loss + offset, Coverage: 0.05, InsidePSNR: no, OutsidePSNR: 40,
			Aspects: []core.AspectScore{{Aspect: "violence", Base: 0.25, Reward: 0.5 + offset, BaseHeldOut: no, HeldOut: no, Fixed: no}},
		}}
	}
	evaluation := core.Event{Time: at, Kind: "evaluation", Step: 2, Evaluation: &core.Evaluation{
		Pictures: 12, OutsidePSNR: 30, Aspects: []core.AspectScore{{Aspect: "violence", Base: no, Reward: no, BaseHeldOut: no, HeldOut: 0.75, Fixed: 0.5 + offset}},
	}}
	for _, e := range []core.Event{step(1, -1), step(2, -2), step(3, -9), {Kind: "state", Step: 2, State: "running"}, step(2, -2), evaluation, step(3, -3)} {
		if err := log.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestMetrics(t *testing.T) {
	runs := t.TempDir()
	f := logged(t, runs, 0)
	code, out, stderr := inRuns(t, runs, "metrics "+shortID(f.Name()))
	for _, want := range []string{"METRIC", "outside_psnr", "40.0 dB", "30.0 dB", "5.0 %", "fixed/violence", "50 %", "-3.000"} {
		if code != exitDone || !strings.Contains(out, want) {
			t.Errorf("%d %s: no %q in\n%s", code, stderr, want, out)
		}
	}
	_, out, _ = inRuns(t, runs, "metrics --csv "+f.Name())
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 5 || rows[0][0] != "kind" || rows[0][3] != "loss" {
		t.Fatalf("%v, %v", rows, err)
	}
	var kinds, losses []string
	for _, row := range rows[1:] {
		kinds, losses = append(kinds, row[0]+row[1]), append(losses, row[3])
	}
	if strings.Join(kinds, " ") != "step1 step2 evaluation2 step3" || strings.Join(losses, " ") != "-1 -2  -3" {
		t.Errorf("rows %v with losses %q; want the third step once, as it was made last", kinds, losses)
	}
	_, out, _ = inRuns(t, runs, "metrics --json "+f.Name())
	var list []metricsRow
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 4 || list[0].Metrics["coverage"] != 0.05 {
		t.Errorf("%v, %+v", err, list)
	}
	if _, has := list[0].Metrics["inside_psnr"]; has {
		t.Error("a number that is not known is in the JSON")
	}
	empty := newTestRun(t, runs, "artifacts")
	if code, out, stderr := inRuns(t, runs, "metrics --json "+empty.Name()); code != exitDone || strings.TrimSpace(out) != "[]" {
		t.Errorf("a run without events: %d %s%s", code, out, stderr)
	}
	if code, _, stderr := inRuns(t, runs, "metrics --csv --json "+empty.Name()); code != exitUsage {
		t.Errorf("both formats: %d %s", code, stderr)
	}
}

func TestCompare(t *testing.T) {
	runs := t.TempDir()
	a, b := logged(t, runs, 0), logged(t, runs, 0.25)
	c := core.Default()
	c.Region.Weight = 20
	if err := b.SetConfig(c); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := inRuns(t, runs, "compare "+shortID(a.Name())+" "+shortID(b.Name()))
	if code != exitDone {
		t.Fatal(stderr)
	}
	for _, want := range [][]string{{"fixed/violence", "50", "%", "75", "%", "+25"}, {"region.weight", "12", "20"}, {"loss", "-2.000", "-1.750", "+0.250"}} {
		if !strings.Contains(squeeze(out), strings.Join(want, " ")) {
			t.Errorf("no %v in\n%s", want, out)
		}
	}
	if strings.Contains(out, "lora.rank") {
		t.Errorf("a setting that is the same is shown:\n%s", out)
	}
	_, out, _ = inRuns(t, runs, "compare --json "+a.Name()+" "+filepath.Join(runs, b.Name()))
	var list []comparedRun
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 || list[1].Settings["region.weight"] != "20" || len(list[1].Settings) != 1 {
		t.Errorf("%v, %+v", err, list)
	}
	if got := list[1].Metrics["reward/violence"]; got != 0.75 {
		t.Errorf("final reward %v, want the mean of the steps, 0.75", got)
	}
}

// squeeze makes every run of spaces one.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

// Closing the screen says what continues, and how to come back.
func TestTellRunning(t *testing.T) {
	runs := t.TempDir()
	f := newTestRun(t, runs, "violence")
	newTestRun(t, runs, "artifacts")
	work(t, &testEngine{folder: f})
	var b strings.Builder
	tellRunning(&b, runs)
	if want := f.Name() + " is still running; focusnfix attach " + shortID(f.Name()) + " returns to it\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
