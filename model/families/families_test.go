package families

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/flow/flowtest"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

func draw(t *testing.T, path, config string) []uint8 {
	t.Helper()
	m, err := Open(path, backbone.LoadOptions{Device: torch.CPU, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	images, err := backbone.Generate(t.Context(), m, backbone.Request{
		Wording: backbone.Wording{Prompts: []string{"a chef"}, GuidanceScale: 3, Width: 32, Height: 32}, NumSteps: 2, Seeds: []uint64{1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return images[0].Pix
}

// A transformer in a file of its own draws what it draws in its folder; the rest comes from there.
func TestSingleTransformer(t *testing.T) {
	torchtest.Need(t)
	for name, r := range flowtest.Read(t, "..").Models {
		folder := r.WriteFolder(t)
		file := filepath.Join(t.TempDir(), "x.safetensors")
		if err := os.Rename(filepath.Join(folder, "transformer", "diffusion_pytorch_model.safetensors"), file); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(draw(t, r.WriteFolder(t), ""), draw(t, file, folder)) {
			t.Errorf("%s: the single file draws another image", name)
		}
		if _, err := Open(file, backbone.LoadOptions{Device: torch.CPU}); err == nil || !strings.Contains(err.Error(), "want --config FOLDER") {
			t.Errorf("%s: without a folder: %v", name, err)
		}
	}
}

// A model that was converted to one file, to a folder, or there and back, draws the same image; in bfloat16, nearly.
func TestConvertTransformers(t *testing.T) {
	torchtest.Need(t)
	for name, r := range flowtest.Read(t, "..").Models {
		folder, dir := r.WriteFolder(t), t.TempDir()
		convert := func(from, to string, o sd.ConvertOptions) string {
			o.ShardBytes, to = 1<<30, filepath.Join(dir, to)
			if err := Convert(from, to, o); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return to
		}
		want := draw(t, folder, "")
		file := convert(folder, "one.safetensors", sd.ConvertOptions{})
		if !slices.Equal(want, draw(t, file, folder)) {
			t.Errorf("%s: the single file draws another image", name)
		}
		if !slices.Equal(want, draw(t, convert(file, "back", sd.ConvertOptions{Config: folder}), "")) {
			t.Errorf("%s: the folder of the single file draws another image", name)
		}
		half := convert(folder, "half", sd.ConvertOptions{DType: weights.BF16})
		facts, err := Inspect(half, backbone.LoadOptions{}, true)
		if err != nil || len(facts.Parts) != len(r.Parts) || len(facts.Parts[0].DTypes) != 1 || facts.Parts[0].DTypes[0] != "BF16" || facts.Pixels == 0 {
			t.Errorf("%s in bfloat16: %+v, %v", name, facts, err)
		}
		farthest := 0
		for i, v := range draw(t, half, "") {
			farthest = max(farthest, int(v)-int(want[i]), int(want[i])-int(v))
		}
		if farthest == 0 || farthest > 16 {
			t.Errorf("%s: bfloat16 weights change the image by %d of 255", name, farthest)
		}
		if err := Convert(folder, half, sd.ConvertOptions{}); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("%s: over another: %v", name, err)
		}
	}
}

// What is told of a model without loading it.
func TestInspectTransformers(t *testing.T) {
	torchtest.Need(t)
	for name, want := range map[string]struct{ kind, pipeline, odd string }{
		"sd3":    {"Stable Diffusion 3", "StableDiffusion3Pipeline", "no text_encoder_3"},
		"sd35":   {"Stable Diffusion 3.5", "StableDiffusion3Pipeline", ""},
		"zimage": {"Z-Image", "ZImagePipeline", ""},
	} {
		folder := flowtest.Read(t, "..").Models[name].WriteFolder(t)
		f, err := Inspect(folder, backbone.LoadOptions{}, true)
		if err != nil || f.Kind != want.kind || f.Pipeline != want.pipeline || f.Layout != backbone.FolderLayout || f.Scheduler == "" {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
		if len(f.Odd) > 0 != (want.odd != "") || want.odd != "" && !strings.Contains(f.Odd[0], want.odd) {
			t.Errorf("%s: odd %v, want %q", name, f.Odd, want.odd)
		}
		file := filepath.Join(folder, "transformer", "diffusion_pytorch_model.safetensors")
		if f, err = Inspect(file, backbone.LoadOptions{}, true); err != nil || f.Layout != backbone.SingleLayout || len(f.Parts) != 1 || f.Parts[0].Name != "transformer" {
			t.Errorf("%s, the transformer alone: %+v, %v", name, f, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if f, err = Inspect(folder, backbone.LoadOptions{}, false); err != nil || len(f.Odd) == 0 || !strings.Contains(f.Odd[0], "transformer") {
			t.Errorf("%s without its transformer: odd %v, %v", name, f.Odd, err)
		}
	}
}

// What no family draws with is refused in one line that says what it is.
func TestOpenRefuses(t *testing.T) {
	torchtest.Need(t)
	models := flowtest.Read(t, "..").Models
	write := func(text string, path ...string) {
		if err := os.WriteFile(filepath.Join(path...), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		make func(dir string) string
		want string
	}{
		"a FLUX folder": {func(dir string) string {
			write(`{"_class_name":"FluxPipeline"}`, dir, "model_index.json")
			return dir
		}, `"FluxPipeline" is a model of FLUX, want one of`},
		"a FLUX.2 folder": {func(dir string) string {
			write(`{"_class_name":"Flux2KleinPipeline","is_distilled":true}`, dir, "model_index.json")
			return dir
		}, `"Flux2KleinPipeline" is a model of FLUX.2, want one of`},
		"a GGUF file": {func(dir string) string {
			write("GGUF\x03\x00\x00\x00", dir, "x.gguf")
			return filepath.Join(dir, "x.gguf")
		}, "x.gguf: is a GGUF file"},
		"another family's transformer": {func(dir string) string {
			write(`{"_class_name":"FluxTransformer2DModel"}`, dir, "transformer", "config.json")
			return dir
		}, "FluxTransformer2DModel"},
		"a missing shard": {func(dir string) string {
			if err := os.Remove(filepath.Join(dir, "transformer", "diffusion_pytorch_model.safetensors")); err != nil {
				t.Fatal(err)
			}
			write(`{"weight_map":{"proj_out.weight":"diffusion_pytorch_model-00001-of-00002.safetensors"}}`, dir, "transformer", "diffusion_pytorch_model.safetensors.index.json")
			return dir
		}, "diffusion_pytorch_model-00001-of-00002.safetensors"},
		"nothing": {func(dir string) string { return filepath.Join(dir, "nothing") }, "no such file or folder"},
	} {
		m, err := Open(c.make(models["sd35"].WriteFolder(t)), backbone.LoadOptions{Device: torch.CPU})
		if err == nil { // the transformer is loaded when it is needed
			err = m.Prepare([]string{"a chef"}, nil)
			m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}
