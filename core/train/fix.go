package train

import (
	"context"
	"fmt"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/torch"
)

// Fix is a repair of one image: a copy of the LoRA weights is trained on it alone, with a region that a
// person chose for the mask, until no judge finds the fault there.
type Fix struct {
	core.Drawing
	Region core.Mask
	Aspect string       // whose reward is followed
	Judges []eval.Judge // that must be satisfied: their heatmap in the region is at most Threshold
	// Threshold is of heatmaps, in [0,1].
	Threshold float64
	Steps     int // at most
	// Progress, if set, sees the image after each step, [1,3,H,W], which it must not keep.
	Progress func(step int, image torch.Tensor)
}

// Fixed is a repaired image.
type Fixed struct {
	Base, Image torch.Tensor // [1,3,H,W], of the base model and repaired
	Steps       int          // that it took
	Clean       bool         // the judges find no fault any more
	Inside      float64      // PSNR against the base image in the region, dB
	Outside     float64      // the same outside it
}

// fixWarmup is how many steps a repair's learning rate rises: one image needs no care for others.
const fixWarmup = 5

// Fix repairs an image, in the open scope. Afterwards the trainer is as it was: weights, moments and
// random state. When ctx ends, so does the repair, with its error.
func (t *Trainer) Fix(ctx context.Context, f Fix) (r Fixed, err error) {
	o, err := t.fixObjective(f)
	if err != nil {
		return r, err
	}
	s, err := newSampler(t.pipeline, f.Sampling, t.Gradient, min(t.BackpropSteps, f.NumSteps))
	if err != nil {
		return r, err
	}
	s.negative = f.Negative
	kept := torch.Scopes(func() []torch.Tensor {
		b := &part{pairs: []core.Pair{f.Pair()}, chance: chanceOf(f.Seed, 0, 0)}
		if b.random, err = torch.NewGenerator(torch.CPU, f.Seed); err != nil {
			return nil
		}
		defer b.random.Close()
		if err = t.fixBase(s, f, b); err != nil {
			return nil
		}
		r.Base, r.Image = b.baseImage, b.baseImage
		t.Averaged(func() { t.borrow(func() { err = t.repair(ctx, o, s, f, b, &r) }) })
		r.Inside, r.Outside = eval.PSNR(r.Image, r.Base, b.mask)[0], eval.PSNR(r.Image, r.Base, eval.Outside(b.mask))[0]
		return []torch.Tensor{r.Base, r.Image}
	})
	if err == nil {
		r.Base, r.Image = kept[0], kept[1]
	}
	return r, err
}

// fixObjective is the objective of training one aspect.
func (t *Trainer) fixObjective(f Fix) (Objective, error) {
	for _, a := range t.Aspects {
		if a.Name == f.Aspect {
			if a.Weight == 0 {
				a.Weight = 1 // measured only, in the run
			}
			return Objective{[]Aspect{a}, t.Region, t.Augment}, nil
		}
	}
	return Objective{}, fmt.Errorf("no aspect %q in this run", f.Aspect)
}

// fixBase begins the part that is the image, and draws it with the base model.
func (t *Trainer) fixBase(s *sampler, f Fix, b *part) (err error) {
	if size := (core.Size{Width: f.Region.Width, Height: f.Region.Height}); size != f.Size {
		return fmt.Errorf("region of %v pixels, want the image's %v", size, f.Size)
	}
	if b.start, err = s.begin(b.pairs); err != nil {
		return err
	}
	torch.NoGrad(func() {
		t.References.Untuned(func() { b.baseImage = t.pipeline.Decode(s.draw(b.start)) })
		b.mask = eval.MaskTensor(f.Region).ToDevice(t.pipeline.Device(), torch.Float32)
	})
	return nil
}

// repair trains the borrowed weights. The gradient of a step comes with the image before its update,
// so looking at it costs nothing more.
func (t *Trainer) repair(ctx context.Context, o Objective, s *sampler, f Fix, b *part, r *Fixed) error {
	optimizer := t.newOptimizer()
	defer optimizer.Drop()
	for r.Steps = 0; ; r.Steps++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		both := torch.Scopes(func() []torch.Tensor {
			b.walk = s.rollout(b.start)
			grads := b.differentiate(o, s, t.params)
			image := b.image.Detach()
			torch.Drop(b.image)
			if f.Progress != nil {
				f.Progress(r.Steps, image)
			}
			if r.Clean = clean(f, b, image); r.Clean || r.Steps == f.Steps || !finite(b.measured.Loss) {
				return []torch.Tensor{image}
			}
			norm := gradNorm(grads)
			if s.scale = s.scale.after(finite(norm)); !finite(norm) {
				return []torch.Tensor{image, {}}
			}
			clip(grads, norm, t.GradClip)
			optimizer.LearningRate = t.LearningRate * min(1, float64(r.Steps+1)/fixWarmup)
			optimizer.Step(grads)
			return []torch.Tensor{image, {}}
		})
		if len(both) == 1 {
			r.Image = both[0]
			return nil
		}
		torch.Drop(both[0])
	}
}

// clean reports whether no judge finds a fault in the region.
func clean(f Fix, b *part, image torch.Tensor) (yes bool) {
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			yes = len(f.Judges) > 0
			for _, j := range f.Judges {
				yes = yes && j.Heatmap(image, b.prompts).Mul(b.mask).Max().Item() <= f.Threshold
			}
			return torch.Tensor{}
		})
	})
	return yes
}
