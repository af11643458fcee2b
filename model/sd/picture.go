package sd

import (
	"context"
	"image"

	"focusnfix/model/torch"
)

// Generate draws images from prompts, without recording gradients.
func (p *Pipeline) Generate(ctx context.Context, r Request) ([]*image.RGBA, error) {
	var pictures []*image.RGBA
	var failed error
	err := torch.Run(func() {
		torch.NoGrad(func() {
			latents, err := p.Sample(ctx, r)
			if err != nil {
				failed = err
				return
			}
			images := p.Decode(latents)
			if failed = finiteTensor(images, "image"); failed == nil {
				pictures = Pictures(images)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return pictures, failed
}

// Pictures turns images [B,3,H,W] in [0,1] into 8-bit images, rounded to the nearest, half to even.
func Pictures(images torch.Tensor) []*image.RGBA {
	var bytes []byte
	var B, H, W int
	torch.Scope(func() torch.Tensor {
		B, H, W = int(images.Size(0)), int(images.Size(2)), int(images.Size(3))
		bytes = images.Detach().Clamp(0, 1).MulScalar(255).Round().ToDevice(torch.CPU, torch.Uint8).Permute(0, 2, 3, 1).Contiguous().Bytes()
		return torch.Tensor{}
	})
	pictures := make([]*image.RGBA, B)
	for b := range pictures {
		m := image.NewRGBA(image.Rect(0, 0, W, H))
		for i := range W * H {
			copy(m.Pix[4*i:4*i+3], bytes[3*(b*W*H+i):])
			m.Pix[4*i+3] = 255
		}
		pictures[b] = m
	}
	return pictures
}
