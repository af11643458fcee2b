package sd

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

const (
	transformerNormEps = 1e-6 // of the group norm before a transformer
	layerNormEps       = 1e-5
)

// transformer is diffusers' Transformer2DModel: the pixels of a feature map as tokens, which attend to
// each other and to the text.
type transformer struct {
	norm              *nn.GroupNorm
	projIn, projOut   projection
	transformerBlocks []*transformerBlock
}

// projection is a linear layer over tokens (SD 2.x, SDXL) or a 1x1 convolution over the image
// (SD 1.x): the same numbers in another shape.
type projection struct {
	linear *nn.Linear
	conv   *nn.Conv2d
}

func newProjection(channels int64, linear bool, p nn.Params) projection {
	if linear {
		return projection{linear: nn.NewLinear(channels, channels, p)}
	}
	return projection{conv: nn.NewConv2d(channels, channels, 1, torch.Conv{}, p)}
}

// newTransformer makes depth blocks over channels of an image; context is the text's width.
func newTransformer(channels, heads, depth, context, groups int64, linear bool, p nn.Params) *transformer {
	t := &transformer{
		norm:   nn.NewGroupNorm(groups, channels, transformerNormEps, p.Sub("norm")),
		projIn: newProjection(channels, linear, p.Sub("proj_in")),
	}
	for i := range int(depth) {
		t.transformerBlocks = append(t.transformerBlocks, newTransformerBlock(channels, heads, context, p.Sub("transformer_blocks").At(i)))
	}
	t.projOut = newProjection(channels, linear, p.Sub("proj_out"))
	return t
}

// text is what the image attends to.
type text struct {
	states torch.Tensor // [B,N,D]
	// attended, if set, is shown how: attention weights [B,heads,H·W,N], float32, of a layer whose image is H x W.
	// They live until it returns.
	attended func(weights torch.Tensor, H, W int64)
}

// forward keeps the shape of x [B,C,H,W].
func (t *transformer) forward(x torch.Tensor, context text) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		B, C, H, W := x.Size(0), x.Size(1), x.Size(2), x.Size(3)
		h := t.norm.Forward(x)
		if t.projIn.conv != nil {
			h = t.projIn.conv.Forward(h)
		}
		h = h.Permute(0, 2, 3, 1).Reshape(B, H*W, C)
		if t.projIn.linear != nil {
			h = t.projIn.linear.Forward(h)
		}
		for _, block := range t.transformerBlocks {
			h = block.forward(h, context.states, context.seenAt(H, W))
		}
		if t.projOut.linear != nil {
			h = t.projOut.linear.Forward(h)
		}
		h = h.Reshape(B, H, W, C).Permute(0, 3, 1, 2)
		if t.projOut.conv != nil {
			h = t.projOut.conv.Forward(h.Contiguous())
		}
		return h.Add(x)
	})
}

// seenAt is attended for a layer's size; nil for nobody.
func (t text) seenAt(H, W int64) func(weights torch.Tensor) {
	if t.attended == nil {
		return nil
	}
	return func(weights torch.Tensor) { t.attended(weights, H, W) }
}

// transformerBlock is diffusers' BasicTransformerBlock: attention among tokens, attention to the text,
// and a gated feed-forward layer, each normed first and added.
type transformerBlock struct {
	norm1, norm2, norm3 *nn.LayerNorm
	attn1, attn2        *attention
	ff                  *feedForward
}

func newTransformerBlock(channels, heads, context int64, p nn.Params) *transformerBlock {
	return &transformerBlock{
		norm1: nn.NewLayerNorm(channels, layerNormEps, p.Sub("norm1")),
		attn1: newAttention(channels, channels, heads, p.Sub("attn1")),
		norm2: nn.NewLayerNorm(channels, layerNormEps, p.Sub("norm2")),
		attn2: newAttention(channels, context, heads, p.Sub("attn2")),
		norm3: nn.NewLayerNorm(channels, layerNormEps, p.Sub("norm3")),
		ff:    newFeedForward(channels, p.Sub("ff")),
	}
}

// forward keeps the shape of x [B,N,C]; context is [B,M,D]. seen, if not nil, is shown the attention to the context.
func (b *transformerBlock) forward(x, context torch.Tensor, seen func(weights torch.Tensor)) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := torch.Scope(func() torch.Tensor {
			normed := b.norm1.Forward(x)
			return x.Add(b.attn1.forward(normed, normed, nil))
		})
		x = torch.Scope(func() torch.Tensor { return x.Add(b.attn2.forward(b.norm2.Forward(x), context, seen)) })
		return x.Add(b.ff.forward(b.norm3.Forward(x)))
	})
}

// attention has heads of width channels/heads.
type attention struct {
	toQ, toK, toV, toOut *nn.Linear
	heads                int64
}

func newAttention(channels, context, heads int64, p nn.Params) *attention {
	return &attention{
		toQ:   nn.NewLinearNoBias(channels, channels, p.Sub("to_q")),
		toK:   nn.NewLinearNoBias(context, channels, p.Sub("to_k")),
		toV:   nn.NewLinearNoBias(context, channels, p.Sub("to_v")),
		toOut: nn.NewLinear(channels, channels, p.Sub("to_out").At(0)),
		heads: heads,
	}
}

// forward lets x [B,N,C] attend to context [B,M,D], and shows the weights [B,heads,N,M] to seen if that is not nil.
func (a *attention) forward(x, context torch.Tensor, seen func(weights torch.Tensor)) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		B, N, C := x.Size(0), x.Size(1), x.Size(2)
		split := func(t torch.Tensor) torch.Tensor { // [B,M,C] to [B,heads,M,C/heads]
			return t.Reshape(B, t.Size(1), a.heads, C/a.heads).Transpose(1, 2)
		}
		q, k, v := split(a.toQ.Forward(x)), split(a.toK.Forward(context)), split(a.toV.Forward(context))
		if seen != nil {
			torch.Scope(func() torch.Tensor {
				seen(nn.AttentionWeights(q, k))
				return torch.Tensor{}
			})
		}
		out := nn.Attention(q, k, v, torch.Tensor{}, false)
		return a.toOut.Forward(out.Transpose(1, 2).Reshape(B, N, C))
	})
}

// feedForward is GEGLU (Shazeer, arXiv 2002.05202) and a linear layer: keys net.0.proj and net.2.
type feedForward struct{ proj, out *nn.Linear }

func newFeedForward(channels int64, p nn.Params) *feedForward {
	inner := 4 * channels
	return &feedForward{
		proj: nn.NewLinear(channels, 2*inner, p.Sub("net").At(0).Sub("proj")),
		out:  nn.NewLinear(inner, channels, p.Sub("net").At(2)),
	}
}

func (f *feedForward) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		halves := f.proj.Forward(x).Chunk(2, -1) // values, gates
		return f.out.Forward(halves[0].Mul(halves[1].GELU()))
	})
}
