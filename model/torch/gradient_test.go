package torch_test

import (
	"math"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

func newGenerator(t testing.TB, seed uint64) *torch.Generator {
	t.Helper()
	g, err := torch.NewGenerator(torch.CPU, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// attention is softmax(q·kᵀ/√D)·v.
func attention(q, k, v torch.Tensor) torch.Tensor {
	scale := 1 / math.Sqrt(float64(q.Size(-1)))
	return q.MulScalar(scale).MatMul(k.Transpose(-2, -1)).Softmax(-1).MatMul(v)
}

// TestGradients compares the backward pass of the layers we build networks from with finite
// differences in float64. Central differences with h = 1e-6 are good to about 1e-8 there.
func TestGradients(t *testing.T) {
	torchtest.Need(t)
	none := torch.Tensor{}
	layers := map[string]struct {
		shapes  [][]int64
		forward func(xs []torch.Tensor) torch.Tensor
	}{
		"conv2d": {[][]int64{{2, 4, 5, 5}, {6, 2, 3, 3}, {6}}, func(xs []torch.Tensor) torch.Tensor {
			return xs[0].Conv2d(xs[1], xs[2], torch.Conv{Stride: 2, Padding: 1, Groups: 2})
		}},
		"group_norm": {[][]int64{{2, 6, 3, 3}, {6}, {6}}, func(xs []torch.Tensor) torch.Tensor {
			return xs[0].GroupNorm(3, xs[1], xs[2], 1e-5)
		}},
		"layer_norm": {[][]int64{{3, 7}, {7}, {7}}, func(xs []torch.Tensor) torch.Tensor {
			return xs[0].LayerNorm([]int64{7}, xs[1], xs[2], 1e-5)
		}},
		"linear": {[][]int64{{3, 5}, {4, 5}, {4}}, func(xs []torch.Tensor) torch.Tensor { return xs[0].Linear(xs[1], xs[2]) }},
		"attention": {[][]int64{{1, 2, 4, 3}, {1, 2, 5, 3}, {1, 2, 5, 3}}, func(xs []torch.Tensor) torch.Tensor {
			return attention(xs[0], xs[1], xs[2])
		}},
		"silu":      {[][]int64{{11}}, func(xs []torch.Tensor) torch.Tensor { return xs[0].SiLU() }},
		"gelu":      {[][]int64{{11}}, func(xs []torch.Tensor) torch.Tensor { return xs[0].GELU() }},
		"gelu tanh": {[][]int64{{11}}, func(xs []torch.Tensor) torch.Tensor { return xs[0].GELUTanh() }},
		"softplus":  {[][]int64{{11}}, func(xs []torch.Tensor) torch.Tensor { return xs[0].Softplus() }},
		"nearest":   {[][]int64{{1, 2, 3, 3}}, func(xs []torch.Tensor) torch.Tensor { return xs[0].UpsampleNearest(6, 6) }},
		"bilinear": {[][]int64{{1, 2, 3, 3}}, func(xs []torch.Tensor) torch.Tensor {
			return xs[0].ResizeBilinear(7, 5, torch.Resize{AlignCorners: true})
		}},
		"bicubic antialias": {[][]int64{{1, 2, 9, 9}}, func(xs []torch.Tensor) torch.Tensor {
			return xs[0].ResizeBicubic(4, 4, torch.Resize{Antialias: true})
		}},
		"vector norm": {[][]int64{{3, 4}}, func(xs []torch.Tensor) torch.Tensor { return xs[0].Norm(2, 1) }},
		"bce": {[][]int64{{6}}, func(xs []torch.Tensor) torch.Tensor {
			return xs[0].BCEWithLogits(torch.Full(0.3, torch.Float64, torch.CPU, 6), none)
		}},
		"logsumexp": {[][]int64{{3, 4}}, func(xs []torch.Tensor) torch.Tensor { return xs[0].LogSumExp(1) }},
		"einsum": {[][]int64{{2, 3}, {3, 4}}, func(xs []torch.Tensor) torch.Tensor {
			return torch.Einsum("ij,jk->ik", xs[0], xs[1])
		}},
	}
	if torch.HasFusedAttention() {
		fused := layers["attention"]
		fused.forward = func(xs []torch.Tensor) torch.Tensor {
			return torch.FusedAttention(xs[0], xs[1], xs[2], none, false)
		}
		layers["fused attention"] = fused
	}
	for name, layer := range layers {
		t.Run(name, func(t *testing.T) {
			torchtest.Run(t, func() {
				g := newGenerator(t, 1)
				var xs []torch.Tensor
				for _, shape := range layer.shapes {
					xs = append(xs, g.Randn(torch.Float64, shape...))
				}
				weights := g.Randn(torch.Float64, layer.forward(xs).Shape()...) // every output counts differently
				torchtest.CheckGrad(t, 1e-7, func(xs []torch.Tensor) torch.Tensor {
					return layer.forward(xs).Mul(weights).Sum()
				}, xs...)
			})
		})
	}
}

// TestFusedAttention compares the one operator of libtorch 2 with the explicit formula.
func TestFusedAttention(t *testing.T) {
	torchtest.Need(t)
	if !torch.HasFusedAttention() {
		t.Skipf("libtorch %s has no scaled_dot_product_attention", torch.Version())
	}
	torchtest.Run(t, func() {
		g := newGenerator(t, 2)
		q, k, v := g.Randn(torch.Float32, 2, 4, 9, 8), g.Randn(torch.Float32, 2, 4, 7, 8), g.Randn(torch.Float32, 2, 4, 7, 8)
		if d := torchtest.MaxDiff(torch.FusedAttention(q, k, v, torch.Tensor{}, false), attention(q, k, v)); d > 1e-5 {
			t.Errorf("differs by %g", d)
		}
	})
}

// TestNormAtZero: the regional term is a norm of a difference that is exactly zero at step 0.
func TestNormAtZero(t *testing.T) {
	torchtest.Run(t, func() {
		x := torch.Zeros(torch.Float32, torch.CPU, 2, 3).Leaf()
		grad := torch.Grad([]torch.Tensor{x.Norm(2, 1).Sum()}, []torch.Tensor{x}, nil)[0]
		if got := grad.Abs().Max().Item(); got != 0 {
			t.Errorf("largest gradient %v, want 0", got)
		}
	})
}

// TestStagesEqualPlainBackprop compares gradients of twenty noisy steps of a small residual network, whose
// state is its features and, handed on unchanged by every other step, a gate: recomputing each step must
// not change a bit.
func TestStagesEqualPlainBackprop(t *testing.T) {
	const steps = 20
	torchtest.Run(t, func() {
		g := newGenerator(t, 3)
		weight := g.Randn(torch.Float32, 8, 8, 3, 3).MulScalar(0.1).Leaf()
		scale := torch.Ones(torch.Float32, torch.CPU, 8).Leaf()
		unused := torch.Ones(torch.Float32, torch.CPU, 2).Leaf()
		params := []torch.Tensor{weight, scale, unused}
		x := g.Randn(torch.Float32, 2, 8, 12, 12)
		noise := g.Randn(torch.Float32, steps, 2, 8, 12, 12)
		step := func(i int, x, gate torch.Tensor) torch.Tensor {
			if i%2 == 0 {
				x = x.Mul(gate)
			}
			h := x.GroupNorm(4, scale, torch.Tensor{}, 1e-5).SiLU().Conv2d(weight, torch.Tensor{}, torch.Conv{Padding: 1})
			return x.Sub(h.MulScalar(0.05)).AddScaled(noise.Select(0, int64(i)), 0.1)
		}
		gate := g.Rand(torch.Float32, 1, 8, 1, 1).AddScalar(0.5).Leaf()
		start := x.Leaf()
		plain := start
		for i := range steps {
			plain = step(i, plain, gate)
		}
		want := torch.Grad([]torch.Tensor{plain.Square().Mean()}, append([]torch.Tensor{start, gate}, params...), nil)

		var stages []torch.Stage
		for i := range steps {
			stages = append(stages, func(xs []torch.Tensor) []torch.Tensor { return []torch.Tensor{step(i, xs[0], xs[1]), xs[1]} })
		}
		var last torch.Tensor
		torch.NoGrad(func() { last = torch.RunStages(stages, []torch.Tensor{x, gate})[0] })
		if !last.Equal(plain.Detach()) {
			t.Error("stages give another result than plain code")
		}
		last = last.Leaf()
		grad := torch.Grad([]torch.Tensor{last.Square().Mean()}, []torch.Tensor{last}, nil)[0]
		inputs, sums := torch.BackwardStages(stages, []torch.Tensor{x, gate}, []torch.Tensor{grad, {}}, params)
		for i, got := range append(inputs, sums[:2]...) {
			// The gate's gradient is a sum over steps: its order is another.
			if d := torchtest.MaxDiff(got, want[i]); !got.Equal(want[i]) && !(i == 1 && d < 1e-9) {
				t.Errorf("input %d: gradients differ by %g, want the same bits", i, d)
			}
		}
		if sums[2].Defined() {
			t.Error("an unused parameter has a gradient")
		}
	})
}
