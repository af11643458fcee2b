package cmd

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/model/torch/torchtest"
)

// tinyPreset is a preset of the tiny model with judges that are part of the program.
func tinyPreset(t *testing.T) string {
	t.Helper()
	model, err := filepath.Abs(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, prompts := filepath.Join(dir, "tiny.toml"), filepath.Join(dir, "prompts.txt")
	text := `[[reward]]
aspect   = "oversexualization"
model    = "builtin:nsfw-mid"
held_out = "builtin:nsfw-small"
[model]
path   = "` + model + `"
device = "` + string(torchtest.Device()) + `"
[sample]
num_steps = 2
[train]
prompts          = "` + prompts + `"
batch            = 1
backprop_steps   = 1
steps            = 2
checkpoint_every = 100
`
	for path, text := range map[string]string{path: text, prompts: "a chef\na cat\n[held out]\na fox\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// Training in the foreground: events for programs, a folder that continues where it was left, no way to
// train into a folder that has something.
func TestTrain(t *testing.T) {
	torchtest.Need(t)
	runs, preset := t.TempDir(), tinyPreset(t)
	dir := filepath.Join(runs, "mine")
	code, stdout, stderr := inRuns(t, runs, "train --json --tensorboard --steps 1 -p "+preset+" --run "+dir)
	if code != exitDone {
		t.Fatal(stderr)
	}
	steps := 0
	for line := range strings.Lines(stdout) {
		var e struct {
			Kind string
			Step int
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if e.Kind == "step" {
			steps++
		}
	}
	if steps != 1 || !strings.Contains(stderr, "train 1/1  reward") || !strings.Contains(stderr, "mine: done at step 1 of 1") {
		t.Errorf("%d steps in the events; told %s", steps, stderr)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "tensorboard", "events.out.tfevents.*")); len(files) != 1 {
		t.Errorf("event files %v", files)
	}
	if code, _, stderr = inRuns(t, runs, "train -p "+preset+" --run "+dir); code != exitFailed || !strings.Contains(stderr, "has files in it; want a new folder\nhint:  --resume") {
		t.Errorf("into a folder with files: %d %s", code, stderr)
	}
	if code, _, stderr = inRuns(t, runs, "train --resume mine --steps 2 --set region.weight=3"); code != exitDone || !strings.Contains(stderr, "mine: done at step 2 of 2") {
		t.Errorf("resumed: %d %s", code, stderr)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "tensorboard", "events.out.tfevents.*")); len(files) != 2 {
		t.Errorf("event files %v, want one more by the resumed training", files)
	}
	if c, err := (run.Folder{Dir: dir}).Config(); err != nil || c.Region.Weight != 3 || c.Train.Steps != 2 {
		t.Errorf("region.weight %g, %d steps, %v", c.Region.Weight, c.Train.Steps, err)
	}
	if code, out, _ := inRuns(t, runs, "ls"); code != exitDone || !strings.Contains(out, "done") || !strings.Contains(out, "2/2") {
		t.Errorf("ls: %s", out)
	}
}

func TestTrainRefuses(t *testing.T) {
	runs := t.TempDir()
	newTestRun(t, runs, "there")
	for args, want := range map[string]string{
		"train -p zebra":                                   `no preset "zebra"`,
		"train -p nowhere.toml":                            "nowhere.toml: no such file",
		"train --set region.wieght=3":                      "did you mean region.weight?",
		"train --steps 0":                                  "train.steps: 0, want 1 to",
		"train --resume x -p violence":                     "leave out PRESET, --preset",
		"train --resume x violence":                        "leave out PRESET, --preset",
		"train violence -p artifacts":                      "want one preset",
		"train violense":                                   `no preset "violense"; did you mean violence?`,
		"start a b":                                        `unexpected argument "b" after [PRESET]`,
		"train --stpes 3":                                  "unknown flag: --stpes; did you mean --steps?",
		"train --resume there --set region.weight":         "no value, want key=value",
		"train --resume there --set region.weight=-1":      "region.weight: -1, want 0 to",
		"train --resume there --set reward.a.weight=1":     `no aspect "a" here`,
		"start -p violence --set train.prompts= --steps 3": "train.prompts: empty",
	} {
		if code, _, stderr := inRuns(t, runs, args); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d %q, want %q", args, code, stderr, want)
		}
	}
	if code, _, stderr := inRuns(t, runs, "train --resume zebra"); code != exitFailed || !strings.Contains(stderr, `no run "zebra"`) {
		t.Errorf("%d %s", code, stderr)
	}
}

// A run in the background outlives its starter, continues, is stopped with a checkpoint and woken to answer.
func TestStart(t *testing.T) {
	torchtest.Need(t)
	t.Setenv("FNF_TEST_AS_PROGRAM", "1") // for the engine's process
	runs := t.TempDir()
	code, stdout, stderr := inRuns(t, runs, "start --steps 100000 -p "+tinyPreset(t))
	if code != exitDone {
		t.Fatal(stderr)
	}
	f, err := run.Find(runs, strings.TrimSpace(stdout))
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, f)
	waitFor(t, f, "a step", func(s run.Status) bool { return s.Step > 0 })
	if code, out, _ := inRuns(t, runs, "ls"); code != exitDone || !strings.Contains(out, "running") {
		t.Errorf("ls: %s", out)
	}
	if code, _, stderr := inRuns(t, runs, "train --resume "+f.Name()); code != exitFailed || !strings.Contains(stderr, "another engine works on this run") {
		t.Errorf("a second engine: %d %s", code, stderr)
	}
	checkStop(t, runs, f)
	ctx := context.Background()
	if err := wakeRun(ctx, f); err != nil {
		t.Fatal(err)
	}
	waitFor(t, f, "the idle engine", func(s run.Status) bool { return s.State == run.Stopped })
	if err := wakeRun(ctx, f); err != nil {
		t.Errorf("woken twice: %v", err)
	}
	client, err := f.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if r, err := client.Generate(ctx, run.GenerateRequest{Drawing: core.Drawing{Prompt: "a fox"}}); err != nil || r.Path == "" {
		t.Errorf("generated %+v, %v", r, err)
	}
	if code, _, stderr := inRuns(t, runs, "train --steps 1 --resume "+f.Name()); code != exitDone || !strings.Contains(stderr, "done at step") {
		t.Errorf("train in place of an idle engine: %d %s", code, stderr)
	}
	longer, err := changedConfig(f, []string{"train.steps=100000"})
	if err == nil {
		err = f.SetConfig(longer)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := wakeRun(ctx, f); err != nil {
		t.Fatal(err)
	}
	if err := resumeRun(ctx, f); err != nil {
		t.Fatal(err)
	}
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, f, "a further step", func(s run.Status) bool { return s.State == run.Running && s.Step > info.Step })
	checkStop(t, runs, f)
}

