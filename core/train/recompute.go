package train

import "focusnfix/model/torch"

// What a backward pass needs of a forward pass is either kept as it is made, or made again when it is needed:
// the same numbers, for one forward pass more. Small models keep everything. From some size on, memory
// decides what can be trained at all:
//
//   - Of the recorded denoising steps only their latents are kept; each step is drawn again and differentiated
//     by itself (Chen et al., arXiv 1604.06174). Of a large one, layer by layer.
//   - Images are decoded without recording. The gradient of the loss at the images then goes back through the
//     decoder image by image, resnet by resnet.
//
// At 512x512 a recorded step of SD 1.5 takes 2 GiB an image, a recorded decode 4; at 1024x1024 SDXL's take 15
// and 15.

// limits are sizes up to which activations are kept.
type limits struct {
	step   int64 // bytes of the network's widest activation up to which denoising steps are kept whole
	layers int64 // the same, up to which a step that is drawn again is differentiated as a whole
	decode int64 // pixels of a batch up to which a decode is kept
}

var usualLimits = limits{step: 1 << 20, layers: 8 << 20, decode: 1 << 17}

// widest is the size in bytes of the network's widest activation.
func (s *sampler) widest(latents torch.Tensor) int64 {
	images := latents.Size(0)
	if s.sampling.GuidanceScale != 1 {
		images *= 2
	}
	return images * s.pipeline.WidestActivation(latents.Shape()[1:])
}

// keepsSteps reports whether n recorded denoising steps keep their activations.
func (s *sampler) keepsSteps(n int, latents torch.Tensor) bool {
	return n < recomputeFrom && s.widest(latents) <= s.limits.step
}

// outputStages is output of step i in stages: of a large model, one for each layer.
func (s *sampler) outputStages(st start, i int, latents torch.Tensor) []torch.Stage {
	if s.widest(latents) <= s.limits.layers {
		return []torch.Stage{func(xs []torch.Tensor) []torch.Tensor { return []torch.Tensor{s.output(st, i, xs[0])} }}
	}
	scale := func(xs []torch.Tensor) []torch.Tensor { return []torch.Tensor{s.scheduler.ScaleInput(i, xs[0])} }
	return append([]torch.Stage{scale}, st.conditioning.Stages(s.scheduler.Timesteps[i])...)
}

// denoiseStages is denoise in stages: of a large model, one for each layer. The state is the latents, then that of
// the network.
func (s *sampler) denoiseStages(st start, i int, latents torch.Tensor) []torch.Stage {
	if s.widest(latents) <= s.limits.layers {
		return []torch.Stage{func(xs []torch.Tensor) []torch.Tensor { return []torch.Tensor{s.denoise(st, i, xs[0])} }}
	}
	split := func(xs []torch.Tensor) []torch.Tensor { return []torch.Tensor{xs[0], xs[0]} }
	stages := []torch.Stage{split}
	for _, stage := range s.outputStages(st, i, latents) {
		stages = append(stages, func(xs []torch.Tensor) []torch.Tensor {
			return append([]torch.Tensor{xs[0]}, stage(xs[1:])...)
		})
	}
	return append(stages, func(xs []torch.Tensor) []torch.Tensor {
		next, _ := s.scheduler.Step(i, xs[0], xs[1], nil, st.noise[i])
		return []torch.Tensor{next}
	})
}

// recomputed is a trajectory from latents x before step `first` on, of which only the latents are kept.
func (s *sampler) recomputed(st start, first int, x torch.Tensor) trajectory {
	xs := []torch.Tensor{x}
	torch.NoGrad(func() {
		for i := first; i < s.scheduler.Len(); i++ {
			xs = append(xs, s.denoise(st, i, xs[i-first]))
		}
	})
	return trajectory{xs[len(xs)-1].Leaf(), func(grad torch.Tensor, params []torch.Tensor) (sums []torch.Tensor) {
		return torch.Scopes(func() []torch.Tensor {
			grads := []torch.Tensor{grad}
			for i := len(xs) - 2; i >= 0; i-- {
				kept := torch.Scopes(func() []torch.Tensor {
					at, more := torch.BackwardStages(s.denoiseStages(st, first+i, x), []torch.Tensor{xs[i]}, grads, params)
					return append(at, sumOf(sums, more)...)
				})
				grads, sums = kept[:1], kept[1:]
			}
			return sums
		})
	}}
}

// sumOf adds gradients to sums, in place; any may be none, and nil sums are zero. Fresh tensors would stay until the
// last step is done: a set of LoRA gradients for each.
func sumOf(sums, more []torch.Tensor) []torch.Tensor {
	torch.NoGrad(func() {
		for i, sum := range sums {
			switch {
			case !more[i].Defined():
				more[i] = sum
			case sum.Defined():
				sum.AddInPlace(more[i], 1)
				more[i] = sum
			}
		}
	})
	return more
}

// decoding is the images of latents, [B,3,H,W] in [0,1], and the way back.
type decoding struct {
	images torch.Tensor // without history
	// backward turns the gradient at the images into that at the latents.
	backward func(grad torch.Tensor) torch.Tensor
}

// decode decodes latents [B,C,h,w].
func (s *sampler) decode(latents torch.Tensor) decoding {
	if size := s.sampling.Size; latents.Size(0)*int64(size.Width)*int64(size.Height) <= s.limits.decode {
		images := s.pipeline.Decode(latents)
		return decoding{images.Leaf(), func(grad torch.Tensor) torch.Tensor {
			return torch.Grad([]torch.Tensor{images}, []torch.Tensor{latents}, []torch.Tensor{grad})[0]
		}}
	}
	var images torch.Tensor
	torch.NoGrad(func() { images = s.pipeline.Decode(latents) })
	return decoding{images.Leaf(), func(grad torch.Tensor) torch.Tensor {
		return torch.Scope(func() torch.Tensor {
			grads := make([]torch.Tensor, latents.Size(0))
			for i := range grads {
				one := func(t torch.Tensor) torch.Tensor { return t.Detach().Narrow(0, int64(i), 1) }
				grads[i] = torch.Scope(func() torch.Tensor {
					x := one(latents)
					at, _ := torch.BackwardStages(s.pipeline.DecodeStages(x), []torch.Tensor{x}, []torch.Tensor{one(grad)}, nil)
					return at[0]
				})
			}
			return torch.Cat(grads, 0)
		})
	}}
}
