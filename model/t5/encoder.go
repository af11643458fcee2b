package t5

import (
	"fmt"
	"math"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Encoder is a stack of pre-norm transformer layers that see the whole prompt. Where a token stands
// is told by a bias on the attention scores, the same in every layer.
type Encoder struct {
	Config Config

	shared         *nn.Embedding
	positionBias   *nn.Embedding // [buckets,heads]: relative_attention_bias of the first layer
	block          []*layer
	finalLayerNorm *nn.RMSNorm
}

// NewEncoder builds an encoder. The embedding may be called shared, or encoder.embed_tokens, as files
// have either or both.
func NewEncoder(cfg Config, p nn.Params) *Encoder {
	body := p.Sub("encoder")
	embedding := p.Sub("shared")
	if !p.Has("shared.weight") && p.Has("encoder.embed_tokens.weight") {
		embedding = body.Sub("embed_tokens")
	}
	e := &Encoder{
		Config: cfg,
		shared: nn.NewEmbedding(cfg.VocabSize, cfg.DModel, embedding),
	}
	blocks := body.Sub("block")
	for i := range cfg.NumLayers {
		e.block = append(e.block, newLayer(cfg, blocks.At(i).Sub("layer")))
		if i == 0 {
			bias := blocks.At(0).Sub("layer").At(0).Sub("SelfAttention").Sub("relative_attention_bias")
			e.positionBias = nn.NewEmbedding(cfg.Buckets, cfg.NumHeads, bias)
		}
	}
	e.finalLayerNorm = nn.NewRMSNorm(cfg.DModel, cfg.NormEps, body.Sub("final_layer_norm"))
	return e
}

// Forward encodes B prompts of N token ids each: [B,N,d_model]. Padding is read like any token, as
// Stable Diffusion 3 was trained.
func (e *Encoder) Forward(ids [][]int64) torch.Tensor {
	flat := e.flatten(ids)
	B, N := int64(len(ids)), int64(len(ids[0]))
	return torch.Scope(func() torch.Tensor {
		device := e.shared.Weight.Device()
		x := e.shared.Forward(torch.From(flat, B, N).ToDevice(device, torch.Int64)) // [B,N,D]
		buckets := torch.From(e.buckets(N), N*N).ToDevice(device, torch.Int64)
		bias := e.positionBias.Forward(buckets).Reshape(1, N, N, e.Config.NumHeads).Permute(0, 3, 1, 2) // [1,heads,N,N]
		for _, l := range e.block {
			x = l.forward(x, bias)
		}
		return e.finalLayerNorm.Forward(x)
	})
}

// flatten checks the ids and writes them behind one another.
func (e *Encoder) flatten(ids [][]int64) []int64 {
	var flat []int64
	for i, row := range ids {
		if len(row) == 0 || len(row) != len(ids[0]) {
			panic(&torch.Error{Op: "t5", Message: fmt.Sprintf("prompt %d has %d tokens, want as many as the first, at least 1", i, len(row))})
		}
		for _, id := range row {
			if id < 0 || id >= e.Config.VocabSize {
				panic(&torch.Error{Op: "t5", Message: fmt.Sprintf("token id %d, want 0 to %d: the tokenizer belongs to another model", id, e.Config.VocabSize-1)})
			}
		}
		flat = append(flat, row...)
	}
	if len(flat) == 0 {
		panic(&torch.Error{Op: "t5", Message: "no prompts"})
	}
	return flat
}

// buckets sorts the distances from every query to every key, [N,N]: half of the buckets for keys
// behind the query, half for those before it; near ones have a bucket each, farther ones share them
// in proportion to the logarithm of the distance (arXiv 1910.10683, section 2.1).
func (e *Encoder) buckets(n int64) []int64 {
	half := e.Config.Buckets / 2
	exact := half / 2
	span := math.Log(float64(e.Config.MaxDistance) / float64(exact))
	table := make([]int64, 0, n*n)
	for query := range n {
		for key := range n {
			distance, bucket := key-query, int64(0)
			if distance > 0 {
				bucket = half
			}
			if distance < 0 {
				distance = -distance
			}
			if distance < exact {
				table = append(table, bucket+distance)
				continue
			}
			// in float32, as PyTorch computes it: a float64 would round some distances the other way
			ratio := float32(math.Log(float64(float32(distance)/float32(exact)))) / float32(span) * float32(half-exact)
			table = append(table, bucket+min(exact+int64(ratio), half-1))
		}
	}
	return table
}

// layer is attention and a feed-forward layer, each normed first and added.
type layer struct {
	norm1, norm2 *nn.RMSNorm
	q, k, v, o   *nn.Linear
	wi0, wi1, wo *nn.Linear // wi1 is nil without a gate
	heads        int64
}

func newLayer(cfg Config, p nn.Params) *layer {
	attention, feedForward := p.At(0).Sub("SelfAttention"), p.At(1).Sub("DenseReluDense")
	inner := cfg.NumHeads * cfg.DKV
	l := &layer{
		norm1: nn.NewRMSNorm(cfg.DModel, cfg.NormEps, p.At(0).Sub("layer_norm")),
		q:     nn.NewLinearNoBias(cfg.DModel, inner, attention.Sub("q")),
		k:     nn.NewLinearNoBias(cfg.DModel, inner, attention.Sub("k")),
		v:     nn.NewLinearNoBias(cfg.DModel, inner, attention.Sub("v")),
		o:     nn.NewLinearNoBias(inner, cfg.DModel, attention.Sub("o")),
		norm2: nn.NewRMSNorm(cfg.DModel, cfg.NormEps, p.At(1).Sub("layer_norm")),
		heads: cfg.NumHeads,
	}
	if cfg.FeedForward == gatedGELU {
		l.wi0 = nn.NewLinearNoBias(cfg.DModel, cfg.DFF, feedForward.Sub("wi_0"))
		l.wi1 = nn.NewLinearNoBias(cfg.DModel, cfg.DFF, feedForward.Sub("wi_1"))
	} else {
		l.wi0 = nn.NewLinearNoBias(cfg.DModel, cfg.DFF, feedForward.Sub("wi"))
	}
	l.wo = nn.NewLinearNoBias(cfg.DFF, cfg.DModel, feedForward.Sub("wo"))
	return l
}

// forward keeps the shape of x [B,N,D]; bias [1,heads,N,N] is added to the scores.
func (l *layer) forward(x, bias torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := x.Add(l.attend(l.norm1.Forward(x), bias))
		return x.Add(l.wo.Forward(l.between(l.norm2.Forward(x))))
	})
}

// attend does not divide scores by the square root of the head's width, as T5 never did.
func (l *layer) attend(x, bias torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		B, N := x.Size(0), x.Size(1)
		split := func(projection *nn.Linear) torch.Tensor { // [B,heads,N,d_kv]
			return projection.Forward(x).Reshape(B, N, l.heads, -1).Transpose(1, 2)
		}
		q := split(l.q)
		q = q.MulScalar(math.Sqrt(float64(q.Size(3))))
		return l.o.Forward(nn.Attention(q, split(l.k), split(l.v), bias, false).Transpose(1, 2).Reshape(B, N, -1))
	})
}

// between is what stands between the two feed-forward layers.
func (l *layer) between(x torch.Tensor) torch.Tensor {
	if l.wi1 == nil {
		return l.wi0.Forward(x).ReLU()
	}
	return l.wi0.Forward(x).GELUTanh().Mul(l.wi1.Forward(x))
}
