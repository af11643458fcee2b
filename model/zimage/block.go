package zimage

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

const headNormEps = 1e-5

// block is attention and a gated feed-forward layer, each normed before and behind (a sandwich). A modulated
// block scales what goes in and gates what comes out by numbers made from the condition.
type block struct {
	attention                *attention
	w1, w2, w3               *nn.Linear // feed_forward
	attentionNorm1, ffnNorm1 *nn.RMSNorm
	attentionNorm2, ffnNorm2 *nn.RMSNorm
	modulation               *nn.Linear // nil without
}

func newBlock(cfg Config, modulated bool, p nn.Params) *block {
	D, inner := cfg.Dim, int64(float64(cfg.Dim)/3*8)
	forward := p.Sub("feed_forward")
	norm := func(name string) *nn.RMSNorm { return nn.NewRMSNorm(D, cfg.NormEps, p.Sub(name)) }
	b := &block{
		attention:      newAttention(cfg, p.Sub("attention")),
		w1:             nn.NewLinearNoBias(D, inner, forward.Sub("w1")),
		w2:             nn.NewLinearNoBias(inner, D, forward.Sub("w2")),
		w3:             nn.NewLinearNoBias(D, inner, forward.Sub("w3")),
		attentionNorm1: norm("attention_norm1"),
		ffnNorm1:       norm("ffn_norm1"),
		attentionNorm2: norm("attention_norm2"),
		ffnNorm2:       norm("ffn_norm2"),
	}
	if modulated {
		b.modulation = nn.NewLinear(min(D, timeWidth), 4*D, p.Sub("adaLN_modulation").At(0))
	}
	return b
}

// forward keeps the shape of x [B,N,D]; condition is [1,min(D,256)], no tensor where the block is not
// modulated.
func (b *block) forward(x torch.Tensor, at places, condition torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		if b.modulation == nil {
			x := x.Add(b.attentionNorm2.Forward(b.attention.forward(b.attentionNorm1.Forward(x), at)))
			return x.Add(b.ffnNorm2.Forward(b.feedForward(b.ffnNorm1.Forward(x))))
		}
		m := b.modulation.Forward(condition).Unsqueeze(1).Chunk(4, 2) // scale, gate, scale, gate: [1,1,D]
		scaled := b.attentionNorm1.Forward(x).Mul(m[0].AddScalar(1))
		x := x.Add(b.attentionNorm2.Forward(b.attention.forward(scaled, at)).Mul(m[1].Tanh()))
		scaled = b.ffnNorm1.Forward(x).Mul(m[2].AddScalar(1))
		return x.Add(b.ffnNorm2.Forward(b.feedForward(scaled)).Mul(m[3].Tanh()))
	})
}

// feedForward is SwiGLU (Shazeer, arXiv 2002.05202).
func (b *block) feedForward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return b.w2.Forward(b.w1.Forward(x).SiLU().Mul(b.w3.Forward(x))) })
}

// attention turns queries and keys by where their tokens stand.
type attention struct {
	toQ, toK, toV, toOut *nn.Linear
	normQ, normK         *nn.RMSNorm // over a head; nil without
	heads                int64
}

func newAttention(cfg Config, p nn.Params) *attention {
	linear := func(p nn.Params) *nn.Linear { return nn.NewLinearNoBias(cfg.Dim, cfg.Dim, p) }
	a := &attention{
		toQ: linear(p.Sub("to_q")), toK: linear(p.Sub("to_k")), toV: linear(p.Sub("to_v")), toOut: linear(p.Sub("to_out").At(0)),
		heads: cfg.Heads,
	}
	if cfg.QKNorm {
		width := cfg.Dim / cfg.Heads
		a.normQ, a.normK = nn.NewRMSNorm(width, headNormEps, p.Sub("norm_q")), nn.NewRMSNorm(width, headNormEps, p.Sub("norm_k"))
	}
	return a
}

// forward keeps the shape of x [B,N,D].
func (a *attention) forward(x torch.Tensor, at places) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		B, N := x.Size(0), x.Size(1)
		split := func(projection *nn.Linear) torch.Tensor { // [B,N,heads,D/heads]
			return projection.Forward(x).Reshape(B, N, a.heads, -1)
		}
		turned := func(projection *nn.Linear, norm *nn.RMSNorm) torch.Tensor {
			heads := split(projection)
			if norm != nil {
				heads = norm.Forward(heads)
			}
			return rotate(heads, at).Transpose(1, 2)
		}
		out := nn.Attention(turned(a.toQ, a.normQ), turned(a.toK, a.normK), split(a.toV).Transpose(1, 2), torch.Tensor{}, false)
		return a.toOut.Forward(out.Transpose(1, 2).Reshape(B, N, -1))
	})
}

// rotate turns neighboring pairs of numbers of every head [B,N,heads,D] by the angles of its place, in
// float32.
func rotate(x torch.Tensor, at places) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return nn.RotatePairs(x.To(torch.Float32), at.cos.Unsqueeze(1), at.sin.Unsqueeze(1)).To(x.DType()) // angles [N,1,D/2]
	})
}
