package cmd

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/flow/flowtest"
	"focusnfix/model/torch/torchtest"
	"focusnfix/render"
)

// transformerPreset is a preset of a tiny transformer with real judges. The one of artifacts finds them in whatever random
// weights draw.
func transformerPreset(t *testing.T, dir, model, guidance string) string {
	t.Helper()
	path, prompts := filepath.Join(dir, "tiny.toml"), filepath.Join(dir, "prompts.txt")
	text := `[[reward]]
aspect    = "oversexualization"
model     = "builtin:nsfw-mid"
held_out  = "builtin:nsfw-small"
threshold = 0.001
[[reward]]
aspect    = "artifacts"
model     = "scenes"
held_out  = "scenes-held-out"
[model]
path   = "` + model + `"
device = "` + string(torchtest.Device()) + `"
dtype  = "float32"
[sample]
scheduler      = "euler"
num_steps      = 3
guidance_scale = ` + guidance + `
size           = "32x32"
[lora]
rank    = 4
targets = ["attention", "feedforward"]
[train]
prompts          = "` + prompts + `"
batch            = 1
backprop_steps   = 1
steps            = 1
seeds_per_prompt = 1
learning_rate    = 1e-2
`
	for path, text := range map[string]string{path: text, prompts: "a chef\n[held out]\na fox\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// Every command that takes a run or a model takes those of the transformers, and a file that training or a repair has
// written draws again what was shown, byte for byte.
func TestCommandsOnTransformers(t *testing.T) {
	torchtest.Need(t)
	for name, guidance := range map[string]string{"sd35": "3.0", "zimage": "1.0"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("FNF_RUNS", dir)
			model := flowtest.Read(t, "../model").Models[name].WriteFolder(t)
			preset, in := transformerPreset(t, dir, model, guidance), func(file string) string { return filepath.Join(dir, file) }
			command := func(code int, want string, args ...string) {
				t.Helper()
				do := runCommand
				if args[0] == "plan" || args[0] == "train" { // which walk through shapes in a process of their own
					do = func(args ...string) (int, string, string) { return runProgram(t, args...) }
				}
				got, stdout, stderr := do(args...)
				if got != code || !strings.Contains(stdout+stderr, want) {
					t.Fatalf("%v: exit code %d, want %d and %q: %s%s", args, got, code, want, stdout, stderr)
				}
			}
			command(exitDone, "1 steps of 1", "plan", preset, "--no-probe")
			command(exitDone, "done at step 1 of 1", "train", "-p", preset, "--run", in("mine"))
			command(exitDone, " masks; 0 without a fault", "masks", "mine", "--sheet", in("masks.png"))
			command(exitDone, "faults repaired", "eval", "mine", "--pictures", "1")
			command(exitDone, "report.html", "report", "mine", "-o", in("report.html"))
			command(exitDone, "step 1 of mine", "export", "mine", "--format", "peft", "-o", in("mine.safetensors"))
			command(exitDone, "tuned.png", "generate", "a fox", "--run", "mine", "--seed", "4", "-q", "-o", in("tuned.png"))
			draw := []string{"generate", "-m", model, "--steps", "3", "--guidance", guidance, "--size", "32x32", "--seed", "4", "-q", "--dtype", "float32", "--device", string(torchtest.Device())}
			command(exitDone, "base.png", append(draw, "a fox", "-o", in("base.png"))...)
			command(exitDone, "again.png", append(draw, "a fox", "--lora", in("mine.safetensors"), "-o", in("again.png"))...)

			command(exitNotRepaired, "artifacts still visible", "fix", "a chef", "-p", preset, "-a", "artifacts", "--box", "0.25,0.25,0.5,0.5", "--seed", "4",
				"--steps", "2", "-q", "--lora", in("fix.safetensors"), "-o", in("fixed.png"))
			command(exitDone, "redrawn.png", append(draw, "a chef", "--lora", in("fix.safetensors"), "-o", in("redrawn.png"))...)
			command(exitNotRepaired, "artifacts still visible", "fix", in("fixed.png"), "--start", "mine", "-a", "artifacts", "--box", "0.25,0.25,0.5,0.5", "--steps", "1", "-q", "-o", in("twice.png"))

			if !samePixels(t, in("tuned.png"), in("again.png")) || samePixels(t, in("tuned.png"), in("base.png")) {
				t.Error("the exported file draws another image than the run, or training changed nothing")
			}
			if !samePixels(t, in("fixed.png"), in("redrawn.png")) {
				t.Error("the file of the repair draws another image")
			}
		})
	}
}

// samePixels reports whether two PNG files show the same image, whatever their texts say.
func samePixels(t *testing.T, a, b string) bool {
	t.Helper()
	read := func(path string) *image.RGBA {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return render.RGBA(m)
	}
	return bytes.Equal(read(a).Pix, read(b).Pix)
}
