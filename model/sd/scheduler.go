package sd

import (
	"fmt"
	"math"
	"slices"

	"focusnfix/model/torch"
)

// Scheduler walks the latents of one image from noise to image in Len evaluations of the network.
//
// Every sampler here is linear in what it is given: the latents, the network's output, both of earlier
// steps, and fresh noise. So a sampler is a table of a few numbers a step, computed once, in float64,
// without tensors; Step is the same for all, keeps no state and lets gradients through. The one
// exception is an estimate x̂0 that the configuration bounds (clip_sample, thresholding).
type Scheduler struct {
	Timesteps      []float64 // what the UNet is told, first step first
	InitNoiseSigma float64   // the first latents are noise times this

	table []stepWeights
	bound func(estimate torch.Tensor) torch.Tensor // nil leaves x̂0 as it is
}

// stepWeights is one step: network input = input·latents; x̂0 and the next latents are sums of terms, and
// fresh noise is added to the latter.
type stepWeights struct {
	input    float64
	estimate []term // of this step's latents and output
	next     []term
	noise    float64
}

// Point is where a trajectory was at one step, and what was found there: latents, the network's output
// and the estimate of the finished image, all [B,C,H,W].
type Point struct{ Latents, Output, Estimate torch.Tensor }

// samplers make the table of each class.
var samplers = map[string]func(w *walk, numSteps int, eta float64){
	DDIM: (*walk).ddim, DDPM: (*walk).ddpm, PNDM: (*walk).pndm, LCM: (*walk).lcm, TCD: (*walk).tcd,
	Euler: (*walk).euler, EulerAncestral: (*walk).euler, Heun: (*walk).heun,
	DPMSolver: (*walk).dpmSolver, UniPC: (*walk).uniPC, DEIS: (*walk).deis,
	EDMEuler: (*walk).edmEuler, EDMDPMSolver: (*walk).edmDPMSolver,
}