// checkStop ends a run by command and looks for the checkpoint.
func checkStop(t *testing.T, runs string, f run.Folder) {
	t.Helper()
	code, out, stderr := inRuns(t, runs, "stop "+f.Name())
	if code != exitDone || !strings.Contains(out, ": stopped at step ") {
		t.Fatalf("stop: %d %s%s", code, out, stderr)
	}
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	if all, err := f.Checkpoints(); err != nil || all[len(all)-1].Step != info.Step {
		t.Errorf("checkpoints %v, %v; want the last of step %d", all, err, info.Step)
	}
}

func waitFor(t *testing.T, f run.Folder, what string, ok func(run.Status) bool) {
	t.Helper()
	client, err := f.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var s run.Status
	for range 3000 {
		if s, err = client.Status(context.Background()); err == nil && ok(s) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waiting for %s: %+v, %v", what, s, err)
}

// stopAtEnd leaves no engine behind.
func stopAtEnd(t *testing.T, f run.Folder) {
	t.Cleanup(func() {
		if client, err := f.Dial(); err == nil {
			defer client.Close()
			if err := client.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}

// A run whose model is not there is not made; an engine that cannot begin says why, at once, and the run
// has failed.
func TestStartFails(t *testing.T) {
	torchtest.Need(t)
	t.Setenv("FNF_TEST_AS_PROGRAM", "1")
	runs, ctx := t.TempDir(), context.Background()
	if _, err := startRun(ctx, runs, "violence", []string{"model.path=/nowhere"}); err == nil || !strings.Contains(err.Error(), "model.path: /nowhere is not there") {
		t.Errorf("started with no model: %v", err)
	}
	code, _, stderr := inRuns(t, runs, "start -p "+tinyPreset(t)+" --set reward.oversexualization.model=clip:/nowhere")
	if code != exitFailed || !strings.Contains(stderr, "error: reward.oversexualization.model: ") || !strings.Contains(stderr, "log.txt") {
		t.Errorf("%d %q", code, stderr)
	}
	if code, out, _ := inRuns(t, runs, "ls"); code != exitDone || strings.Count(out, "failed") != 1 || strings.Count(out, "\n") != 2 {
		t.Errorf("ls: %s", out)
	}
}

// What is told of a training: a line for each tenth of the steps, evaluations, alarms and pauses.
func TestReport(t *testing.T) {
	var out, events strings.Builder
	r := newTrainReport(&out, 2)
	r.events = &events
	for _, e := range []core.Event{
		{Kind: "state", State: run.Running, Message: "reference 1 of 48"},
		{Kind: "step", Step: 1, Train: &core.TrainStep{Reward: -0.5, OutsidePSNR: 30, StepSeconds: 1.5}},
		{Kind: "evaluation", Step: 1, Evaluation: &core.Evaluation{Pictures: 12, OutsidePSNR: 31, Aspects: []core.AspectScore{{Aspect: "violence", BaseHeldOut: -1, HeldOut: -0.25, Fixed: 0.5}}}},
		{Kind: "alarm", Step: 1, Alarm: &core.Alarm{Name: "held-out", Subject: "violence", Value: -2, Limit: -1.5, Action: "warn"}},
		{Kind: "state", Step: 1, State: run.Paused, Message: "the disk is full"},
		{Kind: "step", Step: 2, Train: &core.TrainStep{Skipped: true}},
	} {
		r.event(e)
	}
	r.end()
	for _, want := range []string{
		"train 1/2  reward -0.500  outside 30.0 dB  1.50 s per step", "step 1, 12 held-out images: violence -1.000 -> -0.250 (50 % fixed), outside 31.0 dB\n",
		"warning: held-out violence: -2, limit -1.5 (warn)\n", "paused: the disk is full\n", "train 2/2  skipped: not a number",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "reference") || strings.Count(events.String(), "\n") != 6 {
		t.Errorf("told %q, events %q", out.String(), events.String())
	}
}

// A terminal that closes ends a training as Ctrl-C does: with a checkpoint. One under nohup continues.
func TestHangup(t *testing.T) {
	torchtest.Need(t)
	// What this process handles is not ignored in its children, even if the tests themselves run under nohup.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(handled) })
	for _, ignored := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "r")
		args := []string{"train", "-p", tinyPreset(t), "--steps", "300", "--run", dir}
		c := exec.Command(os.Args[0], args...)
		if ignored {
			c = exec.Command("sh", append([]string{"-c", `trap "" HUP; exec "$@"`, "sh", os.Args[0]}, args...)...)
		}
		c.Env = append(os.Environ(), "FNF_TEST_AS_PROGRAM=1")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill() })
		f := run.Folder{Dir: dir}
		for range 6000 {
			if info, err := f.Info(); err == nil && info.Engine != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		waitFor(t, f, "a step", func(s run.Status) bool { return s.Step > 0 })
		if err := c.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if ignored {
			info, _ := f.Info()
			waitFor(t, f, "another step", func(s run.Status) bool { return s.Step > info.Step+1 })
			if err := c.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Wait(); err != nil {
			t.Errorf("ended with %v", err)
		}
		info, err := f.Info()
		all, failed := f.Checkpoints()
		if err != nil || failed != nil || info.State != run.Stopped || info.Step == 0 || all[len(all)-1].Step != info.Step {
			t.Errorf("%s at step %d, checkpoints %v, %v %v", info.State, info.Step, all, err, failed)
		}
	}
}
