package sd

import "math"

// DDPM, ancestral sampling (Ho et al., arXiv 2006.11239, algorithm 2, eq. 6 and 7), over any number of
// the training's timesteps.
func (w *walk) ddpm(numSteps int, _ float64) {
	schedule := NewNoiseSchedule(w.cfg)
	timesteps := w.cfg.wholeTimesteps(numSteps)
	for i, timestep := range timesteps {
		alphaBar, next := schedule.AlphasCumprod[int(timestep)], 1.0
		if i+1 < numSteps {
			next = schedule.AlphasCumprod[int(timesteps[i+1])]
		}
		alpha := alphaBar / next
		f := w.readCumprod(timestep, alphaBar)
		mean := f.x0.times(math.Sqrt(next) * (1 - alpha) / (1 - alphaBar)).plus(f.x.times(math.Sqrt(alpha) * (1 - next) / (1 - alphaBar)))
		variance := (1 - next) / (1 - alphaBar) * (1 - alpha)
		if w.cfg.VarianceType == "fixed_large" {
			variance = 1 - alpha
		}
		if timestep == 0 {
			variance = 0
		}
		w.to(mean, math.Sqrt(variance))
	}
}
