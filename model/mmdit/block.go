package mmdit

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// block is diffusers' JointTransformerBlock: image and text tokens attend to all of both, then each
// stream has a feed-forward layer of its own. What comes in is normed, scaled and shifted, and what
// goes out is gated, by numbers made from the condition (adaLN-Zero; Peebles & Xie, arXiv 2212.09748).
type block struct {
	norm1, norm1Context *modulation
	attn                *jointAttention
	attn2               *jointAttention // of image tokens among themselves; nil where not dual
	ff                  *feedForward
	ffContext           *feedForward // nil in the last block, whose text nobody reads
	kind                blockKind
}

// blockKind is in what blocks of one network differ.
type blockKind struct{ dual, last bool }

// newBlock makes a block: norm1 has shift, scale and gate before attention, the same three before the
// feed-forward layer, and three more where attention is dual.
func newBlock(cfg Config, kind blockKind, p nn.Params) *block {
	width, image, text := cfg.width(), int64(6), int64(6)
	if kind.dual {
		image = 9
	}
	if kind.last {
		text = 2
	}
	b := &block{
		norm1:        newModulation(width, image, p.Sub("norm1")),
		norm1Context: newModulation(width, text, p.Sub("norm1_context")),
		attn:         newJointAttention(cfg, true, kind.last, p.Sub("attn")),
		kind:         kind,
	}
	if kind.dual {
		b.attn2 = newJointAttention(cfg, false, false, p.Sub("attn2"))
	}
	b.ff = newFeedForward(width, p.Sub("ff"))
	if !kind.last {
		b.ffContext = newFeedForward(width, p.Sub("ff_context"))
	}
	return b
}

// forward keeps the shapes of image [B,N,D] and text [B,M,D]; act is SiLU of the condition, [B,D].
// The text of the last block is no tensor.
func (b *block) forward(image, text, act torch.Tensor) (nextImage, nextText torch.Tensor) {
	both := torch.Scopes(func() []torch.Tensor {
		m, c := b.norm1.forward(act), b.norm1Context.forward(act)
		attended := nn.Normalize(image, normEps)
		fromImage, fromText := b.attn.forward(affine(attended, m[0], m[1]), b.textInput(text, c))
		x := image.Add(fromImage.Mul(m[2]))
		if b.kind.dual {
			alone, _ := b.attn2.forward(affine(attended, m[6], m[7]), torch.Tensor{})
			x = x.Add(alone.Mul(m[8]))
		}
		x = x.Add(b.ff.forward(modulate(x, m[3], m[4])).Mul(m[5]))
		if b.kind.last {
			return []torch.Tensor{x, {}}
		}
		y := text.Add(fromText.Mul(c[2]))
		y = y.Add(b.ffContext.forward(modulate(y, c[3], c[4])).Mul(c[5]))
		return []torch.Tensor{x, y}
	})
	return both[0], both[1]
}

// textInput is what attention sees of the text. The last block has its scale before its shift.
func (b *block) textInput(text torch.Tensor, c []torch.Tensor) torch.Tensor {
	if b.kind.last {
		return modulate(text, c[1], c[0])
	}
	return modulate(text, c[0], c[1])
}

// modulation makes n vectors of the network's width from the condition: key linear.
type modulation struct {
	linear *nn.Linear
	n      int64
}

func newModulation(width, n int64, p nn.Params) *modulation {
	return &modulation{nn.NewLinear(width, n*width, p.Sub("linear")), n}
}

// forward maps [B,D] to n times [B,1,D].
func (m *modulation) forward(act torch.Tensor) []torch.Tensor {
	return m.linear.Forward(act).Unsqueeze(1).Chunk(m.n, 2)
}

// modulate norms x [B,N,D], scales it by 1 + scale and shifts it.
func modulate(x, shift, scale torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return affine(nn.Normalize(x, normEps), shift, scale) })
}

func affine(x, shift, scale torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return x.Mul(scale.AddScalar(1)).Add(shift) })
}

