package sd

import (
	"fmt"
	"math"
	"slices"

	"focusnfix/model/torch"
)

// Scheduler walks the latents of one picture from noise to picture in Len steps.
//
// Every sampler here (DDIM, Euler, Euler ancestral, DPM-Solver++ 2M) is linear in what it is given:
// the latents, the network's output, the picture estimated one step before, and fresh noise. So a
// sampler is a table of a few numbers a step, computed once, in float64, without tensors; Step is the
// same for all, keeps no state and lets gradients through.
type Scheduler struct {
	Timesteps      []float64 // what the UNet is told, first step first
	InitNoiseSigma float64   // the first latents are noise times this

	table []stepWeights
}

// stepWeights is one step:
//
//	network input    = input·latents
//	x̂0, the estimate = estimateLatents·latents + estimateOutput·output
//	next latents     = latents·latents + output·output + previous·(x̂0 of the step before) + noise·noise
type stepWeights struct {
	input                            float64
	estimateLatents, estimateOutput  float64
	latents, output, previous, noise float64
}

// NewScheduler makes the table for pictures of numSteps steps. eta is DDIM's: 0 is deterministic, 1 as
// noisy as DDPM; the other samplers do not read it.
func NewScheduler(cfg SchedulerConfig, numSteps int, eta float64) (*Scheduler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	if most := cfg.NumTrainTimesteps - 1; numSteps < 1 || numSteps > most {
		return nil, fmt.Errorf("scheduler: %d steps, want 1 to %d", numSteps, most)
	}
	if !(eta >= 0 && eta <= 1) {
		return nil, fmt.Errorf("scheduler: eta %g, want 0 to 1", eta)
	}
	if highest, last := cfg.highestLeading(numSteps), cfg.NumTrainTimesteps-1; cfg.TimestepSpacing == "leading" && highest > last {
		return nil, fmt.Errorf("scheduler: steps_offset %d makes the first of %d timesteps %d, want at most %d", cfg.StepsOffset, numSteps, highest, last)
	}
	switch cfg.Class {
	case DDIM:
		return newDDIM(cfg, numSteps, eta), nil
	case DPMSolver:
		return newDPMSolver(cfg, numSteps), nil
	default:
		return newEuler(cfg, numSteps), nil
	}
}

// highestLeading is the first timestep of leading spacing.
func (c SchedulerConfig) highestLeading(numSteps int) int {
	spaced := numSteps
	if c.Class == DPMSolver { // which leaves the lowest out
		spaced++
	}
	return (spaced-1)*(c.NumTrainTimesteps/spaced) + c.StepsOffset
}

// Len is the number of steps.
func (s *Scheduler) Len() int { return len(s.table) }

// NeedsNoise tells whether step i adds noise.
func (s *Scheduler) NeedsNoise(i int) bool { return s.table[i].noise != 0 }

// Multistep tells whether a step needs the estimate of the one before.
func (s *Scheduler) Multistep() bool {
	return slices.ContainsFunc(s.table, func(w stepWeights) bool { return w.previous != 0 })
}

// ScaleInput makes the UNet's input of step i from the latents.
func (s *Scheduler) ScaleInput(i int, latents torch.Tensor) torch.Tensor {
	if s.table[i].input == 1 {
		return latents
	}
	return latents.MulScalar(s.table[i].input)
}

// Step takes the latents [B,C,H,W] over step i. output is what the UNet made of their scaled input;
// previous is the estimate that the step before returned (no tensor at the first, or where the first
// step of a run is not 0); noise is normal noise of the same shape, no tensor where NeedsNoise is
// false. It returns the next latents and the step's own estimate of the finished picture:
//
//	var estimate torch.Tensor
//	for i, t := range s.Timesteps {
//		latents, estimate = s.Step(i, latents, unet(s.ScaleInput(i, latents), t), estimate, noise)
//	}
func (s *Scheduler) Step(i int, latents, output, previous, noise torch.Tensor) (next, estimate torch.Tensor) {
	w := s.table[i]
	if w.noise != 0 && !noise.Defined() {
		panic(&torch.Error{Op: "scheduler step", Message: fmt.Sprintf("step %d adds noise and got none", i)})
	}
	if w.previous != 0 && !previous.Defined() {
		panic(&torch.Error{Op: "scheduler step", Message: fmt.Sprintf("step %d needs the estimate of the step before", i)})
	}
	both := torch.Scopes(func() []torch.Tensor {
		next := latents.MulScalar(w.latents).Add(output.MulScalar(w.output))
		if w.previous != 0 {
			next = next.Add(previous.MulScalar(w.previous))
		}
		if w.noise != 0 {
			next = next.Add(noise.MulScalar(w.noise))
		}
		return []torch.Tensor{next, latents.MulScalar(w.estimateLatents).Add(output.MulScalar(w.estimateOutput))}
	})
	return both[0], both[1]
}

