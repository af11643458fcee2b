package torch_test

import (
	"fmt"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestPictureOperators holds our operators on channels-last images, their gradients included, to
// libtorch's in float32: with channels that do and do not fill a vector, pixels that do and do not fill
// a chunk, one thread and several.
func TestPictureOperators(t *testing.T) {
	torchtest.Need(t)
	for _, threads := range []int{1, 3} {
		for _, shape := range [][]int64{{2, 32, 24, 32}, {3, 40, 7, 9}, {1, 8, 1, 1}, {2, 6, 33, 17}} {
			for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16} {
				t.Run(fmt.Sprint(threads, " threads, ", shape, dtype), func(t *testing.T) {
					was := torch.Threads()
					torch.SetThreads(threads)
					defer torch.SetThreads(was)
					comparePictureOperators(t, shape, dtype)
				})
			}
		}
	}
}

func comparePictureOperators(t *testing.T, shape []int64, dtype torch.DType) {
	tolerance := 2e-5 // of the largest number: sums of 1e4 numbers in float32
	if dtype == torch.BFloat16 {
		tolerance = 1.0 / 64
	}
	torchtest.Run(t, func() {
		chance := newGenerator(t, 5)
		C := shape[1]
		leaf := func(x torch.Tensor) torch.Tensor { return x.Detach().SetRequiresGrad(true) }
		x := chance.Randn(torch.Float32, shape...).MulScalar(2).AddScalar(0.7).To(dtype).ChannelsLast()
		weight, bias := chance.Randn(torch.Float32, C).To(dtype), chance.Randn(torch.Float32, C).To(dtype)
		upstream := chance.Randn(torch.Float32, shape...).To(dtype)
		compare := func(name string, ours, want func(in []torch.Tensor) torch.Tensor, upstream torch.Tensor) {
			results := func(f func([]torch.Tensor) torch.Tensor, dtype torch.DType) []torch.Tensor {
				in := []torch.Tensor{leaf(x.To(dtype)), leaf(weight.To(dtype)), leaf(bias.To(dtype))}
				y := f(in)
				grads := torch.Grad([]torch.Tensor{y.Mul(upstream.To(dtype)).To(torch.Float32).Sum()}, in, nil)
				return append([]torch.Tensor{y.Detach()}, grads...)
			}
			expected := results(want, torch.Float32)
			for i, got := range results(ours, dtype) {
				if !got.Defined() { // an operator without weights
					continue
				}
				part := []string{"result", "gradient at x", "gradient at weight", "gradient at bias"}[i]
				if d := torchtest.MaxDiff(got, expected[i]) / (expected[i].Abs().Max().Item() + 1e-6); !(d < tolerance) {
					t.Errorf("%s: %s differs by %g of its largest number, want %g", name, part, d, tolerance)
				}
			}
		}
		for _, silu := range []bool{false, true} {
			compare(fmt.Sprint("group_norm_act, silu ", silu),
				func(in []torch.Tensor) torch.Tensor { return in[0].GroupNormAct(2, in[1], in[2], 1e-5, silu) },
				func(in []torch.Tensor) torch.Tensor {
					y := in[0].Contiguous().GroupNorm(2, in[1], in[2], 1e-5)
					if silu {
						y = y.SiLU()
					}
					return y
				}, upstream)
		}
		double := []int64{shape[0], C, 2 * shape[2], 2 * shape[3]}
		compare("upsample_double", func(in []torch.Tensor) torch.Tensor { return in[0].UpsampleDouble() },
			func(in []torch.Tensor) torch.Tensor { return in[0].Contiguous().UpsampleNearest(double[2], double[3]) },
			chance.Randn(torch.Float32, double...).To(dtype))
	})
}

// BenchmarkGroupNormAct times the norms of a VAE's last level, forward and backward, beside libtorch's.
func BenchmarkGroupNormAct(b *testing.B) {
	torchtest.Need(b)
	for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16} {
		for name, norm := range map[string]func(x, w torch.Tensor) torch.Tensor{
			"ours":     func(x, w torch.Tensor) torch.Tensor { return x.GroupNormAct(8, w, w, 1e-5, true) },
			"libtorch": func(x, w torch.Tensor) torch.Tensor { return x.GroupNorm(8, w, w, 1e-5).SiLU() },
		} {
			b.Run(fmt.Sprint(dtype, "/", name), func(b *testing.B) {
				torchtest.Run(b, func() {
					x := newGenerator(b, 1).Randn(torch.Float32, 4, 32, 128, 128).To(dtype).ChannelsLast().SetRequiresGrad(true)
					w := torch.Full(1, dtype, torch.CPU, 32)
					for b.Loop() {
						torch.Scope(func() torch.Tensor {
							return torch.Grad([]torch.Tensor{norm(x, w)}, []torch.Tensor{x}, []torch.Tensor{x.Detach()})[0]
						})
					}
				})
			})
		}
	}
}
