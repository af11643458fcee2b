package sd

import (
	"math"

	"focusnfix/model/backbone"
)

// PNDM (Liu et al., arXiv 2202.09778, eq. 9, 12 and 13): DDIM's step along a mixture of the noise found at
// up to four evaluations. The first steps are those of Runge-Kutta, or, with skip_prk_steps, PLMS of
// growing order, whose second step evaluates the network a second time at the same timestep.
func (w *walk) pndm(numSteps int, _ float64) {
	schedule, timesteps := NewNoiseSchedule(w.cfg), w.cfg.wholeTimesteps(numSteps)
	stride := w.cfg.NumTrainTimesteps / numSteps
	var found []form // noise, latest last
	if !w.cfg.SkipPRKSteps {
		found = w.rungeKutta(schedule, timesteps, stride)
		timesteps = timesteps[3:]
	}
	for i, timestep := range timesteps {
		f := w.pndmRead(timestep)
		before := f.x
		found = append(found, f.output)
		w.to(w.pndmStep(schedule, before, timestep, timestep-float64(stride), adamsBashforth(found)), 0)
		if i == 0 && len(found) == 1 && numSteps > 1 { // the step again, with the mean of both ends
			again := w.pndmRead(timesteps[1])
			mean := again.output.plus(f.output).times(0.5)
			w.to(w.pndmStep(schedule, before, timesteps[1]+float64(stride), timesteps[1], mean), 0)
		}
	}
}

// pndmFound is what one evaluation gives.
type pndmFound struct{ x, output form }

// pndmRead begins an evaluation. Outputs are mixed before they are read as noise, as in diffusers.
func (w *walk) pndmRead(timestep float64) pndmFound {
	i := len(w.s.Rows)
	alphaBar := NewNoiseSchedule(w.cfg).AlphasCumprod[int(timestep)]
	w.readCumprod(timestep, alphaBar)
	return pndmFound{latentsAt(i), form{{At: i, What: backbone.OfOutput}: 1}}
}

// adamsBashforth mixes the last outputs, up to four.
func adamsBashforth(outputs []form) form {
	weights := [][]float64{{1}, {1.5, -0.5}, {23. / 12, -16. / 12, 5. / 12}, {55. / 24, -59. / 24, 37. / 24, -9. / 24}}
	mixed := form{}
	for i, weight := range weights[min(len(outputs), 4)-1] {
		mixed = mixed.plus(outputs[len(outputs)-1-i].times(weight))
	}
	return mixed
}

// pndmStep takes latents from one timestep to another, eq. 9.
func (w *walk) pndmStep(schedule NoiseSchedule, x form, from, to float64, output form) form {
	a, b := w.pndmLevel(schedule, from), w.pndmLevel(schedule, to)
	if w.cfg.PredictionType == "v_prediction" {
		output = output.times(math.Sqrt(a)).plus(x.times(math.Sqrt(1 - a)))
	}
	weight := (b - a) / (a*math.Sqrt(1-b) + math.Sqrt(a*(1-a)*b))
	return x.times(math.Sqrt(b / a)).minus(output.times(weight))
}

func (w *walk) pndmLevel(schedule NoiseSchedule, timestep float64) float64 {
	if timestep < 0 {
		return w.cfg.finalAlpha(schedule)
	}
	return schedule.AlphasCumprod[min(int(timestep), len(schedule.AlphasCumprod)-1)]
}

// rungeKutta takes the first three steps with four evaluations each and returns the outputs at the start
// of each.
func (w *walk) rungeKutta(schedule NoiseSchedule, timesteps []float64, stride int) (found []form) {
	half := float64(stride / 2)
	for i, timestep := range timesteps[:3] {
		next := timesteps[i+1]
		start := w.pndmRead(timestep)
		found = append(found, start.output)
		w.to(w.pndmStep(schedule, start.x, timestep, timestep-half, start.output), 0)
		sum := start.output.times(1. / 6)
		for _, to := range []float64{next + half, next} {
			f := w.pndmRead(next + half)
			sum = sum.plus(f.output.times(1. / 3))
			w.to(w.pndmStep(schedule, start.x, timestep, to, f.output), 0)
		}
		last := w.pndmRead(next)
		w.to(w.pndmStep(schedule, start.x, timestep, next, sum.plus(last.output.times(1./6))), 0)
	}
	return found
}
