package sd

import (
	"fmt"

	"focusnfix/model/clip"
	"focusnfix/model/torch"
)

// Encoder turns prompts into what the UNet attends to.
type Encoder struct {
	Tokenizer *clip.Tokenizer
	Text      *clip.Text
}

// Conditioning is what the UNet is told about B pictures beside latents and timestep. With guidance
// there are 2B rows: those of the negative prompt first.
type Conditioning struct {
	Context       torch.Tensor // [B or 2B,N,D] the text encoders' states
	Pooled        torch.Tensor // [B or 2B,P] SDXL: the second encoder's projected state
	TimeIDs       torch.Tensor // [B or 2B,6] SDXL: original size, crop, target size in pixels
	GuidanceScale float64      // 1 or less is no guidance
}

// Guided tells whether the conditioning has rows of the negative prompt.
func (c Conditioning) Guided() bool { return c.GuidanceScale > 1 }

// Wording is how prompts are put to the model.
type Wording struct {
	Prompts       []string // one per picture
	Negative      string   // of all pictures; "" is none
	GuidanceScale float64  // 1 or less is no guidance
	ClipSkip      int      // layers of the text encoder to leave out before its end
	Width, Height int64    // pixels; only SDXL is told

	// Lost, if set, is called for a prompt that does not fit into the model's context, with the words
	// that are cut off.
	Lost func(prompt, words string)
}

// Condition encodes prompts. Tensors go to the open scope.
//
// As in diffusers, ClipSkip acts on the prompts but not on the negative prompt, and SDXL takes the
// state before the last layer, and zeros in place of an empty negative prompt if it was trained so.
func (p *Pipeline) Condition(w Wording) (Conditioning, error) {
	layers := p.Encoders[0].Text.Config.NumHiddenLayers
	if w.ClipSkip < 0 || w.ClipSkip >= layers {
		return Conditioning{}, fmt.Errorf("clip skip %d, want 0 to %d", w.ClipSkip, layers-1)
	}
	c := Conditioning{GuidanceScale: w.GuidanceScale}
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
		return kept
	})
	c.Context = kept[0]
	if len(kept) > 1 {
		c.Pooled, c.TimeIDs = kept[1], kept[2]
	}
	return c, nil
}

func (p *Pipeline) encodeNegative(w Wording, context, pooled torch.Tensor) (no, noPooled torch.Tensor) {
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
		for i, prompt := range prompts {
			tokens := e.Tokenizer.Encode(prompt)
			ids[i] = tokens.IDs
			if tokens.Lost != "" && lost != nil && len(states) == 0 {
				lost(prompt, tokens.Lost)
			}
		}
		out := e.Text.Forward(ids)
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

// timeIDs tells SDXL that pictures are whole and of their own size (arXiv 2307.01952, section 2.2).
// They stay float32 until they are embedded; diffusers rounds them to the model's type, which changes
// no multiple of 8 up to 2048.
func (p *Pipeline) timeIDs(rows int64, w Wording) torch.Tensor {
	h, width := float32(w.Height), float32(w.Width)
	ids := torch.From([]float32{h, width, 0, 0, h, width}, 1, 6).ToDevice(p.device, torch.Float32)
	return ids.Expand(rows, 6)
}
