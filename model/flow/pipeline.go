package flow

import (
	"context"
	"errors"
	"fmt"
	"image"

	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// Pipeline is a whole model: an SD 3 or a Z-Image.
type Pipeline struct {
	Name     string // of the folder that it was loaded from
	Schedule Schedule

	folder  folder
	family  family
	vae     *sd.VAE
	shift   float64 // what the VAE's latents are off zero, before they are scaled
	device  torch.Device
	dtype   torch.DType // of transformer and text encoders
	vaeType torch.DType
	parts   parts
	known   map[string]conditioning // of prompts, owned
}

// conditioning is what the transformer is told about one prompt: its states [N,D] and, for SD 3, its summary [P].
type conditioning struct{ states, pooled torch.Tensor }

// family is what differs between the transformers.
type family interface {
	// configure reads the transformer's configuration.
	configure(p *Pipeline) error
	// encode reads prompts with the text encoders, which it loads and drops.
	encode(p *Pipeline, prompts []string, lost func(prompt, words string)) ([]conditioning, error)
	// load builds the transformer.
	load(p *Pipeline) error
	// velocity is that from image to noise at a level, for latents [B,C,h,w].
	velocity(latents torch.Tensor, level float64, c []conditioning) torch.Tensor
	// fromOne says how the levels of a schedule begin and end.
	fromOne() bool
	// latentSide is the number of latent pixels on a side of a token.
	latentSide() int64
}

// NaturalSize is the size of the images that the model was trained on, in pixels.
func (p *Pipeline) NaturalSize() (width, height int64) {
	const side = 1024 // of all released models
	return side, side
}

// Close frees the model's weights and the prompts that it knows.
func (p *Pipeline) Close() {
	p.parts.drop()
	for _, c := range p.known {
		torch.Drop(c.states)
		if c.pooled.Defined() {
			torch.Drop(c.pooled)
		}
	}
}

// Generate draws images from prompts, without recording gradients. A guidance scale of 1 is none, for both
// families: Z-Image's own counts from 0.
func (p *Pipeline) Generate(ctx context.Context, r sd.Request) ([]*image.RGBA, error) {
	if err := p.validate(r); err != nil {
		return nil, err
	}
	var images []*image.RGBA
	var failed error
	err := torch.Run(func() {
		torch.NoGrad(func() {
			var latents torch.Tensor
			if latents, failed = p.sample(ctx, r); failed == nil {
				images = sd.Pictures(p.decode(latents))
			}
		})
	})
	return images, errors.Join(err, failed)
}

func (p *Pipeline) validate(r sd.Request) error {
	side := p.vae.Config.Factor() * p.family.latentSide()
	var errs []error
	if len(r.Prompts) == 0 || len(r.Prompts) != len(r.Seeds) {
		errs = append(errs, fmt.Errorf("%d prompts and %d seeds, want as many of both", len(r.Prompts), len(r.Seeds)))
	}
	if r.Width < side || r.Height < side || r.Width%side != 0 || r.Height%side != 0 {
		errs = append(errs, fmt.Errorf("size %dx%d, want multiples of %d", r.Width, r.Height, side))
	}
	if r.Eta != 0 || r.ClipSkip != 0 {
		errs = append(errs, errors.New("eta and clip skip are for Stable Diffusion 1.x, 2.x and SDXL"))
	}
	return errors.Join(errs...)
}

// sample draws latents [B,C,h,w], float32. Noise is what torch's CPU generator gives for each image's seed.
func (p *Pipeline) sample(ctx context.Context, r sd.Request) (torch.Tensor, error) {
	positive, negative, err := p.condition(r)
	if err != nil {
		return torch.Tensor{}, err
	}
	if err := p.family.load(p); err != nil {
		return torch.Tensor{}, err
	}
	latents, err := p.noise(r)
	if err != nil {
		return torch.Tensor{}, err
	}
	side := p.family.latentSide()
	tokens := latents.Size(2) / side * (latents.Size(3) / side)
	levels, err := p.Schedule.Levels(r.NumSteps, tokens, p.family.fromOne())
	if err != nil {
		return torch.Tensor{}, err
	}
	for i := range r.NumSteps {
		if err := ctx.Err(); err != nil {
			return torch.Tensor{}, err
		}
		both := torch.Scopes(func() []torch.Tensor {
			v := p.guided(latents, levels[i], positive, negative, r.GuidanceScale)
			return []torch.Tensor{latents.AddScaled(v, levels[i+1]-levels[i]), latents.AddScaled(v, -levels[i])}
		})
		next, estimate := both[0], both[1]
		torch.Drop(latents)
		latents = next
		if r.Estimate != nil {
			r.Estimate(i+1, r.NumSteps, estimate)
		}
		torch.Drop(estimate)
		if r.Progress != nil {
			r.Progress(i+1, r.NumSteps, latents)
		}
	}
	return latents, nil
}

// guided is the velocity with classifier-free guidance (arXiv 2207.12598), in one call where there is any.
func (p *Pipeline) guided(latents torch.Tensor, level float64, positive, negative []conditioning, scale float64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		if negative == nil {
			return p.family.velocity(latents, level, positive).To(torch.Float32)
		}
		both := append(append([]conditioning{}, positive...), negative...)
		out := p.family.velocity(torch.Cat([]torch.Tensor{latents, latents}, 0), level, both).To(torch.Float32)
		halves := out.Chunk(2, 0)
		return halves[1].Add(halves[0].Sub(halves[1]).MulScalar(scale))
	})
}

