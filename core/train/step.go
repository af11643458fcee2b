package train

import (
	"errors"
	"math"
	"time"

	"focusnfix/model/torch"
)

// Step trains once, on Batch·Accumulate images of every rank. An error leaves the weights as they were.
func (t *Trainer) Step() (r StepResult, err error) {
	if err := t.Plan(t.References.Prepare); err != nil {
		return r, err
	}
	if err := t.lead(orderStep); err != nil {
		return r, err
	}
	return t.learn()
}

// learn is one step of training on this rank: gradients of −J, clip, update.
func (t *Trainer) learn() (r StepResult, err error) {
	started := time.Now()
	r = StepResult{Step: t.step + 1, Pairs: t.plan.pairs, LearningRate: t.rate(t.step)}
	err = run(func() error {
		grads, err := t.scaled(&r)
		if err != nil || r.Skipped {
			return err
		}
		clip(grads, r.GradNorm, t.GradClip)
		t.optimizer.LearningRate = r.LearningRate
		t.optimizer.Step(grads)
		t.ema.update(t.params)
		return nil
	})
	if err == nil {
		t.finished(r.Skipped)
	}
	r.Measured.Seconds.Step = time.Since(started).Seconds()
	return r, err
}

// mostTries is how often a step is computed with ever smaller loss scales before it is skipped.
const mostTries = 4

// scaled averages the gradients over the images of all ranks, and fills r. A step whose gradient overflows is computed
// again with half the loss scale, so that it is not lost.
func (t *Trainer) scaled(r *StepResult) (grads []torch.Tensor, err error) {
	for try := 1; ; try++ {
		if grads, err = t.average(r, t.gradients); err != nil {
			return nil, err
		}
		r.GradNorm, r.LossScale = gradNorm(grads), t.sampler.scale.Value
		r.Overflow = t.sampler.scale.on() && finite(r.Measured.Loss) && !finite(r.GradNorm)
		t.sampler.scale = t.sampler.scale.after(!r.Overflow)
		if !r.Overflow || try == mostTries {
			r.Skipped = !finite(r.Measured.Loss) || !finite(r.GradNorm)
			return grads, nil
		}
		r.Measured, r.Coverage = Measured{Seconds: r.Measured.Seconds}, nil
	}
}

// gradients averages the gradients of this rank's images, which workers share, and fills r.
func (t *Trainer) gradients(r *StepResult) (grads []torch.Tensor, err error) {
	if err := t.References.Prepare(t.Next()); err != nil { // Î₀ and M
		return nil, err
	}
	parts := t.parts()
	defer dropParts(parts)
	clock := startClock(t.pipeline.Device(), t.sampler.peaks)
	if err := t.merged(func() error { // the denoising steps that nothing is recorded of
		return t.workers.each(len(parts), func(i int) error { return parts[i].begin(t) })
	}); err != nil {
		return nil, err
	}
	clock.lap(&clock.Sample)
	var sum gradientSum
	defer sum.drop()
	if err := t.workers.first(len(parts), func(i int) error {
		sum.add(i, parts[i].differentiate(t.Objective, t.sampler, t.params), t.share(parts[i]))
		parts[i].watch(t)
		return nil
	}); err != nil {
		return nil, err
	}
	r.gather(parts, t.workers.count, t.share)
	r.Measured.Seconds.add(clock.Seconds)
	return sum.take(), nil
}

// differentiate is the method on one part: it draws Î and differentiates −J, averaged over its images, by params.
func (p *part) differentiate(o Objective, s *sampler, params []torch.Tensor) (grads []torch.Tensor) {
	clock := startClock(s.pipeline.Device(), s.peaks)
	for drawn := range s.trajectories(p) { // x_0, and the way back from there; with DRaFT-LV several
		clock.lap(&clock.Sample)
		grads = torch.Scopes(func() []torch.Tensor {
			decoded := s.decode(drawn.latents) // Î, [B,3,H,W] in [0,1]
			image := decoded.images
			clock.lap(&clock.Decode)
			reward, scores := o.reward(image, p.prompts, p.random)                    // Σ_a w_a · r_a(Î, c), [B]
			region := regionLoss(o.Region.Norm, s.flat(), image, p.baseImage, p.mask) // ‖(1 − M) ⊙ (Î − Î₀)‖, [B]
			loss := reward.AddScaled(region, -o.Region.Weight).Mean().Neg()           // −J
			if grads == nil {
				p.measure(image, scores, region, loss)
			}
			clock.lap(&clock.Reward)
			at := torch.Grad([]torch.Tensor{loss}, []torch.Tensor{image}, nil)[0] // through rewards and region term
			if s.scale.on() {
				at = at.MulScalar(s.scale.Value)
			}
			more := s.backward(p.start, drawn, decoded.backward(at), params) // through decoder, denoising steps and text encoders
			clock.lap(&clock.Backward)
			return addScaled(grads, more, 1/(s.scale.Value*float64(1+s.copies)))
		})
	}
	p.measured.Seconds = clock.Seconds
	return grads
}

// run calls f in a scope of its own.
func run(f func() error) (err error) {
	failed := torch.Run(func() { err = f() })
	return errors.Join(err, failed)
}

// addScaled is sums + scale·more, in more; nil sums are zero.
func addScaled(sums, more []torch.Tensor, scale float64) []torch.Tensor {
	torch.NoGrad(func() {
		for i, g := range more {
			if scale != 1 {
				g.MulScalarInPlace(scale)
			}
			if sums != nil {
				g.AddInPlace(sums[i], 1)
			}
		}
	})
	return more
}

// clip scales gradients down so that their norm is at most limit; 0 is no limit.
func clip(grads []torch.Tensor, norm, limit float64) {
	if limit > 0 && norm > limit {
		addScaled(nil, grads, limit/(norm+1e-6))
	}
}

// gradNorm is the 2-norm of all gradients together.
func gradNorm(grads []torch.Tensor) (norm float64) {
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			norm = torch.Stack(torch.ForeachNorm(grads), 0).Norm(2).Item()
			return torch.Tensor{}
		})
	})
	return norm
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
