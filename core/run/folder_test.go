package run

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"focusnfix/core"
)

func TestCreate(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "a", "runs")
	c := core.Default()
	c.Train.Steps = 77
	f, err := Create(runs, Info{Preset: "my preset/../x", Model: "m"}, c)
	if err != nil {
		t.Fatal(err)
	}
	if want := regexp.MustCompile(`^\d{4}-\d\d-\d\d-my-preset-..-x-[a-z2-9]{4}$`); !want.MatchString(f.Name()) || filepath.Dir(f.Dir) != runs {
		t.Errorf("folder %s", f.Dir)
	}
	info, err := f.Info()
	if err != nil || info.ID != f.Name() || info.Steps != 77 || info.Format != format {
		t.Errorf("info %+v, %v", info, err)
	}
	if got, err := f.Config(); err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("config %+v, %v", got, err)
	}
	left, _ := filepath.Glob(f.path(".*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A run may be made in a folder that the user names, unless there is something in it.
func TestCreateAt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "mine")
	f, err := CreateAt(dir, Info{Preset: "violence"}, core.Default())
	if err != nil || f.Name() != "mine" {
		t.Fatal(f, err)
	}
	if info, err := f.Info(); err != nil || info.ID == "" || info.Steps != 60 {
		t.Errorf("info %+v, %v", info, err)
	}
	if _, err := CreateAt(dir, Info{}, core.Default()); err == nil || !strings.Contains(err.Error(), "has files in it") {
		t.Errorf("a second run in it: %v", err)
	}
	c := core.Default()
	c.Region.Weight = 3
	if err := f.SetConfig(c); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Config(); err != nil || got.Region.Weight != 3 {
		t.Errorf("region.weight %g, %v", got.Region.Weight, err)
	}
}

