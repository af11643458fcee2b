package backbone

import "focusnfix/model/torch"

// Noise draws everything random about images of these seeds and latents [C,h,w]: the first latents, scaled as
// the scheduler starts, then one tensor [B,C,h,w] for every step that adds noise and no tensor for the
// others. It is what Sample draws.
func Noise(m Model, seeds []uint64, shape []int64, s *Scheduler) (first torch.Tensor, steps []torch.Tensor, err error) {
	n, err := newNoise(seeds, shape, m.Device())
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

// noise draws for every image from a generator of its own.
type noise struct {
	generators []*torch.Generator
	shape      []int64 // [1,C,h,w]
	device     torch.Device
}

func newNoise(seeds []uint64, shape []int64, device torch.Device) (*noise, error) {
	n := &noise{shape: append([]int64{1}, shape...), device: device}
	for _, seed := range seeds {
		g, err := torch.NewGenerator(torch.CPU, seed)
		if err != nil {
			n.close()
			return nil, err
		}
		n.generators = append(n.generators, g)
	}
	return n, nil
}

func (n *noise) draw() torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		each := make([]torch.Tensor, len(n.generators))
		for i, g := range n.generators {
			each[i] = g.Randn(torch.Float32, n.shape...)
		}
		return torch.Cat(each, 0).ToDevice(n.device, torch.Float32)
	})
}

func (n *noise) close() {
	for _, g := range n.generators {
		g.Close()
	}
}
