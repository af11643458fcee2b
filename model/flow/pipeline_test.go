package flow

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/config"
	"focusnfix/model/config/configtest"
	"focusnfix/model/flow/flowtest"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

func read(t testing.TB) flowtest.References { return flowtest.Read(t, "..") }

// Images match those of diffusers' pipelines: text encoders, transformer, levels, guidance and decoder in one.
// float32 sums in another order, through up to eight calls of the transformer, stay far below a step of 8 bits.
func TestImagesMatchDiffusers(t *testing.T) {
	g, images := read(t), nntest.OpenGolden(t, "testdata/ref/pipelines.safetensors")
	for name, r := range g.Models {
		t.Run(name, func(t *testing.T) {
			dir := r.WriteFolder(t)
			if !Draws(dir) {
				t.Error("the folder is not known")
			}
			p, err := Load(dir, backbone.LoadOptions{Device: torch.CPU})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			for _, c := range r.Cases {
				request := backbone.Request{
					Wording:  backbone.Wording{Prompts: c.Prompts, GuidanceScale: c.Guidance, Width: c.Width, Height: c.Height},
					NumSteps: c.NumSteps, Seeds: c.Seeds,
				}
				if r.ClassName == "ZImagePipeline" {
					request.GuidanceScale++ // its own counts from 0
				}
				if c.Negative != nil {
					request.Negative = c.Negative[0]
				}
				torchtest.Run(t, func() {
					torch.NoGrad(func() {
						latents, err := backbone.Sample(context.Background(), p, request)
						if err != nil {
							t.Fatal(err)
						}
						want := images.Tensor(t, c.Name)
						if d := torchtest.MaxDiff(p.Decode(latents), want); !(d <= 0.5/255) {
							t.Errorf("%s: differs by %.3g of 255", c.Name, d*255)
						}
						if spread := want.Max().Item() - want.Min().Item(); spread < 0.2 {
							t.Errorf("%s: the reference spans %.2g: too flat to compare", c.Name, spread)
						}
					})
				})
			}
			if len(p.parts) != 2 {
				t.Errorf("%d parts are loaded, want the transformer and the VAE alone", len(p.parts))
			}
		})
	}
}

func TestLevelsMatchDiffusers(t *testing.T) {
	for name, c := range read(t).Levels {
		s, err := ParseSchedule(name, c.Config)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Levels(c.Steps, c.Tokens, false)
		if err != nil {
			t.Fatal(err)
		}
		differ := func(a, b float64) bool { return math.Abs(a-b) > 2e-7 } // two roundings to float32, near 1
		if len(got) != len(c.Levels) || slices.ContainsFunc(got, math.IsNaN) {
			t.Fatalf("%s: %v, want %v", name, got, c.Levels)
		}
		for i := range got {
			if differ(got[i], c.Levels[i]) {
				t.Errorf("%s: level %d is %.9g, want %.9g", name, i, got[i], c.Levels[i])
			}
		}
	}
}

func TestScheduleErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"not JSON": {`[]`, "s.json: [], want an object"},
		"another":  {`{"_class_name":"DDIMScheduler"}`, `_class_name: "DDIMScheduler" is not supported`},
		"unknown":  {`{"warp":3}`, "warp: unknown key"},
		"karras":   {`{"use_karras_sigmas":true}`, "use_karras_sigmas: true is not supported"},
		"shift":    {`{"shift":0}`, "shift 0"},
		"kind":     {`{"time_shift_type":"cubic"}`, `time_shift_type "cubic"`},
	} {
		_, err := ParseSchedule("s.json", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// What is wrong with a folder is one line that names the file.
func TestLoadErrors(t *testing.T) {
	torchtest.Need(t)
	r := read(t).Models["sd35"]
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"another pipeline": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "model_index.json"), []byte(`{"_class_name":"FluxPipeline"}`), 0o600)
		}, "a FluxPipeline, want a StableDiffusion3Pipeline or a ZImagePipeline"},
		"another transformer": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "transformer", "config.json"), []byte(`{"_class_name":"FluxTransformer2DModel"}`), 0o600)
		}, `_class_name: "FluxTransformer2DModel" is not supported, want "SD3Transformer2DModel"`},
		"no VAE": {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "vae")) }, "vae"},
	} {
		dir := r.WriteFolder(t)
		if err := c.spoil(dir); err != nil {
			t.Fatal(err)
		}
		p, err := Load(dir, backbone.LoadOptions{Device: torch.CPU})
		if err == nil {
			p.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// A request that cannot be drawn says why before anything is loaded.
func TestRequestErrors(t *testing.T) {
	torchtest.Need(t)
	p, err := Load(read(t).Models["sd3"].WriteFolder(t), backbone.LoadOptions{Device: torch.CPU})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	good := backbone.Request{Wording: backbone.Wording{Prompts: []string{"a chef"}, GuidanceScale: 1, Width: 32, Height: 32}, NumSteps: 1, Seeds: []uint64{1}}
	for want, change := range map[string]func(r *backbone.Request){
		"size 33x32, want multiples of 4":  func(r *backbone.Request) { r.Width = 33 },
		"1 prompts and 2 seeds":            func(r *backbone.Request) { r.Seeds = []uint64{1, 2} },
		"eta 1, which is for ddim and tcd": func(r *backbone.Request) { r.Eta = 1 },
		"clip skip and guidance rescale":   func(r *backbone.Request) { r.ClipSkip = 1 },
		"0 steps, want 1 to 1000":          func(r *backbone.Request) { r.NumSteps = 0 },
	} {
		r := good
		change(&r)
		if _, err := backbone.Generate(context.Background(), p, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := backbone.Generate(ended, p, good); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: got %v", err)
	}
	if images, err := backbone.Generate(context.Background(), p, good); err != nil || len(images) != 1 || images[0].Rect.Dx() != 32 {
		t.Errorf("%d images, %v", len(images), err)
	}
}

func TestEveryScheduleKeyIsKnown(t *testing.T) {
	configtest.EveryKeyIsKnown(t, "FlowMatchEulerDiscreteScheduler", scheduleKeys, config.Used(&Schedule{}))
}

func FuzzParseSchedule(f *testing.F) {
	for _, c := range read(f).Levels {
		f.Add([]byte(c.Config))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseSchedule("s.json", text)
		if err != nil {
			return
		}
		if levels, err := s.Levels(4, 1024, false); err == nil && len(levels) != 5 {
			t.Errorf("%d levels of 4 steps", len(levels))
		}
	})
}
