package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
)

// A loss that is not a number is skipped and counted; ten in a row end the run at the last good checkpoint.
func TestNotANumber(t *testing.T) {
	c := tinyConfig(t)
	c.Reward[0].Model, c.Train.Steps, c.Train.CheckpointEvery = "spot:nan", 30, 50
	f := newTinyRun(t, c)
	err := runTiny(t, f)
	if err == nil || !strings.Contains(err.Error(), "not a number in 10 steps in a row; the last good checkpoint is of step 0") {
		t.Errorf("ended with %v", err)
	}
	info, _ := f.Info()
	if info.State != run.Failed || !strings.Contains(info.Message, "in a row") {
		t.Errorf("info %+v", info)
	}
	lora(t, f, 0)
	alarms := 0
	for _, e := range eventsOf(t, f) {
		if e.Alarm != nil && e.Alarm.Name == "not a number" {
			alarms++
		}
		if e.Train != nil && !e.Train.Skipped {
			t.Errorf("step %d was not skipped", e.Step)
		}
	}
	if alarms != 10 {
		t.Errorf("%d alarms, want 10", alarms)
	}
}

// hacked is a training that is paid for what the held-out judge, and everybody, dislikes.
func hacked(t *testing.T, action string) (run.Folder, error) {
	t.Helper()
	c := tinyConfig(t)
	c.Reward[0].Model, c.Region.Weight, c.Train.Augment = "spot:bright", 0, false
	c.Train.LearningRate, c.Train.Schedule, c.Train.Steps = 0.1, "constant", 12
	c.Gate.HeldOutDrop, c.Gate.StatisticsRange, c.Gate.Action = 2, 8, action
	f := newTinyRun(t, c)
	return f, runTiny(t, f)
}

// The gate ends a hacked run and goes back to the last checkpoint that was good; the others are put aside.
func TestGateRollsBack(t *testing.T) {
	f, err := hacked(t, "rollback")
	if err == nil || !strings.Contains(err.Error(), "the gate has ended the run (held-out spot: ") {
		t.Fatalf("ended with %v", err)
	}
	info, _ := f.Info()
	all, failed := f.Checkpoints()
	if failed != nil || len(all) == 0 {
		t.Fatal(all, failed)
	}
	newest := all[len(all)-1]
	if good, err := isGood(newest); !good || err != nil || info.State != run.Stopped || info.Step != newest.Step ||
		!strings.HasSuffix(info.Message, fmt.Sprintf("went back to step %d", newest.Step)) {
		t.Errorf("newest checkpoint %d (good %v, %v), info %+v", newest.Step, good, err, info)
	}
	if rejected, _ := filepath.Glob(filepath.Join(f.Dir, "checkpoints", "rejected-*")); len(rejected) != 1 {
		t.Errorf("rejected %v, want one", rejected)
	}
	if !has(eventsOf(t, f), func(e core.Event) bool {
		return e.Alarm != nil && e.Alarm.Name == "held-out" && e.Alarm.Subject == "spot" && e.Alarm.Value < e.Alarm.Limit && e.Alarm.Action == "rollback"
	}) {
		t.Error("no alarm of the held-out judge")
	}
}

// A gate that stops leaves the bad checkpoint; one that warns lets the run continue.
func TestGateStopsOrWarns(t *testing.T) {
	f, err := hacked(t, "stop")
	info, _ := f.Info()
	if err == nil || info.State != run.Stopped || !strings.Contains(info.Message, fmt.Sprintf("the checkpoint is checkpoints/step-%06d", info.Step)) {
		t.Errorf("stop: %v, %+v", err, info)
	}
	f, err = hacked(t, "warn")
	info, _ = f.Info()
	if err != nil || info.State != run.Done || !has(eventsOf(t, f), func(e core.Event) bool { return e.Alarm != nil && e.Alarm.Action == "warn" }) {
		t.Errorf("warn: %v, %+v", err, info)
	}
}

// A mask that covers more than it may raises one alarm for each image.
func TestCoverageAlarm(t *testing.T) {
	c := tinyConfig(t)
	c.Reward[0].Model, c.Train.Steps = "spot:whole", 1
	c.Reward[0].HeldOut = "spot:square"
	f := newTinyRun(t, c)
	if err := runTiny(t, f); err != nil {
		t.Fatal(err)
	}
	alarms := 0
	for _, e := range eventsOf(t, f) {
		if e.Alarm != nil && e.Alarm.Name == "coverage" && e.Alarm.Value == 1 && e.Alarm.Limit == 0.5 {
			alarms++
		}
	}
	if alarms != 4 {
		t.Errorf("%d alarms, want one for each of the pool's pictures", alarms)
	}
}

// Out of memory says what to lower, and the run can be gone on with.
func TestOutOfMemory(t *testing.T) {
	c := tinyConfig(t)
	c.Reward[0].Model = "spot:greedy"
	f := newTinyRun(t, c)
	err := runTiny(t, f)
	if err == nil || !strings.Contains(err.Error(), "out of memory on the device: lower train.batch (2; train.accumulate makes up for it), train.backprop_steps (2) or sample.size") {
		t.Errorf("ended with %v", err)
	}
	info, _ := f.Info()
	if info.State != run.Failed || strings.Contains(info.Message, "\n") {
		t.Errorf("info %+v", info)
	}
	c.Reward[0].Model = "spot:square"
	if err := f.SetConfig(c); err != nil {
		t.Fatal(err)
	}
	if err := runTiny(t, f); err != nil {
		t.Errorf("resumed: %v", err)
	}
}

