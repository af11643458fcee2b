package sd

import "math"

// Euler and Euler ancestral in the variance-exploding view (Karras et al., arXiv 2206.00364,
// algorithm 2 without churn; k-diffusion's sample_euler and sample_euler_ancestral): latents are the
// picture plus sigma times noise, and a step follows the line to the estimate down to the next sigma.
// The ancestral kind goes further down and adds fresh noise.

func newEuler(cfg SchedulerConfig, numSteps int) *Scheduler {
	training := NewNoiseSchedule(cfg).sigmas()
	timesteps := spacedTimesteps(cfg.TimestepSpacing, cfg.NumTrainTimesteps, numSteps, cfg.StepsOffset)
	sigmas := make([]float64, numSteps)
	for i, t := range timesteps {
		timesteps[i] = round32(t)
		sigmas[i] = sigmaAt(timesteps[i], training)
	}
	if cfg.UseKarrasSigmas && cfg.Class == Euler {
		sigmas = karrasSigmas(sigmas[numSteps-1], sigmas[0], numSteps)
		for i, sigma := range sigmas {
			timesteps[i] = round32(timestepOf(sigma, training))
		}
	}
	sigmas = append(sigmas, finalSigma(cfg, training))
	s := &Scheduler{Timesteps: timesteps, InitNoiseSigma: sigmas[0], table: make([]stepWeights, numSteps)}
	if cfg.TimestepSpacing == "leading" { // which does not start at the highest level
		s.InitNoiseSigma = math.Hypot(sigmas[0], 1)
	}
	for i := range s.table {
		s.table[i] = eulerStep(cfg, round32(sigmas[i]), round32(sigmas[i+1]))
	}
	return s
}

// finalSigma is the level behind the last step.
func finalSigma(cfg SchedulerConfig, training []float64) float64 {
	if cfg.FinalSigmasType == "sigma_min" && cfg.Class != EulerAncestral {
		return training[0]
	}
	return 0
}

func eulerStep(cfg SchedulerConfig, sigma, next float64) stepWeights {
	norm := math.Hypot(sigma, 1)
	w := stepWeights{input: 1 / norm}
	w.estimateFrom(cfg.PredictionType, 1/norm, sigma/norm, norm)
	down := next
	if cfg.Class == EulerAncestral {
		w.noise = next * math.Sqrt(max(1-next*next/(sigma*sigma), 0))
		down = next * next / sigma // sqrt(next² - noise²)
	}
	w.through(down/sigma, 1-down/sigma)
	return w
}
