package sd

import "math"

// Euler and Euler ancestral in the variance-exploding view (Karras et al., arXiv 2206.00364,
// algorithm 2 without churn; k-diffusion's sample_euler and sample_euler_ancestral): latents are the
// image plus sigma times noise, and a step follows the line to the estimate down to the next sigma.
// The ancestral kind goes further down and adds fresh noise.
func (w *walk) euler(numSteps int, _ float64) {
	training := NewNoiseSchedule(w.cfg).sigmas()
	cfg := w.cfg
	if cfg.Class == EulerAncestral { // which has none of the other spacings
		cfg.FinalSigmasType, cfg.InterpolationType, cfg.TimestepType = "zero", "linear", "discrete"
		cfg.UseKarrasSigmas, cfg.UseExponentialSigmas, cfg.UseBetaSigmas = false, false, false
	}
	timesteps, sigmas := cfg.exactLevels(numSteps, training)
	last := 0.0
	if cfg.FinalSigmasType == "sigma_min" {
		last = training[0]
	}
	sigmas = append(sigmas, last)
	if cfg.TimestepType == "continuous" && cfg.PredictionType == "v_prediction" {
		for i := range timesteps {
			timesteps[i] = round32(0.25 * math.Log(sigmas[i]))
		}
	}
	w.s.InitNoiseSigma = cfg.firstSigma(sigmas)
	for i, timestep := range timesteps {
		w.eulerStep(timestep, round32(sigmas[i]), round32(sigmas[i+1]))
	}
}

// firstSigma is the size of the first latents.
func (c SchedulerConfig) firstSigma(sigmas []float64) float64 {
	highest := round32(sigmas[0])
	if c.TimestepSpacing == "leading" { // which does not start at the highest level
		return math.Hypot(highest, 1)
	}
	return highest
}

// readExploding is read at latents x0 + sigma·noise.
func (w *walk) readExploding(timestep, sigma float64) found {
	norm := math.Hypot(sigma, 1)
	return w.read(timestep, 1/norm, sigma/norm, norm)
}

func (w *walk) eulerStep(timestep, sigma, next float64) {
	f := w.readExploding(timestep, sigma)
	down, fresh := next, 0.0
	if w.cfg.Class == EulerAncestral {
		fresh = next * math.Sqrt(max(1-next*next/(sigma*sigma), 0))
		down = next * next / sigma // sqrt(next² - fresh²)
	}
	w.to(f.x0.times(1-down/sigma).plus(f.x.times(down/sigma)), fresh)
}
