package workshop

import (
	"focusnfix/model/scenes"
	"focusnfix/model/torch"
)

// disturb changes images [B,3,H,W] in [-1,1] in ways that are no fault: light and color, blur, loss
// of detail, noise. A judge that has seen them does not take the blur of a small model for a glitch,
// and an optimizer cannot please it with noise. Each of blur and loss of detail happens at the given
// rate; float32.
func disturb(picture torch.Tensor, chance *torch.Generator, dice *random, rate float64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		B, H, W := picture.Size(0), picture.Size(2), picture.Size(3)
		x := picture.Mul(chance.Randn(torch.Float32, B, 1, 1, 1).MulScalar(0.12).AddScalar(1))
		x = x.Add(chance.Randn(torch.Float32, B, 3, 1, 1).MulScalar(0.08))
		some := func() torch.Tensor { return chance.Rand(torch.Float32, B, 1, 1, 1).LtScalar(rate) }
		x = torch.Where(some(), x.PadReplicate(1, 1, 1, 1).AvgPool2d(3, 1, 0), x)
		side := int64(dice.count(40, 96)) // of the image at 128, pixels
		coarse := x.ResizeBilinear(max(1, H*side/scenes.Size), max(1, W*side/scenes.Size), torch.Resize{Antialias: true}).ResizeBilinear(H, W, torch.Resize{})
		x = torch.Where(some(), coarse, x)
		strength := chance.Rand(torch.Float32, B, 1, 1, 1).MulScalar(0.12)
		return x.Add(strength.Mul(chance.Randn(torch.Float32, B, 3, H, W)))
	})
}