// A model that is gone, or another one, is told in one line; nothing is lost.
func TestModelIsGone(t *testing.T) {
	c := tinyConfig(t)
	c.Model.Path = filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(c.Model.Path, os.DirFS(tinyModel)); err != nil {
		t.Fatal(err)
	}
	c.Train.Steps = 2
	f := newTinyRun(t, c)
	if err := runTiny(t, f); err != nil {
		t.Fatal(err)
	}
	kept := lora(t, f, 2)
	unet := filepath.Join(c.Model.Path, "unet", "diffusion_pytorch_model.safetensors")
	weights, err := os.ReadFile(unet)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(weights)
	changed[60<<10] ^= 1
	for want, spoil := range map[string]func() error{
		"is not the model that this run began with": func() error { return os.WriteFile(unet, changed, 0o644) },
		"unet: no .safetensors file":                func() error { return os.Remove(unet) },
		"model.path: " + c.Model.Path:               func() error { return os.Rename(c.Model.Path, c.Model.Path+"-moved") },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		err := runTiny(t, f)
		info, _ := f.Info()
		if err == nil || !strings.Contains(err.Error(), want) || info.State != run.Failed || strings.Contains(info.Message, "\n") {
			t.Errorf("%v, state %s; want %s", err, info.State, want)
		}
		_ = os.Rename(c.Model.Path+"-moved", c.Model.Path)
		if err := os.WriteFile(unet, weights, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(lora(t, f, 2), kept) {
		t.Error("the checkpoint has changed")
	}
}

// smallDisk is a file system of its own, of so many KiB; only root can make one.
func smallDisk(t *testing.T, kib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", kib)); err != nil {
		t.Skip("cannot mount a small file system: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A full disk pauses the run, which says so; with room again it continues and ends in the same bytes.
func TestFullDisk(t *testing.T) {
	c := tinyConfig(t)
	c.Train.Steps = 4
	whole := newTinyRun(t, c)
	if err := runTiny(t, whole); err != nil {
		t.Fatal(err)
	}
	disk := smallDisk(t, 4096)
	f, err := run.Create(disk, run.Info{Preset: "tiny", Model: c.Model.Path}, c)
	if err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(disk, "filler")
	for size := 4096 - 64; ; size -= 16 { // all but little
		if err := os.WriteFile(filler, make([]byte, size<<10), 0o644); err == nil {
			break
		}
	}
	client, ended := working(t, f, Options{})
	s := until(t, client, "the pause", func(s run.Status) bool { return s.State == run.Paused })
	if !strings.Contains(s.Message, "the disk is full: no room for ") {
		t.Errorf("paused with %q", s.Message)
	}
	if err := client.Resume(context.Background()); err != nil { // in vain
		t.Fatal(err)
	}
	until(t, client, "the next pause", func(s run.Status) bool { return s.State == run.Paused })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := client.Resume(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(lora(t, whole, 4), lora(t, f, 4)) {
		t.Error("the run ended in other bytes than one with room")
	}
	checkLog(t, f)
}

// A run folder that cannot be written to is one line.
func TestReadOnlyFolder(t *testing.T) {
	disk := smallDisk(t, 4096)
	c := tinyConfig(t)
	f, err := run.Create(disk, run.Info{Preset: "tiny", Model: c.Model.Path}, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skip("cannot mount read-only: ", err)
	}
	err = runTiny(t, f)
	if err == nil || !strings.HasPrefix(err.Error(), "open run: ") || !strings.Contains(err.Error(), "read-only file system") || strings.Contains(err.Error(), "\n") {
		t.Errorf("ended with %v", err)
	}
}

// A classifier that is held out stops a run by what it holds for probable, not by the size of its scores.
func TestGateCatchesProbableFaults(t *testing.T) {
	c := tinyConfig(t)
	c.Reward[0].Model, c.Reward[0].HeldOut, c.Region.Weight, c.Train.Augment = "spot:bright", "spot:glow", 0, false
	c.Train.LearningRate, c.Train.Schedule, c.Train.Steps = 0.1, "constant", 12
	c.Gate.StatisticsRange = 0
	f := newTinyRun(t, c)
	err := runTiny(t, f)
	if err == nil || !strings.Contains(err.Error(), "the gate has ended the run (P(fault) by the held-out spot judge: ") {
		for _, e := range eventsOf(t, f) {
			if e.Evaluation != nil {
				t.Logf("step %d: %+v", e.Step, e.Evaluation.Aspects)
			}
		}
		t.Fatalf("ended with %v", err)
	}
	if !has(eventsOf(t, f), func(e core.Event) bool {
		return e.Alarm != nil && e.Alarm.Name == "P(fault)" && e.Alarm.Subject == "spot" && e.Alarm.Value > e.Alarm.Limit
	}) {
		t.Error("no alarm of the held-out judge")
	}
}
