package reward

import (
	"math"

	"focusnfix/model/clip"
	"focusnfix/model/torch"
)

// GradCAM finds where a score comes from (Selvaraju et al., arXiv 1610.02391, eq. 1 and 2): the
// features of a network's last layer [B,C,h,w], weighted by how much the fault grows with each
// channel. fault maps features to [B], higher is worse.
//
// The result is [B,1,H,W]: each image's map divided by its largest number, times the probability
// [B] that the image is faulty at all. A map alone has a peak in a flawless image, too.
func GradCAM(features torch.Tensor, fault func(features torch.Tensor) torch.Tensor, probability torch.Tensor, H, W int64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		var leaf, grad torch.Tensor
		torch.EnableGrad(func() {
			leaf = features.Leaf()
			grad = torch.Grad([]torch.Tensor{fault(leaf).Sum()}, []torch.Tensor{leaf}, nil)[0]
		})
		var heat torch.Tensor
		torch.NoGrad(func() {
			weights := grad.MeanKeep(2, 3)                   // [B,C,1,1]
			heat = weights.Mul(leaf).SumKeep(1).ReLU()       // [B,1,h,w]
			heat = heat.ResizeBilinear(H, W, torch.Resize{}) // [B,1,H,W]
			heat = scaleToPeak(heat, probability)
		})
		return heat
	})
}

// scaleToPeak divides each map [B,1,H,W], not negative, by its largest number and multiplies it by the
// image's probability [B].
func scaleToPeak(heat, probability torch.Tensor) torch.Tensor {
	peak := heat.AMax(true, 1, 2, 3).ClampMin(1e-12)
	return heat.Div(peak).Mul(probability.Reshape(-1, 1, 1, 1))
}

// SmoothGrad is the saliency of any score (Smilkov et al., arXiv 1706.03825): the size of its gradient
// at each pixel, averaged over noisy copies of the image, blurred, and scaled as GradCAM scales.
type SmoothGrad struct {
	Samples int     // noisy copies, 16 say
	Noise   float64 // their standard deviation, for pixels in [0,1]; 0.1 say
	Blur    int64   // pixels that the map is averaged over, odd; 1 is none
	Seed    uint64
}

// Heatmap is [B,1,H,W] for images [B,3,H,W]. fault is the score's negative, [B]; probability is that
// of a fault in each image, [B].
func (s SmoothGrad) Heatmap(images torch.Tensor, fault func(images torch.Tensor) torch.Tensor, probability torch.Tensor) (torch.Tensor, error) {
	generator, err := torch.NewGenerator(torch.CPU, s.Seed)
	if err != nil {
		return torch.Tensor{}, err
	}
	defer generator.Close()
	return torch.Scope(func() torch.Tensor {
		sum := images.Narrow(1, 0, 1).ZerosLike() // [B,1,H,W]
		for range s.Samples {
			torch.Scope(func() torch.Tensor {
				noise := generator.Randn(torch.Float32, images.Shape()...).ToDevice(images.Device(), images.DType())
				var grad torch.Tensor
				torch.EnableGrad(func() {
					noisy := images.Detach().AddScaled(noise, s.Noise).Leaf()
					grad = torch.Grad([]torch.Tensor{fault(noisy).Sum()}, []torch.Tensor{noisy}, nil)[0]
				})
				torch.NoGrad(func() { sum.AddInPlace(grad.Abs().AMax(true, 1), 1) })
				return torch.Tensor{}
			})
		}
		var heat torch.Tensor
		torch.NoGrad(func() {
			half := s.Blur / 2
			heat = scaleToPeak(sum.PadReplicate(half, half, half, half).AvgPool2d(s.Blur, 1, 0), probability)
		})
		return heat
	}), nil
}

// patchMap is GradCAM over the patches of a vision transformer, at the first norm of its last layer:
// behind it only the class token counts. state [B,1+N,D] is that layer's input, and fault maps the
// layer's output to [B]. The result is [B,1,g,g] for N = g·g patches.
//
// The patches' own similarity to the prompt would cost no backward pass, but CLIP's last layer turns
// it around: background matches better than the thing itself (Li et al., arXiv 2304.05653).
func patchMap(encoder *clip.Encoder, state torch.Tensor, fault func(last torch.Tensor) torch.Tensor, probability torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		normed := encoder.LastNorm(state)
		grid := int64(math.Round(math.Sqrt(float64(normed.Size(1) - 1))))
		return patchCAM(normed, grid, func(normed torch.Tensor) torch.Tensor {
			return fault(encoder.FromLastNorm(state, normed))
		}, probability)
	})
}

// patchCAM is GradCAM over the patches of normed tokens [B,1+g·g,D]; fault maps tokens of that shape to [B].
func patchCAM(normed torch.Tensor, g int64, fault func(normed torch.Tensor) torch.Tensor, probability torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		class := normed.Narrow(1, 0, 1)
		patches := normed.Narrow(1, 1, g*g).Transpose(1, 2).Reshape(-1, normed.Size(2), g, g)
		return GradCAM(patches, func(patches torch.Tensor) torch.Tensor {
			return fault(torch.Cat([]torch.Tensor{class, patches.Flatten(2).Transpose(1, 2)}, 1))
		}, probability, g, g)
	})
}
