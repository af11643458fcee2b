package train

import (
	"math"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

func regionOf(norm RegionNorm, image, baseImage, mask torch.Tensor) float64 {
	return regionLoss(norm, flatOf(torch.Float32), image, baseImage, mask).Sum().Item()
}

// TestRegionIgnoresTheMask: changes inside the mask cost nothing, those outside do.
func TestRegionIgnoresTheMask(t *testing.T) {
	torchtest.Run(t, func() {
		base := nntest.Uniform("loss", 1, 3, 16, 16)
		mask := torch.Zeros(torch.Float32, torch.CPU, 1, 1, 16, 16)
		mask.Narrow(2, 4, 8).Fill(1)
		inside := base.Add(mask)
		outside := base.Add(mask.SubFromScalar(1))
		for _, norm := range []RegionNorm{RMS, Frobenius, Local} {
			if got := regionOf(norm, inside, base, mask); got != 0 {
				t.Errorf("%s: %g for a change inside the mask, want 0", norm, got)
			}
			if got := regionOf(norm, outside, base, mask); got <= 0 {
				t.Errorf("%s: %g for a change outside the mask, want more than 0", norm, got)
			}
		}
	})
}

// TestNormsAgreeOnAnEvenDrift: an even difference d has RMS d, local norm d, and Frobenius norm
// d·√(3HW).
func TestNormsAgreeOnAnEvenDrift(t *testing.T) {
	torchtest.Run(t, func() {
		base := torch.Zeros(torch.Float32, torch.CPU, 1, 3, 64, 32)
		image, mask := base.AddScalar(0.25), torch.Zeros(torch.Float32, torch.CPU, 1, 1, 64, 32)
		for norm, want := range map[RegionNorm]float64{RMS: 0.25, Local: 0.25, Frobenius: 0.25 * math.Sqrt(3*64*32)} {
			if got := regionOf(norm, image, base, mask); math.Abs(got-want) > 1e-5*want {
				t.Errorf("%s: %g, want %g", norm, got, want)
			}
		}
	})
}

// TestLocalNormSeesASmallObject: a new sun of 24 pixels in an image of 128 counts against a faint drift
// at least 2.2 times as much in the local norm as in RMS.
func TestLocalNormSeesASmallObject(t *testing.T) {
	torchtest.Run(t, func() {
		base, mask := torch.Zeros(torch.Float32, torch.CPU, 1, 3, 128, 128), torch.Zeros(torch.Float32, torch.CPU, 1, 1, 128, 128)
		sun, drift := base.Clone(), base.AddScalar(0.05)
		sun.Narrow(2, 8, 24).Narrow(3, 80, 24).Fill(0.5)
		ratio := func(norm RegionNorm) float64 {
			return regionOf(norm, sun, base, mask) / regionOf(norm, drift, base, mask)
		}
		if got := ratio(Local) / ratio(RMS); got < 2.2 {
			t.Errorf("local against RMS: %.2f, want at least 2.2", got)
		}
	})
}

// TestRegionGradients: finite differences in float64, away from zero.
func TestRegionGradients(t *testing.T) {
	torchtest.Run(t, func() {
		base := nntest.Uniform("base", 2, 3, 8, 16).To(torch.Float64)
		image := nntest.Uniform("image", 2, 3, 8, 16).To(torch.Float64)
		mask := torch.Zeros(torch.Float64, torch.CPU, 2, 1, 8, 16)
		mask.Narrow(3, 0, 5).Fill(1)
		for _, norm := range []RegionNorm{RMS, Frobenius, Local} {
			torchtest.CheckGrad(t, 1e-6, func(xs []torch.Tensor) torch.Tensor {
				return regionLoss(norm, flatOf(torch.Float32), xs[0], base, mask).Sum()
			}, image)
		}
	})
}

// TestRoundingHasNoGradient: where images differ by what a kernel rounds, the region term pulls nowhere.
func TestRoundingHasNoGradient(t *testing.T) {
	torchtest.Run(t, func() {
		base := nntest.Uniform("base", 1, 3, 16, 16)
		mask := torch.Zeros(torch.Float32, torch.CPU, 1, 1, 16, 16)
		norm := func(n RegionNorm, drift float64) float64 {
			image := base.Add(nntest.Uniform("drift", 1, 3, 16, 16).MulScalar(drift)).Detach().SetRequiresGrad(true)
			return torch.Grad([]torch.Tensor{regionLoss(n, flatOf(torch.Float32), image, base, mask).Sum()}, []torch.Tensor{image}, nil)[0].Norm(2).Item()
		}
		for _, n := range []RegionNorm{RMS, Frobenius, Local} {
			if small, large := norm(n, 1e-7), norm(n, 0.01); !(small < 0.05*large) {
				t.Errorf("%s: gradient %g at a drift of 1e-7, %g at one of 0.01", n, small, large)
			}
		}
	})
}
