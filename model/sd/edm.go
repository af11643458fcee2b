package sd

import (
	"math"

	"focusnfix/model/backbone"
)

// The samplers of EDM (Karras et al., arXiv 2206.00364): models that were trained with its preconditioning
// (table 1), which Playground v2.5 is. Latents are the image plus sigma times noise, the network is told
// log(sigma)/4, and the image is read from a mixture of input and output.

func (c SchedulerConfig) edmLevels(numSteps int) []float64 {
	sigmas := make([]float64, numSteps, numSteps+1)
	for i := range sigmas {
		place := 0.0
		if numSteps > 1 {
			place = float64(i) / float64(numSteps-1)
		} else if c.SigmaSchedule == "exponential" { // the one step of diffusers is at the lowest level
			place = 1
		}
		if c.SigmaSchedule == "exponential" {
			sigmas[i] = math.Exp(math.Log(*c.SigmaMax) + place*(math.Log(*c.SigmaMin)-math.Log(*c.SigmaMax)))
		} else {
			sigmas[i] = karras(*c.SigmaMin, *c.SigmaMax, place, c.Rho)
		}
		sigmas[i] = round32(sigmas[i])
	}
	last := 0.0
	if c.FinalSigmasType == "sigma_min" {
		last = sigmas[numSteps-1]
	}
	return append(sigmas, last)
}

func edmTimestep(sigma float64) float64 { return round32(0.25 * math.Log(sigma)) }

// readEDM begins an evaluation.
func (w *walk) readEDM(sigma float64) (x, x0 form) {
	i := len(w.s.Rows)
	data := w.cfg.SigmaData
	norm := math.Hypot(sigma, data)
	out := sigma * data / norm
	if w.cfg.PredictionType == "v_prediction" {
		out = -out
	}
	x = latentsAt(i)
	x0 = x.times(data * data / (norm * norm)).plus(form{{At: i, What: backbone.OfOutput}: out})
	w.begin(edmTimestep(sigma), 1/norm, x0)
	w.at(1, sigma)
	if w.s.Bound != nil {
		x0 = form{{At: i, What: backbone.OfEstimate}: 1}
	}
	return x, x0
}

func (w *walk) edmEuler(numSteps int, _ float64) {
	sigmas := w.cfg.edmLevels(numSteps)
	w.s.InitNoiseSigma = math.Hypot(*w.cfg.SigmaMax, 1)
	for i, sigma := range sigmas[:numSteps] {
		x, x0 := w.readEDM(sigma)
		down := sigmas[i+1] / sigma
		w.to(x0.times(1-down).plus(x.times(down)), 0)
	}
}

// edmDPMSolver is DPM-Solver++ with alpha 1.
func (w *walk) edmDPMSolver(numSteps int, _ float64) {
	sigmas := w.cfg.edmLevels(numSteps)
	w.s.InitNoiseSigma = math.Hypot(*w.cfg.SigmaMax, 1)
	levels := make([]solverLevel, len(sigmas))
	timesteps := make([]float64, numSteps)
	for i, sigma := range sigmas {
		levels[i] = solverLevel{1, sigma, -math.Log(sigma)}
		if i < numSteps {
			timesteps[i] = edmTimestep(sigma)
		}
	}
	w.dpmSteps(timesteps, levels, func(i int) (x, m form) { return w.readEDM(sigmas[i]) })
}
