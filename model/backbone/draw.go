package backbone

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"

	"focusnfix/model/torch"
)

// Generate draws images from prompts, without recording gradients.
func Generate(ctx context.Context, m Model, r Request) ([]*image.RGBA, error) {
	var pictures []*image.RGBA
	var failed error
	err := torch.Run(func() {
		torch.NoGrad(func() {
			latents, err := Sample(ctx, m, r)
			if err != nil {
				failed = err
				return
			}
			images := m.Decode(latents)
			if failed = finiteTensor(images, "image"); failed == nil {
				pictures = Pictures(images)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return pictures, failed
}

// Sample draws the latents [B,C,h,w] of images, float32, inside an open scope. Noise is what
// torch's CPU generator gives for each image's seed, so that it is the same on every device and in
// Python.
func Sample(ctx context.Context, m Model, r Request) (torch.Tensor, error) {
	shape, err := m.LatentShape(r.Width, r.Height)
	if n := len(r.Prompts); n == 0 || n != len(r.Seeds) {
		err = errors.Join(fmt.Errorf("%d prompts and %d seeds, want as many of both", n, len(r.Seeds)), err)
	}
	if err = errors.Join(err, r.validate()); err != nil {
		return torch.Tensor{}, err
	}
	scheduler, err := m.Schedule(r.NumSteps, r.Eta, shape)
	if err != nil {
		return torch.Tensor{}, err
	}
	noise, err := newNoise(r.Seeds, shape, m.Device())
	if err != nil {
		return torch.Tensor{}, err
	}
	defer noise.close()
	c, err := m.Condition(r.Wording)
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
			output := c.Predict(scheduler.ScaleInput(i, latents), timestep)
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

// validate refuses numbers that make every image NaN.
func (w Wording) validate() error {
	if math.IsNaN(w.GuidanceScale) || math.Abs(w.GuidanceScale) > maxGuidance {
		return fmt.Errorf("guidance %g, want a number up to %d", w.GuidanceScale, maxGuidance)
	}
	if !(w.GuidanceRescale >= 0 && w.GuidanceRescale <= 1) {
		return fmt.Errorf("guidance rescale %g, want 0 to 1", w.GuidanceRescale)
	}
	return nil
}

// maxGuidance is far beyond what any model bears.
const maxGuidance = 1000

// maxSide is the longest side of an image, in pixels: far beyond what any model draws well, and short enough
// that the sizes of tensors can be counted.
const maxSide = 16384

// CheckSize refuses images whose sides are no multiples of unit, in pixels.
func CheckSize(width, height, unit int64) error {
	if width <= 0 || height <= 0 || width%unit != 0 || height%unit != 0 {
		return fmt.Errorf("size %dx%d, want multiples of %d", width, height, unit)
	}
	if max(width, height) > maxSide {
		return fmt.Errorf("size %dx%d, want at most %d on either side", width, height, maxSide)
	}
	return nil
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
