package train

import (
	"fmt"

	"focusnfix/core"
	"focusnfix/model/torch"
)

// Compared is what judges say of a picture by base and by tuned model.
type Compared struct {
	Evaluated
	Heatmaps map[string][2]core.Heatmap // of base and tuned, by the judge's name
	Mask     core.Mask
}

// Compare asks judges about two pictures, [1,3,H,W], that were drawn in whatever way, in the open scope.
// A nil mask is the one that the trained aspects' heatmaps of the base picture make.
func (t *Trainer) Compare(p Pair, base, tuned torch.Tensor, mask *core.Mask, judges []Judge) (c Compared, err error) {
	c.Evaluated = Evaluated{Pair: p, Judged: map[string]Judged{}}
	c.Heatmaps = map[string][2]core.Heatmap{}
	torch.NoGrad(func() {
		prompts := []string{p.Prompt}
		own := map[string]core.Heatmap{}
		for _, j := range judges {
			look := func(image torch.Tensor) core.Heatmap {
				return heatmapOf(j.Reward.Heatmap(image, prompts).Clamp(0, 1).ToDevice(torch.CPU, torch.Float32))
			}
			c.Heatmaps[j.Name()] = [2]core.Heatmap{look(base), look(tuned)}
			if !j.HeldOut {
				own[j.Aspect] = c.Heatmaps[j.Name()][0]
			}
		}
		if mask != nil {
			c.Mask = *mask
		} else if c.Mask, err = t.store.mask(own); err != nil {
			err = fmt.Errorf("mask: %w", err)
			return
		}
		b := batch{prompts: prompts, baseImage: base, mask: maskTensor(c.Mask).ToDevice(base.Device(), torch.Float32)}
		for _, j := range judges {
			c.Judged[j.Name()] = j.compare(j.look(base, b.mask, prompts), j.look(tuned, b.mask, prompts), 0)
		}
		c.Coverage, c.PSNR = c.Mask.Coverage(), outsidePSNR(tuned, base, b.mask)[0]
	})
	return c, err
}
