package train

import (
	"focusnfix/core"
	"focusnfix/core/eval"
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
	LossScale    float64 // of float16 gradients; 1 is none
	Overflow     bool    // gradients grew too large for float16, with every loss scale that was tried
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

// gather puts what the parts of a step measured together, in their order. Workers spent their seconds at the same
// time.
func (r *StepResult) gather(parts []*part, workers int, share func(*part) float64) {
	r.Measured.Rewards, r.Verdicts = map[string][]float64{}, map[eval.Role][]eval.Verdict{}
	m := &r.Measured
	for _, p := range parts {
		for aspect, scores := range p.measured.Rewards {
			m.Rewards[aspect] = append(m.Rewards[aspect], scores...)
		}
		for role, verdicts := range p.verdicts {
			r.Verdicts[role] = append(r.Verdicts[role], verdicts...)
		}
		m.Region = append(m.Region, p.measured.Region...)
		m.Inside, m.Outside = append(m.Inside, p.measured.Inside...), append(m.Outside, p.measured.Outside...)
		m.Loss += p.measured.Loss * share(p)
		m.Seconds.add(p.measured.Seconds.over(min(workers, len(parts))))
		r.Coverage = append(r.Coverage, p.coverage...)
	}
}
