package nn

import (
	"math"

	"focusnfix/model/torch"
)

// Sinusoids writes each of the numbers t [N] as cosines and sines of width/2 frequencies from 1 down to
// 1/10000 (Vaswani et al., arXiv 1706.03762, section 3.5): [N,width], float32 as in diffusers, whose
// rounding the networks know. flip puts cosines first; shift is taken off the number of frequencies
// that their spacing counts.
func Sinusoids(t torch.Tensor, width int64, flip bool, shift float64) torch.Tensor {
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

// TimeEmbedding is two linear layers with SiLU between: keys linear_1 and linear_2.
type TimeEmbedding struct{ linear1, linear2 *Linear }

// NewTimeEmbedding maps a width of in to out.
func NewTimeEmbedding(in, out int64, p Params) *TimeEmbedding {
	return &TimeEmbedding{NewLinear(in, out, p.Sub("linear_1")), NewLinear(out, out, p.Sub("linear_2"))}
}

// Forward maps [B,in] to [B,out], in the element type of the weights.
func (e *TimeEmbedding) Forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return e.linear2.Forward(e.linear1.Forward(x.To(e.linear1.Weight.DType())).SiLU())
	})
}
