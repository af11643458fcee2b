package sd

import (
	"fmt"
	"math"
	"slices"

	"focusnfix/model/backbone"
	"focusnfix/model/torch"
)

// samplers make the table of each class.
var samplers = map[string]func(w *walk, numSteps int, eta float64){
	DDIM: (*walk).ddim, DDPM: (*walk).ddpm, PNDM: (*walk).pndm, LCM: (*walk).lcm, TCD: (*walk).tcd,
	Euler: (*walk).euler, EulerAncestral: (*walk).euler, Heun: (*walk).heun,
	DPMSolver: (*walk).dpmSolver, UniPC: (*walk).uniPC, DEIS: (*walk).deis,
	EDMEuler: (*walk).edmEuler, EDMDPMSolver: (*walk).edmDPMSolver,
}

// NewScheduler makes the table for images of numSteps steps. eta is DDIM's and TCD's: 0 is
// deterministic; the other samplers do not read it.
func NewScheduler(cfg SchedulerConfig, numSteps int, eta float64) (*backbone.Scheduler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	if most := cfg.mostSteps(); numSteps < cfg.fewestSteps() || numSteps > most {
		return nil, fmt.Errorf("scheduler: %d steps, want %d to %d", numSteps, cfg.fewestSteps(), most)
	}
	if !(eta >= 0 && eta <= 1) {
		return nil, fmt.Errorf("scheduler: eta %g, want 0 to 1", eta)
	}
	if highest, last := cfg.highestLeading(numSteps), cfg.NumTrainTimesteps-1; highest > last {
		return nil, fmt.Errorf("scheduler: steps_offset %d makes the first of %d timesteps %d, want at most %d", cfg.StepsOffset, numSteps, highest, last)
	}
	w := &walk{cfg: cfg, s: &backbone.Scheduler{InitNoiseSigma: 1, Bound: cfg.bound()}}
	samplers[cfg.Class](w, numSteps, eta)
	for i, row := range w.s.Rows {
		if !finite(row.Estimate) || !finite(row.Next) || !finite([]backbone.Term{{Weight: row.Noise}, {Weight: row.Input}, {Weight: w.s.Timesteps[i]}}) {
			return nil, fmt.Errorf("scheduler: step %d of %d has no finite numbers with this configuration", i+1, numSteps)
		}
	}
	return w.s, nil
}

// highestLeading is the first timestep of leading spacing, 0 for others.
func (c SchedulerConfig) highestLeading(numSteps int) int {
	if c.TimestepSpacing != "leading" || slices.Contains([]string{LCM, TCD, EDMEuler, EDMDPMSolver}, c.Class) {
		return 0
	}
	spaced := numSteps
	if slices.Contains([]string{DPMSolver, UniPC, DEIS}, c.Class) { // which leave the lowest out
		spaced++
	}
	return (spaced-1)*(c.NumTrainTimesteps/spaced) + c.StepsOffset
}

// mostSteps is how many steps a class can take.
func (c SchedulerConfig) mostSteps() int {
	if c.Class == LCM || c.Class == TCD {
		return c.OriginalInferenceSteps
	}
	return c.NumTrainTimesteps - 1
}

func (c SchedulerConfig) fewestSteps() int {
	if c.Class == PNDM && !c.SkipPRKSteps { // Runge-Kutta takes the first ones
		return 4
	}
	return 1
}

// bound is what a configuration does to estimates, nil for nothing.
func (c SchedulerConfig) bound() func(torch.Tensor) torch.Tensor {
	keys := schedulerKeys[c.Class]
	switch {
	case c.Class == TCD: // has the keys and does not read them
		return nil
	case c.Thresholding && slices.Contains(keys, "thresholding"):
		return c.threshold
	case c.ClipSample && slices.Contains(keys, "clip_sample"):
		return func(x torch.Tensor) torch.Tensor { return x.Clamp(-c.ClipSampleRange, c.ClipSampleRange) }
	}
	return nil
}

// threshold is dynamic thresholding (Saharia et al., arXiv 2205.11487, section 2.3): an image's values are
// cut at a quantile of their sizes, from 1 to sample_max_value, and divided by it.
func (c SchedulerConfig) threshold(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		sizes, _ := x.Abs().Flatten(1).Sort(1, false)
		place := c.DynamicThresholdingRatio * float64(sizes.Size(1)-1)
		low := int64(place)
		high := min(low+1, sizes.Size(1)-1)
		between := place - float64(low)
		edge := sizes.Narrow(1, low, 1).MulScalar(1 - between).Add(sizes.Narrow(1, high, 1).MulScalar(between))
		edge = edge.Clamp(1, max(1, c.SampleMaxValue)).Reshape(x.Size(0), 1, 1, 1)
		return x.Minimum(edge).Maximum(edge.Neg()).Div(edge)
	})
}

// walk builds a Scheduler, one evaluation of the network after the other, in the words of the papers.
type walk struct {
	cfg SchedulerConfig
	s   *backbone.Scheduler
}

// found is what the network says at one evaluation, as forms.
type found struct {
	x     form // the latents
	x0    form // the estimate of the finished image, bounded if the configuration says so
	noise form // as the output has it, whatever bounds the estimate
}

// read begins an evaluation at latents that are scale·(alpha·x0 + sigma·noise) and says how x0 and noise
// are read from the output (v-prediction: Salimans & Ho, arXiv 2202.00512, appendix D).
func (w *walk) read(timestep, alpha, sigma, scale float64) found {
	i := len(w.s.Rows)
	x, output := latentsAt(i), form{{At: i, What: backbone.OfOutput}: 1}
	plain := x.times(1 / scale)
	f := found{x: x}
	switch w.cfg.PredictionType {
	case "sample":
		f.x0, f.noise = output, plain.minus(output.times(alpha)).times(1/sigma)
	case "v_prediction":
		f.x0, f.noise = plain.times(alpha).minus(output.times(sigma)), output.times(alpha).plus(plain.times(sigma))
	default:
		f.x0, f.noise = plain.minus(output.times(sigma)).times(1/alpha), output
	}
	w.begin(timestep, 1/scale, f.x0)
	w.at(scale*alpha, scale*sigma)
	if w.s.Bound != nil {
		f.x0 = form{{At: i, What: backbone.OfEstimate}: 1}
	}
	return f
}

// begin adds a row; input is the factor of the network's input.
func (w *walk) begin(timestep, input float64, estimate form) {
	w.s.Timesteps = append(w.s.Timesteps, timestep)
	w.s.Rows = append(w.s.Rows, backbone.Row{Input: input, Estimate: estimate.terms()})
}

// at notes the noise level: latents are signal·image + sigma·noise.
func (w *walk) at(signal, sigma float64) {
	row := &w.s.Rows[len(w.s.Rows)-1]
	row.Signal, row.Sigma = signal, sigma
}

// to ends the evaluation: the next latents.
func (w *walk) to(next form, noise float64) {
	row := &w.s.Rows[len(w.s.Rows)-1]
	row.Next, row.Noise = next.terms(), noise
}

// readCumprod is read at a level ᾱ of the variance-preserving view.
func (w *walk) readCumprod(timestep, alphaBar float64) found {
	return w.read(timestep, math.Sqrt(alphaBar), math.Sqrt(1-alphaBar), 1)
}
