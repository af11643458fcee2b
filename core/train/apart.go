package train

import (
	"errors"

	"focusnfix/model/backbone"
	"focusnfix/model/torch"
)

// Guidance takes two passes of the network a denoising step, for the negative prompt and for the prompt. A batch of both
// is the cheapest way, but the operators of a small network gain nothing from a second core: a repair of one image of
// the shipped model took longer on two cores than on one. So its passes are computed at the same time, each on a core of
// its own (workers).

// passes are those of the conditioning if they are to be computed apart.
func (s *sampler) passes(st start) (backbone.Guided, []backbone.Conditioning) {
	guided, ok := st.conditioning.(backbone.Guided)
	if s.apart == nil || !ok || s.widest(st.latents) > s.limits.step {
		return nil, nil
	}
	return guided, guided.Passes()
}

// together calls f for both passes at the same time, each in a scope of its own and in the caller's gradient mode. What
// f makes and owns is dropped if one of them fails.
func (s *sampler) together(f func(pass int) []torch.Tensor) (made [2][]torch.Tensor) {
	mode := torch.NoGrad
	if torch.GradEnabled() {
		mode = torch.EnableGrad
	}
	err := s.apart.each(len(made), func(pass int) error {
		mode(func() {
			made[pass] = f(pass)
			for _, t := range made[pass] {
				if t.Defined() {
					torch.Own(t)
				}
			}
		})
		return nil
	})
	if err == nil {
		return made
	}
	for _, owned := range made {
		torch.Drop(owned...)
	}
	var failed *torch.Error
	if !errors.As(err, &failed) {
		failed = &torch.Error{Op: "denoise", Message: err.Error()}
	}
	panic(failed)
}

// outputsApart is what the network makes of latents [B,C,h,w] at step i in each pass, [B,C,h,w], owned.
func (s *sampler) outputsApart(passes []backbone.Conditioning, i int, latents torch.Tensor) []torch.Tensor {
	made := s.together(func(pass int) []torch.Tensor {
		s.giveUp()
		return []torch.Tensor{torch.Scope(func() torch.Tensor {
			return passes[pass].Predict(s.scheduler.ScaleInput(i, latents), s.scheduler.Timesteps[i])
		})}
	})
	return []torch.Tensor{made[0][0], made[1][0]}
}

// recorded is a denoising step that gradients pass through.
type recorded struct {
	latents torch.Tensor   // before it, [B,C,h,w], a leaf
	next    torch.Tensor   // after it
	inputs  []torch.Tensor // leaves that next follows from: latents, and the outputs of the passes if they are apart
	outputs []torch.Tensor // of the passes, owned
}

// record draws step i.
func (s *sampler) record(st start, i int, latents torch.Tensor) recorded {
	r := recorded{latents: latents.Leaf()}
	r.inputs = []torch.Tensor{r.latents}
	guided, passes := s.passes(st)
	if passes == nil {
		r.next = s.denoise(st, i, r.latents)
		return r
	}
	r.outputs = s.outputsApart(passes, i, r.latents)
	r.inputs = []torch.Tensor{latents.Leaf(), r.outputs[0].Leaf(), r.outputs[1].Leaf()}
	r.next, _ = s.scheduler.Step(i, r.inputs[0], guided.Guide(r.inputs[1], r.inputs[2]), nil, st.noise[i])
	return r
}

// through turns the gradient after the step into that before it, followed by those of params.
func (s *sampler) through(r recorded, grad torch.Tensor, params []torch.Tensor) []torch.Tensor {
	leaves := append([]torch.Tensor{r.latents}, params...)
	if r.outputs == nil {
		return torch.Grad([]torch.Tensor{r.next}, leaves, []torch.Tensor{grad})
	}
	at := torch.Grad([]torch.Tensor{r.next}, r.inputs, []torch.Tensor{grad})
	made := s.together(func(pass int) []torch.Tensor {
		s.giveUp()
		return torch.Grad(r.outputs[pass:pass+1], leaves, at[1+pass:2+pass])
	})
	sums := at[:1]
	sums[0] = at[0].Add(made[0][0]).Add(made[1][0])
	for i := range params {
		sums = append(sums, sumDefined(made[0][1+i], made[1][1+i]))
	}
	torch.Drop(append(made[0], made[1]...)...)
	return sums
}

// sumDefined is a + b, where an undefined tensor is zero, in a tensor of its own.
func sumDefined(a, b torch.Tensor) torch.Tensor {
	switch {
	case a.Defined() && b.Defined():
		return a.Add(b)
	case a.Defined():
		return a.Clone()
	case b.Defined():
		return b.Clone()
	}
	return a
}

// stepwise draws the rest of a walk, each step with a record of its own, so that the way back can be given up
// between two steps, too. drop frees what it holds.
func (s *sampler) stepwise(w walk) (drawn trajectory, drop func()) {
	var steps []recorded
	drop = func() {
		for _, r := range steps {
			torch.Drop(r.outputs...)
		}
	}
	x, n := w.last(), s.scheduler.Len()
	defer func() {
		if len(w.latents)-1+len(steps) < n { // a panic
			drop()
		}
	}()
	for i := len(w.latents) - 1; i < n; i++ {
		r := s.record(w.start, i, x)
		steps, x = append(steps, r), r.next
	}
	return trajectory{x.Leaf(), func(grad torch.Tensor, params []torch.Tensor) (sums []torch.Tensor) {
		return torch.Scopes(func() []torch.Tensor {
			for i := len(steps) - 1; i >= 0; i-- {
				s.giveUp()
				all := s.through(steps[i], grad, params)
				grad, sums = all[0], sumOf(sums, all[1:])
			}
			return sums
		})
	}}, drop
}
