package sd

import "math"

// DEIS (Zhang & Chen, arXiv 2204.13902, section 3.3), in rho = sigma/alpha and polynomials of log rho: the
// noise found at up to three steps is integrated as the polynomial through it.
func (w *walk) deis(numSteps int, _ float64) {
	timesteps, sigmas := w.cfg.multistepLevels(numSteps)
	var noises []form // latest last
	n := len(timesteps)
	for i, timestep := range timesteps {
		from, to := vpLevel(sigmas[i]), vpLevel(sigmas[i+1])
		f := w.read(timestep, from.alpha, from.sigma, 1)
		noise := f.noise
		if w.s.Bound != nil {
			noise = f.x.minus(f.x0.times(from.alpha)).times(1 / from.sigma)
		}
		noises = append(noises, noise)
		order := min(w.cfg.SolverOrder, i+1)
		if short := w.cfg.LowerOrderFinal && n < 15; short && i >= n-2 {
			order = min(order, n-i)
		}
		next := f.x.times(1 / from.alpha)
		for k, weight := range deisWeights(sigmas[max(i-2, 0):i+2], order) {
			next = next.plus(noises[i-k].times(weight))
		}
		w.to(next.times(to.alpha), 0)
	}
}

// deisWeights integrates the Lagrange polynomials in log rho through the last order levels, from the last
// but one level to the last; the weight of the latest comes first.
func deisWeights(rhos []float64, order int) []float64 {
	last := len(rhos) - 1
	from, to := rhos[last-1], rhos[last]
	weights := make([]float64, order)
	for k := range weights {
		// the polynomial as 1, u, u² of u = log rho
		poly := []float64{1}
		node := math.Log(rhos[last-1-k])
		for j := range order {
			if j == k {
				continue
			}
			other := math.Log(rhos[last-1-j])
			grown := make([]float64, len(poly)+1)
			for p, c := range poly {
				grown[p] -= c * other / (node - other)
				grown[p+1] += c / (node - other)
			}
			poly = grown
		}
		weights[k] = integralOfLogs(poly, to) - integralOfLogs(poly, from)
	}
	return weights
}

// integralOfLogs is ∫ Σ poly[p]·(log t)^p dt at t.
func integralOfLogs(poly []float64, t float64) float64 {
	u := math.Log(t)
	powers := []float64{t, t * (u - 1), t * (u*u - 2*u + 2)}
	sum := 0.0
	for p, c := range poly {
		sum += c * powers[p]
	}
	return sum
}
