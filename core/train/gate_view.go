package train

import "focusnfix/model/torch"

// Views puts evaluated pictures together for the gate: what it sees of the base model's and of the tuned
// model's. pictures are the batches that evaluated came from, in its order.
func Views(evaluated []Evaluated, pictures []Pictures) (base, now View) {
	base.HeldOut, now.HeldOut = map[string][]float64{}, map[string][]float64{}
	var prompts []string
	for _, e := range evaluated {
		prompts = append(prompts, e.Pair.Prompt)
		base.Statistics, now.Statistics = append(base.Statistics, e.Base), append(now.Statistics, e.Tuned)
		for _, name := range sortedKeys(e.Judged) {
			if aspect, heldOut := heldOutAspect(name); heldOut {
				base.HeldOut[aspect] = append(base.HeldOut[aspect], e.Judged[name].Base)
				now.HeldOut[aspect] = append(now.HeldOut[aspect], e.Judged[name].Tuned)
			}
		}
	}
	torch.Scope(func() torch.Tensor {
		var before, after []torch.Tensor
		for _, p := range pictures {
			before, after = append(before, p.Base), append(after, p.Tuned)
		}
		if len(before) > 0 {
			base.Diversity, now.Diversity = diversity(torch.Cat(before, 0), prompts), diversity(torch.Cat(after, 0), prompts)
		}
		return torch.Tensor{}
	})
	return base, now
}

// Moved is how far each statistic's mean lies from the base pictures', in their standard deviations; where
// they do not differ among themselves it is left out.
func (v View) Moved(base View) map[string]float64 {
	moved := map[string]float64{}
	for _, s := range statistics {
		mean, deviation := spread(column(base.Statistics, s.of))
		now, _ := spread(column(v.Statistics, s.of))
		if deviation > 0 {
			moved[s.name] = (now - mean) / deviation
		}
	}
	return moved
}
