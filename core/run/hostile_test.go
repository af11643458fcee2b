package run

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"focusnfix/core"
)

// outside is a folder of the victim's, with files that a run's links lead to.
func outside(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{".new-precious", ".old-keep", "events.jsonl", "file", "step-000010", "mask.png"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("one line\nprecious without an end"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// untouched reports what has changed in a folder that outside made.
func untouched(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 6 {
		t.Errorf("%d entries left, %v", len(entries), err)
	}
	for _, entry := range entries {
		if text, err := os.ReadFile(filepath.Join(dir, entry.Name())); err != nil || string(text) != "one line\nprecious without an end" {
			t.Errorf("%s is now %q, %v", entry.Name(), text, err)
		}
	}
}

// A link in the place of what an engine writes ends its work before anything is written.
func TestLinksAreNotWrittenThrough(t *testing.T) {
	for _, name := range []string{"run.json", "config.toml", logName, textLog, images, prompts, checkpoints, References, tensorBoard} {
		victim := outside(t)
		f := newRun(t)
		os.Remove(f.path(name))
		target := victim
		if slices.Contains([]string{"run.json", "config.toml", logName, textLog}, name) {
			target = filepath.Join(victim, "file")
		}
		if err := os.Symlink(target, f.path(name)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Hold(); err == nil || !strings.Contains(err.Error(), name+" is a link") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: held with %v", name, err)
		}
		if err := f.Clean(); err == nil {
			t.Errorf("%s: cleaned", name)
		}
		if file, err := f.AppendFile(textLog); err == nil {
			file.Close()
			t.Errorf("%s: log.txt opened", name)
		}
		// Whatever is called without Hold leaves what is outside alone.
		if log, err := f.OpenLog(); err == nil {
			log.Append(stepEvent(1))
			log.Close()
		} else if name != logName {
			t.Errorf("%s: log: %v", name, err)
		}
		f.WriteFile("images/step-000010/000-0.png", []byte("x"))
		f.WriteFile("prompts/.preview.png", []byte("x"))
		f.WriteCheckpoint(10, fillCheckpoint(10))
		f.WritePrompt(core.PromptResult{}, fillCheckpoint(1))
		f.NewTensorBoard(1)
		f.Reject(Checkpoint{Step: 10})
		untouched(t, victim)
	}
}

// Links elsewhere, to any folder of the victim's and within the folders that we write, are left alone too.
func TestCleanFollowsNoLinks(t *testing.T) {
	victim := outside(t)
	f := newRun(t)
	if _, err := f.WriteCheckpoint(10, fillCheckpoint(10)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "checkpoints/x", "checkpoints/.new-1", "checkpoints/.old-step-000020", "checkpoints/step-000030", ".a.new-1"} {
		if err := os.Symlink(victim, f.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	held, err := f.Hold()
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Clean(); err != nil {
		t.Fatal(err)
	}
	held.Release()
	if got := checkpointSteps(t, f); !slices.Equal(got, []int{10}) {
		t.Errorf("checkpoints %v: a link is one", got)
	}
	untouched(t, victim)
}

// A folder that is moved away is written to where it is, and the path does not come to life again.
func TestHeldFolderIsMoved(t *testing.T) {
	f, err := newRun(t).Hold()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	log := openLog(t, f)
	defer log.Close()
	if err := f.Here(); err != nil {
		t.Errorf("before: %v", err)
	}
	moved := Folder{Dir: f.Dir + "-moved"}
	if err := os.Rename(f.Dir, moved.Dir); err != nil {
		t.Fatal(err)
	}
	if err := f.Here(); !errors.Is(err, ErrMoved) {
		t.Errorf("moved: %v", err)
	}
	if now, found := f.Now(); found && now.Dir != moved.Dir {
		t.Errorf("it is at %s, want %s", now.Dir, moved.Dir)
	}
	if _, err := f.WriteCheckpoint(1, fillCheckpoint(1)); !errors.Is(err, ErrMoved) {
		t.Errorf("a checkpoint by the old path: %v", err)
	}
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	info.State = Stopped
	if err := errors.Join(f.SetInfo(info), log.Append(stepEvent(1)), f.WriteFile("images/step-000001/000-0.png", nil)); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(f.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old path is there again: %v", err)
	}
	if got, err := moved.Info(); err != nil || got.State != Stopped || !slices.Equal(stepsOf(t, moved), []int{1}) {
		t.Errorf("moved: %+v, %v, steps %v", got, err, stepsOf(t, moved))
	}
	if err := os.RemoveAll(moved.Dir); err != nil {
		t.Fatal(err)
	}
	if err := f.Here(); !errors.Is(err, ErrDeleted) {
		t.Errorf("deleted: %v", err)
	}
}

// Pipes, devices and endless files in a run's place cost the list neither its time nor its memory.
func TestOneBadFolderDoesNotBlockTheList(t *testing.T) {
	runs := t.TempDir()
	spoiled := func(name string, spoil func(f Folder) error) {
		f, err := Create(runs, Info{Preset: name, State: Done}, core.Default())
		if err == nil {
			log := openLog(t, f)
			err = errors.Join(log.Append(stepEvent(7)), log.Close(), spoil(f))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	replace := func(name string, with func(path string) error) func(Folder) error {
		return func(f Folder) error { return errors.Join(os.Remove(f.path(name)), with(f.path(name))) }
	}
	fifo := func(path string) error { return syscall.Mkfifo(path, 0o644) }
	zero := func(path string) error { return os.Symlink("/dev/zero", path) }
	folder := func(path string) error { return os.Mkdir(path, 0o755) }
	sparse := func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<40)) }
	spoiled("good", func(Folder) error { return nil })
	for _, name := range []string{"run.json", logName} {
		for kind, with := range map[string]func(string) error{"fifo": fifo, "zero": zero, "folder": folder, "sparse": sparse} {
			spoiled(kind+"-"+name[:3], replace(name, with))
		}
	}
	began := time.Now()
	list, err := List(runs)
	if err != nil || len(list) != 9 {
		t.Fatalf("%d runs, %v", len(list), err)
	}
	if passed := time.Since(began); passed > 2*time.Second { // 20 ms
		t.Errorf("took %v", passed)
	}
	for _, r := range list {
		good := strings.Contains(r.Name(), "good")
		if good != (r.Err == nil) || good && r.Last.Step != 7 || r.Err != nil && strings.Contains(r.Err.Error(), "\n") {
			t.Errorf("%s: %v", r.Name(), r.Err)
		}
	}
	for _, r := range list {
		if w, err := r.Follow(); err == nil { // a screen opens it
			w.read()
			w.Close()
		}
		if opened, err := r.Open(logName); err == nil {
			opened.Close()
		}
	}
}

// A folder that never answers is told as such, once its time is over, and looked at by one at a time.
func TestSilentFolder(t *testing.T) {
	f := newRun(t)
	silent := &looking{done: make(chan struct{})}
	underWay.Store(f.Dir, silent) // as if somebody waited for it
	for range 2 {
		if r := f.lookFor(20 * time.Millisecond); r.Err == nil || !strings.Contains(r.Err.Error(), "does not answer within 20ms") {
			t.Errorf("got %v", r.Err)
		}
	}
	silent.run = Run{Folder: f, State: Done}
	close(silent.done)
	if r := f.lookFor(time.Minute); r.State != Done {
		t.Errorf("got %+v", r)
	}
	underWay.Delete(f.Dir)
}

// Whatever comes after it, the newest step is found.
func TestLastStepBehindAlarms(t *testing.T) {
	f := newRun(t)
	log := openLog(t, f)
	defer log.Close()
	for step := range 5 {
		if err := log.Append(stepEvent(step)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3000 {
		alarm := core.Event{Kind: "alarm", Step: 4, Alarm: &core.Alarm{Name: "coverage", Subject: strings.Repeat("x", 50)}}
		log.line = append(alarm.AppendJSON(log.line[:0]), '\n')
		if _, err := log.file.WriteAt(log.line, log.size); err != nil {
			t.Fatal(err)
		}
		log.size += int64(len(log.line))
	}
	if r := f.look(); r.Err != nil || r.Last.Step != 4 || r.Last.Train == nil {
		t.Errorf("newest step %d, %v", r.Last.Step, r.Err)
	}
}

// Names of folders are shown, too.
func TestFolderNamesAreClean(t *testing.T) {
	runs := t.TempDir()
	f, err := CreateAt(filepath.Join(runs, "evil\x1b]52;c;QQ==\x07\u202e"), Info{Preset: "x"}, core.Default())
	if err != nil {
		t.Fatal(err)
	}
	list, err := List(runs)
	if err != nil || len(list) != 1 || list[0].Err == nil || list[0].Name() != core.Clean(filepath.Base(f.Dir)) {
		t.Errorf("got %+v, %v", list, err)
	}
	os.Mkdir(f.path(prompts), 0o755)
	os.Mkdir(f.path(prompts, "0001\x1b[2J"), 0o755)
	os.WriteFile(f.path(prompts, "0001\x1b[2J", metaName), []byte(`{"kind":"prompt","prompt":{"prompt":"x"}}`), 0o644)
	if kept, err := f.Prompts(); err != nil || len(kept) > 0 {
		t.Errorf("prompts %v, %v", kept, err)
	}
}
