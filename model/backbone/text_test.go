package backbone_test

import (
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/flow"
	"focusnfix/model/flow/flowtest"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// LoRA of text encoders is written in every dialect and read again, and says the same to the network.
func TestTextLoRAIsKept(t *testing.T) {
	torchtest.Need(t)
	for _, folder := range []string{"sd1", "sdxl"} {
		p, err := sd.Load("../sd/testdata/ref/"+folder, backbone.LoadOptions{Device: torch.CPU, DType: torch.Float32})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		states := func() (values []float32) {
			torchtest.Run(t, func() {
				torch.NoGrad(func() {
					c, err := p.Condition(backbone.Wording{Prompts: []string{"a chef in the park"}, GuidanceScale: 1, Width: 64, Height: 64})
					if err != nil {
						t.Fatal(err)
					}
					for _, x := range c.(backbone.TextConditioning).Encoded() {
						values = append(values, x.Floats()...)
					}
				})
			})
			return values
		}
		plain := states()
		a, err := backbone.NewAdapter(p, 2, 4, 7, []string{"text", "attention"})
		if err != nil {
			t.Fatal(err)
		}
		if far := farthest(states(), plain); far != 0 {
			t.Errorf("%s: a fresh adapter changes states by %g", folder, far)
		}
		torchtest.Run(t, func() {
			for _, u := range a.LoRAs {
				u.Up.Fill(0.05)
			}
		})
		want := states()
		if n := backbone.TextUpdates(a); n == 0 || n == len(a.LoRAs) || farthest(want, plain) < 1e-3 {
			t.Errorf("%s: %d of %d updates are of text encoders, states change by %g", folder, n, len(a.LoRAs), farthest(want, plain))
		}
		dir := t.TempDir()
		for _, dialect := range []weights.Dialect{weights.PEFT, weights.Diffusers, weights.Kohya} {
			if err := backbone.SaveLoRA(filepath.Join(dir, string(dialect)+".safetensors"), dialect, "unet", a, nil); err != nil {
				t.Fatal(err)
			}
		}
		a.Remove()
		for _, dialect := range []weights.Dialect{weights.PEFT, weights.Diffusers, weights.Kohya} {
			adapters, err := p.AttachLoRA(filepath.Join(dir, string(dialect)+".safetensors"), 1)
			if err != nil {
				t.Fatal(err)
			}
			if far := farthest(states(), want); far > 1e-6 || len(adapters) != 1+len(p.TextParts()) {
				t.Errorf("%s, %s: %d adapters, states differ by %g", folder, dialect, len(adapters), far)
			}
			for _, other := range adapters {
				other.Remove()
			}
		}
	}
}

func farthest(a, b []float32) (far float64) {
	for i := range a {
		far = max(far, float64(max(a[i]-b[i], b[i]-a[i])))
	}
	return far
}

// Transformers have text encoders of billions of parameters, which do not stay in memory.
func TestTextOfATransformer(t *testing.T) {
	torchtest.Need(t)
	for name, r := range flowtest.Read(t, "..").Models {
		p, err := flow.Load(r.WriteFolder(t), backbone.LoadOptions{Device: torch.CPU})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := backbone.NewAdapter(p, 2, 2, 1, []string{"text"}); err == nil || !strings.Contains(err.Error(), "whose text encoders stay in memory") {
			t.Errorf("%s: %v", name, err)
		}
		p.Close()
	}
}
