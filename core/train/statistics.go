package train

import (
	"math"

	"focusnfix/model/torch"
)

// Statistics are what a hacked reward changes in pictures first, by what users of reward
// back-propagation report: dark pictures, flat ones, ones of few colours.
type Statistics struct {
	Dark    float64 // share of pixels with a luma below 0.1
	Edges   float64 // mean difference of luma between neighbours, in [0,1]
	Entropy float64 // of the histogram of 512 colours, bits
}

// pictureStatistics are those of each image [B,3,H,W] in [0,1].
func pictureStatistics(images torch.Tensor) []Statistics {
	all := make([]Statistics, images.Size(0))
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			luma := luma(images)
			dark := luma.LtScalar(0.1).To(torch.Float32).Mean(1, 2, 3).Doubles()
			dx := luma.Narrow(3, 1, luma.Size(3)-1).Sub(luma.Narrow(3, 0, luma.Size(3)-1)).Abs().Mean(1, 2, 3)
			dy := luma.Narrow(2, 1, luma.Size(2)-1).Sub(luma.Narrow(2, 0, luma.Size(2)-1)).Abs().Mean(1, 2, 3)
			edges := dx.Add(dy).DivScalar(2).Doubles()
			for i := range all {
				all[i] = Statistics{dark[i], edges[i], colourEntropy(images.Select(0, int64(i)))}
			}
			return torch.Tensor{}
		})
	})
	return all
}

// luma is [B,1,H,W] for images [B,3,H,W] (ITU-R BT.601).
func luma(images torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		share := torch.From([]float32{0.299, 0.587, 0.114}, 1, 3, 1, 1).ToDevice(images.Device(), images.DType())
		return images.Mul(share).SumKeep(1)
	})
}

const colourLevels = 8 // of each channel

// colourEntropy is that of an image's [3,H,W] colours, in bits.
func colourEntropy(image torch.Tensor) float64 {
	levels := image.MulScalar(colourLevels).Floor().Clamp(0, colourLevels-1).Flatten(1).Ints() // [3,HW]
	pixels := len(levels) / 3
	var counts [colourLevels * colourLevels * colourLevels]int
	for i := range pixels {
		counts[(levels[i]*colourLevels+levels[pixels+i])*colourLevels+levels[2*pixels+i]]++
	}
	entropy := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(pixels)
			entropy -= p * math.Log2(p)
		}
	}
	return entropy
}

// diversity is the mean RMS difference between images [B,3,H,W] that have the same prompt and other
// seeds; 0 where no prompt comes twice.
func diversity(images torch.Tensor, prompts []string) float64 {
	sum, pairs := 0.0, 0
	torch.NoGrad(func() {
		for i := range prompts {
			for j := range i {
				if prompts[i] == prompts[j] {
					torch.Scope(func() torch.Tensor {
						sum += math.Sqrt(images.Select(0, int64(i)).Sub(images.Select(0, int64(j))).Square().Mean().Item())
						return torch.Tensor{}
					})
					pairs++
				}
			}
		}
	})
	if pairs == 0 {
		return 0
	}
	return sum / float64(pairs)
}

const (
	ssimWindow = 11  // pixels
	ssimSigma  = 1.5 // pixels
)

// outsideSSIM is the structural similarity of each picture with the base picture (Wang et al., 2004,
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
