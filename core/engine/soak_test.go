package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"focusnfix/core/run"
)

// soak is a run on a small disk, its engine in this process and screens in terminals of their own.
type soak struct {
	t       *testing.T
	disk    string
	f       run.Folder
	client  *run.Client
	ended   <-chan error
	screens []*screen
	done    map[string]int // what was done, and what was refused
}

// screen is `focusnfix attach` in a terminal that script(1) makes.
type screen struct {
	command *exec.Cmd
	keys    io.WriteCloser
}

// TestSoak works on a run for as long as FNF_SOAK says, with screens, prompts, repairs, pauses, full disks and
// kills of screens at random; open files, goroutines and memory must not grow. FNF_BINARY is the program
// for the screens. `make soak` runs it.
func TestSoak(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("FNF_SOAK"))
	if err != nil {
		t.Skip("FNF_SOAK says for how long, such as 1h: make soak")
	}
	c := tinyConfig(t)
	c.Train.Steps, c.Train.CheckpointEvery, c.Train.ImagesEvery = 10_000_000, 20, 10
	c.Gate.Action = "warn" // so many steps leave the base images' range at last, and the run is to go on
	s := &soak{t: t, disk: smallDisk(t, 200<<10), done: map[string]int{}}
	if s.f, err = run.Create(s.disk, run.Info{Preset: "tiny", Model: c.Model.Path}, c); err != nil {
		t.Fatal(err)
	}
	s.client, s.ended = working(t, s.f, Options{})
	until(t, s.client, "the first step", func(status run.Status) bool { return status.Step > 0 })
	for range 3 {
		s.screens = append(s.screens, s.attach())
	}
	defer func() {
		for _, screen := range s.screens {
			screen.end()
		}
	}()
	var measured []sample
	began, next := time.Now(), time.Time{}
	for time.Since(began) < lasts {
		if time.Now().After(next) {
			measured = append(measured, s.measure(time.Since(began)))
			next = time.Now().Add(max(lasts/60, time.Second))
			s.prune()
		}
		s.act()
		select {
		case err := <-s.ended:
			events, _ := os.ReadFile(filepath.Join(s.f.Dir, "events.jsonl"))
			t.Fatalf("the engine ended after %v: %v; done: %v; its last events:\n%s", time.Since(began).Round(time.Second),
				err, s.done, events[max(0, len(events)-2000):])
		default:
		}
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
	}
	t.Logf("%v: %v", time.Since(began).Round(time.Second), s.done)
	s.flat(measured)
}

// attach opens the run on a screen.
func (s *soak) attach() *screen {
	program := os.Getenv("FNF_BINARY")
	if _, err := exec.LookPath("script"); err != nil || program == "" {
		return nil
	}
	c := exec.Command("script", "-qefc", fmt.Sprintf("stty rows 45 cols 160; exec %s attach %s", program, s.f.Dir), "/dev/null")
	c.Env = append(os.Environ(), "TERM=xterm-256color", "FNF_IMAGES=blocks")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	keys, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return &screen{c, keys}
}

// end kills a screen with its terminal.
func (v *screen) end() {
	if v != nil {
		_ = syscall.Kill(-v.command.Process.Pid, syscall.SIGKILL)
		_ = v.keys.Close()
		_ = v.command.Wait()
	}
}

// act does one thing that a person, or an accident, might do.
func (s *soak) act() {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	drawing := run.GenerateRequest{}
	drawing.Prompt, drawing.Seed = "a cat", uint64(rand.IntN(100))
	what, err := "", error(nil)
	switch rand.IntN(10) {
	case 0:
		what = "prompt"
		_, err = s.client.Generate(ctx, drawing)
	case 1:
		what = "repair"
		_, err = s.client.Fix(ctx, run.FixRequest{Drawing: drawing.Drawing, Aspect: "spot", Region: "box:0,0,0.5,0.5", Steps: 3})
	case 2:
		what = "repair given up"
		soon, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(500))*time.Millisecond)
		_, _ = s.client.Fix(soon, run.FixRequest{Drawing: drawing.Drawing, Aspect: "spot", Region: "box:0,0,0.5,0.5", Steps: 50})
		cancel()
	case 3:
		what = "pause"
		err = s.client.Pause(ctx)
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
		err = errors.Join(err, s.client.Resume(ctx))
	case 4:
		what = "setting"
		err = s.client.Set(ctx, "region.weight", strconv.Itoa(1+rand.IntN(20)))
	case 5:
		what = "checkpoint"
		_, err = s.client.Checkpoint(ctx)
	case 6:
		what = "evaluation"
		_, err = s.client.Evaluate(ctx, run.EvaluateRequest{})
	case 7, 8:
		what = s.disturbScreen()
	case 9:
		if rand.IntN(10) == 0 {
			what, err = "full disk", s.fillDisk(ctx)
		}
	}
	if err != nil {
		what += " refused"
		if s.done[what] == 0 {
			s.t.Logf("%s: %v", what, err)
		}
	}
	if what != "" {
		s.done[what]++
	}
}

