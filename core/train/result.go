package train

import (
	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/torch"
)

// StepResult is one step of training.
type StepResult struct {
	Step         int         // 1 is the first
	Pairs        []core.Pair // of all ranks
	Measured     Measured
	Verdicts     map[eval.Role][]eval.Verdict // scores by each watching judge, in the order of Pairs
	Coverage     []float64                    // of each image's mask
	LearningRate float64
	GradNorm     float64 // before clipping
	Skipped      bool    // loss or gradient was not finite: nothing was learned
}

// Measured is what a step found out about its images before it changed the weights, one number an image.
type Measured struct {
	Rewards map[string][]float64 // by aspect
	Region  []float64            // the region term, before its weight
	Inside  []float64            // PSNR inside the mask against the base image, dB
	Outside []float64            // the same outside it
	Loss    float64              // −J, averaged
	Seconds Seconds
}

// measure notes what a batch of images [B,3,H,W] came to.
func measure(image torch.Tensor, b batch, scores map[string][]float64, region, loss torch.Tensor) Measured {
	m := Measured{Rewards: scores, Region: region.Detach().Doubles(), Loss: loss.Item()}
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			m.Inside = eval.PSNR(image, b.baseImage, b.mask)
			m.Outside = eval.PSNR(image, b.baseImage, eval.Outside(b.mask))
			return torch.Tensor{}
		})
	})
	return m
}

// add gathers another batch of the step; its loss counts by share.
func (r *StepResult) add(n Measured, coverage []float64, share float64) {
	m := &r.Measured
	if m.Rewards == nil {
		m.Rewards = map[string][]float64{}
	}
	for aspect, scores := range n.Rewards {
		m.Rewards[aspect] = append(m.Rewards[aspect], scores...)
	}
	m.Region = append(m.Region, n.Region...)
	m.Inside, m.Outside = append(m.Inside, n.Inside...), append(m.Outside, n.Outside...)
	m.Loss += share * n.Loss
	m.Seconds.add(n.Seconds)
	r.Coverage = append(r.Coverage, coverage...)
}

// watch asks the watching judges about the images of a batch, [B,3,H,W]. What they say of a base image is
// remembered.
func (t *Trainer) watch(r *StepResult, pairs []core.Pair, b batch, image torch.Tensor) {
	if r.Verdicts == nil {
		r.Verdicts = map[eval.Role][]eval.Verdict{}
	}
	t.watchBase(pairs, b)
	for _, j := range t.Watch {
		var now []float64
		if j.HeldOut {
			now = j.Scores(image, b.prompts)
		}
		for i, p := range pairs {
			v := eval.Verdict{Base: t.base[p][j.Role]}
			if j.HeldOut {
				v.Tuned = now[i]
			}
			r.Verdicts[j.Role] = append(r.Verdicts[j.Role], v)
		}
	}
}

// watchBase judges the base images of a batch, unless all of them are known.
func (t *Trainer) watchBase(pairs []core.Pair, b batch) {
	known := true
	for _, p := range pairs {
		known = known && t.base[p] != nil
	}
	if known {
		return
	}
	for _, j := range t.Watch {
		for i, score := range j.Scores(b.baseImage, b.prompts) {
			if t.base[pairs[i]] == nil {
				t.base[pairs[i]] = map[eval.Role]float64{}
			}
			t.base[pairs[i]][j.Role] = score
		}
	}
}
