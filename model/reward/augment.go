package reward

import "focusnfix/model/torch"

// Augmentation shows a reward every image a little shifted, mirrored and noisy, anew at each call.
// Without it a network is satisfied by invisible patterns: steps of 2/255 against one safety classifier
// took its probability from .005 to 1, and to .014 with this (docs/method.md).
type Augmentation struct {
	Reward
	Generator *torch.Generator // on the CPU; its state belongs to a training checkpoint

	// Crop is the largest part of a side that is cut off, Noise the standard deviation of added
	// noise for pixels in [0,1].
	Crop, Noise float64
}

// NewAugmentation wraps r with the strengths that we train with.
func NewAugmentation(r Reward, g *torch.Generator) *Augmentation {
	return &Augmentation{Reward: r, Generator: g, Crop: 0.1, Noise: 0.02}
}

// Score judges a changed copy of the images; all images of a call are cropped and mirrored alike.
func (a *Augmentation) Score(images torch.Tensor, prompts []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return a.Reward.Score(a.change(images), prompts) })
}

func (a *Augmentation) change(images torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		draw := a.Generator.Rand(torch.Float32, 4).Floats()
		H, W := images.Size(2), images.Size(3)
		cut := func(side int64, amount float32) int64 { return int64(a.Crop * float64(amount) * float64(side)) }
		h, w := H-cut(H, draw[0]), W-cut(W, draw[0])
		top, left := int64(draw[1]*float32(H-h+1)), int64(draw[2]*float32(W-w+1))
		x := images.Narrow(2, min(top, H-h), h).Narrow(3, min(left, W-w), w)
		if h != H {
			x = x.ResizeBilinear(H, W, torch.Resize{})
		}
		if draw[3] < 0.5 {
			x = x.Flip(3)
		}
		noise := a.Generator.Randn(torch.Float32, x.Shape()...).ToDevice(x.Device(), x.DType())
		return x.AddScaled(noise, a.Noise)
	})
}
