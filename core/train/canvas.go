package train

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"time"

	"focusnfix/core"
	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Canvas is one image as far as no fix changes it: text embeddings, x_T and the denoising steps before fixes act are
// computed once, and the image is drawn again from there with other fixes or other strengths. It belongs to the
// goroutine of its trainer.
type Canvas struct {
	core.Drawing
	OfRun bool // begins with the run's weights, rather than with the base model

	t       *Trainer
	s       *sampler
	walk            // up to the step from which fixes act; owned
	from    int     // that step
	seconds float64 // that all this took
}

// Stacked is a fix that an image is drawn with.
type Stacked struct {
	LoRA     string // file
	Strength float64
}

// fixFrom is the share of the denoising steps that fixes leave alone: they set the layout, and are computed once.
const fixFrom = 0.2

// Canvas begins an image. noise is x_T of one that was inverted; without a tensor it is that of the seed. Close the
// canvas before the trainer.
func (t *Trainer) Canvas(ctx context.Context, d core.Drawing, ofRun bool, noise torch.Tensor) (*Canvas, error) {
	started := time.Now()
	s, err := newSampler(t.pipeline, d.Sampling, Chained, min(t.BackpropSteps, d.NumSteps))
	if err != nil {
		return nil, err
	}
	s.negative = d.Negative
	c := &Canvas{Drawing: d, OfRun: ofRun, t: t, s: s, from: int(fixFrom * float64(d.NumSteps))}
	c.from = min(c.from, s.scheduler.Len()-s.backpropSteps)
	if t.pipeline.Device() == torch.CPU {
		s.apart = t.workers
	}
	err = c.work(ctx, func() error {
		st, err := s.begin([]core.Pair{d.Pair()})
		if err != nil {
			return err
		}
		if noise.Defined() {
			st.latents = noise.ToDevice(t.pipeline.Device(), torch.Float32)
		}
		c.walk = s.advance(walk{st, []torch.Tensor{st.latents}}, c.from)
		for _, x := range c.tensors() {
			torch.Own(x)
		}
		return nil
	})
	c.seconds = time.Since(started).Seconds()
	return c, err
}

// tensors lists what the canvas holds.
func (c *Canvas) tensors() []torch.Tensor { return (&part{walk: c.walk}).tensors() }

// Close frees what the canvas holds.
func (c *Canvas) Close() { torch.Drop(c.tensors()...) }

// work calls f in a scope of its own, with the weights that the canvas begins with, until ctx ends.
func (c *Canvas) work(ctx context.Context, f func() error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.s.cancelled = func() bool { return ctx.Err() != nil }
	defer func() { c.s.cancelled = nil }()
	failed := run(func() error {
		if !c.OfRun {
			c.t.References.Untuned(func() { err = f() })
			return err
		}
		c.t.Averaged(func() { err = c.t.merged(f) })
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return failed
}

// Draw is the image with a stack of fixes, none for the image that it begins with.
func (c *Canvas) Draw(ctx context.Context, stack []Stacked) (drawn *image.RGBA, err error) {
	err = c.work(ctx, func() error {
		return c.with(stack, func(last *nn.Adapter) (err error) {
			torch.NoGrad(func() {
				var image torch.Tensor
				if image, err = c.image(last); err == nil {
					drawn = backbone.Pictures(image)[0]
				}
			})
			return err
		})
	})
	return drawn, err
}

// image draws the image to its end, [1,3,H,W], with the fixes that are on the model, of which last is the last.
func (c *Canvas) image(last *nn.Adapter) (image torch.Tensor, err error) {
	w, err := c.toLast(last)
	if err == nil {
		image = c.t.pipeline.Decode(c.s.advance(w, c.s.scheduler.Len()).last())
	}
	return image, err
}

// toLast draws up to the steps that gradients pass through. The last fix is merged there, which costs nothing and
// makes a step as cheap as the base model's; a run's LoRA that is merged leaves no room for that.
func (c *Canvas) toLast(last *nn.Adapter) (w walk, err error) {
	if c.OfRun {
		last = nil
	}
	err = merged(last, func() error {
		w = c.s.advance(c.walk, c.s.scheduler.Len()-c.s.backpropSteps)
		return nil
	})
	return w, err
}

// with calls f with a stack of fixes on the model, of which it is told the last, nil of none.
func (c *Canvas) with(stack []Stacked, f func(last *nn.Adapter) error) (err error) {
	var attached []*nn.Adapter
	defer func() {
		for _, a := range attached {
			a.Remove()
		}
	}()
	for _, fix := range stack {
		adapters, err := c.t.pipeline.AttachLoRA(fix.LoRA, fix.Strength)
		if attached = append(attached, adapters...); err != nil {
			return fmt.Errorf("fix: %w", err)
		}
	}
	if len(attached) == 0 {
		return f(nil)
	}
	return f(attached[len(attached)-1])
}

// attach gives the model a fresh LoRA of the run's kind, without text encoders: one image's words need no other
// meaning. Remove it afterwards.
func (c *Canvas) attach(rank int64) (*nn.Adapter, error) {
	targets := slices.DeleteFunc(slices.Clone(c.t.Targets), func(group string) bool { return group == backbone.TextTarget })
	if len(targets) == 0 {
		targets = []string{"attention"}
	}
	own, err := backbone.NewAdapter(c.t.pipeline, rank, float64(rank), c.Seed, targets)
	if err != nil {
		return nil, errors.Join(errors.New("fix"), err)
	}
	return own, nil
}
