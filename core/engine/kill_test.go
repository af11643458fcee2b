package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"focusnfix/core/run"
)

// childVariable makes the test program the engine of the run folder that it names.
const childVariable = "FNF_TEST_ENGINE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := Run(context.Background(), Options{Folder: run.Folder{Dir: dir}, Version: "test", Kinds: tinyKinds}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// inChild starts an engine in a process of its own.
func inChild(t *testing.T, f run.Folder) (child *exec.Cmd, complaint *bytes.Buffer) {
	t.Helper()
	child, complaint = exec.Command(os.Args[0]), new(bytes.Buffer)
	child.Env = append(os.Environ(), childVariable+"="+f.Dir)
	child.Stderr = complaint
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	return child, complaint
}

// Killed at random moments, as often as FNF_KILLS says, a run that is resumed each time ends in the same
// bytes as one that nobody disturbed.
func TestKilledAndResumed(t *testing.T) {
	kills := 3
	if n, err := strconv.Atoi(os.Getenv("FNF_KILLS")); err == nil {
		kills = n
	}
	c := tinyConfig(t)
	c.Train.Steps = 8 + 2*kills
	whole := newTinyRun(t, c)
	if err := runTiny(t, whole); err != nil {
		t.Fatal(err)
	}
	f := newTinyRun(t, c)
	killed := 0
	for range kills {
		child, complaint := inChild(t, f)
		before := newestStep(t, f)
		for range 2000 { // so that the run gets ahead
			if newestStep(t, f) > before || finished(t, f) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
		_ = child.Process.Kill()
		err := child.Wait()
		var ended *exec.ExitError
		switch {
		case err == nil:
		case errors.As(err, &ended) && ended.ExitCode() == -1:
			killed++
		default:
			t.Fatalf("the engine ended by itself: %v: %s", err, complaint)
		}
	}
	child, complaint := inChild(t, f)
	if err := child.Wait(); err != nil {
		t.Fatalf("%v: %s", err, complaint)
	}
	t.Logf("killed %d times on %d steps", killed, c.Train.Steps)
	if killed < kills/2 {
		t.Errorf("killed %d times only: the run was done before", killed)
	}
	if !bytes.Equal(lora(t, whole, c.Train.Steps), lora(t, f, c.Train.Steps)) {
		t.Error("the run that was killed ended in other bytes")
	}
	checkLog(t, f)
}

func newestStep(t *testing.T, f run.Folder) int {
	t.Helper()
	all, err := f.Checkpoints()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		return -1
	}
	return all[len(all)-1].Step
}

func finished(t *testing.T, f run.Folder) bool {
	t.Helper()
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	return info.State == run.Done || info.State == run.Failed
}

// checkLog: after kills too, every line of the log is whole, and no step is left out.
func checkLog(t *testing.T, f run.Folder) {
	t.Helper()
	text, err := os.ReadFile(f.Dir + "/events.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	events := eventsOf(t, f)
	if lines := strings.Count(string(text), "\n"); lines != len(events) {
		t.Errorf("%d lines, %d events", lines, len(events))
	}
	last := 0
	for _, e := range events {
		if e.Train != nil {
			if e.Step > last+1 {
				t.Errorf("step %d comes after %d", e.Step, last)
			}
			last = e.Step
		}
	}
}
