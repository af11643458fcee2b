package engine

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"focusnfix/core/run"
)

// atStep waits until a run that works has its checkpoint of a step or a later one.
func atStep(t *testing.T, f run.Folder, step int) {
	t.Helper()
	for range 4000 {
		if newestStep(t, f) >= step {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("no checkpoint of step %d", step)
}

// An engine whose run is moved ends with a checkpoint where the run is now, whatever lies at the old path,
// and the run continues from there to the same bytes.
func TestFolderIsMoved(t *testing.T) {
	c := tinyConfig(t)
	c.Train.Steps = 14
	whole := newTinyRun(t, c)
	if err := runTiny(t, whole); err != nil {
		t.Fatal(err)
	}
	for _, replaced := range []bool{false, true} {
		f := newTinyRun(t, c)
		_, ended := working(t, f, Options{})
		atStep(t, f, 2)
		moved := run.Folder{Dir: f.Dir + "-moved"}
		if err := os.Rename(f.Dir, moved.Dir); err != nil {
			t.Fatal(err)
		}
		if replaced {
			if err := os.Mkdir(f.Dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		err := <-ended
		if !errors.Is(err, run.ErrMoved) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "--resume "+moved.Dir+" resumes it") {
			t.Errorf("ended with %v", err)
		}
		if left, _ := os.ReadDir(f.Dir); len(left) > 0 {
			t.Errorf("the old path has %v", left)
		}
		info, err := moved.Info()
		if err != nil || moved.State(info) != run.Stopped || newestStep(t, moved) != info.Step || info.Step >= c.Train.Steps {
			t.Errorf("state %s at step %d, checkpoint %d, %v", moved.State(info), info.Step, newestStep(t, moved), err)
		}
		if err := runTiny(t, moved); err != nil {
			t.Fatal(err)
		}
		if string(lora(t, whole, c.Train.Steps)) != string(lora(t, moved, c.Train.Steps)) {
			t.Error("the run that was moved ended in other bytes")
		}
	}
}

// An engine whose run is deleted ends in one line and makes nothing anew.
func TestFolderIsDeleted(t *testing.T) {
	c := tinyConfig(t)
	c.Train.Steps = 400
	f := newTinyRun(t, c)
	_, ended := working(t, f, Options{})
	atStep(t, f, 2)
	for range 100 { // it may be writing
		if err := os.RemoveAll(f.Dir); err == nil {
			break
		}
	}
	err := <-ended
	if !errors.Is(err, run.ErrDeleted) || strings.Contains(err.Error(), "\n") {
		t.Errorf("ended with %v", err)
	}
	if _, err := os.Lstat(f.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is there again: %v", err)
	}
}

// A prompts file that has changed since is told before anything is trained; comments do not count.
func TestPromptsFileChanged(t *testing.T) {
	c := tinyConfig(t)
	c.Train.Steps = 1
	f := newTinyRun(t, c)
	if err := runTiny(t, f); err != nil {
		t.Fatal(err)
	}
	info, err := f.Info()
	if err != nil || len(info.PromptsHash) != 32 {
		t.Fatalf("fingerprint %q, %v", info.PromptsHash, err)
	}
	c.Train.Steps = 2
	if err := f.SetConfig(c); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.Train.Prompts)
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, c.Train.Prompts, strings.Replace(string(text), "a cat", "a cow", 1))
	if err := runTiny(t, f); err == nil || !strings.Contains(err.Error(), "is not the list of prompts that this run began with") {
		t.Errorf("resumed with %v", err)
	}
	writeText(t, c.Train.Prompts, "# mine\n\n"+string(text))
	if err := runTiny(t, f); err != nil {
		t.Error(err)
	}
}
