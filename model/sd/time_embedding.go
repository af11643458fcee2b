package sd

import (
	"math"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// sinusoids writes each of the numbers t [N] as cosines and sines of width/2 frequencies from 1 down to
// 1/10000 (Vaswani et al., arXiv 1706.03762, section 3.5): [N,width], float32 as in diffusers, whose
// rounding the networks know. flip puts cosines first; shift is taken off the number of frequencies
// that their spacing counts.
func sinusoids(t torch.Tensor, width int64, flip bool, shift float64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		half := width / 2
		exponents := torch.Arange(0, float64(half), 1, torch.Float32, t.Device()).MulScalar(-math.Log(10000))
		frequencies := exponents.DivScalar(float64(half) - shift).Exp()
		angles := t.To(torch.Float32).Unsqueeze(-1).Mul(frequencies) // [N,half]
		parts := []torch.Tensor{angles.Sin(), angles.Cos()}
		if flip {
			parts[0], parts[1] = parts[1], parts[0]
		}
		if width%2 == 1 {
			parts = append(parts, torch.Zeros(torch.Float32, t.Device(), t.Size(0), 1))
		}
		return torch.Cat(parts, -1)
	})
}

// timeEmbedding is two linear layers: keys linear_1 and linear_2, and cond_proj for a condition.
type timeEmbedding struct {
	linear1, linear2 *nn.Linear
	condProj         *nn.Linear // of a condition that is added before; nil without
}

func newTimeEmbedding(in, out int64, p nn.Params) *timeEmbedding {
	return &timeEmbedding{linear1: nn.NewLinear(in, out, p.Sub("linear_1")), linear2: nn.NewLinear(out, out, p.Sub("linear_2"))}
}

// forward maps [B,in] to [B,out].
func (e *timeEmbedding) forward(x torch.Tensor) torch.Tensor {
	return e.forwardWith(x, torch.Tensor{})
}

// forwardWith is forward with a condition [B,C], if there is one.
func (e *timeEmbedding) forwardWith(x, condition torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		if condition.Defined() {
			x = x.To(e.condProj.Weight.DType()).Add(e.condProj.Forward(condition.To(e.condProj.Weight.DType())))
		}
		return e.linear2.Forward(e.linear1.Forward(x.To(e.linear1.Weight.DType())).SiLU())
	})
}
