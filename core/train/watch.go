package train

import "focusnfix/model/torch"

// watch asks the watching judges about the pictures of a batch, [B,3,H,W]. What they say of a base picture
// is remembered.
func (t *Trainer) watch(judged map[string][]Judged, pairs []Pair, b batch, image torch.Tensor) {
	if len(t.Watch) == 0 {
		return
	}
	t.watchBase(pairs, b)
	for _, j := range t.Watch {
		var now []float64
		if j.HeldOut {
			now = scores(j, image, b.prompts)
		}
		for i, p := range pairs {
			one := Judged{Base: t.base[p][j.Name()]}
			if j.HeldOut {
				one.Tuned = now[i]
			}
			judged[j.Name()] = append(judged[j.Name()], one)
		}
	}
}

// watchBase judges the base pictures of a batch, unless all of them are known.
func (t *Trainer) watchBase(pairs []Pair, b batch) {
	known := true
	for _, p := range pairs {
		known = known && t.base[p] != nil
	}
	if known {
		return
	}
	for _, j := range t.Watch {
		for i, score := range scores(j, b.baseImage, b.prompts) {
			if t.base[pairs[i]] == nil {
				t.base[pairs[i]] = map[string]float64{}
			}
			t.base[pairs[i]][j.Name()] = score
		}
	}
}

// scores are those of images [B,3,H,W], without gradients.
func scores(j Judge, images torch.Tensor, prompts []string) (values []float64) {
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			values = j.Reward.Score(images, prompts).Doubles()
			return torch.Tensor{}
		})
	})
	return values
}

// SetRegionWeight changes the weight of the region term from the next step on.
func (t *Trainer) SetRegionWeight(weight float64) {
	t.Region.Weight, t.objective.region.Weight = weight, weight
}

// SetRewardWeight changes the weight of an aspect's reward from the next step on, and tells whether there
// is such an aspect.
func (t *Trainer) SetRewardWeight(aspect string, weight float64) bool {
	for i := range t.objective.aspects {
		if t.objective.aspects[i].Name == aspect {
			t.objective.aspects[i].Weight = weight
			return true
		}
	}
	return false
}

// Untuned calls f with the base model: the LoRA weights are off.
func (t *Trainer) Untuned(f func()) {
	t.adapter.SetScale(0)
	defer t.adapter.SetScale(1)
	f()
}
