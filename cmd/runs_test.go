package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// inRuns runs a command line over a folder of runs.
func inRuns(t *testing.T, runs, args string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("FNF_RUNS", runs)
	return runCommand(strings.Fields(args)...)
}

func newTestRun(t *testing.T, runs, preset string) run.Folder {
	t.Helper()
	f, err := run.Create(runs, run.Info{Preset: preset, Model: "builtin:scenes"}, core.Default())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// testEngine ends as an engine does when it is told to stop, or does not.
type testEngine struct {
	run.Engine // other commands are not asked for here
	folder     run.Folder
	refuse     error
	deaf       bool
}

func (e *testEngine) Status(context.Context) (run.Status, error) {
	return run.Status{State: run.Running}, nil
}

func (e *testEngine) Stop(context.Context) error {
	info, err := e.folder.Info()
	if err != nil || e.refuse != nil || e.deaf {
		return errors.Join(err, e.refuse)
	}
	time.AfterFunc(100*time.Millisecond, func() {
		info.State, info.Step, info.Engine.Socket = run.Stopped, 42, ""
		e.folder.SetInfo(info)
	})
	return nil
}

// work makes the test the engine of a run.
func work(t *testing.T, e *testEngine) {
	t.Helper()
	listener, process, err := e.folder.Listen()
	if err != nil {
		t.Fatal(err)
	}
	info, err := e.folder.Info()
	if err != nil {
		t.Fatal(err)
	}
	info.State, info.Engine = run.Running, process
	if err := e.folder.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run.Serve(ctx, listener, e) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestLs(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "runs")
	if code, out, _ := inRuns(t, runs, "ls"); code != exitDone || !strings.HasPrefix(out, "no runs in "+runs) {
		t.Errorf("no folder: %d %s", code, out)
	}
	if _, out, _ := inRuns(t, runs, "ls --json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("no folder, JSON: %s", out)
	}
	violence, artifacts, broken := newTestRun(t, runs, "violence"), newTestRun(t, runs, "artifacts"), newTestRun(t, runs, "broken")
	work(t, &testEngine{folder: violence})
	log, err := violence.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Append(core.Event{Kind: "step", Step: 7, Train: &core.TrainStep{Reward: 0.8125}}); err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := os.WriteFile(filepath.Join(broken.Dir, "run.json"), []byte(`{"format":99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, _ := inRuns(t, runs, "ls")
	for _, want := range []string{violence.Name() + "  running", "7/60", "0.812", artifacts.Name() + " new", "unreadable", "update focusnfix"} {
		if code != exitDone || !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	_, out, _ = inRuns(t, runs, "ls --json")
	var list []map[string]any
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 3 {
		t.Fatalf("%v in %s", err, out)
	}
	for _, r := range list {
		if r["name"] == violence.Name() && (r["state"] != "running" || r["step"] != 7.0 || r["steps"] != 60.0 || r["reward"] != 0.8125) {
			t.Errorf("got %v", r)
		}
	}
}

func TestStop(t *testing.T) {
	runs := t.TempDir()
	for name, c := range map[string]struct {
		engine         *testEngine
		args           string
		code           int
		stdout, stderr string
	}{
		"ends":    {&testEngine{}, "", exitDone, ": stopped at step 42", ""},
		"no wait": {&testEngine{}, "--wait 0", exitDone, ": stopping", ""},
		"refuses": {&testEngine{refuse: errors.New("it is loading a model")}, "", exitFailed, "", "error: it is loading a model\nhint:  kill "},
		"is deaf": {&testEngine{deaf: true}, "--wait 100ms", exitFailed, "", "still running after 100ms\nhint:  kill "},
		"is gone": {nil, "", exitFailed, "", "no engine works on this run\nhint:  nothing to stop"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newTestRun(t, runs, strings.ReplaceAll(name, " ", "-"))
			if c.engine != nil {
				c.engine.folder = f
				work(t, c.engine)
			}
			code, out, problems := inRuns(t, runs, "stop "+f.Name()+" "+c.args)
			if code != c.code || !strings.Contains(out, c.stdout) || !strings.Contains(problems, c.stderr) {
				t.Errorf("%d %q %q", code, out, problems)
			}
		})
	}
	if code, _, problems := inRuns(t, runs, "stop zebra"); code != exitFailed || !strings.Contains(problems, "no run \"zebra\"") {
		t.Errorf("%d %s", code, problems)
	}
}

func TestPresetsCommand(t *testing.T) {
	code, out, _ := inRuns(t, "", "presets")
	if code != exitDone || strings.Count(out, "\n") != 31 || !strings.Contains(out, "sdxl-violence ") {
		t.Errorf("%d\n%s", code, out)
	}
	if code, out, _ := inRuns(t, "", "presets artifacts"); code != exitDone || !strings.Contains(out, "aspect   = \"artifacts\"\n") {
		t.Errorf("%d\n%s", code, out)
	}
	if code, _, problems := inRuns(t, "", "presets zebra"); code != exitUsage || !strings.Contains(problems, "no preset \"zebra\"") {
		t.Errorf("%d %s", code, problems)
	}
}
