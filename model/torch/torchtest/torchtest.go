// Package torchtest is what tests of packages that use libtorch share.
package torchtest

import (
	"math"
	"os"
	"strings"
	"testing"

	"focusnfix/model/torch"
)

// Run calls f in a scope and fails the test on an operator's error. Without a shim the test is
// skipped, or fails where FNF_REQUIRE_TORCH is set, as `make test` does.
func Run(t testing.TB, f func()) {
	t.Helper()
	Need(t)
	if err := torch.Run(f); err != nil {
		t.Fatal(err)
	}
}

// Need skips or fails a test that cannot run without libtorch.
func Need(t testing.TB) {
	t.Helper()
	err := torch.Load()
	if err == nil {
		return
	}
	if os.Getenv("FNF_REQUIRE_TORCH") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// Device is what tests compute on: FNF_TEST_DEVICE, "cuda:0" say, or the CPU.
func Device() torch.Device {
	if name := os.Getenv("FNF_TEST_DEVICE"); name != "" {
		return torch.Device(name)
	}
	return torch.CPU
}

// DeviceOf is what a process of that rank in a group computes on where rank 0 has Device: the GPU of that index. Without
// one the test is skipped.
func DeviceOf(t testing.TB, rank int) torch.Device {
	t.Helper()
	Need(t)
	if Device() == torch.CPU {
		return torch.CPU
	}
	if n := torch.CUDACount(); n <= rank {
		t.Skipf("%d GPUs are too few for rank %d", n, rank)
	}
	return torch.CUDA(rank)
}

// Place moves a tensor to the tests' device, in its own element type.
func Place(t torch.Tensor) torch.Tensor { return t.ToDevice(Device(), t.DType()) }

// SkipWithoutGroups skips the test if what a process said is that this libtorch cannot form process
// groups: the wheels of pip have no Gloo, and on a machine without GPUs nothing else.
func SkipWithoutGroups(t testing.TB, said string) {
	t.Helper()
	if strings.Contains(said, "built without torch.distributed") || strings.Contains(said, "is not built into this library") {
		t.Skip(said)
	}
}

// MaxDiff is the largest absolute difference of two tensors of one shape, +Inf where shapes differ
// or a number is NaN.
func MaxDiff(got, want torch.Tensor) float64 {
	if torch.ShapeString(got.Shape()) != torch.ShapeString(want.Shape()) {
		return math.Inf(1)
	}
	return maxDiff(got.Doubles(), want.Doubles())
}

func maxDiff(got, want []float64) float64 {
	worst := 0.0
	for i := range got {
		d := math.Abs(got[i] - want[i])
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		worst = max(worst, d)
	}
	return worst
}

// CheckGrad compares the gradients of f at the float64 tensors xs with central finite differences.
// f must give a scalar; tolerance is relative to the largest gradient.
func CheckGrad(t testing.TB, tolerance float64, f func(xs []torch.Tensor) torch.Tensor, xs ...torch.Tensor) {
	t.Helper()
	const h = 1e-6
	leaves := make([]torch.Tensor, len(xs))
	for i, x := range xs {
		leaves[i] = x.Clone().Leaf()
	}
	grads := torch.Grad([]torch.Tensor{f(leaves)}, leaves, nil)
	at := func(k int, values []float64) float64 {
		var y float64
		torch.NoGrad(func() {
			torch.Scope(func() torch.Tensor {
				moved := append([]torch.Tensor(nil), xs...)
				moved[k] = torch.From(values, xs[k].Shape()...)
				y = f(moved).Item()
				return torch.Tensor{}
			})
		})
		return y
	}
	for k, x := range xs {
		if !grads[k].Defined() {
			t.Errorf("argument %d: no gradient", k)
			continue
		}
		values, want := x.Doubles(), grads[k].Doubles()
		got := make([]float64, len(values))
		for i, v := range values {
			values[i] = v + h
			up := at(k, values)
			values[i] = v - h
			got[i] = (up - at(k, values)) / (2 * h)
			values[i] = v
		}
		scale := 1.0
		for _, w := range want {
			scale = max(scale, math.Abs(w))
		}
		if d := maxDiff(got, want) / scale; d > tolerance {
			t.Errorf("argument %d: finite differences differ by %.3g of the largest gradient, want at most %.3g", k, d, tolerance)
		}
	}
}
