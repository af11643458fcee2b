package torch_test

import (
	"math"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestGELUGradientOfAnotherLayout sends a channels-last gradient back through GELU of a contiguous
// tensor. libtorch 1.13's oneDNN kernel then writes its result elsewhere and hands back memory that
// nobody wrote; freed memory of the same size is filled with NaN here, so that it shows.
func TestGELUGradientOfAnotherLayout(t *testing.T) {
	torchtest.Need(t)
	torchtest.Run(t, func() {
		x := newGenerator(t, 1).Randn(torch.Float32, 2, 16, 16, 16).SetRequiresGrad(true)
		upstream := newGenerator(t, 2).Randn(torch.Float32, 2, 256, 16)
		gradient := func(y torch.Tensor) torch.Tensor {
			return torch.Scope(func() torch.Tensor {
				torch.Scope(func() torch.Tensor {
					for range 8 {
						torch.Full(math.NaN(), torch.Float32, torch.CPU, 2, 16, 16, 16)
					}
					return torch.Tensor{}
				})
				tokens := y.Flatten(2).Transpose(1, 2) // [2,256,16]: its gradient lies as channels-last
				return torch.Grad([]torch.Tensor{tokens.Mul(upstream).Sum()}, []torch.Tensor{x}, nil)[0]
			})
		}
		got := gradient(x.GELU())
		slope := make([]float32, 0, x.Numel()) // Φ(x) + x·φ(x)
		for _, v := range x.Doubles() {
			slope = append(slope, float32((1+math.Erf(v/math.Sqrt2))/2+v*math.Exp(-v*v/2)/math.Sqrt(2*math.Pi)))
		}
		want := upstream.Transpose(1, 2).Reshape(x.Shape()...).Mul(torch.From(slope, x.Shape()...))
		if d := torchtest.MaxDiff(got, want); !(d < 1e-5) {
			t.Errorf("gradient differs by %g from that of x·Φ(x)", d)
		}
	})
}