// disturbScreen types into a screen, or kills it and opens another.
func (s *soak) disturbScreen() string {
	i := rand.IntN(len(s.screens))
	if s.screens[i] == nil {
		return "no screen"
	}
	if rand.IntN(4) > 0 {
		_, _ = io.WriteString(s.screens[i].keys, string("12345\t?+-vih"[rand.IntN(12)]))
		return "key"
	}
	s.screens[i].end()
	s.screens[i] = s.attach()
	return "screen killed"
}

// fillDisk leaves no room until the run has paused for it.
func (s *soak) fillDisk(ctx context.Context) error {
	filler := filepath.Join(s.disk, "filler")
	file, err := os.Create(filler)
	if err != nil {
		return err
	}
	for _, size := range []int{64 << 10, 512} {
		for err = nil; err == nil; {
			_, err = file.Write(make([]byte, size))
		}
	}
	_ = file.Close()
	paused := false
	for range 600 {
		status, err := s.client.Status(ctx)
		if err != nil {
			return err
		}
		if paused = status.State == run.Paused && strings.Contains(status.Message, "disk is full"); paused {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := errors.Join(os.Remove(filler), s.client.Resume(ctx)); err != nil {
		return err
	}
	if !paused {
		return errors.New("the run did not pause on a full disk")
	}
	return nil
}

// prune keeps the newest of what a run collects, as its owner would.
func (s *soak) prune() {
	for pattern, keep := range map[string]int{"checkpoints/step-*": 3, "images/step-*": 3, "prompts/[0-9]*": 3} {
		all, err := filepath.Glob(filepath.Join(s.f.Dir, pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		slices.Sort(all)
		for _, path := range all[:max(0, len(all)-keep)] {
			if err := os.RemoveAll(path); err != nil {
				s.t.Error(err)
			}
		}
	}
}

// sample is what the engine's process holds.
type sample struct {
	at                time.Duration
	files, goroutines int
	memory            float64 // MiB
	step              int
}

func (s *soak) measure(at time.Duration) sample {
	s.client.Close() // idle connections are not the engine's
	runtime.GC()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		s.t.Skip("no /proc: ", err)
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		s.t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		s.t.Fatal(err)
	}
	status, err := s.client.Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	now := sample{at, len(files), runtime.NumGoroutine(), float64(pages*os.Getpagesize()) / (1 << 20), status.Step}
	s.t.Logf("%6s step %6d, %3d files, %3d goroutines, %6.1f MiB", at.Round(time.Second), now.step, now.files, now.goroutines, now.memory)
	return now
}

// flat compares the medians of the second and the last quarter: the first warms up.
func (s *soak) flat(all []sample) {
	quarter := len(all) / 4
	if quarter == 0 {
		return
	}
	median := func(part []sample, of func(sample) float64) float64 {
		var values []float64
		for _, one := range part {
			values = append(values, of(one))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	for name, of := range map[string]func(sample) float64{
		"files": func(m sample) float64 { return float64(m.files) }, "goroutines": func(m sample) float64 { return float64(m.goroutines) },
		"MiB": func(m sample) float64 { return m.memory },
	} {
		early, late := median(all[quarter:2*quarter], of), median(all[len(all)-quarter:], of)
		s.t.Logf("%s: %.0f, then %.0f", name, early, late)
		if late > early*1.1+5 {
			s.t.Errorf("%s grew from %.0f to %.0f", name, early, late)
		}
	}
	if all[len(all)-1].step <= all[0].step {
		s.t.Error("training did not get on")
	}
}
