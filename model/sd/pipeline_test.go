package sd

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// pipelineCase is one of testdata/ref/pipelines.json.
type pipelineCase struct {
	Name, Folder, Scheduler string
	Prompt                  []string
	Negative                *string
	Seeds                   []uint64
	Steps                   int
	Guidance, Eta           float64
	ClipSkip                *int `json:"clip_skip"`
	Height, Width           int64
	LoRA                    float64 // strength of the file of the case's name; 0 is none
}

func readCases(t *testing.T) []pipelineCase {
	t.Helper()
	return nntest.ReadJSON[[]pipelineCase](t, filepath.Join("testdata", "ref", "pipelines.json"))
}

func (c pipelineCase) request() backbone.Request {
	r := backbone.Request{
		Wording:  backbone.Wording{GuidanceScale: c.Guidance, Width: c.Width, Height: c.Height},
		NumSteps: c.Steps, Eta: c.Eta, Seeds: c.Seeds,
	}
	if c.Negative != nil {
		r.Negative = *c.Negative
	}
	if c.ClipSkip != nil {
		r.ClipSkip = *c.ClipSkip
	}
	for i := range c.Seeds { // diffusers draws all images of one prompt before the next
		r.Prompts = append(r.Prompts, c.Prompt[i*len(c.Prompt)/len(c.Seeds)])
	}
	return r
}

func loadTiny(t testing.TB, folder string, o backbone.LoadOptions) *Pipeline {
	t.Helper()
	torchtest.Need(t)
	o.Device = torchtest.Device()
	if o.DType == 0 {
		o.DType = torch.Float32
	}
	p, err := Load(filepath.Join("testdata", "ref", folder), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// From prompt to pixels as diffusers draws it: folder, tokenizer, text encoders, guidance, scheduler,
// VAE. One step of the UNet is held to 1e-4 of the largest latent; over four steps guidance of 3 to
// 7.5 multiplies differences, so final latents are held to 1e-3 and images to 2/255.
func TestPipelines(t *testing.T) {
	torchtest.Need(t)
	golden := nntest.OpenGolden(t, filepath.Join("testdata", "ref", "pipelines.safetensors"))
	for _, c := range readCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			name := c.Scheduler
			if name == "dpm++" {
				name = "dpm++_karras"
			}
			p := loadTiny(t, c.Folder, backbone.LoadOptions{Scheduler: name})
			if c.LoRA != 0 {
				if _, err := p.AttachLoRA(filepath.Join("testdata", "ref", c.Name+".safetensors"), c.LoRA); err != nil {
					t.Fatal(err)
				}
			}
			torchtest.Run(t, func() {
				torch.NoGrad(func() {
					var first torch.Tensor
					r := c.request()
					latents, err := backbone.Sample(context.Background(), p, r)
					if err != nil {
						t.Fatal(err)
					}
					r.Progress = func(step, _ int, latents torch.Tensor) {
						if step == 1 {
							first = latents.Clone()
						}
					}
					again, err := backbone.Sample(context.Background(), p, r)
					if err != nil {
						t.Fatal(err)
					}
					golden.Check(t, c.Name+".after_1", first, 1e-4)
					golden.Check(t, c.Name+".latents", latents, 1e-3)
					if d := torchtest.MaxDiff(again, latents); d != 0 {
						t.Errorf("the same request again differs by %g", d)
					}
					if d := torchtest.MaxDiff(p.Decode(latents), golden.Tensor(t, c.Name+".images")); !(d <= 2.0/255) {
						t.Errorf("picture differs by %.3g/255, want at most 2/255", 255*d)
					}
				})
			})
		})
	}
}

// A seed is torch.manual_seed's, so that Python's noise is ours. Its bits are the same everywhere, but
// libtorch's vector and scalar code make normal numbers of them (Box-Muller: radius times cosine of an angle)
// with other roundings. The angle, up to 2 pi, is known to its unit in the last place, 4.8e-7, in either,
// and the largest number is about the largest radius: twice 4.8e-7 of that.
func TestNoiseIsPythons(t *testing.T) {
	p := loadTiny(t, "sd1", backbone.LoadOptions{})
	golden := nntest.OpenGolden(t, filepath.Join("testdata", "ref", "pipelines.safetensors"))
	torchtest.Run(t, func() {
		shape, err := p.LatentShape(32, 32)
		if err != nil {
			t.Fatal(err)
		}
		noise, _, err := backbone.Noise(p, []uint64{7}, shape, &backbone.Scheduler{InitNoiseSigma: 1})
		if err != nil {
			t.Fatal(err)
		}
		golden.Check(t, "noise.7", noise, 2*4.8e-7)
	})
}

