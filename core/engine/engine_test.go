package engine

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/model/torch/torchtest"
)

func newTinyRun(t testing.TB, c core.Config) run.Folder {
	t.Helper()
	torchtest.Need(t)
	f, err := run.Create(t.TempDir(), run.Info{Preset: "tiny", Model: c.Model.Path}, c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// runTiny works on a run until it ends.
func runTiny(t testing.TB, f run.Folder) error {
	t.Helper()
	return Run(context.Background(), Options{Folder: f, Version: "test", Kinds: tinyKinds})
}

func eventsOf(t testing.TB, f run.Folder) []core.Event {
	t.Helper()
	events, err := f.Tail(10000)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// kinds counts events.
func countKinds(events []core.Event) map[string]int {
	counts := map[string]int{}
	for _, e := range events {
		counts[e.Kind]++
	}
	return counts
}

// lora is the file that a run's newest checkpoint holds, which must be that of a step.
func lora(t testing.TB, f run.Folder, step int) []byte {
	t.Helper()
	all, err := f.Checkpoints()
	if err != nil || len(all) == 0 || all[len(all)-1].Step != step {
		t.Fatalf("checkpoints %v, %v; want the last of step %d", all, err, step)
	}
	data, err := os.ReadFile(filepath.Join(all[len(all)-1].Dir, "lora.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A run trains to its end and leaves all that a screen reads.
func TestRun(t *testing.T) {
	f := newTinyRun(t, tinyConfig(t))
	if err := runTiny(t, f); err != nil {
		t.Fatal(err)
	}
	info, err := f.Info()
	if err != nil || info.State != run.Done || info.Step != 6 || info.Device != string(torchtest.Device()) || info.ModelHash == "" {
		t.Errorf("info %+v, %v", info, err)
	}
	events := eventsOf(t, f)
	counts := countKinds(events)
	// checkpoints of steps 0, 2, 4, 6; images one by one at step 0, then at 3 and 6
	if counts["step"] != 6 || counts["checkpoint"] != 4 || counts["evaluation"] != 3 || counts["pictures"] != 4+2 {
		t.Errorf("events %v", counts)
	}
	checkStep(t, events)
	pictures, err := f.Pictures()
	if err != nil || len(pictures) != 3 || len(pictures[6]) != 4 {
		t.Errorf("pictures %v, %v", pictures, err)
	}
	for _, p := range slices.Concat(pictures[0], pictures[6]) {
		if file, err := f.Open(p.Path); err != nil {
			t.Error(err)
		} else {
			file.Close()
		}
	}
	if _, err := f.Dial(); err == nil {
		t.Error("an engine still works on it")
	}
}

func checkStep(t *testing.T, events []core.Event) {
	t.Helper()
	i := slices.IndexFunc(events, func(e core.Event) bool { return e.Kind == "step" && e.Step == 4 })
	if i < 0 {
		t.Fatal("no step 4")
	}
	s := events[i].Train
	if len(s.Aspects) != 1 || s.Aspects[0].Aspect != "spot" {
		t.Fatalf("aspects %+v", s.Aspects)
	}
	a := s.Aspects[0]
	if !math.IsNaN(a.Fault) || !math.IsNaN(a.BaseFault) || !math.IsNaN(a.HeldOutFault) {
		t.Errorf("fault probabilities of a judge that does not know: %+v", a)
	}
	for name, v := range map[string]float64{
		"reward": s.Reward, "own": a.Reward, "base": a.Base, "held out": a.HeldOut, "base held out": a.BaseHeldOut, "region": s.Region,
		"coverage": s.Coverage, "inside": s.InsidePSNR, "outside": s.OutsidePSNR, "gradient": s.GradNorm, "rate": s.LearningRate,
		"sample": s.SampleSeconds, "decode": s.DecodeSeconds, "reward seconds": s.RewardSeconds, "backward": s.BackwardSeconds,
		"step": s.StepSeconds, "memory": s.MemoryMiB, "use": s.DeviceUse,
	} {
		if !(v != 0) {
			t.Errorf("step 4: %s is %g", name, v)
		}
	}
	if i := slices.IndexFunc(events, func(e core.Event) bool { return len(e.Pictures) > 0 }); i > slices.IndexFunc(events, func(e core.Event) bool { return e.Kind == "step" }) {
		t.Error("the first picture comes after the first step")
	}
}

// TestStepFaults: steps tell how probable a judge finds a fault that knows it from its score s, as −4s−1.
func TestStepFaults(t *testing.T) {
	type faults func(core.AspectScore) (base, baseFault, tuned, fault float64)
	for heldOut, of := range map[bool]faults{
		false: func(a core.AspectScore) (float64, float64, float64, float64) {
			return a.Base, a.BaseFault, a.Reward, a.Fault
		},
		true: func(a core.AspectScore) (float64, float64, float64, float64) {
			return a.BaseHeldOut, a.BaseHeldOutFault, a.HeldOut, a.HeldOutFault
		},
	} {
		c := tinyConfig(t)
		c.Train.Steps, c.Train.Augment = 2, false
		if c.Reward[0].Model = "spot:glow"; heldOut {
			c.Reward[0].Model, c.Reward[0].HeldOut = "spot:square", "spot:glow"
		}
		f := newTinyRun(t, c)
		if err := runTiny(t, f); err != nil {
			t.Fatal(err)
		}
		steps := 0
		for _, e := range eventsOf(t, f) {
			if e.Kind != "step" {
				continue
			}
			steps++
			base, baseFault, tuned, fault := of(e.Train.Aspects[0])
			if !(math.Abs(baseFault-(-4*base-1)) < 1e-5) || !(math.Abs(fault-(-4*tuned-1)) < 1e-5) || !(fault > 0 && fault < 1) {
				t.Errorf("held out %t, step %d: scores %g and %g, fault probabilities %g and %g", heldOut, e.Step, base, tuned, baseFault, fault)
			}
		}
		if steps != 2 {
			t.Errorf("held out %t: %d steps, want 2", heldOut, steps)
		}
	}
}

// Two runs with one seed end in the same bytes, and another seed in others.
func TestSameSeedSameBytes(t *testing.T) {
	c := tinyConfig(t)
	c.Train.Steps, c.Train.CheckpointEvery = 3, 3
	var files [][]byte
	for _, seed := range []int{0, 0, 1} {
		c.Train.Seed = seed
		f := newTinyRun(t, c)
		if err := runTiny(t, f); err != nil {
			t.Fatal(err)
		}
		files = append(files, lora(t, f, 3))
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two runs with one seed differ")
	}
	if bytes.Equal(files[0], files[2]) {
		t.Error("another seed changes nothing")
	}
}
