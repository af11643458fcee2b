package backbone

import (
	"image"

	"focusnfix/model/torch"
)

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