func tinyRequest(seeds ...uint64) backbone.Request {
	r := backbone.Request{Wording: backbone.Wording{GuidanceScale: 3, Width: 32, Height: 32}, NumSteps: 2, Seeds: seeds}
	for range seeds {
		r.Prompts = append(r.Prompts, "a chef")
	}
	return r
}

// An image depends on its own seed only, not on the batch it is drawn in. Matrix products of other
// sizes may round otherwise: 1/255.
func TestSeedPerPicture(t *testing.T) {
	p := loadTiny(t, "sd1", backbone.LoadOptions{})
	both, err := backbone.Generate(context.Background(), p, tinyRequest(3, 4))
	if err != nil {
		t.Fatal(err)
	}
	alone, err := backbone.Generate(context.Background(), p, tinyRequest(4))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range alone[0].Pix {
		if d := int(v) - int(both[1].Pix[i]); d < -1 || d > 1 {
			t.Fatalf("byte %d: %d alone, %d in a batch", i, v, both[1].Pix[i])
		}
	}
	if string(both[0].Pix) == string(both[1].Pix) {
		t.Error("two seeds gave one picture")
	}
}

func TestGenerateStops(t *testing.T) {
	p := loadTiny(t, "sd1", backbone.LoadOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	r := tinyRequest(1)
	r.NumSteps = 5
	var steps []int
	r.Progress = func(step, _ int, _ torch.Tensor) {
		steps = append(steps, step)
		if step == 2 {
			cancel()
		}
	}
	pictures, err := backbone.Generate(ctx, p, r)
	if !errors.Is(err, context.Canceled) || pictures != nil || len(steps) != 2 {
		t.Errorf("got %d pictures, %v, steps %v", len(pictures), err, steps)
	}
}

// Drawing leaves no tensor behind.
func TestGenerateFrees(t *testing.T) {
	p := loadTiny(t, "sdxl", backbone.LoadOptions{})
	before := torch.Live()
	if _, err := backbone.Generate(context.Background(), p, tinyRequest(1)); err != nil {
		t.Fatal(err)
	}
	if after := torch.Live(); after != before {
		t.Errorf("%d tensors before, %d after", before, after)
	}
}

func TestGenerateRefuses(t *testing.T) {
	p := loadTiny(t, "sd1", backbone.LoadOptions{})
	for want, change := range map[string]func(*backbone.Request){
		"size 33x32, want multiples of 2": func(r *backbone.Request) { r.Width = 33 },
		"1 prompts and 0 seeds":           func(r *backbone.Request) { r.Seeds = nil },
		"0 steps, want 1 to 999":          func(r *backbone.Request) { r.NumSteps = 0 },
		"clip skip 3, want 0 to 2":        func(r *backbone.Request) { r.ClipSkip = 3 },
		"eta 2, want 0 to 1":              func(r *backbone.Request) { r.Eta = 2 },
		"size 0x32, want multiples of 2":  func(r *backbone.Request) { r.Width = 0 },
	} {
		r := tinyRequest(1)
		change(&r)
		if _, err := backbone.Generate(context.Background(), p, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestLostWords(t *testing.T) {
	p := loadTiny(t, "sdxl", backbone.LoadOptions{})
	r := tinyRequest(1)
	r.Prompts[0] = strings.Repeat("chef ", 80) + "zebra"
	var lost []string
	r.Lost = func(_, words string) { lost = append(lost, words) }
	if _, err := backbone.Generate(context.Background(), p, r); err != nil {
		t.Fatal(err)
	}
	if len(lost) != 1 || !strings.HasSuffix(strings.TrimSpace(lost[0]), "zebra") {
		t.Errorf("lost %q, want the end of the prompt, once", lost)
	}
}

// bfloat16 halves the memory; the image is another one in detail but not in kind.
func TestBFloat16(t *testing.T) {
	p, exact := loadTiny(t, "sd1", backbone.LoadOptions{DType: torch.BFloat16}), loadTiny(t, "sd1", backbone.LoadOptions{})
	got, err := backbone.Generate(context.Background(), p, tinyRequest(1))
	if err != nil {
		t.Fatal(err)
	}
	want, err := backbone.Generate(context.Background(), exact, tinyRequest(1))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, v := range got[0].Pix {
		d := float64(v) - float64(want[0].Pix[i])
		sum += d * d
	}
	if mse := sum / float64(len(got[0].Pix)); mse > 30*30 || mse == 0 {
		t.Errorf("mean square difference %g of 255², want more than 0 and at most 900", mse)
	}
}

// The gradient of an image's brightness, through the VAE, guidance and two denoising steps, reaches
// every LoRA matrix of the UNet, and along a random direction it is what central differences give.
// float32 rounds the difference of two losses: 2 %.
func TestPipelineGradient(t *testing.T) {
	p := loadTiny(t, "sd1", backbone.LoadOptions{})
	want, err := LoRATargets([]string{"attention", "feedforward", "convolution", "time"})
	if err != nil {
		t.Fatal(err)
	}
	adapter, err := nn.NewAdapter(p.Params("unet"), 2, 2, 5, want)
	if err != nil {
		t.Fatal(err)
	}
	defer adapter.Remove()
	scheduler, err := NewScheduler(p.Scheduler, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	torchtest.Run(t, func() {
		g, err := torch.NewGenerator(torch.CPU, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		c, err := p.Condition(backbone.Wording{Prompts: []string{"a chef"}, GuidanceScale: 2, Width: 16, Height: 16})
		if err != nil {
			t.Fatal(err)
		}
		start := torchtest.Place(g.Randn(torch.Float32, 1, 4, 8, 8))
		brightness := func() torch.Tensor {
			latents, past := start, []backbone.Point(nil)
			for i, timestep := range scheduler.Timesteps {
				next, now := scheduler.Step(i, latents, c.Predict(scheduler.ScaleInput(i, latents), timestep), past, torch.Tensor{})
				latents, past = next, append(past, now)
			}
			return p.Decode(latents).Mean()
		}
		names, matrices := adapter.Tensors()
		for _, u := range adapter.LoRAs {
			u.Up.CopyFrom(g.Randn(torch.Float32, u.Up.Shape()...).MulScalar(0.05))
		}
		adapter.SetTrainable(true)
		grads := torch.Grad([]torch.Tensor{brightness()}, matrices, nil)
		adapter.SetTrainable(false)
		slope := 0.0
		directions := make([]torch.Tensor, len(matrices))
		for i := range matrices {
			if !grads[i].Defined() || grads[i].Abs().Max().Item() == 0 {
				t.Errorf("no gradient reaches %s", names[i])
				continue
			}
			directions[i] = torchtest.Place(g.Randn(torch.Float32, matrices[i].Shape()...))
			slope += grads[i].Mul(directions[i]).Sum().Item()
		}
		at := func(h float64) float64 {
			for i, m := range matrices {
				m.CopyFrom(m.Add(directions[i].MulScalar(h)))
			}
			return brightness().Item()
		}
		const h = 1e-3
		up := at(h)
		numeric := (up - at(-2*h)) / (2 * h)
		if d := slope - numeric; d > 0.02*max(slope, -slope) || -d > 0.02*max(slope, -slope) {
			t.Errorf("slope %g by gradients, %g by differences", slope, numeric)
		}
	})
}

// Every step estimates the finished image; Euler's last step is its estimate.
func TestEstimate(t *testing.T) {
	p := loadTiny(t, "sd1", backbone.LoadOptions{Scheduler: "euler"})
	r := tinyRequest(2)
	r.NumSteps = 4
	torchtest.Run(t, func() {
		var distances []float64
		var last, estimate torch.Tensor
		r.Estimate = func(step, of int, latents torch.Tensor) {
			if of != 4 || !slices.Equal(latents.Shape(), []int64{1, 4, r.Height / p.VAE.Config.Factor(), r.Width / p.VAE.Config.Factor()}) {
				t.Errorf("step %d of %d: latents %v", step, of, latents.Shape())
			}
			estimate = latents.Clone()
			if last.Defined() {
				distances = append(distances, torchtest.MaxDiff(last, estimate))
			}
			last = estimate
		}
		torch.NoGrad(func() {
			latents, err := backbone.Sample(t.Context(), p, r)
			if err != nil {
				t.Fatal(err)
			}
			if d := torchtest.MaxDiff(latents, estimate); !(d < 1e-4) || len(distances) != 3 {
				t.Errorf("the last estimate is %g from the image; estimates changed by %v", d, distances)
			}
		})
	})
}

// A preview is decoded by a TAESD of the model's latents, or by the model itself.
func TestPreview(t *testing.T) {
	p := loadTiny(t, "sd1", backbone.LoadOptions{})
	for _, path := range []string{OwnDecoder, taesd} {
		preview, err := OpenPreview(path, p)
		if err != nil {
			t.Fatal(err)
		}
		torchtest.Run(t, func() {
			latents := torch.Ones(torch.Float32, p.Device(), 1, 4, 8, 8)
			if got := preview.Decode(latents).Shape(); got[0] != 1 || got[1] != 3 || got[2] != got[3] || got[2]%8 != 0 {
				t.Errorf("%s: image %v", path, got)
			}
		})
		preview.Close()
	}
	if _, err := OpenPreview("nowhere", p); err == nil {
		t.Error("a decoder that is not there was opened")
	}
}
