package sd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// copyTiny copies a folder of testdata/ref, to be damaged.
func copyTiny(t *testing.T, name string) string {
	t.Helper()
	torchtest.Need(t)
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "ref", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit replaces old by new in a text file, and fails if it is not there.
func edit(t *testing.T, old, replacement string, path ...string) {
	t.Helper()
	file := filepath.Join(path...)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %s", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// editWeights writes a part's weights again with the tensors that change leaves.
func editWeights(t *testing.T, path string, change func([]weights.Entry) []weights.Entry) {
	t.Helper()
	file, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var entries []weights.Entry
	for _, tensor := range file.Tensors {
		tensor.Bytes = append([]byte(nil), tensor.Bytes...)
		entries = append(entries, tensor.Entry())
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := weights.Write(path, nil, change(entries)); err != nil {
		t.Fatal(err)
	}
}

// What is wrong with a folder is said with file, key, wanted and found.
func TestLoadRefuses(t *testing.T) {
	unet := filepath.Join("unet", "diffusion_pytorch_model.safetensors")
	without := func(name string) func([]weights.Entry) []weights.Entry {
		return func(entries []weights.Entry) (kept []weights.Entry) {
			for _, e := range entries {
				if e.Name != name {
					kept = append(kept, e)
				}
			}
			return kept
		}
	}
	for _, c := range []struct {
		name, from string
		damage     func(dir string)
		want       []string
	}{
		{
			"missing key", "sd1", func(dir string) { editWeights(t, filepath.Join(dir, unet), without("conv_in.bias")) },
			[]string{"diffusion_pytorch_model.safetensors: missing conv_in.bias"},
		},
		{"spare key", "sd1", func(dir string) {
			editWeights(t, filepath.Join(dir, unet), func(entries []weights.Entry) []weights.Entry {
				return append(entries, weights.Entry{Name: "controlnet.weight", DType: weights.F32, Shape: []int64{1}, Data: weights.FromBytes(make([]byte, 4))})
			})
		}, []string{"diffusion_pytorch_model.safetensors: no use for controlnet.weight"}},
		{
			"wrong shape", "sd1", func(dir string) { edit(t, `"in_channels": 4`, `"in_channels": 9`, dir, "unet", "config.json") },
			[]string{"conv_in.weight: shape [16,4,3,3], want [16,9,3,3]"},
		},
		{
			"unknown scheduler", "sd1", func(dir string) {
				edit(t, "PNDMScheduler", "LMSDiscreteScheduler", dir, "model_index.json") // which counts
			},
			[]string{"scheduler_config.json", `"LMSDiscreteScheduler" is not supported`},
		},
		{
			"refiner", "sdxl", func(dir string) {
				edit(t, `"text_encoder": [
    "transformers",
    "CLIPTextModel"
  ]`, `"text_encoder": [null, null]`, dir, "model_index.json")
			},
			[]string{"is the SDXL refiner"},
		},
		{"VAE of SD 3", "sd1", func(dir string) {
			edit(t, `"shift_factor": null`, `"shift_factor": 0.1`, dir, "vae", "config.json")
		}, []string{"vae: shift_factor 0.1, which the pipelines of UNets do not read"}},
		{"truncated shard", "sdxl", func(dir string) {
			shard := filepath.Join(dir, "unet", "diffusion_pytorch_model-00002-of-00003.safetensors")
			if err := os.Truncate(shard, 100_000); err != nil {
				t.Fatal(err)
			}
		}, []string{"diffusion_pytorch_model-00002-of-00003.safetensors"}},
		{"missing shard", "sdxl", func(dir string) {
			if err := os.Remove(filepath.Join(dir, "unet", "diffusion_pytorch_model-00003-of-00003.safetensors")); err != nil {
				t.Fatal(err)
			}
		}, []string{"diffusion_pytorch_model-00003-of-00003.safetensors"}},
		{
			"wrong tokenizer", "sd1", func(dir string) {
				edit(t, `"vocab_size": 551`, `"vocab_size": 500`, dir, "text_encoder", "config.json")
			},
			[]string{"tokenizer: has a token 549, want less than 500", "another model's"},
		},
		{"narrow encoder", "sd1", func(dir string) {
			edit(t, `"cross_attention_dim": 16`, `"cross_attention_dim": 24`, dir, "unet", "config.json")
		}, []string{"attn2.to_k.weight: shape [16,16], want [16,24]"}},
		{
			"not a pipeline", "sd1", func(dir string) { edit(t, `"StableDiffusionPipeline"`, `"FluxPipeline"`, dir, "model_index.json") },
			[]string{`model_index.json: _class_name: "FluxPipeline" is a model of FLUX, want one of`},
		},
		{"no encoder", "sd1", func(dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "text_encoder")); err != nil {
				t.Fatal(err)
			}
		}, []string{filepath.Join("text_encoder", "config.json")}},
		{"a pickle", "sd1", func(dir string) {
			if err := os.Rename(filepath.Join(dir, unet), filepath.Join(dir, "unet", "diffusion_pytorch_model.bin")); err != nil {
				t.Fatal(err)
			}
		}, []string{"diffusion_pytorch_model.bin: is a Python pickle", "`focusnfix convert "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyTiny(t, c.from)
			c.damage(dir)
			before := torch.Live()
			p, err := Load(dir, backbone.LoadOptions{Device: torchtest.Device(), DType: torch.Float32})
			if err == nil {
				p.Close()
				t.Fatal("loads")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if after := torch.Live(); after != before {
				t.Errorf("%d tensors before, %d after", before, after)
			}
		})
	}
}

func TestLoadOptionsRefuse(t *testing.T) {
	torchtest.Need(t)
	ref := filepath.Join("testdata", "ref", "sd1")
	for want, o := range map[string]backbone.LoadOptions{
		"float16 does not run on the CPU":   {Device: torch.CPU, DType: torch.Float16},
		`scheduler "lms" is unknown`:        {Device: torch.CPU, Scheduler: "lms"},
		`prediction "x", want`:              {Device: torch.CPU, Prediction: "x"},
		`device "tpu": want cpu, or cuda:0`: {Device: "tpu"},
	} {
		p, err := Load(ref, o)
		if err == nil {
			p.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// A scheduler of the first folders, which lacks steps_offset, runs with 1, as diffusers' pipeline has it.
func TestLoadOldScheduler(t *testing.T) {
	dir := copyTiny(t, "sd2")
	edit(t, `"steps_offset": 1,`, "", dir, "scheduler", "scheduler_config.json")
	if string(draw(t, dir, backbone.LoadOptions{})) != string(draw(t, filepath.Join("testdata", "ref", "sd2"), backbone.LoadOptions{})) {
		t.Error("draws another picture")
	}
}

// Loading in the checkpoint's own type copies nothing: the weights are the mapped file.
func TestLoadMaps(t *testing.T) {
	if torchtest.Device() != torch.CPU {
		t.Skip("a file is mapped into the memory of the CPU")
	}
	dir := copyTiny(t, "sd1")
	p, err := Load(dir, backbone.LoadOptions{Device: torchtest.Device(), DType: torch.Float32})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	before := pixels(t, p)
	file := filepath.Join(dir, "unet", "diffusion_pytorch_model.safetensors")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, len(data)/2), int64(len(data)/2)); err != nil { // as no one should
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if string(pixels(t, p)) == string(before) {
		t.Error("the weights are a copy of the file")
	}
}
