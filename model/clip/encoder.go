package clip

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// layer is one pre-norm transformer block; text and vision share it.
type layer struct {
	norm1, norm2               *nn.LayerNorm
	qProj, kProj, vProj, oProj *nn.Linear
	fc1, fc2                   *nn.Linear

	heads  int64
	causal bool
	act    func(torch.Tensor) torch.Tensor
}

// width is what the layers of one encoder have in common.
type width struct {
	hidden, intermediate, heads int64
	layers                      int
	eps                         float64
	act                         string
	causal                      bool
}

func newLayers(w width, p nn.Params) []*layer {
	layers := make([]*layer, w.layers)
	for i := range layers {
		layers[i] = newLayer(w, p.Sub("layers").At(i))
	}
	return layers
}

func newLayer(w width, p nn.Params) *layer {
	attn, mlp := p.Sub("self_attn"), p.Sub("mlp")
	l := &layer{
		norm1: nn.NewLayerNorm(w.hidden, w.eps, p.Sub("layer_norm1")),
		norm2: nn.NewLayerNorm(w.hidden, w.eps, p.Sub("layer_norm2")),
		qProj: nn.NewLinear(w.hidden, w.hidden, attn.Sub("q_proj")),
		kProj: nn.NewLinear(w.hidden, w.hidden, attn.Sub("k_proj")),
		vProj: nn.NewLinear(w.hidden, w.hidden, attn.Sub("v_proj")),
		oProj: nn.NewLinear(w.hidden, w.hidden, attn.Sub("out_proj")),
		fc1:   nn.NewLinear(w.hidden, w.intermediate, mlp.Sub("fc1")),
		fc2:   nn.NewLinear(w.intermediate, w.hidden, mlp.Sub("fc2")),
		heads: w.heads, causal: w.causal, act: quickGELU,
	}
	if w.act == "gelu" {
		l.act = torch.Tensor.GELU
	}
	return l
}

// quickGELU is OpenAI's x·σ(1.702x), an approximation of GELU that their weights were trained with.
func quickGELU(x torch.Tensor) torch.Tensor { return x.Mul(x.MulScalar(1.702).Sigmoid()) }

// forward maps x [B,N,D] to [B,N,D].
func (l *layer) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := x.Add(l.attend(l.norm1.Forward(x)))
		return x.Add(l.fc2.Forward(l.act(l.fc1.Forward(l.norm2.Forward(x)))))
	})
}

func (l *layer) attend(x torch.Tensor) torch.Tensor {
	B, N, D := x.Size(0), x.Size(1), x.Size(2)
	split := func(p *nn.Linear) torch.Tensor { // [B,heads,N,D/heads]
		return p.Forward(x).Reshape(B, N, l.heads, D/l.heads).Transpose(1, 2)
	}
	out := nn.Attention(split(l.qProj), split(l.kProj), split(l.vProj), torch.Tensor{}, l.causal)
	return l.oProj.Forward(out.Transpose(1, 2).Reshape(B, N, D))
}

// run applies the layers and keeps every state: the input first, then each layer's output.
func run(layers []*layer, x torch.Tensor) []torch.Tensor {
	states := []torch.Tensor{x}
	for _, l := range layers {
		states = append(states, l.forward(states[len(states)-1]))
	}
	return states
}
