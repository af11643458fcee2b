package sd

import "math"

// DPM-Solver and DPM-Solver++ (Lu et al., arXiv 2206.00927 and 2211.01095), multistep, of order 1 to 3, and
// their stochastic kinds: exponential integrators in lambda = log alpha/sigma that also use what was found
// at the steps before to follow the curve. The ++ ones integrate the estimate x̂0, the others the noise.

// solverLevel is a noise level of the variance-preserving view.
type solverLevel struct{ alpha, sigma, lambda float64 }

func vpLevel(sigma float64) solverLevel {
	alpha := 1 / math.Hypot(sigma, 1)
	return solverLevel{alpha, sigma * alpha, -math.Log(sigma)}
}

func (w *walk) dpmSolver(numSteps int, _ float64) {
	timesteps, sigmas := w.cfg.multistepLevels(numSteps)
	levels := make([]solverLevel, len(sigmas))
	for i, sigma := range sigmas {
		levels[i] = vpLevel(sigma)
	}
	plus := w.cfg.AlgorithmType == "dpmsolver++" || w.cfg.AlgorithmType == "sde-dpmsolver++"
	w.dpmSteps(timesteps, levels, func(i int) (x, m form) {
		f := w.read(timesteps[i], levels[i].alpha, levels[i].sigma, 1)
		switch {
		case plus:
			return f.x, f.x0
		case w.s.Bound != nil:
			return f.x, f.x.minus(f.x0.times(levels[i].alpha)).times(1 / levels[i].sigma)
		}
		return f.x, f.noise
	})
}

// dpmSteps integrates m, which read gives, over the levels.
func (w *walk) dpmSteps(timesteps []float64, levels []solverLevel, read func(i int) (x, m form)) {
	var ms []form // latest last
	n := len(timesteps)
	for i := range timesteps {
		x, m := read(i)
		ms = append(ms, m)
		order := min(w.cfg.SolverOrder, i+1)
		short := w.cfg.LowerOrderFinal && n < 15
		if i == n-1 && (short || w.cfg.EulerAtFinal || w.cfg.FinalSigmasType == "zero") {
			order = 1
		} else if i == n-2 && short {
			order = min(order, 2)
		}
		next, noise := w.dpmStep(levels[max(i-2, 0):i+2], x, ms, order)
		w.to(next, noise)
	}
}

// dpmStep is one step of an order; the last two levels are where it begins and ends.
func (w *walk) dpmStep(levels []solverLevel, x form, ms []form, order int) (next form, noise float64) {
	last := len(levels) - 1
	from, to := levels[last-1], levels[last]
	h := to.lambda - from.lambda
	d := dpmDifferences(levels, ms, h, order)
	var weights [3]float64 // of d
	switch w.cfg.AlgorithmType {
	case "dpmsolver++":
		e := math.Expm1(-h)
		x = x.times(to.sigma / from.sigma)
		weights = [3]float64{-to.alpha * e, to.alpha * (e/h + 1), -to.alpha * ((e+h)/(h*h) - 0.5)}
	case "dpmsolver":
		e := math.Expm1(h)
		x = x.times(to.alpha / from.alpha)
		weights = [3]float64{-to.sigma * e, -to.sigma * (e/h - 1), -to.sigma * ((e-h)/(h*h) - 0.5)}
	case "sde-dpmsolver++":
		e := -math.Expm1(-2 * h)
		x = x.times(to.sigma / from.sigma * math.Exp(-h))
		weights = [3]float64{to.alpha * e, to.alpha * (e/(-2*h) + 1), to.alpha * ((e-2*h)/(4*h*h) - 0.5)}
		noise = to.sigma * math.Sqrt(e)
	case "sde-dpmsolver":
		e := math.Expm1(h)
		x = x.times(to.alpha / from.alpha)
		weights = [3]float64{-2 * to.sigma * e, -2 * to.sigma * (e/h - 1), 0}
		noise = to.sigma * math.Sqrt(math.Expm1(2*h))
	}
	if order == 2 && w.cfg.SolverType == "midpoint" {
		weights[1] = weights[0] / 2
	}
	for i, difference := range d {
		x = x.plus(difference.times(weights[i]))
	}
	return x, noise
}

// dpmDifferences are m at the step's beginning and its first and second derivative, times h and h², as far
// as the order has them.
func dpmDifferences(levels []solverLevel, ms []form, h float64, order int) []form {
	last, newest := len(levels)-1, len(ms)-1
	d := []form{ms[newest]}
	if order == 1 {
		return d
	}
	r0 := (levels[last-1].lambda - levels[last-2].lambda) / h
	first := ms[newest].minus(ms[newest-1]).times(1 / r0)
	if order == 2 {
		return append(d, first)
	}
	r1 := (levels[last-2].lambda - levels[last-3].lambda) / h
	bend := first.minus(ms[newest-1].minus(ms[newest-2]).times(1 / r1))
	return append(d, first.plus(bend.times(r0/(r0+r1))), bend.times(1/(r0+r1)))
}