// jointAttention lets image and text tokens attend to all of both; without text it is plain attention.
type jointAttention struct {
	toQ, toK, toV, toOut                *nn.Linear
	addQ, addK, addV, toAddOut          *nn.Linear // of the text; toAddOut is nil where nobody reads it
	normQ, normK, normAddedQ, normAdded *nn.RMSNorm
	heads                               int64
}

func newJointAttention(cfg Config, joint, last bool, p nn.Params) *jointAttention {
	D := cfg.width()
	a := &jointAttention{
		toQ: nn.NewLinear(D, D, p.Sub("to_q")), toK: nn.NewLinear(D, D, p.Sub("to_k")), toV: nn.NewLinear(D, D, p.Sub("to_v")),
		toOut: nn.NewLinear(D, D, p.Sub("to_out").At(0)),
		heads: cfg.NumAttentionHeads,
	}
	norm := func(name string) *nn.RMSNorm {
		if !cfg.normed() {
			return nil
		}
		return nn.NewRMSNorm(cfg.AttentionHeadDim, normEps, p.Sub(name))
	}
	a.normQ, a.normK = norm("norm_q"), norm("norm_k")
	if !joint {
		return a
	}
	a.addQ, a.addK, a.addV = nn.NewLinear(D, D, p.Sub("add_q_proj")), nn.NewLinear(D, D, p.Sub("add_k_proj")), nn.NewLinear(D, D, p.Sub("add_v_proj"))
	a.normAddedQ, a.normAdded = norm("norm_added_q"), norm("norm_added_k")
	if !last {
		a.toAddOut = nn.NewLinear(D, D, p.Sub("to_add_out"))
	}
	return a
}

// forward keeps the shapes of image [B,N,D] and text [B,M,D]; text may be no tensor, and is none behind
// the last block.
func (a *jointAttention) forward(image, text torch.Tensor) (fromImage, fromText torch.Tensor) {
	both := torch.Scopes(func() []torch.Tensor {
		q, k, v := a.split(a.toQ, image, a.normQ), a.split(a.toK, image, a.normK), a.split(a.toV, image, nil)
		if text.Defined() {
			q = torch.Cat([]torch.Tensor{q, a.split(a.addQ, text, a.normAddedQ)}, 2)
			k = torch.Cat([]torch.Tensor{k, a.split(a.addK, text, a.normAdded)}, 2)
			v = torch.Cat([]torch.Tensor{v, a.split(a.addV, text, nil)}, 2)
		}
		N, total := image.Size(1), q.Size(2)
		out := nn.Attention(q, k, v, torch.Tensor{}, false).Transpose(1, 2).Reshape(image.Size(0), total, image.Size(2))
		results := []torch.Tensor{a.toOut.Forward(out.Narrow(1, 0, N)), {}}
		if a.toAddOut != nil {
			results[1] = a.toAddOut.Forward(out.Narrow(1, N, total-N))
		}
		return results
	})
	return both[0], both[1]
}

// split projects x [B,N,D] and cuts it into heads, [B,heads,N,D/heads], each normed where there is a norm.
func (a *jointAttention) split(projection *nn.Linear, x torch.Tensor, norm *nn.RMSNorm) torch.Tensor {
	heads := projection.Forward(x).Reshape(x.Size(0), x.Size(1), a.heads, -1).Transpose(1, 2)
	if norm == nil {
		return heads
	}
	return norm.Forward(heads)
}

// feedForward is two linear layers with GELU, approximated by tanh, between: keys net.0.proj and net.2.
type feedForward struct{ proj, out *nn.Linear }

func newFeedForward(width int64, p nn.Params) *feedForward {
	return &feedForward{nn.NewLinear(width, 4*width, p.Sub("net").At(0).Sub("proj")), nn.NewLinear(4*width, width, p.Sub("net").At(2))}
}

func (f *feedForward) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return f.out.Forward(f.proj.Forward(x).GELUTanh()) })
}
