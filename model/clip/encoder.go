package clip

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Encoder is a stack of pre-norm transformer layers. Text and vision share it, and so do image
// classifiers of the ViT kind.
type Encoder struct{ layers []*layer }

// EncoderConfig is what the layers of one encoder have in common.
type EncoderConfig struct {
	HiddenSize, IntermediateSize, NumAttentionHeads int64
	NumHiddenLayers                                 int
	LayerNormEps                                    float64
	HiddenAct                                       string // quick_gelu or gelu
	Causal                                          bool   // no token sees those after it
}

// NewEncoder builds an encoder of one layer or more: keys layers.N.
func NewEncoder(cfg EncoderConfig, p nn.Params) *Encoder {
	e := &Encoder{layers: make([]*layer, cfg.NumHiddenLayers)}
	for i := range e.layers {
		e.layers[i] = newLayer(cfg, p.Sub("layers").At(i))
	}
	return e
}

// Forward applies the layers to x [B,N,D] and keeps every state: x first, then each layer's output.
func (e *Encoder) Forward(x torch.Tensor) []torch.Tensor { return e.forwardMasked(x, torch.Tensor{}) }

// forwardMasked is Forward with a mask that is added to the scores, [B,1,1,N]; no tensor is none.
func (e *Encoder) forwardMasked(x, mask torch.Tensor) []torch.Tensor {
	states := []torch.Tensor{x}
	for _, l := range e.layers {
		states = append(states, l.forward(states[len(states)-1], mask))
	}
	return states
}

// LastNorm is the first norm of the last layer over that layer's input [B,N,D]: what the tokens show
// each other for the last time, where class activation maps are read.
func (e *Encoder) LastNorm(state torch.Tensor) torch.Tensor {
	return e.layers[len(e.layers)-1].norm1.Forward(state)
}

// FromLastNorm is the output of the last layer [B,N,D], given its input and LastNorm of it.
func (e *Encoder) FromLastNorm(state, normed torch.Tensor) torch.Tensor {
	return e.layers[len(e.layers)-1].finish(state, normed, torch.Tensor{})
}

// layer is one pre-norm transformer block; text and vision share it.
type layer struct {
	norm1, norm2               *nn.LayerNorm
	qProj, kProj, vProj, oProj *nn.Linear
	fc1, fc2                   *nn.Linear

	heads  int64
	causal bool
	act    func(torch.Tensor) torch.Tensor
}

func newLayer(cfg EncoderConfig, p nn.Params) *layer {
	attn, mlp := p.Sub("self_attn"), p.Sub("mlp")
	l := &layer{
		norm1: nn.NewLayerNorm(cfg.HiddenSize, cfg.LayerNormEps, p.Sub("layer_norm1")),
		norm2: nn.NewLayerNorm(cfg.HiddenSize, cfg.LayerNormEps, p.Sub("layer_norm2")),
		qProj: nn.NewLinear(cfg.HiddenSize, cfg.HiddenSize, attn.Sub("q_proj")),
		kProj: nn.NewLinear(cfg.HiddenSize, cfg.HiddenSize, attn.Sub("k_proj")),
		vProj: nn.NewLinear(cfg.HiddenSize, cfg.HiddenSize, attn.Sub("v_proj")),
		oProj: nn.NewLinear(cfg.HiddenSize, cfg.HiddenSize, attn.Sub("out_proj")),
		fc1:   nn.NewLinear(cfg.HiddenSize, cfg.IntermediateSize, mlp.Sub("fc1")),
		fc2:   nn.NewLinear(cfg.IntermediateSize, cfg.HiddenSize, mlp.Sub("fc2")),
		heads: cfg.NumAttentionHeads, causal: cfg.Causal, act: quickGELU,
	}
	if cfg.HiddenAct == "gelu" {
		l.act = torch.Tensor.GELU
	}
	return l
}

// quickGELU is OpenAI's x·σ(1.702x), an approximation of GELU that their weights were trained with.
func quickGELU(x torch.Tensor) torch.Tensor { return x.Mul(x.MulScalar(1.702).Sigmoid()) }

// forward maps x [B,N,D] to [B,N,D].
func (l *layer) forward(x, mask torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return l.finish(x, l.norm1.Forward(x), mask) })
}

// finish is the layer but for its first norm.
func (l *layer) finish(x, normed, mask torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := x.Add(l.attend(normed, mask))
		return x.Add(l.fc2.Forward(l.act(l.fc1.Forward(l.norm2.Forward(x)))))
	})
}

func (l *layer) attend(x, mask torch.Tensor) torch.Tensor {
	B, N, D := x.Size(0), x.Size(1), x.Size(2)
	split := func(p *nn.Linear) torch.Tensor { // [B,heads,N,D/heads]
		return p.Forward(x).Reshape(B, N, l.heads, D/l.heads).Transpose(1, 2)
	}
	out := nn.Attention(split(l.qProj), split(l.kProj), split(l.vProj), mask, l.causal)
	return l.oProj.Forward(out.Transpose(1, 2).Reshape(B, N, D))
}
