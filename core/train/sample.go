package train

import (
	"fmt"
	"iter"
	"strings"

	"focusnfix/core"
	"focusnfix/model/nn"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// recomputeFrom is the number of recorded denoising steps from which their activations are computed
// again in the backward pass instead of kept: memory is then that of one step, for a third more time.
const recomputeFrom = 4

// sampler draws latents so that the gradient of a loss at their end reaches the UNet's parameters
// through the last backpropSteps steps.
type sampler struct {
	pipeline      *sd.Pipeline
	scheduler     *sd.Scheduler
	sampling      core.Sampling
	negative      string // prompt
	backpropSteps int    // K of DRaFT-K; 0 records nothing

	adapter *nn.Adapter // merged while nothing is recorded; nil is left as it is

	copies int              // of DRaFT-LV
	random *torch.Generator // of their noise
}

func newSampler(p *sd.Pipeline, s core.Sampling, backpropSteps int) (*sampler, error) {
	scheduler, err := sd.NewScheduler(p.Scheduler, s.NumSteps, s.Eta)
	if err != nil {
		return nil, err
	}
	if scheduler.Multistep() {
		return nil, fmt.Errorf("sample.scheduler: %s looks back at earlier steps, which gradients do not pass through; train with one of %s",
			p.Scheduler.Class, strings.Join(sd.SingleStepSchedulers(), ", "))
	}
	if backpropSteps < 0 || backpropSteps > s.NumSteps {
		return nil, fmt.Errorf("train.backprop_steps: %d, want 0 to sample.num_steps, %d", backpropSteps, s.NumSteps)
	}
	return &sampler{pipeline: p, scheduler: scheduler, sampling: s, backpropSteps: backpropSteps}, nil
}

// start is what a batch of images begins with; no LoRA weight has a part in it.
type start struct {
	prompts      []string // c
	conditioning sd.Conditioning
	latents      torch.Tensor   // x_T, [B,4,h,w]
	noise        []torch.Tensor // of each step; no tensor where none is added
}

// begin encodes the prompts of pairs and draws the noise of their seeds: the same for base and tuned image, with
// eta > 0 too.
func (s *sampler) begin(pairs []core.Pair) (st start, err error) {
	var seeds []uint64
	for _, p := range pairs {
		st.prompts, seeds = append(st.prompts, p.Prompt), append(seeds, p.Seed)
	}
	width, height := int64(s.sampling.Size.Width), int64(s.sampling.Size.Height)
	torch.NoGrad(func() {
		st.conditioning, err = s.pipeline.Condition(sd.Wording{
			Prompts: st.prompts, Negative: s.negative, GuidanceScale: s.sampling.GuidanceScale, Width: width, Height: height,
		})
		if err == nil {
			st.latents, st.noise, err = s.pipeline.Noise(seeds, width, height, s.scheduler)
		}
	})
	return st, err
}

// denoise is step i: latents to latents, [B,4,h,w].
func (s *sampler) denoise(st start, i int, latents torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		output := s.pipeline.Predict(s.scheduler.ScaleInput(i, latents), s.scheduler.Timesteps[i], st.conditioning)
		next, _ := s.scheduler.Step(i, latents, output, nil, st.noise[i])
		return next
	})
}

// trajectory is a drawn batch.
type trajectory struct {
	latents torch.Tensor // x_0, [B,4,h,w]; a leaf that carries no history
	// backward turns the gradient at latents into those of params, summed over the recorded steps.
	backward func(grad torch.Tensor, params []torch.Tensor) []torch.Tensor
}

// trajectories draws a batch, then its noised copies.
func (s *sampler) trajectories(st start) iter.Seq[trajectory] {
	return func(yield func(trajectory) bool) {
		drawn := s.draw(st)
		if !yield(drawn) {
			return
		}
		for _, again := range s.noisedCopies(st, drawn.latents) {
			if !yield(again) {
				return
			}
		}
	}
}

// draw walks all steps, the first ones without recording.
func (s *sampler) draw(st start) trajectory {
	first := s.scheduler.Len() - s.backpropSteps // of the recorded steps
	x := st.latents
	torch.NoGrad(func() {
		s.merged(func() {
			x = torch.Checkpoint(first, x, func(i int, x torch.Tensor) torch.Tensor { return s.denoise(st, i, x) }).Last()
		})
	})
	if s.backpropSteps >= recomputeFrom {
		chain := torch.Checkpoint(s.backpropSteps, x, func(i int, x torch.Tensor) torch.Tensor { return s.denoise(st, first+i, x) })
		return trajectory{chain.Last().Leaf(), chain.Backward}
	}
	for i := first; i < s.scheduler.Len(); i++ {
		x = s.denoise(st, i, x)
	}
	return trajectory{x.Leaf(), func(grad torch.Tensor, params []torch.Tensor) []torch.Tensor {
		return torch.Grad([]torch.Tensor{x}, params, []torch.Tensor{grad})
	}}
}

// merged calls f with the LoRA weights added to the layers' own, where that is exact: without gradients a
// layer then costs what the base model's does.
func (s *sampler) merged(f func()) {
	if s.adapter == nil || s.backpropSteps == s.scheduler.Len() || !s.adapter.MergesExactly() {
		f()
		return
	}
	if err := s.adapter.Merge(); err != nil {
		panic(&torch.Error{Op: "merge", Message: err.Error()})
	}
	defer s.adapter.Unmerge()
	f()
}

// noisedCopies takes finished latents x_0 back to the noise level of the last step, each time with fresh noise,
// and denoises them again with recorded gradients (DRaFT-LV, arXiv 2309.17400, section 3.2): more gradients for
// one trajectory.
func (s *sampler) noisedCopies(st start, x0 torch.Tensor) []trajectory {
	last := s.scheduler.Len() - 1
	schedule := sd.NewNoiseSchedule(s.pipeline.Scheduler)
	timesteps := make([]int, x0.Size(0))
	for i := range timesteps {
		timesteps[i] = int(s.scheduler.Timesteps[last])
	}
	copies := make([]trajectory, s.copies)
	for i := range copies {
		noise := s.random.Randn(torch.Float32, x0.Shape()...).ToDevice(x0.Device(), x0.DType())
		x := s.denoise(st, last, schedule.AddNoise(x0.Detach(), noise, timesteps))
		copies[i] = trajectory{x.Leaf(), func(grad torch.Tensor, params []torch.Tensor) []torch.Tensor {
			return torch.Grad([]torch.Tensor{x}, params, []torch.Tensor{grad})
		}}
	}
	return copies
}