// NewScheduler makes the table for images of numSteps steps. eta is DDIM's and TCD's: 0 is
// deterministic; the other samplers do not read it.
func NewScheduler(cfg SchedulerConfig, numSteps int, eta float64) (*Scheduler, error) {
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
	w := &walk{cfg: cfg, s: &Scheduler{InitNoiseSigma: 1, bound: cfg.bound()}}
	samplers[cfg.Class](w, numSteps, eta)
	for i, row := range w.s.table {
		if !finite(row.estimate) || !finite(row.next) || !finite([]term{{weight: row.noise}, {weight: row.input}, {weight: w.s.Timesteps[i]}}) {
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

// Len is the number of evaluations of the network: of steps, but for PNDM and Heun, which take more.
func (s *Scheduler) Len() int { return len(s.table) }

// NeedsNoise reports whether step i adds noise.
func (s *Scheduler) NeedsNoise(i int) bool { return s.table[i].noise != 0 }

// Reach is how many earlier steps a step looks back to at most.
func (s *Scheduler) Reach() int {
	reach := 0
	for i, w := range s.table {
		for _, t := range w.next {
			reach = max(reach, i-t.at)
		}
	}
	return reach
}

// Multistep reports whether a step needs what was found at earlier ones.
func (s *Scheduler) Multistep() bool { return s.Reach() > 0 }

// ScaleInput makes the UNet's input of step i from the latents.
func (s *Scheduler) ScaleInput(i int, latents torch.Tensor) torch.Tensor {
	if s.table[i].input == 1 {
		return latents
	}
	return latents.MulScalar(s.table[i].input)
}

// Step takes the latents [B,C,H,W] over step i. output is what the UNet made of their scaled input;
// past are the points of earlier steps, the latest last, at least Reach of them where there were as
// many; noise is normal noise of the same shape, no tensor where NeedsNoise is false. It returns the
// next latents and this step's point:
//
//	var past []sd.Point
//	for i, t := range s.Timesteps {
//		next, point := s.Step(i, latents, unet(s.ScaleInput(i, latents), t), past, noise)
//		latents, past = next, append(past, point)
//	}
func (s *Scheduler) Step(i int, latents, output torch.Tensor, past []Point, noise torch.Tensor) (next torch.Tensor, now Point) {
	w := s.table[i]
	if w.noise != 0 && !noise.Defined() {
		panic(&torch.Error{Op: "scheduler step", Message: fmt.Sprintf("step %d adds noise and got none", i)})
	}
	now = Point{Latents: latents, Output: output}
	at := func(s symbol) torch.Tensor {
		p := now
		if back := i - s.at; back > len(past) {
			panic(&torch.Error{Op: "scheduler step", Message: fmt.Sprintf("step %d needs the point of step %d", i, s.at)})
		} else if back > 0 {
			p = past[len(past)-back]
		}
		return map[quantity]torch.Tensor{ofLatents: p.Latents, ofOutput: p.Output, ofEstimate: p.Estimate}[s.what]
	}
	both := torch.Scopes(func() []torch.Tensor {
		if now.Estimate = combine(w.estimate, at); s.bound != nil {
			now.Estimate = s.bound(now.Estimate)
		}
		next := combine(w.next, at)
		if w.noise != 0 {
			next = next.Add(noise.MulScalar(w.noise))
		}
		return []torch.Tensor{next, now.Estimate}
	})
	now.Estimate = both[1]
	return both[0], now
}

// combine adds the terms up.
func combine(terms []term, at func(symbol) torch.Tensor) (sum torch.Tensor) {
	for _, t := range terms {
		part := at(t.symbol).MulScalar(t.weight)
		if sum.Defined() {
			part = sum.Add(part)
		}
		sum = part
	}
	return sum
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
	s   *Scheduler
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
	i := len(w.s.table)
	x, output := latentsAt(i), form{{i, ofOutput}: 1}
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
	if w.s.bound != nil {
		f.x0 = form{{i, ofEstimate}: 1}
	}
	return f
}

// begin adds a row; input is the factor of the network's input.
func (w *walk) begin(timestep, input float64, estimate form) {
	w.s.Timesteps = append(w.s.Timesteps, timestep)
	w.s.table = append(w.s.table, stepWeights{input: input, estimate: estimate.terms()})
}

// to ends the evaluation: the next latents.
func (w *walk) to(next form, noise float64) {
	row := &w.s.table[len(w.s.table)-1]
	row.next, row.noise = next.terms(), noise
}

// readCumprod is read at a level ᾱ of the variance-preserving view.
func (w *walk) readCumprod(timestep, alphaBar float64) found {
	return w.read(timestep, math.Sqrt(alphaBar), math.Sqrt(1-alphaBar), 1)
}

// Linear reports whether the finished latents are a sum of the first ones and of every step's output, so that
// Coefficients tell all about it: no step looks back, and no estimate is bounded.
func (s *Scheduler) Linear() bool { return !s.Multistep() && s.bound == nil }

// Coefficients are what each step's output counts in the finished latents of a Linear scheduler:
// x_0 = c·x_T + Σ_i Coefficients[i]·output_i + noise.
func (s *Scheduler) Coefficients() []float64 {
	c := make([]float64, len(s.table))
	tail := 1.0
	for i := len(s.table) - 1; i >= 0; i-- {
		latents, output := s.table[i].linear(s.table[i].next)
		c[i] = output * tail
		tail *= latents
	}
	return c
}

// linear writes terms of this step's point in its latents and output.
func (w stepWeights) linear(terms []term) (latents, output float64) {
	for _, t := range terms {
		switch t.what {
		case ofLatents:
			latents += t.weight
		case ofOutput:
			output += t.weight
		case ofEstimate:
			a, b := w.linear(w.estimate)
			latents, output = latents+t.weight*a, output+t.weight*b
		}
	}
	return latents, output
}
