package cmd

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/flow/flowtest"
	"focusnfix/model/torch/torchtest"
)

const tinyModel = "../model/sd/testdata/ref/sd1"

// runCommand executes one command line as the program does.
func runCommand(args ...string) (code int, stdout, stderr string) {
	var out, err strings.Builder
	code = execute(context.Background(), newRoot(), args, &out, &err)
	return code, out.String(), err.String()
}

func TestGenerateWritesPictures(t *testing.T) {
	torchtest.Need(t)
	dir := t.TempDir()
	code, stdout, stderr := runCommand("generate", "a chef", "-m", tinyModel, "--steps", "2", "--size", "32x24", "--seed", "5", "-n", "3", "--batch", "2",
		"--negative", "blood", "--lora", tinyModel+"_lora.safetensors:0.5", "-o", filepath.Join(dir, "new", "x.png"), "--device", string(torchtest.Device()), "--dtype", "float32")
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	want := []string{"x-5.png", "x-6.png", "x-7.png"}
	if got := strings.Fields(stdout); len(got) != 3 || filepath.Base(got[0]) != want[0] || filepath.Base(got[2]) != want[2] {
		t.Errorf("printed %q, want %v", got, want)
	}
	if !strings.Contains(stderr, "draw 6/6") {
		t.Errorf("progress %q, want it to end at 6/6: two batches of two steps, of which PNDM takes the second twice", stderr)
	}
	data, err := os.ReadFile(filepath.Join(dir, "new", "x-6.png"))
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil || picture.Bounds().Dx() != 32 || picture.Bounds().Dy() != 24 {
		t.Errorf("picture %v, %v", picture.Bounds(), err)
	}
	const how = "a chef <lora:sd1_lora:0.5>\nNegative prompt: blood\nSteps: 2, Sampler: PLMS, CFG scale: 7.5, Seed: 6, Size: 32x24, Model: sd1, Version: focusnfix "
	if text := pictureText(t, filepath.Join(dir, "new", "x-6.png")); !strings.HasPrefix(text, how) {
		t.Errorf("text %q, want %q", text, how)
	}
}

