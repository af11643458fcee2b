package train

import "focusnfix/model/torch"

// average is the exponential moving average of the LoRA weights: what is judged, shown and exported, while the
// weights themselves go on learning. Steps of a small batch jump to and fro; their average keeps what they agree on.
type average struct {
	decay  float64        // 0 is off
	values []torch.Tensor // owned, like the parameters
	steps  int            // that went into it
}

func newAverage(decay float64, params []torch.Tensor) *average {
	a := &average{decay: decay}
	if decay == 0 {
		return a
	}
	torch.NoGrad(func() {
		for _, p := range params {
			a.values = append(a.values, torch.Own(p.Detach().Clone()))
		}
	})
	return a
}

// update adds the weights of a step. Early ones count more, so that the start is soon forgotten: the decay of step n
// is at most (1 + n) / (10 + n), as in TensorFlow's and diffusers' averages.
func (a *average) update(params []torch.Tensor) {
	if a.decay == 0 {
		return
	}
	a.steps++
	decay := min(a.decay, float64(1+a.steps)/float64(10+a.steps))
	torch.NoGrad(func() {
		for i, v := range a.values {
			v.MulScalarInPlace(decay)
			v.AddInPlace(params[i], 1-decay)
		}
	})
}

// restore goes on from a checkpoint.
func (a *average) restore(steps int, values []torch.Tensor) {
	a.steps = steps
	torch.NoGrad(func() {
		for i, v := range a.values {
			v.CopyFrom(values[i])
		}
	})
}

func (a *average) drop() { torch.Drop(a.values...) }

// Averaged calls f with the weights that are judged and exported: the averaged ones, if there is an average, or
// those that With has put there. It needs an open scope.
func (t *Trainer) Averaged(f func()) {
	if t.ema.decay == 0 || t.lent {
		f()
		return
	}
	t.lend(func() { t.put(t.ema.values); f() })
}
