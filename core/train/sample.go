package train

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"focusnfix/core"
	"focusnfix/model/backbone"
	"focusnfix/model/torch"
)

// Gradient is how a gradient at the finished latents x_0 reaches the LoRA weights.
type Gradient string

const (
	// Chained goes back through the last K denoising steps, one after the other (DRaFT-K, arXiv 2309.17400).
	Chained Gradient = "chained"
	// Sparse goes straight to K denoising steps, drawn anew each time from all of them (FlowBP-Sparse, arXiv
	// 2606.11075): see sparse.go. Early steps learn too, at the cost of K.
	Sparse Gradient = "sparse"
)

// recomputeFrom is the number of recorded denoising steps from which their activations are computed again in
// the backward pass instead of kept, however small they are: memory is then that of one step, for a third more time.
const recomputeFrom = 4

// sampler draws latents so that the gradient of a loss at their end reaches the network's parameters.
type sampler struct {
	pipeline      backbone.Model
	scheduler     *backbone.Scheduler
	shape         []int64 // of latents, [C,h,w]
	sampling      core.Sampling
	negative      string   // prompt
	gradient      Gradient // "" is Chained
	backpropSteps int      // K; 0 records nothing
	copies        int      // of DRaFT-LV
	text          int      // parameters that are text encoders'; they are the last
	limits        limits
	scale         lossScale
	peaks         *Peaks      // of memory, if they are measured
	cancelled     func() bool // asked before each denoising step; nil is never
	apart         *workers    // that compute the passes of guidance at the same time; nil computes them in one batch
}

func newSampler(p backbone.Model, s core.Sampling, gradient Gradient, backpropSteps int) (*sampler, error) {
	shape, err := p.LatentShape(int64(s.Size.Width), int64(s.Size.Height))
	if err != nil {
		return nil, fmt.Errorf("sample.%w", err)
	}
	scheduler, err := p.Schedule(s.NumSteps, s.Eta, shape)
	if err != nil {
		return nil, err
	}
	if scheduler.Multistep() {
		return nil, fmt.Errorf("sample.scheduler: %s looks back at earlier steps, which gradients do not pass through; train with a single-step one, such as ddim or euler",
			p.About().Sampler)
	}
	if gradient == Sparse && !scheduler.Linear() {
		return nil, errors.New("train.gradient: sparse needs a sampler that is linear in the model's outputs, and this model's scheduler bounds its estimate (clip_sample or thresholding); want chained")
	}
	if backpropSteps < 0 || backpropSteps > s.NumSteps {
		return nil, fmt.Errorf("train.backprop_steps: %d, want 0 to sample.num_steps, %d", backpropSteps, s.NumSteps)
	}
	return &sampler{
		pipeline: p, scheduler: scheduler, shape: shape, sampling: s, gradient: gradient, backpropSteps: backpropSteps,
		limits: usualLimits, scale: scaleFor(p.DType()),
	}, nil
}

// flat is the difference of images that is rounding alone: see flatOf.
func (s *sampler) flat() float64 {
	return max(flatOf(s.pipeline.DType()), flatOf(s.pipeline.ImageDType()))
}

// withCopies adds the noised copies of DRaFT-LV.
func (s *sampler) withCopies(n int) error {
	if s.copies = n; n > 0 && (s.backpropSteps != 1 || s.gradient == Sparse) {
		return errors.New("train.noised_copies: works with backprop_steps 1 and the chained gradient")
	}
	return nil
}

// start is what a batch of images begins with; no LoRA weight has a part in it.
type start struct {
	prompts      []string // c
	conditioning backbone.Conditioning
	latents      torch.Tensor   // x_T, [B,C,h,w]
	noise        []torch.Tensor // of each step; no tensor where none is added
}

// begin encodes the prompts of pairs and draws the noise of their seeds: the same for base and tuned image, with
// eta > 0 too.
func (s *sampler) begin(pairs []core.Pair) (st start, err error) {
	var seeds []uint64
	for _, p := range pairs {
		st.prompts, seeds = append(st.prompts, p.Prompt), append(seeds, p.Seed)
	}
	torch.NoGrad(func() {
		if st.conditioning, err = s.condition(st.prompts); err == nil {
			for _, x := range s.encoded(st.conditioning) {
				x.SetRequiresGrad(true)
			}
			st.latents, st.noise, err = backbone.Noise(s.pipeline, seeds, s.shape, s.scheduler)
		}
	})
	return st, err
}

// output is what the network makes of latents [B,C,h,w] at step i.
func (s *sampler) output(st start, i int, latents torch.Tensor) torch.Tensor {
	return st.conditioning.Predict(s.scheduler.ScaleInput(i, latents), s.scheduler.Timesteps[i])
}

