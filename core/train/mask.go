package train

import (
	"focusnfix/core"
	"focusnfix/model/torch"
)

// MaskRule makes a mask out of a heatmap.
type MaskRule struct {
	Threshold float64 // heatmap in [0,1]; above it a pixel is faulty
	Dilate    int     // pixels that the mask grows on every side
	MinArea   float64 // share of the picture; a smaller mask counts as no fault
}

func (r MaskRule) mask(h core.Heatmap) core.Mask {
	return h.Threshold(r.Threshold).AtLeast(r.MinArea).Dilate(r.Dilate)
}

// heatmapOf is heat [1,1,H,W] or [H,W] in plain Go.
func heatmapOf(heat torch.Tensor) core.Heatmap {
	return core.Heatmap{Width: int(heat.Size(-1)), Height: int(heat.Size(-2)), Score: heat.Floats()}
}

// maskTensor is [1,1,H,W] in {0,1}.
func maskTensor(m core.Mask) torch.Tensor {
	values := make([]float32, len(m.Faulty))
	for i, faulty := range m.Faulty {
		if faulty {
			values[i] = 1
		}
	}
	return torch.From(values, 1, 1, int64(m.Height), int64(m.Width))
}
