package train

import (
	"fmt"
	"slices"

	"focusnfix/model/backbone"
	"focusnfix/model/torch"
)

// Text encoders are trained in two halves, so that what is known of denoising steps, kept or drawn again, holds for
// them, too. What they make of the prompts is a leaf, at which the way back through the steps ends; then the prompts
// are encoded once more, recorded, and the gradient at the leaf goes on to the encoders' LoRA weights.

// condition encodes prompts.
func (s *sampler) condition(prompts []string) (backbone.Conditioning, error) {
	return s.pipeline.Condition(backbone.Wording{
		Prompts: prompts, Negative: s.negative, GuidanceScale: s.sampling.GuidanceScale,
		GuidanceRescale: s.sampling.GuidanceRescale, Width: int64(s.sampling.Size.Width), Height: int64(s.sampling.Size.Height),
	})
}

// encoded lists what trained text encoders made; it is empty where none is trained.
func (s *sampler) encoded(c backbone.Conditioning) []torch.Tensor {
	if text, ok := c.(backbone.TextConditioning); ok && s.text > 0 {
		return text.Encoded()
	}
	return nil
}

// backward turns the gradient at the latents of a trajectory into those of params, the text encoders' last.
func (s *sampler) backward(st start, drawn trajectory, grad torch.Tensor, params []torch.Tensor) []torch.Tensor {
	if s.text == 0 {
		return drawn.backward(grad, params)
	}
	network, text := params[:len(params)-s.text], params[len(params)-s.text:]
	all := drawn.backward(grad, slices.Concat(network, s.encoded(st.conditioning)))
	return append(all[:len(network):len(network)], s.throughText(st.prompts, all[len(network):], text)...)
}

// throughText turns the gradients at what the text encoders made into those of their LoRA weights. A layer that
// nothing follows from, such as the last one of SDXL's first encoder, has a gradient of 0.
func (s *sampler) throughText(prompts []string, at, params []torch.Tensor) []torch.Tensor {
	return torch.Scopes(func() []torch.Tensor {
		c, err := s.condition(prompts)
		if err != nil {
			panic(&torch.Error{Op: "text encoder", Message: fmt.Sprint(err)}) // it was encoded before
		}
		var out, grads []torch.Tensor
		for i, x := range s.encoded(c) {
			if at[i].Defined() {
				out, grads = append(out, x), append(grads, at[i])
			}
		}
		found := torch.Grad(out, params, grads)
		for i, g := range found {
			if !g.Defined() {
				found[i] = params[i].ZerosLike()
			}
		}
		return found
	})
}
