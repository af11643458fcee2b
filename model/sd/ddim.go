package sd

import "math"

// DDIM (Song et al., arXiv 2010.02502, eq. 12 and 16): estimate the image, then go back to the noise
// level of the next timestep along the noise that was found, of which a share set by eta is fresh.
func (w *walk) ddim(numSteps int, eta float64) {
	schedule := NewNoiseSchedule(w.cfg)
	for _, timestep := range w.cfg.wholeTimesteps(numSteps) {
		t := int(timestep)
		// the next level is one stride lower whatever the spacing, as in diffusers
		next := w.cfg.finalAlpha(schedule)
		if before := t - w.cfg.NumTrainTimesteps/numSteps; before >= 0 {
			next = schedule.AlphasCumprod[before]
		}
		alphaBar := schedule.AlphasCumprod[t]
		f := w.readCumprod(timestep, alphaBar)
		fresh := eta * math.Sqrt((1-next)/(1-alphaBar)*(1-alphaBar/next)) // σ_t(η), eq. 16
		w.to(f.x0.times(math.Sqrt(next)).plus(f.noise.times(math.Sqrt(max(1-next-fresh*fresh, 0)))), fresh)
	}
}

// finalAlpha is ᾱ behind the last step.
func (c SchedulerConfig) finalAlpha(s NoiseSchedule) float64 {
	if c.SetAlphaToOne {
		return 1
	}
	return s.AlphasCumprod[0]
}
