package run

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"focusnfix/core"
)

func stepEvent(step int) core.Event {
	return core.Event{Kind: "step", Step: step, Train: &core.TrainStep{Loss: float64(step)}}
}

func openLog(t testing.TB, f Folder) *Log {
	t.Helper()
	log, err := f.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// steps of the events that a folder's log has.
func stepsOf(t *testing.T, f Folder) (steps []int) {
	t.Helper()
	events, err := f.Tail(1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		steps = append(steps, e.Step)
	}
	return steps
}

func TestTornLineIsOverwritten(t *testing.T) {
	for _, torn := range []string{`{"time":"2026-11`, `{"kind":"step","step":9}`, "\x00\x00\x00", strings.Repeat("x", 200000)} {
		f := newRun(t)
		log := openLog(t, f)
		for step := range 3 {
			if err := log.Append(stepEvent(step)); err != nil {
				t.Fatal(err)
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(f.path(logName), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		file.WriteString(torn)
		file.Close()
		if got := stepsOf(t, f); !slices.Equal(got, []int{0, 1, 2}) {
			t.Errorf("with %.20q at the end: steps %v", torn, got)
		}
		log = openLog(t, f)
		if err := log.Append(stepEvent(3)); err != nil {
			t.Fatal(err)
		}
		if got := stepsOf(t, f); !slices.Equal(got, []int{0, 1, 2, 3}) {
			t.Errorf("after %.20q was overwritten: steps %v", torn, got)
		}
		log.Close()
	}
}

// fullDisk is a file on a disk that takes only some more bytes.
type fullDisk struct {
	*os.File
	room int
}

func (d *fullDisk) WriteAt(p []byte, at int64) (int, error) {
	n, err := d.File.WriteAt(p[:min(len(p), d.room)], at)
	d.room -= n
	if err == nil && n < len(p) {
		err = syscall.ENOSPC
	}
	return n, err
}

func TestFullDisk(t *testing.T) {
	f := newRun(t)
	log := openLog(t, f)
	first := stepEvent(0)
	disk := &fullDisk{log.file.(*os.File), len(first.AppendJSON(nil)) + 100}
	log.file = disk
	if err := log.Append(stepEvent(0)); err != nil {
		t.Fatal(err)
	}
	if err := log.Append(stepEvent(1)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a write of which half fits: %v, want no space", err)
	}
	if got := stepsOf(t, f); !slices.Equal(got, []int{0}) {
		t.Errorf("after a failed write: steps %v", got)
	}
	disk.room = 1000
	if err := log.Append(stepEvent(1)); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if got := stepsOf(t, f); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("with room again: steps %v", got)
	}
	log.Close()
}

func TestTail(t *testing.T) {
	f := newRun(t)
	if got := stepsOf(t, f); got != nil {
		t.Errorf("no log: %v", got)
	}
	log := openLog(t, f)
	for step := range 5000 {
		e := stepEvent(step)
		if step%100 == 0 {
			e.Message = strings.Repeat("long ", 2000)
		}
		log.line = append(e.AppendJSON(log.line[:0]), '\n')
		if _, err := log.file.WriteAt(log.line, log.size); err != nil {
			t.Fatal(err)
		}
		log.size += int64(len(log.line))
	}
	log.Close()
	for _, n := range []int{1, 7, 250} {
		events, err := f.Tail(n)
		if err != nil || len(events) != n || events[n-1].Step != 4999 || events[0].Step != 5000-n {
			t.Errorf("%d: %d events, %v", n, len(events), err)
		}
		for i, e := range events {
			if e.Step != 5000-n+i {
				t.Fatalf("%d: event %d is of step %d", n, i, e.Step)
			}
		}
	}
	if events, err := f.Tail(6000); err != nil || len(events) != 5000 || events[0].Step != 0 {
		t.Errorf("more than there are: %d events, %v", len(events), err)
	}
}

// Root writes where nobody may, except into the kernel's own folders.
func TestReadOnlyFolder(t *testing.T) {
	f := newRun(t)
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	openLog(t, f).Close()
	if os.Getuid() == 0 {
		f = Folder{Dir: "/sys"}
	} else {
		os.Chmod(f.path(logName), 0o444)
		os.Chmod(f.Dir, 0o555)
		t.Cleanup(func() { os.Chmod(f.Dir, 0o755) })
	}
	if _, err := f.OpenLog(); !errors.Is(err, os.ErrPermission) {
		t.Errorf("open the log: %v, want permission denied", err)
	}
	if _, err := f.WriteCheckpoint(1, fillCheckpoint(1)); !errors.Is(err, os.ErrPermission) {
		t.Errorf("write a checkpoint: %v, want permission denied", err)
	}
	if _, err := f.WritePrompt(core.PromptResult{}, fillCheckpoint(1)); !errors.Is(err, os.ErrPermission) {
		t.Errorf("keep a prompt: %v, want permission denied", err)
	}
	if err := f.SetInfo(info); !errors.Is(err, os.ErrPermission) {
		t.Errorf("write run.json: %v, want permission denied", err)
	}
	if _, err := Create(f.path("runs"), info, core.Default()); !errors.Is(err, os.ErrPermission) {
		t.Errorf("create a run: %v, want permission denied", err)
	}
}
