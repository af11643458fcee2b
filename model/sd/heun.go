package sd

// Heun (Karras et al., arXiv 2206.00364, algorithm 1): an Euler step, then the same step again with the mean
// of the slopes at both ends. Each step but the last evaluates the network twice.
func (w *walk) heun(numSteps int, _ float64) {
	timesteps, sigmas := w.cfg.exactLevels(numSteps, NewNoiseSchedule(w.cfg).sigmas())
	sigmas = append(sigmas, 0)
	for i := range sigmas {
		sigmas[i] = round32(sigmas[i])
	}
	w.s.InitNoiseSigma = w.cfg.firstSigma(sigmas)
	for i := range numSteps {
		from, to := sigmas[i], sigmas[i+1]
		f := w.readExploding(timesteps[i], from)
		slope := f.x.minus(f.x0).times(1 / from)
		w.to(f.x.plus(slope.times(to-from)), 0)
		if i == numSteps-1 {
			break
		}
		g := w.readExploding(timesteps[i+1], to)
		mean := slope.plus(g.x.minus(g.x0).times(1 / to)).times(0.5)
		w.to(f.x.plus(mean.times(to-from)), 0)
	}
}
