package nn

import (
	"math"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// Whatever operator this libtorch offers, and however small the blocks of the one spelled out, the
// numbers are those of one block.
func TestAttentionBlocksAgree(t *testing.T) {
	torchtest.Run(t, func() {
		g, err := torch.NewGenerator(torch.CPU, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		q, k, v := g.Randn(torch.Float64, 2, 3, 9, 8), g.Randn(torch.Float64, 2, 3, 13, 8), g.Randn(torch.Float64, 2, 3, 13, 8)
		masks := map[string]torch.Tensor{
			"none": {}, "of every query": g.Randn(torch.Float64, 2, 1, 9, 13), "of one row": g.Randn(torch.Float64, 2, 1, 1, 13),
		}
		for name, mask := range masks {
			for _, causal := range []bool{false, true} {
				torch.NoGrad(func() {
					whole := plainAttention(q, k, v, mask, causal, math.MaxInt64)
					for _, most := range []int64{1, 2 * 2 * 3 * 13, 5 * 2 * 3 * 13} { // scores: 1, 2 and 5 queries at a time
						if d := torchtest.MaxDiff(plainAttention(q, k, v, mask, causal, most), whole); d > 1e-14 {
							t.Errorf("mask %s, causal %v, at most %d scores: differs by %g", name, causal, most, d)
						}
					}
					if torch.HasFusedAttention() {
						if d := torchtest.MaxDiff(fusedAttention(q, k, v, mask, causal), whole); d > 1e-12 {
							t.Errorf("mask %s, causal %v: the fused operator differs by %g", name, causal, d)
						}
					}
				})
			}
		}
	})
}

func TestAttentionGradient(t *testing.T) {
	torchtest.Run(t, func() {
		g, err := torch.NewGenerator(torch.CPU, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		weight := g.Randn(torch.Float64, 1, 2, 3, 4)
		torchtest.CheckGrad(t, 1e-7, func(x []torch.Tensor) torch.Tensor {
			return plainAttention(x[0], x[1], x[2], torch.Tensor{}, true, maxScores).Mul(weight).Sum()
		}, g.Randn(torch.Float64, 1, 2, 3, 4), g.Randn(torch.Float64, 1, 2, 3, 4), g.Randn(torch.Float64, 1, 2, 3, 4))
	})
}
