package train

import "focusnfix/model/torch"

// MaskRule makes a mask out of a heatmap.
type MaskRule struct {
	Threshold float64 // heatmap in [0,1]; above it a pixel is faulty
	Dilate    int64   // pixels that the mask grows on every side
	MinArea   float64 // share of the picture; a smaller mask counts as no fault
}

// mask is [B,1,H,W] in {0,1} for a heatmap [B,1,H,W].
func (r MaskRule) mask(heatmap torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		mask := heatmap.GtScalar(r.Threshold).To(torch.Float32)
		large := mask.MeanKeep(1, 2, 3).GeScalar(r.MinArea).To(torch.Float32) // [B,1,1,1]
		mask = mask.Mul(large)
		if r.Dilate > 0 {
			mask = mask.MaxPool2d(2*r.Dilate+1, 1, r.Dilate)
		}
		return mask
	})
}

// union is 1 where one of the masks is.
func union(masks []torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		all := masks[0]
		for _, m := range masks[1:] {
			all = all.Maximum(m)
		}
		return all
	})
}