// denoise is step i: latents to latents, [B,C,h,w].
func (s *sampler) denoise(st start, i int, latents torch.Tensor) torch.Tensor {
	s.giveUp()
	return torch.Scope(func() torch.Tensor {
		if guided, passes := s.passes(st); passes != nil {
			out := s.outputsApart(passes, i, latents)
			defer torch.Drop(out...)
			next, _ := s.scheduler.Step(i, latents, guided.Guide(out[0], out[1]), nil, st.noise[i])
			return next
		}
		next, _ := s.scheduler.Step(i, latents, s.output(st, i, latents), nil, st.noise[i])
		return next
	})
}

// giveUp ends what is drawn by a panic, as operators fail, once it is cancelled.
func (s *sampler) giveUp() {
	if s.cancelled != nil && s.cancelled() {
		panic(&torch.Error{Op: "denoise", Message: "cancelled"})
	}
}

// walk is a batch as far as it is drawn without recording.
type walk struct {
	start
	latents []torch.Tensor // [B,C,h,w] before each step, up to the one that comes next
}

// rollout draws what is not recorded: the first steps, or all of them if the gradient is sparse.
func (s *sampler) rollout(st start) walk {
	n := s.scheduler.Len()
	if s.gradient != Sparse {
		n -= s.backpropSteps
	}
	return s.advance(walk{st, []torch.Tensor{st.latents}}, n)
}

// advance draws a walk on to before step n, without recording. The walk that it was given stays.
func (s *sampler) advance(w walk, n int) walk {
	w.latents = slices.Clone(w.latents)
	torch.NoGrad(func() {
		for i := len(w.latents) - 1; i < n; i++ {
			w.latents = append(w.latents, s.denoise(w.start, i, w.latents[i]))
		}
	})
	return w
}

// last is the end of a walk.
func (w walk) last() torch.Tensor { return w.latents[len(w.latents)-1] }

// trajectory is a drawn batch.
type trajectory struct {
	latents torch.Tensor // x_0, [B,C,h,w]; a leaf that carries no history
	// backward turns the gradient at latents into those of params, summed over the steps that learn.
	backward func(grad torch.Tensor, params []torch.Tensor) []torch.Tensor
}

// finish draws the rest of a walk. chance decides which steps learn if the gradient is sparse.
func (s *sampler) finish(w walk, chance *rand.Rand) trajectory {
	if s.gradient == Sparse {
		steps, weights := learning(s.scheduler.Len(), s.backpropSteps, chance)
		return s.sparse(w, steps, weights)
	}
	x, first := w.last(), len(w.latents)-1
	if !s.keepsSteps(s.backpropSteps, x) {
		return s.recomputed(w.start, first, x)
	}
	for i := first; i < s.scheduler.Len(); i++ {
		x = s.denoise(w.start, i, x)
	}
	return trajectory{x.Leaf(), backThrough(x)}
}

// backThrough goes back through what made x.
func backThrough(x torch.Tensor) func(grad torch.Tensor, params []torch.Tensor) []torch.Tensor {
	return func(grad torch.Tensor, params []torch.Tensor) []torch.Tensor {
		return torch.Grad([]torch.Tensor{x}, params, []torch.Tensor{grad})
	}
}

// draw draws all steps without recording: x_0, [B,C,h,w].
func (s *sampler) draw(st start) (latents torch.Tensor) {
	torch.NoGrad(func() {
		latents = torch.Scope(func() torch.Tensor {
			x := st.latents
			for i := range s.scheduler.Len() {
				x = s.denoise(st, i, x)
			}
			return x
		})
	})
	return latents
}

// noisedCopies takes finished latents x_0 back to the noise level of the last step, each time with fresh noise,
// and denoises them again with recorded gradients (DRaFT-LV, arXiv 2309.17400, section 3.2): more gradients for
// one trajectory.
func (s *sampler) noisedCopies(st start, x0 torch.Tensor, random *torch.Generator) []trajectory {
	last := s.scheduler.Len() - 1
	copies := make([]trajectory, s.copies)
	for i := range copies {
		noise := random.Randn(torch.Float32, x0.Shape()...).ToDevice(x0.Device(), x0.DType())
		noisy := s.scheduler.Noised(last, x0.Detach(), noise)
		if !s.keepsSteps(1, noisy) {
			copies[i] = s.recomputed(st, last, noisy)
			continue
		}
		x := s.denoise(st, last, noisy)
		copies[i] = trajectory{x.Leaf(), backThrough(x)}
	}
	return copies
}
