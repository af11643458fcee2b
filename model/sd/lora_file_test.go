package sd

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// pixels draws one image of a small request.
func pixels(t *testing.T, p *Pipeline) []byte {
	t.Helper()
	pictures, err := backbone.Generate(context.Background(), p, tinyRequest(9))
	if err != nil {
		t.Fatal(err)
	}
	return pictures[0].Pix
}

// A LoRA file of diffusers, rewritten in every dialect, draws the same image bit for bit; without it,
// or at strength 0, the base image comes back bit for bit.
func TestLoRADialects(t *testing.T) {
	for _, name := range []string{"sd1", "sdxl"} {
		t.Run(name, func(t *testing.T) {
			p := loadTiny(t, name, backbone.LoadOptions{})
			base := pixels(t, p)
			original := filepath.Join("testdata", "ref", name+"_lora.safetensors")
			tuned := drawWith(t, p, original)
			if slices.Equal(tuned, base) {
				t.Fatal("the LoRA changes nothing")
			}
			for _, dialect := range []weights.Dialect{weights.PEFT, weights.Diffusers, weights.Kohya} {
				file := filepath.Join(t.TempDir(), "lora.safetensors")
				if err := backbone.ConvertLoRA(original, file, dialect, ""); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(drawWith(t, p, file), tuned) {
					t.Errorf("%s: another picture", dialect)
				}
			}
			if !slices.Equal(pixels(t, p), base) {
				t.Error("the base picture is not back")
			}
		})
	}
}

// drawWith draws with a LoRA file and takes it off again; at strength 0 it must change nothing.
func drawWith(t *testing.T, p *Pipeline, file string) []byte {
	t.Helper()
	before := pixels(t, p)
	adapters, err := p.AttachLoRA(file, 1)
	if err != nil {
		t.Fatal(err)
	}
	tuned := pixels(t, p)
	for _, a := range adapters {
		a.SetScale(0)
	}
	if !slices.Equal(pixels(t, p), before) {
		t.Error("strength 0 is not the base, bit for bit")
	}
	for _, a := range adapters {
		a.Remove()
	}
	return tuned
}

// What SaveLoRA writes, AttachLoRA reads: the same image, bit for bit.
func TestSaveLoRA(t *testing.T) {
	p := loadTiny(t, "sd1", backbone.LoadOptions{})
	want, err := LoRATargets([]string{"attention", "convolution"})
	if err != nil {
		t.Fatal(err)
	}
	adapter, err := nn.NewAdapter(p.Params("unet"), 3, 2, 1, want)
	if err != nil {
		t.Fatal(err)
	}
	torchtest.Run(t, func() {
		for i, u := range adapter.LoRAs {
			u.Up.CopyFrom(torch.Full(0.01*float64(i%5), torch.Float32, torchtest.Device(), u.Up.Shape()...))
		}
	})
	tuned := pixels(t, p)
	for _, dialect := range []weights.Dialect{weights.PEFT, weights.Diffusers, weights.Kohya} {
		file := filepath.Join(t.TempDir(), "lora.safetensors")
		if err := backbone.SaveLoRA(file, dialect, "unet", adapter, map[string]string{"step": "7"}); err != nil {
			t.Fatal(err)
		}
		q := loadTiny(t, "sd1", backbone.LoadOptions{})
		if got := drawWith(t, q, file); !slices.Equal(got, tuned) {
			t.Errorf("%s: another picture", dialect)
		}
	}
}

// An SDXL LoRA on SD 1: one line that names the file, the module and what it is for.
func TestAttachLoRARefuses(t *testing.T) {
	p := loadTiny(t, "sd1", backbone.LoadOptions{})
	file := filepath.Join("testdata", "ref", "sdxl_lora.safetensors")
	_, err := p.AttachLoRA(file, 1)
	if err == nil || !strings.HasPrefix(err.Error(), file+": ") || !strings.Contains(err.Error(), "modules do not fit the model: unet.") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
	if _, err := p.AttachLoRA(filepath.Join("testdata", "ref", "vae", "golden.safetensors"), 1); err == nil || !strings.Contains(err.Error(), "not a LoRA file, or of an unknown kind") {
		t.Errorf("error %v", err)
	}
}
