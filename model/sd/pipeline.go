package sd

import (
	"context"
	"errors"
	"fmt"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Pipeline is a whole Stable Diffusion model: SD 1.x, SD 2.x or SDXL.
type Pipeline struct {
	Name      string // of the folder or file it was loaded from
	Encoders  []Encoder
	UNet      *UNet
	VAE       *VAE
	Scheduler SchedulerConfig

	zerosForEmpty bool
	dtype         torch.DType // of the UNet and the text encoders
	device        torch.Device
	params        map[string]nn.Params // by part: unet, vae, text_encoder, text_encoder_2
}

// XL reports whether the model is an SDXL, which has two text encoders.
func (p *Pipeline) XL() bool { return len(p.Encoders) > 1 }

// Device is where the model computes.
func (p *Pipeline) Device() torch.Device { return p.device }

// DType is what the UNet and the text encoders compute in.
func (p *Pipeline) DType() torch.DType { return p.dtype }

// Params is the inventory of one part, unet or text_encoder say, for low-rank updates.
func (p *Pipeline) Params(part string) nn.Params { return p.params[part] }

// Close frees the model's weights.
func (p *Pipeline) Close() {
	for _, params := range p.params {
		params.Drop()
	}
}

// NaturalSize is the size of the images that the model was trained on, in pixels.
func (p *Pipeline) NaturalSize() (width, height int64) {
	side := p.UNet.Config.SampleSize * p.VAE.Config.Factor()
	if side == 0 { // as diffusers' pipelines take it
		if side = 512; p.XL() {
			side = 1024
		}
	}
	return side, side
}

// Predict is the UNet's output for latents [B,4,h,w] at a timestep, with classifier-free guidance in one
// batched call if the conditioning has it. Latents and
// output are float32 whatever the UNet computes in.
func (p *Pipeline) Predict(latents torch.Tensor, timestep float64, c Conditioning) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return torch.RunStages(p.PredictStages(timestep, c), []torch.Tensor{latents})[0]
	})
}

// PredictStages is Predict in stages, for torch.BackwardStages. They live in the open scope.
func (p *Pipeline) PredictStages(timestep float64, c Conditioning) []torch.Stage {
	stages := []torch.Stage{one(func(latents torch.Tensor) torch.Tensor {
		x := latents.To(p.dtype)
		if c.Guided() {
			x = torch.Cat([]torch.Tensor{x, x}, 0)
		}
		return x
	})}
	stages = append(stages, p.UNet.Stages([]float64{timestep}, c.Context, Added{c.Pooled, c.TimeIDs, c.Guidance})...)
	return append(stages, one(func(out torch.Tensor) torch.Tensor {
		return c.guided(out.To(torch.Float32))
	}))
}

// DecodeStages is Decode of one image in stages, for torch.BackwardStages.
func (p *Pipeline) DecodeStages(latents torch.Tensor) []torch.Stage {
	stages := []torch.Stage{one(func(latents torch.Tensor) torch.Tensor { return latents.To(p.VAE.DType()) })}
	stages = append(stages, p.VAE.DecodeStages(latents)...)
	return append(stages, one(func(pixels torch.Tensor) torch.Tensor {
		return pixels.To(torch.Float32).MulScalar(0.5).AddScalar(0.5).Clamp(0, 1)
	}))
}

// Decode maps latents [B,4,h,w] to images [B,3,H,W] in [0,1], float32, one at a time to save memory.
func (p *Pipeline) Decode(latents torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		var images []torch.Tensor
		for i := range latents.Size(0) {
			images = append(images, torch.Scope(func() torch.Tensor {
				pixels := p.VAE.Decode(latents.Narrow(0, i, 1).To(p.VAE.DType())).To(torch.Float32)
				return pixels.MulScalar(0.5).AddScalar(0.5).Clamp(0, 1)
			}))
		}
		return torch.Cat(images, 0)
	})
}

// Request asks for images.
type Request struct {
	Wording
	Seeds    []uint64 // one per image: the same seed gives the same image in any batch
	NumSteps int
	Eta      float64 // DDIM only

	// Estimate, if set, is called after every step, before Progress, with the finished latents [B,4,h,w] as that step
	// estimates them, which it must not keep.
	Estimate func(step, of int, latents torch.Tensor)
	// Progress, if set, is called after every step with the latents so far, which it must not keep.
	Progress func(step, of int, latents torch.Tensor)
}