// A Stable Diffusion 3 and a Z-Image are drawn with the same command; what does not go with them is refused.
func TestGenerateDrawsTransformers(t *testing.T) {
	torchtest.Need(t)
	for name, r := range flowtest.Read(t, "../model").Models {
		out, folder := filepath.Join(t.TempDir(), "x.png"), r.WriteFolder(t)
		args := []string{"generate", "a chef", "-m", folder, "--steps", "2", "--size", "32x24", "--seed", "5", "--device", "cpu", "-q", "-o", out}
		if code, _, stderr := runCommand(args...); code != exitDone {
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
			continue
		}
		if text := pictureText(t, out); !strings.Contains(text, "Sampler: Euler, CFG scale: 7.5, Seed: 5, Size: 32x24, Model: "+filepath.Base(folder)) {
			t.Errorf("%s: text %q", name, text)
		}
		for want, flags := range map[string][]string{
			"f: no such file": {"--lora", "f:1"}, "takes no other VAE": {"--vae", "v"}, "clip skip and guidance rescale are for": {"--clip-skip", "1"},
		} {
			if code, _, stderr := runCommand(append(slices.Clone(args), flags...)...); code != exitFailed || !strings.Contains(stderr, want) {
				t.Errorf("%s %v: exit code %d: %s, want %s", name, flags, code, stderr, want)
			}
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	for want, args := range map[string]string{
		"PROMPT is missing":                          "generate",
		`--size: "3x", want WIDTHxHEIGHT`:            "generate x -m m --size 3x",
		`--size: "3x4x5", want`:                      "generate x -m m --size 3x4x5",
		"--steps: 0, want 1 to 999":                  "generate x -m m --steps 0",
		"--guidance: NaN, want 0 to 50":              "generate x -m m --guidance NaN",
		"strength +Inf of f, want a number":          "generate x -m m --lora f:Inf",
		"-n 0 --batch 1: want 1 or more":             "generate x -m m -n 0",
		"-o x.jpg: want a name that ends in .png":    "generate x -m m -o x.jpg",
		"--scheduler lms: want one of ddim":          "generate x -m m --scheduler lms",
		"--dtype int8: want float32":                 "generate x -m m --dtype int8",
		"--prediction v: want epsilon":               "generate x -m m --prediction v",
		"--prediction x: want epsilon":               "convert m -o x --prediction x",
		"-o is missing":                              "convert m",
		"--lora-format loha: want peft":              "convert m -o x.safetensors --lora-format loha",
		"-o x: want a name that ends in .safetensor": "convert m -o x --lora-format peft",
		"--shard 0: want more than 0":                "convert m -o x --shard 0",
	} {
		code, _, stderr := runCommand(strings.Fields(args)...)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %q, want %d, %q", args, code, stderr, exitUsage, want)
		}
	}
}

func TestConvertLoRAFile(t *testing.T) {
	torchtest.Need(t)
	file := filepath.Join(t.TempDir(), "kohya.safetensors")
	if code, _, stderr := runCommand("convert", tinyModel+"_lora.safetensors", "--lora-format", "kohya", "-o", file); code != exitDone {
		t.Fatal(stderr)
	}
	data, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(data, []byte("lora_unet_down_blocks_0_attentions_0")) {
		t.Errorf("no kohya names in it, %v", err)
	}
}

func TestSplitLoRA(t *testing.T) {
	for in, want := range map[string]struct {
		file  string
		scale float64
	}{
		"a.safetensors": {"a.safetensors", 1}, "a.safetensors:0.5": {"a.safetensors", 0.5}, "C:x": {"C:x", 1},
		"dir:1/a.safetensors:-1": {"dir:1/a.safetensors", -1}, ":2": {":2", 1},
	} {
		if file, scale := splitLoRA(in); file != want.file || scale != want.scale {
			t.Errorf("%s: %s, %g, want %v", in, file, scale, want)
		}
	}
}

// A decoder for previews is opened before anything is drawn, in a terminal or not.
func TestGeneratePreview(t *testing.T) {
	torchtest.Need(t)
	for path, want := range map[string]string{
		"nowhere": "nowhere: is not there; focusnfix pull madebyollin/taesd",
		tinyModel: "config.json",
	} {
		code, _, stderr := runCommand("generate", "x", "-m", tinyModel, "--preview", path, "-o", filepath.Join(t.TempDir(), "x.png"))
		if code != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s, want %s", path, code, stderr, want)
		}
	}
	row := beside([]*image.RGBA{image.NewRGBA(image.Rect(0, 0, 3, 2)), image.NewRGBA(image.Rect(0, 0, 3, 2))})
	if size := row.Bounds().Size(); size != image.Pt(6, 2) {
		t.Errorf("two images of 3x2 beside each other are %v", size)
	}
}

// Without --model, the model is that of config.toml in the folder, else the shipped one.
func TestGenerateFindsItsModel(t *testing.T) {
	t.Chdir(t.TempDir())
	g := new(generateFlags)
	if err := g.suitConfig(); err != nil || g.model.path != "builtin:scenes" {
		t.Errorf("model %q, %v, want the shipped one", g.model.path, err)
	}
	if err := os.WriteFile("config.toml", []byte("[model]\npath = \"mine\"\ndevice = \"cpu\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	g = new(generateFlags)
	if err := g.suitConfig(); err != nil || g.model.path != "mine" || g.model.device != "cpu" || g.model.dtype != "" {
		t.Errorf("model %q on %q as %q, %v, want that of config.toml", g.model.path, g.model.device, g.model.dtype, err)
	}
	if g.model.prediction != "" || g.model.zeroSNR != nil {
		t.Errorf("prediction %q, zero SNR %v, want what the model says", g.model.prediction, g.model.zeroSNR)
	}
	if err := os.WriteFile("config.toml", []byte("[model]\nprediction = \"v_prediction\"\nzero_snr = \"off\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"": "v_prediction", "epsilon": "epsilon"} {
		g = &generateFlags{model: modelFlags{prediction: flag}}
		if err := g.suitConfig(); err != nil || g.model.prediction != want || g.model.zeroSNR == nil || *g.model.zeroSNR {
			t.Errorf("prediction %q, %v, zero SNR %v, want %s and off", g.model.prediction, err, g.model.zeroSNR, want)
		}
	}
	g = &generateFlags{model: modelFlags{path: "flag"}}
	if err := g.suitConfig(); err != nil || g.model.path != "flag" {
		t.Errorf("model %q, %v, want the flag's", g.model.path, err)
	}
	if err := os.WriteFile("config.toml", []byte("[model]\nwieght = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := runCommand("generate", "x"); code != exitUsage || !strings.Contains(stderr, "config.toml:2") {
		t.Errorf("a broken config.toml: %d %s", code, stderr)
	}
}
