package sd

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// narrow writes a diffusers folder with the depth and the text widths of a real family, which single
// files need, and thin layers. Weights are random; the tokenizer is the tiny one of testdata/ref.
func narrow(t *testing.T, kind weights.Kind) string {
	t.Helper()
	torchtest.Need(t)
	from := map[weights.Kind]string{weights.SD1: "sd1", weights.SD2: "sd2", weights.SDXL: "sdxl"}[kind]
	ref, dir := filepath.Join("testdata", "ref", from), filepath.Join(t.TempDir(), from)
	if err := os.CopyFS(dir, os.DirFS(ref)); err != nil {
		t.Fatal(err)
	}
	setJSON := func(part string, keys map[string]any) {
		path := filepath.Join(dir, part, "config.json")
		var config map[string]any
		if err := diskFolder(filepath.Dir(path)).readJSON("config.json", &config); err != nil {
			t.Fatal(err)
		}
		for k, v := range keys {
			config[k] = v
		}
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wide := map[weights.Kind]int{weights.SD1: 768, weights.SD2: 1024, weights.SDXL: 2048}[kind]
	text := map[string]any{"hidden_size": wide, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 8}
	unet := map[string]any{
		"block_out_channels": []int{8, 8, 16, 16}, "layers_per_block": 2, "norm_num_groups": 4, "cross_attention_dim": wide, "attention_head_dim": 2,
		"down_block_types": []string{crossAttnDown, crossAttnDown, crossAttnDown, plainDown},
		"up_block_types":   []string{plainUp, crossAttnUp, crossAttnUp, crossAttnUp},
	}
	vae := map[string]any{"block_out_channels": []int{4, 4, 8, 8}, "layers_per_block": 2, "norm_num_groups": 2}
	for key, block := range map[string]string{"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"} {
		vae[key] = []string{block, block, block, block}
	}
	if kind == weights.SDXL {
		unet["block_out_channels"], unet["transformer_layers_per_block"] = []int{8, 8, 16}, []int{1, 2, 2}
		unet["down_block_types"] = []string{plainDown, crossAttnDown, crossAttnDown}
		unet["up_block_types"] = []string{crossAttnUp, crossAttnUp, plainUp}
		text["hidden_size"] = 768
		setJSON("text_encoder_2", map[string]any{"hidden_size": 1280, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 8})
	}
	setJSON("text_encoder", text)
	setJSON("unet", unet)
	setJSON("vae", vae)
	for _, part := range []string{"text_encoder", "text_encoder_2", "unet", "vae"} {
		writeRandom(t, dir, part)
	}
	return dir
}

// writeRandom replaces the weights of one part by random ones for its configuration.
func writeRandom(t *testing.T, dir, part string) {
	t.Helper()
	config := filepath.Join(dir, part, "config.json")
	if _, err := os.Stat(config); err != nil {
		return // text_encoder_2
	}
	old, err := filepath.Glob(filepath.Join(dir, part, "*safetensors*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	p, err := nn.Random(uint64(len(part)), torch.Float32, torch.CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Drop()
	var failed error
	torchtest.Run(t, func() {
		switch part {
		case "unet":
			var c UNetConfig
			var text []byte
			if text, failed = os.ReadFile(config); failed == nil {
				c, failed = ParseUNetConfig(config, text)
			}
			NewUNet(c, p)
		case "vae":
			var c VAEConfig
			c, failed = loadVAEConfig(config)
			NewVAE(c, p)
		default:
			var c clip.TextConfig
			c, failed = clip.LoadTextConfig(config)
			clip.NewText(c, p)
		}
	})
	if failed != nil {
		t.Fatal(failed)
	}
	if err := weights.Write(filepath.Join(dir, part, "model.safetensors"), nil, p.Entries()); err != nil {
		t.Fatal(err)
	}
}

func draw(t *testing.T, path string, o backbone.LoadOptions) []byte {
	t.Helper()
	o.Device = torchtest.Device()
	if o.DType == 0 {
		o.DType = torch.Float32
	}
	p, err := Load(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := tinyRequest(5)
	r.Negative = "the old car"
	pictures, err := backbone.Generate(context.Background(), p, r)
	if err != nil {
		t.Fatal(err)
	}
	return pictures[0].Pix
}

// checkSame compares two images of the same weights, read from different places. Weights are mapped where
// they lie in a file, and kernels sum in another order at another alignment: in float32 that moves a
// pixel by about 1e-5 of its range, which can round to the next of 255 levels, never further.
func checkSame(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: an image of %d bytes, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if d := int(got[i]) - int(want[i]); d < -1 || d > 1 {
			t.Errorf("%s: another image: byte %d is %d, want %d or the next level", what, i, got[i], want[i])
			return
		}
	}
}

// A folder, the single file made of it, and the folder made of that draw the same image.
func TestConvertThereAndBack(t *testing.T) {
	for _, kind := range []weights.Kind{weights.SD1, weights.SD2, weights.SDXL} {
		t.Run(string(kind), func(t *testing.T) {
			folder := narrow(t, kind)
			single, again := filepath.Join(t.TempDir(), "single.safetensors"), filepath.Join(t.TempDir(), "again")
			if err := Convert(folder, single, ConvertOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := Convert(single, again, ConvertOptions{Config: folder, ShardBytes: 4 << 20}); err != nil {
				t.Fatal(err)
			}
			want := draw(t, folder, backbone.LoadOptions{})
			checkSame(t, "single file", draw(t, single, backbone.LoadOptions{Config: folder}), want)
			checkSame(t, "second folder", draw(t, again, backbone.LoadOptions{}), want)
			if shards, _ := filepath.Glob(filepath.Join(again, "text_encoder", "*-of-*")); kind != weights.SD1 && len(shards) < 2 {
				t.Errorf("shards %v, want several of 4 MiB", shards)
			}
		})
	}
}

// The tiny folders have old names, variants and shards; in bfloat16 they load as if converted while
// loading.
func TestConvertDType(t *testing.T) {
	for _, name := range []string{"sd1", "sd2", "sdxl"} {
		t.Run(name, func(t *testing.T) {
			torchtest.Need(t)
			folder, out := filepath.Join("testdata", "ref", name), filepath.Join(t.TempDir(), "out")
			if err := Convert(folder, out, ConvertOptions{DType: weights.BF16, ShardBytes: 1 << 30}); err != nil {
				t.Fatal(err)
			}
			got, want := draw(t, out, backbone.LoadOptions{DType: torch.BFloat16}), draw(t, folder, backbone.LoadOptions{DType: torch.BFloat16})
			if string(got) != string(want) {
				t.Error("draws another picture")
			}
			file, err := weights.OpenDir(filepath.Join(out, "unet"), "")
			if err != nil {
				t.Fatal(err)
			}
			for _, tensor := range file.Tensors {
				if tensor.DType != weights.BF16 {
					t.Errorf("%s is %s", tensor.Name, tensor.DType)
				}
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestConvertRefuses(t *testing.T) {
	torchtest.Need(t)
	ref, dir := filepath.Join("testdata", "ref", "sd1"), t.TempDir()
	broken := filepath.Join(dir, "broken.safetensors")
	if err := os.WriteFile(broken, []byte("\x80\x02pickle"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, try := range map[string]func() error{
		"is there already":           func() error { return Convert(ref, dir, ConvertOptions{}) },
		"two layers per block":       func() error { return Convert(ref, filepath.Join(dir, "x.safetensors"), ConvertOptions{}) },
		"no such file":               func() error { return Convert(filepath.Join(dir, "none"), filepath.Join(dir, "x"), ConvertOptions{}) },
		"is a Python pickle":         func() error { return Convert(broken, filepath.Join(dir, "x"), ConvertOptions{}) },
		"prediction \"v\", want eps": func() error { return Convert(ref, filepath.Join(dir, "x"), ConvertOptions{Prediction: "v"}) },
		"want F32, F16 or BF16":      func() error { return Convert(ref, filepath.Join(dir, "x"), ConvertOptions{DType: "F8_E4M3"}) },
		"no model_index.json in it":  func() error { return Convert(dir, filepath.Join(dir, "x"), ConvertOptions{}) },
		"not a checkpoint of Stable Diffu": func() error {
			return Convert(filepath.Join(ref, "vae", "diffusion_pytorch_model.safetensors"), filepath.Join(dir, "x"), ConvertOptions{Config: ref})
		},
	} {
		err := try()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		left, _ := filepath.Glob(filepath.Join(dir, "x*"))
		if len(left) > 0 {
			t.Errorf("%s: leaves %v", want, left)
		}
	}
}
