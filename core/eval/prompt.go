package eval

import (
	"fmt"

	"focusnfix/core"
	"focusnfix/model/torch"
)

// Prompt compares two images, [1,3,H,W], that were drawn in whatever way, and gives the judges' heatmaps of
// both. A nil mask is the one that mask makes of the heatmaps of the trained judges, by aspect.
func Prompt(p core.Pair, base, tuned torch.Tensor, judges []Judge, mask func(map[string]core.Heatmap) (core.Mask, error)) (r PromptResult, err error) {
	r.Heatmaps = map[Role][2]core.Heatmap{}
	torch.NoGrad(func() {
		own := map[string]core.Heatmap{}
		for _, j := range judges {
			look := func(image torch.Tensor) core.Heatmap {
				return HeatmapOf(j.Heatmap(image, []string{p.Prompt}).Clamp(0, 1))
			}
			r.Heatmaps[j.Role] = [2]core.Heatmap{look(base), look(tuned)}
			if !j.HeldOut {
				own[j.Aspect] = r.Heatmaps[j.Role][0]
			}
		}
		if r.Mask, err = mask(own); err != nil {
			err = fmt.Errorf("mask: %w", err)
			return
		}
		b := Batch{[]core.Pair{p}, base, tuned, MaskTensor(r.Mask).ToDevice(base.Device(), torch.Float32)}
		r.Image = b.Measure(judges)[0]
	})
	return r, err
}

// PromptResult is one image before and after, as a prompt test shows it.
type PromptResult struct {
	Image
	Heatmaps map[Role][2]core.Heatmap // of base and tuned image
	Mask     core.Mask
}

// HeatmapOf is heat, [1,1,H,W] or [H,W], in plain Go.
func HeatmapOf(heat torch.Tensor) core.Heatmap {
	return core.Heatmap{Width: int(heat.Size(-1)), Height: int(heat.Size(-2)), Score: heat.ToDevice(torch.CPU, torch.Float32).Floats()}
}

// MaskTensor is [1,1,H,W] in {0,1}, on the CPU.
func MaskTensor(m core.Mask) torch.Tensor {
	values := make([]float32, len(m.Faulty))
	for i, faulty := range m.Faulty {
		if faulty {
			values[i] = 1
		}
	}
	return torch.From(values, 1, 1, int64(m.Height), int64(m.Width))
}
