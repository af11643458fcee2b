package families

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/flow/flowtest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
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
