package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
)

// localSSH is a program with ssh's arguments whose hosts are all this machine; the test is the program there.
func localSSH(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	ssh, program := filepath.Join(dir, "ssh"), filepath.Join(dir, "focusnfix")
	for name, text := range map[string]string{
		ssh:     "while [ \"$1\" != -- ]; do shift; done\nshift 2\nexec sh -c \"$*\"\n",
		program: fmt.Sprintf("FNF_TEST_AS_PROGRAM=1 exec '%s' \"$@\"\n", os.Args[0]),
	} {
		if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	return []string{"--ssh", ssh, "--remote-program", program}
}

func TestRunsOnAnotherMachine(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "it's runs")
	f := newTestRun(t, runs, "violence")
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	info.State, info.Step = run.Done, 1
	if err := f.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	log, err := f.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Append(core.Event{Kind: "step", Step: 1, Train: &core.TrainStep{Reward: 0.25}}); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	over := localSSH(t)
	try := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := runCommand(append(args, over...)...)
		if code != want {
			t.Fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, stdout, stderr)
		}
		return stdout, stderr
	}
	if out, _ := try(exitDone, "ls", "gpu:"+runs); !strings.Contains(out, f.Name()) || !strings.Contains(out, "done") || !strings.Contains(out, "0.250") {
		t.Errorf("ls:\n%s", out)
	}
	if out, _ := try(exitDone, "ls", "gpu:"+runs, "--json"); !strings.Contains(out, `"reward": 0.25`) {
		t.Errorf("ls --json:\n%s", out)
	}
	for range 2 { // with an empty cache, then with a copy
		out, _ := try(exitDone, "attach", "gpu:"+f.Dir, "--plain")
		if !strings.Contains(out, f.Name()+": done at step 1") {
			t.Errorf("attach:\n%s", out)
		}
	}
	if _, problem := try(exitFailed, "attach", "gpu:"+runs+"/nothing", "--plain"); !strings.Contains(problem, "gpu: ") || !strings.Contains(problem, "no run") {
		t.Errorf("a run that is not there: %s", problem)
	}
	if _, problem := try(exitUsage, "attach", "-oProxyCommand=x:y"); problem == "" {
		t.Error("an option was taken for a host")
	}
	if _, problem := try(exitUsage, "attach", "--read-only", f.Dir); !strings.Contains(problem, "are for HOST:RUN") {
		t.Errorf("a local run: %s", problem)
	}
	if code, _, problem := runCommand("start", "gpu:violence"); code != exitUsage || !strings.Contains(problem, "ssh gpu focusnfix start violence; focusnfix attach gpu:") {
		t.Errorf("start on another machine: exit code %d: %s", code, problem)
	}
	if _, problem := try(exitUsage, "ls", "gpu"); !strings.Contains(problem, "want HOST:") {
		t.Errorf("ls of a host without a colon: %s", problem)
	}
}

// Whoever types relay hears what it is.
func TestRelayByHand(t *testing.T) {
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	saved := os.Stdin
	os.Stdin = in
	t.Cleanup(func() {
		os.Stdin = saved
		_ = in.Close()
	})
	code, _, problem := runCommand("relay")
	if code != exitFailed || !strings.Contains(problem, "not for typing") {
		t.Errorf("exit code %d: %s", code, problem)
	}
}
