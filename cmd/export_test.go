package cmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// tinyRun is a run on the tiny model of model/sd's references, with a LoRA for it as the checkpoints of
// two steps; that of step 20 has half the strength.
func tinyRun(t *testing.T, runs string) run.Folder {
	t.Helper()
	c := core.Default()
	c.Model.Path, c.Model.Device, c.Sample.NumSteps, c.Sample.GuidanceScale = tinyModel, string(torchtest.Device()), 3, 3
	c.Sample.Size = core.Size{Width: 64, Height: 72}
	f, err := run.Create(runs, run.Info{Preset: "violence", Model: tinyModel, ModelHash: "abc123"}, c)
	if err != nil {
		t.Fatal(err)
	}
	file, err := weights.Open(tinyModel + "_lora.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lora, err := weights.ReadLoRA(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []int{20, 40} {
		modules := slices.DeleteFunc(slices.Clone(lora.Modules), func(m weights.LoRAModule) bool { return m.Component != "unet" })
		for i := range modules {
			modules[i].Alpha = float64(step) / 10
		}
		if _, err := f.WriteCheckpoint(step, func(dir string) error {
			return weights.WriteLoRA(train.LoRAFile(dir), weights.PEFT, modules, nil)
		}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func metadataOf(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return file.Metadata
}

// TestExport: files in both dialects say where they come from, and draw the very image that the run's
// checkpoint draws, which is not the base model's.
func TestExport(t *testing.T) {
	torchtest.Need(t)
	runs, dir := t.TempDir(), t.TempDir()
	f := tinyRun(t, runs)
	draw := func(name, flags string) []byte {
		t.Helper()
		out := filepath.Join(dir, name+".png")
		if code, _, problems := inRuns(t, runs, fmt.Sprintf("generate chef --seed 5 -q --device %s -o %s %s", torchtest.Device(), out, flags)); code != exitDone {
			t.Fatalf("%s: %s", name, problems)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		m, err := core.ReadHeatmap(data) // the pixels without the text
		if err != nil {
			t.Fatal(err)
		}
		return m.Gray16().Pix
	}
	plain := "-m " + tinyModel + " --steps 3 --guidance 3 --size 64x72 --scheduler ddim"
	base, tuned := draw("base", plain), draw("run", "--run violence --trust")
	if bytes.Equal(base, tuned) {
		t.Error("the run's picture is the base model's")
	}
	if text := pictureText(t, filepath.Join(dir, "run.png")); !strings.Contains(text, "<lora:"+f.Name()+" step 40:1>") {
		t.Errorf("the picture's text does not name the run: %s", text)
	}
	for _, format := range []string{"peft", "kohya"} {
		file := filepath.Join(dir, format+".safetensors")
		code, out, problems := inRuns(t, runs, "export violence --format "+format+" -o "+file)
		if code != exitDone || out != file+": step 40 of "+f.Name()+"\n" {
			t.Fatalf("%d %s %s", code, out, problems)
		}
		if !bytes.Equal(draw(format, plain+" --lora "+file), tuned) {
			t.Errorf("%s: --lora draws another picture than --run", format)
		}
		checkMetadata(t, file, f.Name())
	}
	older := filepath.Join(dir, "older.safetensors")
	if code, out, problems := inRuns(t, runs, "export violence --checkpoint 20 -o "+older); code != exitDone || !strings.Contains(out, "step 20") {
		t.Fatalf("%d %s %s", code, out, problems)
	}
	if got := metadataOf(t, older)["focusnfix_alpha"]; got != "2" {
		t.Errorf("alpha %s of step 20, want 2", got)
	}
}

func pictureText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := bytes.Cut(data, []byte("tEXtparameters\x00"))
	if !found {
		t.Fatalf("%s has no text", path)
	}
	n := binary.BigEndian.Uint32(before[len(before)-4:]) // of keyword, zero and text
	return string(after[:int(n)-len("parameters\x00")])
}

func checkMetadata(t *testing.T, file, run string) {
	t.Helper()
	got := metadataOf(t, file)
	want := map[string]string{
		"focusnfix_run": run, "focusnfix_preset": "violence", "focusnfix_model": "sd1", "focusnfix_model_hash": "abc123",
		"focusnfix_step": "40", "focusnfix_alpha": "4", "focusnfix_version": "focusnfix " + version, "modelspec.sai_model_spec": "1.0.0",
		"modelspec.resolution": "64x72",
	}
	if strings.Contains(file, "kohya") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		length := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
		sum := sha256.Sum256(data[8+length:])
		want["sshs_model_hash"] = hex.EncodeToString(sum[:])
		want["sshs_legacy_hash"] = "e3b0c442" // of nothing: the file has less than a MiB
		want["ss_steps"], want["ss_network_alpha"], want["ss_resolution"], want["ss_network_module"] = "40", "4", "(64, 72)", "networks.lora"
	} else if _, there := got["ss_steps"]; there {
		t.Error("a PEFT file has kohya's keys")
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s: %s is %q, want %q", filepath.Base(file), key, got[key], value)
		}
	}
}

func TestExportRefuses(t *testing.T) {
	runs := t.TempDir()
	f := tinyRun(t, runs)
	empty := newTestRun(t, runs, "empty")
	for want, c := range map[string]struct {
		args string
		code int
	}{
		"--format loha: want peft, kohya or comfyui": {"export violence --format loha -o x.safetensors", exitUsage},
		"-o \"\": want a name that ends in":          {"export violence", exitUsage},
		"no run \"zebra\"; focusnfix ls lists them":  {"export zebra -o x.safetensors", exitFailed},
		"no checkpoint yet\nhint:  train.checkpo":    {"export " + empty.Name() + " -o x.safetensors", exitFailed},
		"no checkpoint of step 30, want one of 20":   {"export violence --checkpoint 30 -o x.safetensors", exitFailed},
		"nowhere/x.safetensors":                      {"export violence -o " + runs + "/nowhere/x.safetensors", exitFailed},
		empty.Name() + ": no checkpoint yet":         {"generate x --run empty", exitFailed},
		"no run \"giraffe\"":                         {"generate x --run giraffe", exitFailed},
	} {
		code, _, problems := inRuns(t, runs, c.args)
		if code != c.code || !strings.Contains(problems, want) {
			t.Errorf("%s: %d, %q; want %d, %q", c.args, code, problems, c.code, want)
		}
	}
	path := train.LoRAFile(filepath.Join(f.Dir, "checkpoints", "step-000040"))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[len(data)-8:], "\xff\xff\xff\xff")
	data[20] ^= 0x55 // in the header
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, problems := inRuns(t, runs, "export violence -o "+filepath.Join(runs, "x.safetensors")); code != exitFailed || !strings.Contains(problems, "lora.safetensors") {
		t.Errorf("a broken checkpoint: %d, %q", code, problems)
	}
}