func TestWriteFile(t *testing.T) {
	f := newRun(t)
	for _, text := range []string{"one", "two"} {
		if err := f.WriteFile("images/step-000001/000-0.png", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(f.path("images", "step-000001", "000-0.png")); err != nil || string(got) != text {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if err := f.WriteFile("run.json/x", nil); err == nil {
		t.Error("a file was taken for a folder")
	}
	if left, _ := filepath.Glob(f.path("images", "*", ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestInfoRefused(t *testing.T) {
	f := newRun(t)
	for text, want := range map[string]string{
		`{"format": 2, "id": ["of", "another", "kind"]}`: "format 2, this program knows 1; update focusnfix",
		`{"format": 1`:        "unexpected end",
		`{"format": 1}`:       "no format or id",
		`[]`:                  "cannot unmarshal",
		``:                    "unexpected end",
		"\x00\x00\x00\x00":    "invalid character",
		`{"format":"1"}`:      "cannot unmarshal",
		`{"id":"x","step":1}`: "no format or id",
	} {
		if err := os.WriteFile(f.path("run.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Info(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "run.json") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzInfo(f *testing.F) {
	f.Add([]byte(`{"format":1,"id":"a","created":"2026-11-23T10:00:00Z","engine":{"pid":1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := parseInfo("run.json", text)
		if err != nil {
			return
		}
		if info.Format != format || info.ID == "" {
			t.Errorf("accepted %+v", info)
		}
		again, err := json.Marshal(info)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := parseInfo("run.json", again); err != nil || !reflect.DeepEqual(second, info) {
			t.Errorf("does not read back: %v", err)
		}
	})
}

// ours is the running test as an engine of a folder.
func ours(t *testing.T, f Folder) *Process {
	t.Helper()
	p, err := f.thisProcess()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestState(t *testing.T) {
	f := newRun(t)
	log := openLog(t, f)
	defer log.Close()
	change := func(edit func(*Process)) *Process {
		p := ours(t, f)
		edit(p)
		return p
	}
	for name, c := range map[string]struct {
		state  string
		engine *Process
		want   string
	}{
		"runs":                         {Running, ours(t, f), Running},
		"pauses":                       {Paused, ours(t, f), Paused},
		"is done, engine gone":         {Done, change(func(p *Process) { p.PID = 0 }), Done},
		"never had an engine":          {Running, nil, Crashed},
		"pid unused":                   {Running, change(func(p *Process) { p.PID = 1 << 22 }), Crashed},
		"pid used by a later process":  {Running, change(func(p *Process) { p.Started = strings.Replace(p.Started, ":", ":1", 1) }), Crashed},
		"another boot":                 {Paused, change(func(p *Process) { p.Started = "x" + p.Started }), Crashed},
		"a copy of a run elsewhere":    {Running, change(func(p *Process) { p.Folder = t.TempDir() }), Crashed},
		"folder moved since":           {Running, change(func(p *Process) { p.Folder = "/nowhere" }), Running},
		"other machine, log is fresh":  {Running, change(func(p *Process) { p.Host = "elsewhere" }), Running},
		"other machine, pauses":        {Paused, change(func(p *Process) { p.Host = "elsewhere" }), Paused},
		"an engine that only draws":    {Running, change(func(p *Process) { p.Idle = true }), Crashed},
		"a negative pid of our making": {Running, change(func(p *Process) { p.PID = -1 }), Crashed},
	} {
		if got := f.State(Info{State: c.state, Engine: c.engine}); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	old := time.Now().Add(-time.Hour)
	os.Chtimes(f.path(logName), old, old)
	if got := f.State(Info{State: Running, Engine: change(func(p *Process) { p.Host = "elsewhere" })}); got != Crashed {
		t.Errorf("other machine, silent for an hour: %s, want crashed", got)
	}
}

func TestNoRuns(t *testing.T) {
	runs := t.TempDir()
	if list, err := List(filepath.Join(runs, "none")); err != nil || list != nil {
		t.Errorf("no folder: %v, %v", list, err)
	}
	if _, err := Find(runs, ""); err == nil || !strings.Contains(err.Error(), "no runs") {
		t.Errorf("find in nothing: %v", err)
	}
}

// threeRuns makes runs a minute apart; the first is of a newer format, the second has events.
func threeRuns(t *testing.T) (runs string, made []Folder) {
	t.Helper()
	runs = t.TempDir()
	for i, preset := range []string{"violence", "artifacts", "violence"} {
		f, err := Create(runs, Info{Preset: preset, State: Done}, core.Default())
		if err != nil {
			t.Fatal(err)
		}
		info, _ := f.Info()
		info.Created = info.Created.Add(time.Duration(i) * time.Minute)
		if err := f.SetInfo(info); err != nil {
			t.Fatal(err)
		}
		made = append(made, f)
	}
	log := openLog(t, made[1])
	log.Append(stepEvent(41))
	log.Append(core.Event{Kind: "pictures", Step: 41})
	log.Close()
	os.WriteFile(made[0].path("run.json"), []byte(`{"format": 9}`), 0o644)
	os.Mkdir(filepath.Join(runs, "something else"), 0o755)
	return runs, made
}

func TestListAndFind(t *testing.T) {
	runs, made := threeRuns(t)
	list, err := List(runs)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d runs, %v", len(list), err)
	}
	if list[0].Folder != made[2] || list[1].Folder != made[1] || list[1].Last.Step != 41 || list[1].State != Done || list[2].Err == nil {
		t.Errorf("got %+v", list)
	}
	for name, want := range map[string]Folder{"": made[2], "artifacts": made[1], made[1].Name(): made[1], made[2].Dir: made[2]} {
		if got, err := Find(runs, name); err != nil || got != want {
			t.Errorf("find %q: %v, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{"violence": "want one of them", "zebra": "no run"} {
		if _, err := Find(runs, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("find %q: %v, want %s", name, err, want)
		}
	}
}

func checkpointSteps(t *testing.T, f Folder) (steps []int) {
	t.Helper()
	all, err := f.Checkpoints()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		steps = append(steps, c.Step)
	}
	return steps
}

func TestCheckpoints(t *testing.T) {
	f := newRun(t)
	for _, step := range []int{20, 5, 1000000} {
		if _, err := f.WriteCheckpoint(step, fillCheckpoint(step)); err != nil {
			t.Fatal(err)
		}
	}
	again, err := f.WriteCheckpoint(20, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "lora.safetensors"), []byte("new"), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(filepath.Join(again.Dir, "lora.safetensors")); string(text) != "new" {
		t.Errorf("a checkpoint that was written again has %q", text)
	}
	failed := errors.Join(errors.New("lora"), syscall.ENOSPC)
	if _, err := f.WriteCheckpoint(30, func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "half"), nil, 0o644), failed)
	}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	if left, _ := filepath.Glob(f.path(checkpoints, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if got := checkpointSteps(t, f); !reflect.DeepEqual(got, []int{5, 20, 1000000}) {
		t.Errorf("steps %v", got)
	}

	// A folder copied by halves is none; neither is one of another name.
	os.Truncate(f.path(checkpoints, "step-1000000", "lora.safetensors"), 100)
	os.Mkdir(f.path(checkpoints, "step-000040"), 0o755)
	os.Mkdir(f.path(checkpoints, "step-7"), 0o755)
	os.MkdirAll(f.path(checkpoints, ".new-1"), 0o755)
	if got := checkpointSteps(t, f); !reflect.DeepEqual(got, []int{5, 20}) {
		t.Errorf("steps %v, want those that are whole", got)
	}
	if err := f.Clean(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(f.path(checkpoints, ".*")); len(left) > 0 {
		t.Errorf("not cleaned: %v", left)
	}
	if err := f.Reject(again); err != nil {
		t.Fatal(err)
	}
	if got := checkpointSteps(t, f); !reflect.DeepEqual(got, []int{5}) {
		t.Errorf("steps %v after a rejection", got)
	}
	os.WriteFile(f.path(checkpoints, "step-000040", manifestName), []byte(`{"format":2,"step":40}`), 0o644)
	if _, err := f.Checkpoints(); err == nil || !strings.Contains(err.Error(), "update focusnfix") {
		t.Errorf("a newer format: %v", err)
	}
}

// Killed between the two renames of a replacement, the checkpoint that was there comes back.
func TestCleanPutsBack(t *testing.T) {
	f := newRun(t)
	for _, step := range []int{10, 20} {
		if _, err := f.WriteCheckpoint(step, fillCheckpoint(step)); err != nil {
			t.Fatal(err)
		}
	}
	os.Rename(f.path(checkpoints, "step-000020"), f.path(checkpoints, ".old-step-000020"))
	os.Mkdir(f.path(checkpoints, ".old-step-000010"), 0o755)
	if got := checkpointSteps(t, f); !reflect.DeepEqual(got, []int{10}) {
		t.Errorf("steps %v before", got)
	}
	if err := f.Clean(); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(f.path(checkpoints, ".*"))
	if got := checkpointSteps(t, f); !reflect.DeepEqual(got, []int{10, 20}) || len(left) > 0 {
		t.Errorf("steps %v, left %v", got, left)
	}
}

func TestPictures(t *testing.T) {
	f := newRun(t)
	if found, err := f.Pictures(); err != nil || found != nil {
		t.Errorf("none: %v, %v", found, err)
	}
	paths := []string{PicturePath(50, 3, 7), PicturePath(50, 3, 12), PicturePath(50, 1000, 18446744073709551615), PicturePath(5, 0, 0)}
	for _, p := range append(paths, "images/step-000050/note.txt", "images/step-000050/3-7.png", "images/other/003-7.png") {
		os.MkdirAll(filepath.Dir(f.path(p)), 0o755)
		os.WriteFile(f.path(p), nil, 0o644)
	}
	found, err := f.Pictures()
	if err != nil || len(found) != 2 || len(found[50]) != 3 || found[5][0].Path != "images/step-000005/000-0.png" {
		t.Fatalf("got %+v, %v", found, err)
	}
	for i, p := range found[50] {
		if p.Path != paths[i] {
			t.Errorf("picture %d: %s, want %s", i, p.Path, paths[i])
		}
	}
}

// Paths in events come from outside, in a run folder that somebody sent.
func TestOpenStaysInside(t *testing.T) {
	f := newRun(t)
	if file, err := f.Open("run.json"); err != nil {
		t.Error(err)
	} else {
		file.Close()
	}
	os.Symlink("/etc/passwd", f.path("link.png"))
	for _, p := range []string{"../" + f.Name() + "/run.json", "/etc/passwd", "link.png", "images/step-000050/999-1.png"} {
		if file, err := f.Open(p); err == nil {
			t.Errorf("%s: opened %s", p, file.Name())
		}
	}
}

func TestPrompts(t *testing.T) {
	f := newRun(t)
	for i := range 3 {
		e, err := f.WritePrompt(core.PromptResult{Drawing: core.Drawing{Prompt: "a cat", Seed: uint64(i)}}, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "base.png"), nil, 0o644)
		})
		if err != nil || e.Prompt.Path != []string{"prompts/0001", "prompts/0002", "prompts/0003"}[i] {
			t.Errorf("prompt %d: %+v, %v", i, e.Prompt, err)
		}
	}
	os.WriteFile(f.path("prompts", "0002", metaName), []byte("{"), 0o644)
	kept, err := f.Prompts()
	if err != nil || len(kept) != 2 || kept[1].Prompt.Seed != 2 || kept[1].Prompt.Path != "prompts/0003" {
		t.Errorf("got %+v, %v", kept, err)
	}
	if left, _ := filepath.Glob(f.path(prompts, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// BenchmarkList50 is what a screen does before its first frame.
func BenchmarkList50(b *testing.B) {
	runs := b.TempDir()
	for range 50 {
		f, err := Create(runs, Info{Preset: "violence", State: Done}, core.Default())
		if err != nil {
			b.Fatal(err)
		}
		writeLong(b, f, 200)
	}
	for b.Loop() {
		if list, err := List(runs); err != nil || len(list) != 50 {
			b.Fatal(len(list), err)
		}
	}
}