// maxSide is the longest side of an image, in pixels: far beyond what any model draws well, and short enough
// that the sizes of tensors can be counted.
const maxSide = 16384

func (p *Pipeline) validate(r Request) error {
	side := p.VAE.Config.Factor()
	var errs []error
	if len(r.Prompts) == 0 || len(r.Prompts) != len(r.Seeds) {
		errs = append(errs, fmt.Errorf("%d prompts and %d seeds, want as many of both", len(r.Prompts), len(r.Seeds)))
	}
	if r.Width <= 0 || r.Height <= 0 || r.Width%side != 0 || r.Height%side != 0 {
		errs = append(errs, fmt.Errorf("size %dx%d, want multiples of %d", r.Width, r.Height, side))
	} else if max(r.Width, r.Height) > maxSide {
		errs = append(errs, fmt.Errorf("size %dx%d, want at most %d on either side", r.Width, r.Height, maxSide))
	}
	return errors.Join(errs...)
}

// Sample draws the latents [B,4,h,w] of images, float32, inside an open scope. Noise is what
// torch's CPU generator gives for each image's seed, so that it is the same on every device and in
// Python.
func (p *Pipeline) Sample(ctx context.Context, r Request) (torch.Tensor, error) {
	if err := p.validate(r); err != nil {
		return torch.Tensor{}, err
	}
	scheduler, err := NewScheduler(p.Scheduler, r.NumSteps, r.Eta)
	if err != nil {
		return torch.Tensor{}, err
	}
	noise, err := p.newNoise(r)
	if err != nil {
		return torch.Tensor{}, err
	}
	defer noise.close()
	c, err := p.Condition(r.Wording)
	if err != nil {
		return torch.Tensor{}, err
	}
	latents := noise.draw().MulScalar(scheduler.InitNoiseSigma)
	var past []Point
	var fresh torch.Tensor
	for i, timestep := range scheduler.Timesteps {
		if err := ctx.Err(); err != nil {
			return torch.Tensor{}, err
		}
		three := torch.Scopes(func() []torch.Tensor {
			output := p.Predict(scheduler.ScaleInput(i, latents), timestep, c)
			if fresh = (torch.Tensor{}); scheduler.NeedsNoise(i) {
				fresh = noise.draw()
			}
			next, now := scheduler.Step(i, latents, output, past, fresh)
			return []torch.Tensor{next, now.Output, now.Estimate}
		})
		past = append(past, Point{latents, three[1], three[2]})
		latents = three[0]
		if r.Estimate != nil {
			r.Estimate(i+1, scheduler.Len(), three[2])
		}
		for len(past) > scheduler.Reach() {
			torch.Drop(past[0].Latents, past[0].Output, past[0].Estimate)
			past = past[1:]
		}
		if r.Progress != nil {
			r.Progress(i+1, scheduler.Len(), latents)
		}
	}
	return latents, finiteTensor(latents, "latents")
}

// finiteTensor refuses numbers that would be drawn black.
func finiteTensor(t torch.Tensor, what string) (err error) {
	torch.Scope(func() torch.Tensor {
		if t.IsFinite().All().To(torch.Float32).Item() == 0 {
			err = fmt.Errorf("%s: NaN or infinity came out of the model; weights or LoRA may be broken, or float16 too narrow: try bfloat16 or float32", what)
		}
		return torch.Tensor{}
	})
	return err
}

// noise draws for every image from a generator of its own.
type noise struct {
	generators []*torch.Generator
	shape      []int64
	device     torch.Device
}

func (p *Pipeline) newNoise(r Request) (*noise, error) {
	f := p.VAE.Config.Factor()
	n := &noise{shape: []int64{1, p.VAE.Config.LatentChannels, r.Height / f, r.Width / f}, device: p.device}
	for _, seed := range r.Seeds {
		g, err := torch.NewGenerator(torch.CPU, seed)
		if err != nil {
			n.close()
			return nil, err
		}
		n.generators = append(n.generators, g)
	}
	return n, nil
}

func (n *noise) draw() torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		each := make([]torch.Tensor, len(n.generators))
		for i, g := range n.generators {
			each[i] = g.Randn(torch.Float32, n.shape...)
		}
		return torch.Cat(each, 0).ToDevice(n.device, torch.Float32)
	})
}

func (n *noise) close() {
	for _, g := range n.generators {
		g.Close()
	}
}
