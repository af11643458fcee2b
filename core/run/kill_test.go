package run

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
)

// childVariable makes the test program an engine that writes to the run folder it names until it is
// killed.
const childVariable = "FNF_TEST_ENGINE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Fprintln(os.Stderr, writeForever(Folder{Dir: dir}))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever resumes from the latest checkpoint and writes events, checkpoints and prompts as fast as
// it can. The content of a checkpoint's files follows from its step.
func writeForever(f Folder) error {
	log, err := f.OpenLog()
	if err != nil {
		return err
	}
	if err := f.Clean(); err != nil {
		return err
	}
	listener, engine, err := f.Listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	info, err := f.Info()
	if err != nil {
		return err
	}
	info.State, info.Engine = Running, engine
	if err := f.SetInfo(info); err != nil {
		return err
	}
	all, err := f.Checkpoints()
	if err != nil {
		return err
	}
	step := 0
	if len(all) > 0 {
		step = all[len(all)-1].Step
	}
	fmt.Println("ready")
	for step++; ; step++ {
		if err := log.Append(core.Event{Kind: "step", Step: step, Train: &core.TrainStep{Loss: float64(step)}}); err != nil {
			return err
		}
		if step%7 == 0 {
			if _, err := f.WriteCheckpoint(step, fillCheckpoint(step)); err != nil {
				return err
			}
			if err := log.Append(core.Event{Kind: "checkpoint", Step: step, Path: "checkpoints/" + stepName(step)}); err != nil {
				return err
			}
		}
		if step%11 == 0 {
			if _, err := f.WritePrompt(core.PromptResult{Drawing: core.Drawing{Seed: uint64(step)}}, fillCheckpoint(step)); err != nil {
				return err
			}
		}
	}
}

func fillCheckpoint(step int) func(string) error {
	return func(dir string) error {
		lora := bytes.Repeat([]byte{byte(step)}, 20000)
		return errors.Join(os.WriteFile(filepath.Join(dir, "lora.safetensors"), lora, 0o644),
			os.WriteFile(filepath.Join(dir, "optimizer.safetensors"), lora, 0o644))
	}
}

func newRun(t testing.TB) Folder {
	t.Helper()
	f, err := Create(t.TempDir(), Info{Preset: "violence", Version: "test", Model: "builtin:scenes"}, core.Default())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// startEngine runs writeForever in a process of its own and waits until it writes.
func startEngine(t *testing.T, f Folder) *exec.Cmd {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+f.Dir)
	var complaint bytes.Buffer
	child.Stderr = &complaint
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Process.Kill(); child.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		rest, _ := io.ReadAll(out)
		child.Wait()
		t.Fatalf("the engine did not start: %q %s %s", line, rest, complaint.String())
	}
	return child
}

// A killed engine leaves whole checkpoints and a log of which at most the last line is torn, whatever it
// was doing; the next engine goes on.
func TestKilledAtAnyMoment(t *testing.T) {
	f := newRun(t)
	kills := 20
	if testing.Short() {
		kills = 5
	}
	latest := 0
	for range kills {
		child := startEngine(t, f)
		info, err := f.Info()
		if err != nil || f.State(info) != Running {
			t.Fatalf("a running engine: state %q, %v", f.State(info), err)
		}
		if _, err := f.OpenLog(); err == nil || !strings.Contains(err.Error(), "another engine") {
			t.Fatalf("a second engine may write: %v", err)
		}
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		child.Process.Kill()
		child.Wait()
		if got := f.State(info); got != Crashed {
			t.Fatalf("a killed engine: state %q", got)
		}
		latest = checkAfterKill(t, f, latest)
	}
	if latest == 0 {
		t.Error("no checkpoint was written in all this time")
	}
}

// checkAfterKill reads everything and returns the latest checkpoint's step, which must not fall.
func checkAfterKill(t *testing.T, f Folder, before int) int {
	t.Helper()
	all, err := f.Checkpoints()
	if err != nil {
		t.Fatal(err)
	}
	latest := 0
	for _, c := range all {
		for _, name := range []string{"lora.safetensors", "optimizer.safetensors"} {
			got, err := os.ReadFile(filepath.Join(c.Dir, name))
			if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(c.Step)}, 20000)) {
				t.Fatalf("%s of step %d is not whole: %d bytes, %v", name, c.Step, len(got), err)
			}
		}
		latest = c.Step
	}
	if latest < before {
		t.Fatalf("the latest checkpoint is %d, it was %d", latest, before)
	}
	text, err := os.ReadFile(f.path(logName))
	if err != nil {
		t.Fatal(err)
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	seen, last := 0, 0
	for line := range bytes.Lines(whole) {
		var e core.Event
		if err := e.ParseJSON(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			t.Fatalf("line %d: %v: %q", seen, err, line)
		}
		if e.Step > last+1 {
			t.Fatalf("line %d: step %d comes after %d", seen, e.Step, last)
		}
		seen, last = seen+1, e.Step
	}
	if last < latest {
		t.Fatalf("the log ends at step %d, before the checkpoint of %d", last, latest)
	}
	if _, err := f.Prompts(); err != nil {
		t.Fatal(err)
	}
	return latest
}
