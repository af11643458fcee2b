package qwen

import (
	"fmt"
	"math"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Decoder is the first layers of the network: what comes behind the last state that is asked for is
// never built.
type Decoder struct {
	Config Config

	embedTokens *nn.Embedding
	layers      []*layer
}

// NewDecoder builds the first depth layers. Keys may lie under "model.", as a Qwen3ForCausalLM has
// them, or bare, as a Qwen3Model.
func NewDecoder(cfg Config, depth int, p nn.Params) *Decoder {
	if depth < 1 || depth > cfg.NumHiddenLayers {
		panic(&torch.Error{Op: "qwen", Message: fmt.Sprintf("%d layers, want 1 to %d", depth, cfg.NumHiddenLayers)})
	}
	if p.Has("model.embed_tokens.weight") {
		p = p.Sub("model")
	}
	d := &Decoder{Config: cfg, embedTokens: nn.NewEmbedding(cfg.VocabSize, cfg.HiddenSize, p.Sub("embed_tokens"))}
	for i := range depth {
		d.layers = append(d.layers, newLayer(cfg, p.Sub("layers").At(i)))
	}
	return d
}

// Forward encodes one prompt of N token ids and returns the states behind the given layers, [1,N,D]
// each; 1 is behind the first, transformers' hidden_states[1]. No token sees those after it, so padding
// behind the prompt, which transformers would mask, is left out.
func (d *Decoder) Forward(ids []int64, behind ...int) []torch.Tensor {
	d.check(ids, behind)
	return torch.Scopes(func() []torch.Tensor {
		N, device := int64(len(ids)), d.embedTokens.Weight.Device()
		x := d.embedTokens.Forward(torch.From(ids, 1, N).ToDevice(device, torch.Int64))
		cos, sin := d.positions(N, device)
		states := make([]torch.Tensor, len(behind))
		for i, l := range d.layers {
			x = l.forward(x, cos, sin)
			for k, n := range behind {
				if n == i+1 {
					states[k] = x
				}
			}
		}
		return states
	})
}

func (d *Decoder) check(ids []int64, behind []int) {
	if len(ids) == 0 {
		panic(&torch.Error{Op: "qwen", Message: "no tokens"})
	}
	for _, id := range ids {
		if id < 0 || id >= d.Config.VocabSize {
			panic(&torch.Error{Op: "qwen", Message: fmt.Sprintf("token id %d, want 0 to %d: the tokenizer belongs to another model", id, d.Config.VocabSize-1)})
		}
	}
	for _, n := range behind {
		if n < 1 || n > len(d.layers) {
			panic(&torch.Error{Op: "qwen", Message: fmt.Sprintf("state behind layer %d, want 1 to %d", n, len(d.layers))})
		}
	}
}

// positions are cosines and sines [N,head_dim/2] of every token's place times head_dim/2 frequencies
// (RoPE; Su et al., arXiv 2104.09864), float32.
func (d *Decoder) positions(n int64, device torch.Device) (cos, sin torch.Tensor) {
	both := torch.Scopes(func() []torch.Tensor {
		exponents := torch.Arange(0, float64(d.Config.HeadDim), 2, torch.Float32, device).DivScalar(float64(d.Config.HeadDim))
		frequencies := exponents.MulScalar(-math.Log(d.Config.RopeTheta)).Exp()
		angles := torch.Arange(0, float64(n), 1, torch.Float32, device).Unsqueeze(1).Mul(frequencies)
		return []torch.Tensor{angles.Cos(), angles.Sin()}
	})
	return both[0], both[1]
}

// layer is causal attention and a gated feed-forward layer, each normed first and added.
type layer struct {
	inputNorm, postAttentionNorm *nn.RMSNorm
	q, k, v, o                   *nn.Linear
	qNorm, kNorm                 *nn.RMSNorm // over a head
	gate, up, down               *nn.Linear
	heads, groups                int64 // of queries; of keys and values
}

func newLayer(cfg Config, p nn.Params) *layer {
	attention, mlp := p.Sub("self_attn"), p.Sub("mlp")
	linear := func(in, out int64, name string) *nn.Linear {
		if cfg.AttentionBias {
			return nn.NewLinear(in, out, attention.Sub(name))
		}
		return nn.NewLinearNoBias(in, out, attention.Sub(name))
	}
	D, inner := cfg.HiddenSize, cfg.NumAttentionHeads*cfg.HeadDim
	return &layer{
		inputNorm:         nn.NewRMSNorm(D, cfg.RMSNormEps, p.Sub("input_layernorm")),
		q:                 linear(D, inner, "q_proj"),
		k:                 linear(D, cfg.NumKeyValueHeads*cfg.HeadDim, "k_proj"),
		v:                 linear(D, cfg.NumKeyValueHeads*cfg.HeadDim, "v_proj"),
		o:                 linear(inner, D, "o_proj"),
		qNorm:             nn.NewRMSNorm(cfg.HeadDim, cfg.RMSNormEps, attention.Sub("q_norm")),
		kNorm:             nn.NewRMSNorm(cfg.HeadDim, cfg.RMSNormEps, attention.Sub("k_norm")),
		postAttentionNorm: nn.NewRMSNorm(D, cfg.RMSNormEps, p.Sub("post_attention_layernorm")),
		gate:              nn.NewLinearNoBias(D, cfg.IntermediateSize, mlp.Sub("gate_proj")),
		up:                nn.NewLinearNoBias(D, cfg.IntermediateSize, mlp.Sub("up_proj")),
		down:              nn.NewLinearNoBias(cfg.IntermediateSize, D, mlp.Sub("down_proj")),
		heads:             cfg.NumAttentionHeads,
		groups:            cfg.NumKeyValueHeads,
	}
}

// forward keeps the shape of x [1,N,D].
func (l *layer) forward(x, cos, sin torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := x.Add(l.attend(l.inputNorm.Forward(x), cos, sin))
		normed := l.postAttentionNorm.Forward(x)
		return x.Add(l.down.Forward(l.gate.Forward(normed).SiLU().Mul(l.up.Forward(normed))))
	})
}

func (l *layer) attend(x, cos, sin torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		N := x.Size(1)
		split := func(projection *nn.Linear, heads int64) torch.Tensor { // [1,N,heads,head_dim]
			return projection.Forward(x).Reshape(1, N, heads, -1)
		}
		share := func(t torch.Tensor) torch.Tensor { // [1,groups,N,head_dim] to [1,heads,N,head_dim]
			return t.RepeatInterleave(l.heads/l.groups, 1)
		}
		q := rotate(l.qNorm.Forward(split(l.q, l.heads)).Transpose(1, 2), cos, sin)
		k := rotate(l.kNorm.Forward(split(l.k, l.groups)).Transpose(1, 2), cos, sin)
		v := split(l.v, l.groups).Transpose(1, 2)
		return l.o.Forward(nn.Attention(q, share(k), share(v), torch.Tensor{}, true).Transpose(1, 2).Reshape(1, N, -1))
	})
}

// rotate turns the halves of every head [1,heads,N,D] against each other by the angles [N,D/2], which are
// rounded to the element type first, as in transformers.
func rotate(x, cos, sin torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		c, s := cos.To(x.DType()), sin.To(x.DType())
		halves := x.Chunk(2, -1)
		a, b := halves[0], halves[1]
		return torch.Cat([]torch.Tensor{a.Mul(c).Sub(b.Mul(s)), b.Mul(c).Add(a.Mul(s))}, -1)
	})
}