// condition encodes the prompts that are not known yet. Without guidance there is no negative prompt.
func (p *Pipeline) condition(r sd.Request) (positive, negative []conditioning, err error) {
	wanted := r.Prompts
	if r.GuidanceScale > 1 {
		wanted = append(append([]string{}, r.Prompts...), r.Negative)
	}
	var fresh []string
	for _, prompt := range wanted {
		if _, ok := p.known[prompt]; !ok {
			p.known[prompt] = conditioning{}
			fresh = append(fresh, prompt)
		}
	}
	if len(fresh) > 0 {
		encoded, err := p.family.encode(p, fresh, r.Lost)
		if err != nil {
			for _, prompt := range fresh {
				delete(p.known, prompt)
			}
			return nil, nil, err
		}
		for i, prompt := range fresh {
			p.known[prompt] = encoded[i]
		}
	}
	for _, prompt := range r.Prompts {
		positive = append(positive, p.known[prompt])
		if r.GuidanceScale > 1 {
			negative = append(negative, p.known[r.Negative])
		}
	}
	return positive, negative, nil
}

// noise is [B,C,h,w] for the seeds, float32.
func (p *Pipeline) noise(r sd.Request) (torch.Tensor, error) {
	f := p.vae.Config.Factor()
	var each []torch.Tensor
	for _, seed := range r.Seeds {
		g, err := torch.NewGenerator(torch.CPU, seed)
		if err != nil {
			return torch.Tensor{}, err
		}
		each = append(each, g.Randn(torch.Float32, 1, p.vae.Config.LatentChannels, r.Height/f, r.Width/f))
		g.Close()
	}
	return torch.Cat(each, 0).ToDevice(p.device, torch.Float32), nil
}

// Preview opens the TAESD at path, or with sd.OwnDecoder gives the model's own decoder.
func (p *Pipeline) Preview(path string) (sd.Preview, error) {
	return sd.OpenPreview(path, p.decode, p.vae.Config.LatentChannels, p.device)
}

// decode maps latents to images [B,3,H,W] in [0,1], float32, one at a time to save memory.
func (p *Pipeline) decode(latents torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		raised := latents.AddScalar(p.shift * p.vae.Config.ScalingFactor) // the VAE divides by its scale: latents/scale + shift
		var images []torch.Tensor
		for i := range latents.Size(0) {
			images = append(images, torch.Scope(func() torch.Tensor {
				pixels := p.vae.Decode(raised.Narrow(0, i, 1).To(p.vaeType)).To(torch.Float32)
				return pixels.MulScalar(0.5).AddScalar(0.5).Clamp(0, 1)
			}))
		}
		return torch.Cat(images, 0)
	})
}
