package sd

import (
	"fmt"
	"slices"

	"focusnfix/model/backbone"
	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Encoder turns prompts into what the UNet attends to.
type Encoder struct {
	Tokenizer *clip.Tokenizer
	Text      *clip.Text
}

// Conditioning is what the UNet is told about B images beside latents and timestep. With guidance
// there are 2B rows: those of the negative prompt first.
type Conditioning struct {
	Context torch.Tensor // [B or 2B,N,D] the text encoders' states
	Pooled  torch.Tensor // [B or 2B,P] SDXL: the second encoder's projected state
	TimeIDs torch.Tensor // [B or 2B,6] SDXL: original size, crop, target size in pixels
	// Guidance is the embedded guidance scale of distilled models, [B,D], which are told it and need no
	// negative prompt.
	Guidance      torch.Tensor
	GuidanceScale float64 // 1 or less is no guidance
	// GuidanceRescale is how far guided outputs are brought back to the spread of unguided ones, from 0,
	// not at all, to 1 (Lin et al., arXiv 2305.08891, section 3.4).
	GuidanceRescale float64

	model     *Pipeline
	distilled bool
}

// Guided reports whether the conditioning has rows of the negative prompt.
func (c Conditioning) Guided() bool { return c.GuidanceScale > 1 && !c.distilled }

// guided combines the outputs [2B,C,h,w] of negative prompts and prompts by classifier-free guidance (Ho &
// Salimans, arXiv 2207.12598): [B,C,h,w].
func (c Conditioning) guided(out torch.Tensor) torch.Tensor {
	if !c.Guided() {
		return out
	}
	halves := out.Chunk(2, 0)
	return c.Guide(halves[0], halves[1])
}

// Guide combines the outputs of negative prompts and prompts, [B,C,h,w] each.
func (c Conditioning) Guide(negative, positive torch.Tensor) torch.Tensor {
	guided := negative.Add(positive.Sub(negative).MulScalar(c.GuidanceScale))
	if c.GuidanceRescale == 0 {
		return guided
	}
	spread := func(t torch.Tensor) torch.Tensor { return t.Var(1, 1, 2, 3).Sqrt().Reshape(t.Size(0), 1, 1, 1) }
	rescaled := guided.Mul(spread(positive).Div(spread(guided)))
	return rescaled.MulScalar(c.GuidanceRescale).Add(guided.MulScalar(1 - c.GuidanceRescale))
}

// Passes is the conditioning of the negative prompts and that of the prompts, without guidance: views of this one.
func (c Conditioning) Passes() []backbone.Conditioning {
	if !c.Guided() {
		return nil
	}
	passes := make([]backbone.Conditioning, 2)
	for i := range passes {
		one := c
		one.GuidanceScale = 1
		for _, t := range []*torch.Tensor{&one.Context, &one.Pooled, &one.TimeIDs} {
			if t.Defined() {
				*t = t.Chunk(2, 0)[i]
			}
		}
		passes[i] = one
	}
	return passes
}

// Predict is the UNet's output for latents [B,4,h,w] at a timestep, with classifier-free guidance in one
// batched call if the conditioning has it. Latents and
// output are float32 whatever the UNet computes in.
func (c Conditioning) Predict(latents torch.Tensor, timestep float64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return torch.RunStages(c.Stages(timestep), []torch.Tensor{latents})[0]
	})
}

// Stages is Predict in stages, for torch.BackwardStages. They live in the open scope.
func (c Conditioning) Stages(timestep float64) []torch.Stage {
	stages := []torch.Stage{one(func(latents torch.Tensor) torch.Tensor {
		x := latents.To(c.model.dtype)
		if c.Guided() {
			x = torch.Cat([]torch.Tensor{x, x}, 0)
		}
		return x
	})}
	stages = append(stages, c.model.UNet.Stages([]float64{timestep}, c.Context, Added{Pooled: c.Pooled, TimeIDs: c.TimeIDs, Guidance: c.Guidance})...)
	return append(stages, one(func(out torch.Tensor) torch.Tensor {
		return c.guided(out.To(torch.Float32))
	}))
}

// Tensors lists all that is held.
func (c Conditioning) Tensors() []torch.Tensor {
	return defined(c.Context, c.Pooled, c.TimeIDs, c.Guidance)
}

// Encoded lists what the text encoders made.
func (c Conditioning) Encoded() []torch.Tensor {
	return defined(c.Context, c.Pooled)
}

// defined are those tensors that there are.
func defined(tensors ...torch.Tensor) []torch.Tensor {
	return slices.DeleteFunc(tensors, func(t torch.Tensor) bool { return !t.Defined() })
}

