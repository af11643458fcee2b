package sd

import "math"

// DPM-Solver++ 2M (Lu et al., arXiv 2211.01095, algorithm 2): an exponential integrator that also uses
// the estimate of the step before to follow the curve. With lambda = -log sigma the formulas need only
// ratios of neighbouring sigmas.

func newDPMSolver(cfg SchedulerConfig, numSteps int) *Scheduler {
	training := NewNoiseSchedule(cfg).sigmas()
	timesteps := dpmTimesteps(cfg, numSteps)
	sigmas := make([]float64, numSteps)
	for i, t := range timesteps {
		sigmas[i] = sigmaAt(t, training)
	}
	if cfg.UseKarrasSigmas {
		sigmas = karrasSigmas(training[0], training[len(training)-1], numSteps)
		for i, sigma := range sigmas {
			timesteps[i] = timestepOf(sigma, training)
			if cfg.BetaSchedule != "squaredcos_cap_v2" {
				timesteps[i] = math.RoundToEven(timesteps[i])
			}
			timesteps[i] = math.Trunc(timesteps[i])
		}
	}
	sigmas = append(sigmas, finalSigma(cfg, training))
	for i := range sigmas {
		sigmas[i] = round32(sigmas[i])
	}
	s := &Scheduler{Timesteps: timesteps, InitNoiseSigma: 1, table: make([]stepWeights, numSteps)}
	for i := range s.table {
		before := 0.0 // no second order
		if i > 0 && !dpmFirstOrder(cfg, i, numSteps) {
			before = sigmas[i-1]
		}
		s.table[i] = dpmStep(cfg.PredictionType, before, sigmas[i], sigmas[i+1])
	}
	return s
}

// dpmTimesteps leaves the lowest level out: it spaces one timestep more than it takes.
func dpmTimesteps(cfg SchedulerConfig, numSteps int) []float64 {
	if cfg.TimestepSpacing == "trailing" {
		return spacedTimesteps(cfg.TimestepSpacing, cfg.NumTrainTimesteps, numSteps, 0)
	}
	timesteps := spacedTimesteps(cfg.TimestepSpacing, cfg.NumTrainTimesteps, numSteps+1, cfg.StepsOffset)[:numSteps]
	for i := range timesteps {
		timesteps[i] = math.RoundToEven(timesteps[i])
	}
	return timesteps
}

// dpmFirstOrder tells whether step i does without the estimate before it, for stability at the end.
func dpmFirstOrder(cfg SchedulerConfig, i, numSteps int) bool {
	return i == numSteps-1 &&
		(cfg.EulerAtFinal || cfg.LowerOrderFinal && numSteps < 15 || cfg.FinalSigmasType == "zero")
}

// dpmStep goes from sigma to next; before is the sigma of the step before, 0 for a first-order step.
// Latents are alpha·x0 + alpha·sigma·noise with alpha = 1/sqrt(sigma²+1).
func dpmStep(prediction string, before, sigma, next float64) stepWeights {
	norm, nextNorm := math.Hypot(sigma, 1), math.Hypot(next, 1)
	w := stepWeights{input: 1}
	w.estimateFrom(prediction, 1/norm, sigma/norm, 1)
	toLatents := (next / nextNorm) / (sigma / norm)
	toEstimate := (1 - next/sigma) / nextNorm // -alpha·(exp(-h) - 1), h = log(sigma/next)
	if before > 0 {
		ratio := math.Log(before/sigma) / math.Log(sigma/next) // r0
		w.previous = -toEstimate / (2 * ratio)
		toEstimate -= w.previous
	}
	w.through(toLatents, toEstimate)
	return w
}
