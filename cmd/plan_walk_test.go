package cmd

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// needWalk skips a test where this libtorch cannot walk through shapes.
func needWalk(t *testing.T) {
	t.Helper()
	torchtest.Need(t)
	info, err := torch.BuildInfo()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(info, "Stand-in: absent") {
		t.Skip("this libtorch has no stand-in for a GPU: 2.9 or newer is needed")
	}
	t.Setenv("FNF_STAND_IN", "off") // the walk's own process switches it on
}

// hollow makes a model of real size whose files have nothing in them.
func hollow(t *testing.T, kind string) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "run", "../bench/fullsize", "-model", "../model", "-make", dir, "-kind", kind,
		"-dtype", "float16", "-hollow").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// planOf is what `focusnfix plan --json` prints.
func planOf(t *testing.T, args ...string) (p planned) {
	t.Helper()
	code, stdout, stderr := runProgram(t, append([]string{"plan", "--json"}, args...)...)
	if code != exitDone {
		t.Fatalf("plan %v: %d %s", args, code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &p); err != nil {
		t.Fatalf("plan %v: %v in %s", args, err, stdout)
	}
	return p
}

// runProgram runs this test's binary as the program.
func runProgram(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "FNF_TEST_AS_PROGRAM=1")
	var out, said strings.Builder
	c.Stdout, c.Stderr = &out, &said
	_ = c.Run()
	return c.ProcessState.ExitCode(), out.String(), said.String()
}

// TestPlanOfRealModels: the presets of models of real size are planned without a GPU; --fit chooses settings with which
// they fit; start refuses what does not, with the command that chooses, before it makes a run.
func TestPlanOfRealModels(t *testing.T) {
	needWalk(t)
	for _, c := range []struct {
		kind, preset string
		fit          string
		least, most  float64 // GiB of the preset with batches of 8: more than the weights, less than a card of 12 or 24
	}{
		{"sd15", "sd1-oversexualization", "5.5GiB", 4, 12},
		{"sdxl", "sdxl-oversexualization", "16.5GiB", 12, 24},
	} {
		t.Run(c.kind, func(t *testing.T) {
			model := "model.path=" + hollow(t, c.kind)
			args := []string{c.preset, "--no-probe", "--set", model, "--set", "model.dtype=float16", "--set", "train.batch=8"}
			p := planOf(t, args...)
			if got := float64(p.Total) / gib; got < c.least || got > c.most || !p.Fits {
				t.Errorf("%s takes %.1f GiB, want %g to %g", c.preset, got, c.least, c.most)
			}
			limit, _ := parseMemory(c.fit)
			fitted := planOf(t, append(args, "--fit", c.fit)...)
			if fitted.Total > limit || !fitted.Fits || !slices.Contains(fitted.Settings, "train.batch=4") {
				t.Errorf("--fit %s: %.2f GiB with %v, want batches of 4", c.fit, float64(fitted.Total)/gib, fitted.Settings)
			}
			checkRefusal(t, c.preset, model)
		})
	}
}

// TestPlanOfTransformers: the presets of transformers are planned in bfloat16 at 1024 pixels, with the text encoders that are
// there before the transformer is: a T5-XXL takes more than SD 3.5 medium.
func TestPlanOfTransformers(t *testing.T) {
	needWalk(t)
	for _, c := range []struct {
		kind, preset string
		least, most  float64 // GiB: more than the weights, less than a card of 16 or 24
		encoding     bool    // takes more than the weights that stay
	}{
		{"sd35-t5", "sd35-oversexualization", 11.5, 16, true},
		{"zimage", "zimage-oversexualization", 13, 24, false},
	} {
		t.Run(c.kind, func(t *testing.T) {
			p := planOf(t, c.preset, "--no-probe", "--set", "model.path="+hollow(t, c.kind))
			if got := float64(p.Total) / gib; got < c.least || got > c.most {
				t.Errorf("%s takes %.1f GiB, want %g to %g", c.preset, got, c.least, c.most)
			}
			if m := p.Memory; m.Loading < m.Weights || c.encoding != (m.Loading > 2*m.Weights) {
				t.Errorf("%s: %.1f GiB while prompts are encoded, %.1f of weights that stay", c.kind, float64(m.Loading)/gib, float64(m.Weights)/gib)
			}
		})
	}
}

// checkRefusal starts a run where nvidia-smi tells of a GPU of 4 GiB.
func checkRefusal(t *testing.T, preset, model string) {
	t.Helper()
	dir, runs := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\necho '0, GPU-1, small, 0, 0, 4096, 30, 10, 70'\n"
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	code, _, stderr := runProgram(t, "start", preset, "--runs", runs, "--set", model, "--set", "model.dtype=float16")
	if code != exitFailed || !strings.Contains(stderr, "GiB of GPU memory, and the GPU has 4.0") || !strings.Contains(stderr, "plan "+preset+" --no-probe --fit 4GiB") {
		t.Errorf("start: %d %s", code, stderr)
	}
	if made, _ := os.ReadDir(runs); len(made) > 0 {
		t.Errorf("start made %v", made)
	}
}

// TestPlanAgainstTraining: what a plan says of memory is what a training takes on the stand-in, which computes, within a
// tenth; its images, references and steps are the run's.
func TestPlanAgainstTraining(t *testing.T) {
	needWalk(t)
	if torchtest.Device() == torch.CPU {
		t.Skip("FNF_TEST_DEVICE names no device whose memory can be measured")
	}
	preset := tinyPreset(t)
	for _, dtype := range []string{"float32", "float16"} {
		settings := []string{"--set", "model.dtype=" + dtype, "--set", "train.batch=2", "--set", "train.accumulate=2"}
		p := planOf(t, append([]string{preset, "--no-probe"}, settings...)...)
		if p.Images != 2*2*2 || p.References != 2 {
			t.Errorf("%d images and %d references, want 8 and 2", p.Images, p.References)
		}
		t.Setenv("FNF_STAND_IN", "compute")
		code, stdout, stderr := runProgram(t, append([]string{"train", preset, "--json", "--runs", t.TempDir()}, settings...)...)
		t.Setenv("FNF_STAND_IN", "off")
		if code != exitDone {
			t.Fatal(stderr)
		}
		measured := math.NaN()
		for line := range strings.Lines(stdout) {
			var e core.Event
			if err := e.ParseJSON([]byte(strings.TrimSpace(line))); err == nil && e.Train != nil {
				measured = e.Train.MemoryMiB
			}
		}
		got := float64(p.Memory.Peak()) / (1 << 20)
		t.Logf("%s: planned %.1f MiB, measured %.1f", dtype, got, measured)
		if d := math.Abs(got-measured) / measured; !(d <= 0.1) {
			t.Errorf("%s: planned %.1f MiB, and a training took %.1f: off by %.0f %%", dtype, got, measured, 100*d)
		}
	}
}

// TestPlanProbes: two steps of training tell time, disk space and the share of faulty images.
func TestPlanProbes(t *testing.T) {
	torchtest.Need(t)
	p := planOf(t, tinyPreset(t), "--set", "train.steps=40")
	if p.StepSeconds <= 0 || p.Seconds < 40*p.StepSeconds || p.DiskBytes <= 0 || p.Drawn == 0 || p.FaultyShare < 0 || p.FaultyShare > 1 {
		t.Errorf("probe: %+v", p)
	}
}