// through writes a step given in terms of the estimate, next = a·latents + b·x̂0, in terms of the
// network's output; estimate weights and noise must be set before.
func (w *stepWeights) through(a, b float64) {
	w.latents = a + b*w.estimateLatents
	w.output = b * w.estimateOutput
}

// estimateFrom sets how x̂0 is read from the output of a network that was trained on alpha·x0 +
// sigma·noise (v-prediction: Salimans & Ho, arXiv 2202.00512, appendix D). scale is what the latents
// are in units of that: 1, or 1/alpha in the variance-exploding view.
func (w *stepWeights) estimateFrom(prediction string, alpha, sigma, scale float64) {
	switch prediction {
	case "sample":
		w.estimateLatents, w.estimateOutput = 0, 1
	case "v_prediction":
		w.estimateLatents, w.estimateOutput = alpha/scale, -sigma
	default:
		w.estimateLatents, w.estimateOutput = 1/(alpha*scale), -sigma/alpha
	}
}

// spacedTimesteps chooses n of the total timesteps (arXiv 2305.08891, table 2), highest first. Values
// are whole for leading and trailing; linspace is as numpy gives it.
func spacedTimesteps(spacing string, total, n, offset int) []float64 {
	timesteps := make([]float64, n)
	for i := range timesteps {
		fromLast := float64(n - 1 - i)
		switch spacing {
		case "leading":
			timesteps[i] = fromLast*float64(total/n) + float64(offset)
		case "trailing": // diffusers gives 62 values of n up to 1000 one timestep too many, -1
			timesteps[i] = math.RoundToEven(float64(total)-float64(i)*(float64(total)/float64(n))) - 1
		default:
			if n > 1 {
				timesteps[i] = fromLast * (float64(total-1) / float64(n-1))
			}
		}
	}
	return timesteps
}

// karrasSigmas spaces n noise levels from high to low with rho = 7 (Karras et al., arXiv 2206.00364,
// eq. 5).
func karrasSigmas(low, high float64, n int) []float64 {
	const rho = 7
	sigmas := make([]float64, n)
	from, to := math.Pow(high, 1.0/rho), math.Pow(low, 1.0/rho)
	for i := range sigmas {
		ramp := 0.0
		if n > 1 {
			ramp = float64(i) / float64(n-1)
		}
		sigmas[i] = math.Pow(from+ramp*(to-from), rho)
	}
	return sigmas
}

// timestepOf finds where in the rising training sigmas a noise level lies, between two timesteps in
// proportion to its logarithm.
func timestepOf(sigma float64, training []float64) float64 {
	low := 0
	for low < len(training)-2 && training[low+1] <= sigma {
		low++
	}
	a, b := math.Log(training[low]), math.Log(training[low+1])
	w := min(max((a-math.Log(max(sigma, 1e-10)))/(a-b), 0), 1)
	return float64(low) + w
}

// sigmaAt reads the training sigmas between timesteps, in proportion.
func sigmaAt(timestep float64, training []float64) float64 {
	low := min(max(int(timestep), 0), len(training)-2)
	return training[low] + (timestep-float64(low))*(training[low+1]-training[low])
}

// Coefficients are what each step's output counts in the finished latents: x_0 = c·x_T + Σ_i Coefficients[i]·output_i
// + noise, for samplers that look back at no step before.
func (s *Scheduler) Coefficients() []float64 {
	c := make([]float64, len(s.table))
	tail := 1.0
	for i := len(s.table) - 1; i >= 0; i-- {
		c[i] = s.table[i].output * tail
		tail *= s.table[i].latents
	}
	return c
}
