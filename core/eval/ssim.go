package eval

import (
	"math"

	"focusnfix/model/torch"
)

const (
	ssimWindow = 11  // pixels
	ssimSigma  = 1.5 // pixels
)

// outsideSSIM is the structural similarity of each image with the base image (Wang et al., 2004,
// eq. 13, with its 11×11 Gaussian window and constants for pixels in [0,1]), averaged over the pixels
// outside the mask; 1 where the mask leaves none.
func outsideSSIM(image, baseImage, mask torch.Tensor) []float64 {
	const c1, c2 = 0.01 * 0.01, 0.03 * 0.03
	var values []float64
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			meanX, meanY := blur(image), blur(baseImage)
			xx, yy, xy := meanX.Square(), meanY.Square(), meanX.Mul(meanY)
			varX, varY := blur(image.Square()).Sub(xx), blur(baseImage.Square()).Sub(yy)
			covariance := blur(image.Mul(baseImage)).Sub(xy)
			top := xy.MulScalar(2).AddScalar(c1).Mul(covariance.MulScalar(2).AddScalar(c2))
			bottom := xx.Add(yy).AddScalar(c1).Mul(varX.Add(varY).AddScalar(c2))
			similarity := top.Div(bottom).MeanKeep(1) // [B,1,H,W]
			outside := mask.SubFromScalar(1)
			pixels := outside.Sum(1, 2, 3)
			share := similarity.Mul(outside).Sum(1, 2, 3).Div(pixels.ClampMin(1))
			values = torch.Where(pixels.GtScalar(0), share, share.OnesLike()).Doubles()
			return torch.Tensor{}
		})
	})
	return values
}

// blur is [B,3,H,W] under the Gaussian window of SSIM, mirrored at the border.
func blur(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		weights, sum := make([]float32, ssimWindow), float32(0)
		for i := range weights {
			d := float64(i - ssimWindow/2)
			weights[i] = float32(math.Exp(-d * d / (2 * ssimSigma * ssimSigma)))
			sum += weights[i]
		}
		line := torch.From(weights).DivScalar(float64(sum)).ToDevice(x.Device(), x.DType())
		C := x.Size(1)
		half := int64(ssimWindow / 2)
		x = x.PadReflect(half, half, half, half)
		x = x.Conv2d(line.Reshape(1, 1, 1, ssimWindow).Expand(C, 1, 1, ssimWindow).Contiguous(), torch.Tensor{}, torch.Conv{Groups: C})
		return x.Conv2d(line.Reshape(1, 1, ssimWindow, 1).Expand(C, 1, ssimWindow, 1).Contiguous(), torch.Tensor{}, torch.Conv{Groups: C})
	})
}
