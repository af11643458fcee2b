package train

import (
	"errors"
	"fmt"
	"math"
	"time"

	"focusnfix/core"
	"focusnfix/model/torch"
)

// batch is what one differentiation works on: B pairs, and what the base model drew of them.
type batch struct {
	start
	baseImage, mask torch.Tensor // Î₀, [B,3,H,W] in [0,1], and M, [B,1,H,W] in {0,1}
}

// Step trains once, on Batch·Accumulate images of every rank. An error leaves the weights as they were.
func (t *Trainer) Step() (StepResult, error) {
	if err := t.lead(orderStep); err != nil {
		return StepResult{}, err
	}
	return t.learn()
}

// learn is one step of training on this rank.
func (t *Trainer) learn() (r StepResult, err error) {
	started := time.Now()
	r = StepResult{Step: t.step + 1, Pairs: t.pairs(t.step), LearningRate: t.rate(t.step)}
	err = run(func() error {
		grads, err := t.average(&r, t.accumulate) // of −J, over the images of all ranks
		if err != nil {
			return err
		}
		r.GradNorm = gradNorm(grads)
		if r.Skipped = !finite(r.Measured.Loss) || !finite(r.GradNorm); r.Skipped {
			return nil
		}
		clip(grads, r.GradNorm, t.GradClip)
		t.optimizer.LearningRate = r.LearningRate
		t.optimizer.Step(grads)
		return nil
	})
	if err != nil {
		return r, err
	}
	t.step++
	if t.skipped++; !r.Skipped {
		t.skipped = 0
	}
	r.Measured.Seconds.Step = time.Since(started).Seconds()
	return r, nil
}

// accumulate averages gradients over this rank's batches of a step.
func (t *Trainer) accumulate(r *StepResult) (grads []torch.Tensor, err error) {
	for i := range t.Accumulate {
		grads = torch.Scopes(func() []torch.Tensor {
			pairs := t.share(r.Pairs, i)
			b, coverage, failed := t.batch(pairs)
			if err = failed; err != nil {
				return nil
			}
			m, image, more := t.Objective.gradients(t.sampler, b, t.params)
			r.add(m, coverage, 1/float64(t.Accumulate))
			t.watch(r, pairs, b, image)
			return addScaled(grads, more, 1/float64(t.Accumulate))
		})
		if err != nil {
			return nil, err
		}
	}
	return grads, nil
}

// gradients draws a batch and differentiates −J, averaged over its images, by params. The images of the tuned
// model come with it, [B,3,H,W] without history.
func (o Objective) gradients(s *sampler, b batch, params []torch.Tensor) (m Measured, image torch.Tensor, grads []torch.Tensor) {
	clock := startClock(s.pipeline.Device())
	kept := torch.Scopes(func() []torch.Tensor {
		for drawn := range s.trajectories(b.start) { // x_0, its last K denoising steps recorded; with DRaFT-LV also noised copies
			clock.lap(&clock.Sample)
			both := torch.Scopes(func() []torch.Tensor {
				decoded := s.pipeline.Decode(drawn.latents) // Î
				clock.lap(&clock.Decode)
				reward, scores := o.reward(decoded, b.prompts)                    // Σ_a w_a · r_a(Î, c), [B]
				region := regionLoss(o.Region.Norm, decoded, b.baseImage, b.mask) // ‖(1 − M) ⊙ (Î − Î₀)‖, [B]
				loss := reward.AddScaled(region, -o.Region.Weight).Mean().Neg()   // −J
				if !image.Defined() {
					image, m = decoded.Detach(), measure(decoded, b, scores, region, loss)
				}
				clock.lap(&clock.Reward)
				atLatents := torch.Grad([]torch.Tensor{loss}, []torch.Tensor{drawn.latents}, nil)[0] // through rewards and decoder
				more := drawn.backward(atLatents, params)                                            // through the last K steps
				clock.lap(&clock.Backward)
				return append([]torch.Tensor{image}, addScaled(grads, more, 1/float64(1+s.copies))...)
			})
			image, grads = both[0], both[1:]
		}
		return append([]torch.Tensor{image}, grads...)
	})
	m.Seconds = clock.Seconds
	return m, kept[0], kept[1:]
}

// reward is Σ_a w_a · r_a(Î, c) of images [B,3,H,W], and the scores r_a by aspect.
func (o Objective) reward(image torch.Tensor, prompts []string) (sum torch.Tensor, scores map[string][]float64) {
	scores = map[string][]float64{}
	return torch.Scope(func() torch.Tensor {
		sum := image.NewZeros(image.Size(0))
		for _, a := range o.Aspects {
			score := a.Reward.Score(image, prompts)
			if got := score.Shape(); len(got) != 1 || got[0] != image.Size(0) {
				panic(&torch.Error{Op: "reward " + a.Name, Message: fmt.Sprintf("score %v for %v, want one number per image", score, image)})
			}
			scores[a.Name] = score.Detach().Doubles()
			sum = sum.AddScaled(score, a.Weight)
		}
		return sum
	}), scores
}

// batch puts pairs together with what the base model drew of them, and says how much each mask covers.
func (t *Trainer) batch(pairs []core.Pair) (b batch, coverage []float64, err error) {
	if b.baseImage, b.mask, coverage, err = t.References.images(pairs); err == nil {
		b.start, err = t.sampler.begin(pairs)
	}
	return b, coverage, err
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
		torch.NoGrad(func() { addScaled(nil, grads, limit/(norm+1e-6)) })
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
