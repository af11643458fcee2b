package sd

import "focusnfix/model/torch"

// Noise draws everything random about images of these seeds and size: the first latents, scaled as
// the scheduler starts, then one tensor [B,4,h,w] for every step that adds noise and no tensor for the
// others. It is what Sample draws.
func (p *Pipeline) Noise(seeds []uint64, width, height int64, s *Scheduler) (first torch.Tensor, steps []torch.Tensor, err error) {
	n, err := p.newNoise(Request{Wording: Wording{Width: width, Height: height}, Seeds: seeds})
	if err != nil {
		return torch.Tensor{}, nil, err
	}
	defer n.close()
	first = n.draw().MulScalar(s.InitNoiseSigma)
	steps = make([]torch.Tensor, s.Len())
	for i := range steps {
		if s.NeedsNoise(i) {
			steps[i] = n.draw()
		}
	}
	return first, steps, nil
}
