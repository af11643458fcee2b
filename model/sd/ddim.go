package sd

import "math"

// DDIM (Song et al., arXiv 2010.02502, eq. 12 and 16): estimate the picture, then go back to the noise
// level of the next timestep along the noise that was found, of which a share set by eta is fresh.

func newDDIM(cfg SchedulerConfig, numSteps int, eta float64) *Scheduler {
	schedule := NewNoiseSchedule(cfg)
	timesteps := spacedTimesteps(cfg.TimestepSpacing, cfg.NumTrainTimesteps, numSteps, cfg.StepsOffset)
	s := &Scheduler{Timesteps: timesteps, InitNoiseSigma: 1, table: make([]stepWeights, numSteps)}
	for i := range timesteps {
		timesteps[i] = math.RoundToEven(timesteps[i])
		t := int(timesteps[i])
		// the next level is one stride lower whatever the spacing, as in diffusers
		next := schedule.AlphasCumprod[0]
		if before := t - cfg.NumTrainTimesteps/numSteps; before >= 0 {
			next = schedule.AlphasCumprod[before]
		} else if cfg.SetAlphaToOne {
			next = 1
		}
		s.table[i] = ddimStep(cfg.PredictionType, schedule.AlphasCumprod[t], next, eta)
	}
	return s
}

// ddimStep goes from ᾱ to the next, higher ᾱ.
func ddimStep(prediction string, alphaBar, next, eta float64) stepWeights {
	w := stepWeights{input: 1}
	alpha, sigma := math.Sqrt(alphaBar), math.Sqrt(1-alphaBar)
	w.estimateFrom(prediction, alpha, sigma, 1)
	w.noise = eta * math.Sqrt((1-next)/(1-alphaBar)*(1-alphaBar/next)) // σ_t(η), eq. 16
	toNoise := math.Sqrt(max(1-next-w.noise*w.noise, 0))               // of the noise found, (latents - alpha·x̂0)/sigma
	w.through(toNoise/sigma, math.Sqrt(next)-toNoise*alpha/sigma)
	return w
}