// Condition encodes prompts. Tensors go to the open scope.
//
// As in diffusers, ClipSkip acts on the prompts but not on the negative prompt, and SDXL takes the
// state before the last layer, and zeros in place of an empty negative prompt if it was trained so.
func (p *Pipeline) Condition(w backbone.Wording) (backbone.Conditioning, error) {
	return p.condition(w)
}

func (p *Pipeline) condition(w backbone.Wording) (Conditioning, error) {
	layers := p.Encoders[0].Text.Config.NumHiddenLayers
	if w.ClipSkip < 0 || w.ClipSkip >= layers {
		return Conditioning{}, fmt.Errorf("clip skip %d, want 0 to %d", w.ClipSkip, layers-1)
	}
	embedded := p.UNet.Config.TimeCondProjDim
	c := Conditioning{GuidanceScale: w.GuidanceScale, GuidanceRescale: w.GuidanceRescale, model: p, distilled: embedded > 0}
	kept := torch.Scopes(func() []torch.Tensor {
		context, pooled := p.encode(w.Prompts, w.ClipSkip, w.Lost)
		if c.Guided() {
			no, noPooled := p.encodeNegative(w, context, pooled)
			context, pooled = torch.Cat([]torch.Tensor{no, context}, 0), catDefined(noPooled, pooled)
		}
		kept := []torch.Tensor{context.To(p.dtype)}
		if pooled.Defined() && p.XL() {
			kept = append(kept, pooled.To(p.dtype), p.timeIDs(context.Size(0), w))
		}
		if embedded > 0 {
			scale := torch.From([]float64{1000 * (w.GuidanceScale - 1)}).ToDevice(p.device, torch.Float32)
			kept = append(kept, nn.Sinusoids(scale, embedded, false, 1).Expand(context.Size(0), embedded))
		}
		return kept
	})
	c.Context, kept = kept[0], kept[1:]
	if len(kept) >= 2 {
		c.Pooled, c.TimeIDs, kept = kept[0], kept[1], kept[2:]
	}
	if len(kept) == 1 {
		c.Guidance = kept[0]
	}
	return c, nil
}

func (p *Pipeline) encodeNegative(w backbone.Wording, context, pooled torch.Tensor) (no, noPooled torch.Tensor) {
	if p.zerosForEmpty && w.Negative == "" {
		return context.ZerosLike(), pooled.ZerosLike()
	}
	no, noPooled = p.encode([]string{w.Negative}, 0, w.Lost)
	repeat := func(t torch.Tensor, dims ...int64) torch.Tensor {
		return t.Expand(append([]int64{int64(len(w.Prompts))}, dims...)...)
	}
	if noPooled.Defined() {
		noPooled = repeat(noPooled, -1)
	}
	return repeat(no, -1, -1), noPooled
}

// encode gives context [B,N,D] and, of SDXL, pooled [B,P].
func (p *Pipeline) encode(prompts []string, skip int, lost func(prompt, words string)) (context, pooled torch.Tensor) {
	var states []torch.Tensor
	for _, e := range p.Encoders {
		ids := make([][]int64, len(prompts))
		var counts []int
		for i, prompt := range prompts {
			tokens := e.Tokenizer.Encode(prompt)
			if ids[i] = tokens.IDs; e.Text.Config.UseAttentionMask && !p.XL() { // diffusers does not read it for SDXL
				counts = append(counts, tokens.Count)
			}
			if tokens.Lost != "" && lost != nil && len(states) == 0 {
				lost(prompt, tokens.Lost)
			}
		}
		out := e.Text.ForwardMasked(ids, counts)
		last := len(out.States) - 1
		switch {
		case p.XL():
			states, pooled = append(states, out.States[last-1-skip]), out.Pooled
		case skip > 0:
			states = append(states, e.Text.FinalNorm(out.States[last-skip]))
		default:
			states = append(states, out.Last)
		}
	}
	return torch.Cat(states, 2), pooled
}

func catDefined(a, b torch.Tensor) torch.Tensor {
	if !a.Defined() {
		return b
	}
	return torch.Cat([]torch.Tensor{a, b}, 0)
}

// timeIDs tells SDXL that images are whole and of their own size (arXiv 2307.01952, section 2.2).
// They stay float32 until they are embedded; diffusers rounds them to the model's type, which changes
// no multiple of 8 up to 2048.
func (p *Pipeline) timeIDs(rows int64, w backbone.Wording) torch.Tensor {
	h, width := float32(w.Height), float32(w.Width)
	ids := torch.From([]float32{h, width, 0, 0, h, width}, 1, 6).ToDevice(p.device, torch.Float32)
	return ids.Expand(rows, 6)
}
