package sd

import (
	"math"
	"slices"
	"sort"
)

// spacedTimesteps chooses n of the total timesteps (arXiv 2305.08891, table 2), highest first. Values
// are whole for leading and trailing; linspace is as numpy gives it.
func spacedTimesteps(spacing string, total, n, offset int) []float64 {
	timesteps := make([]float64, n)
	for i := range timesteps {
		fromLast := float64(n - 1 - i)
		switch spacing {
		case "leading":
			timesteps[i] = fromLast*float64(total/n) + float64(offset)
		case "trailing": // diffusers gives 62 values of n up to 1000 one timestep too many, -1
			timesteps[i] = math.RoundToEven(float64(total)-float64(i)*(float64(total)/float64(n))) - 1
		default:
			if n > 1 {
				timesteps[i] = fromLast * (float64(total-1) / float64(n-1))
			}
		}
	}
	return timesteps
}

// wholeTimesteps is spacedTimesteps rounded half to even.
func (c SchedulerConfig) wholeTimesteps(n int) []float64 {
	timesteps := spacedTimesteps(c.TimestepSpacing, c.NumTrainTimesteps, n, c.StepsOffset)
	for i, t := range timesteps {
		timesteps[i] = math.RoundToEven(t)
	}
	return timesteps
}

// respaced says whether the noise levels are spaced by themselves instead of by timesteps.
func (c SchedulerConfig) respaced() bool {
	return c.UseKarrasSigmas || c.UseExponentialSigmas || c.UseBetaSigmas || c.UseLuLambdas
}

// respace spaces n noise levels from high to low as the configuration says.
func (c SchedulerConfig) respace(low, high float64, n int) []float64 {
	if c.SigmaMin != nil {
		low = *c.SigmaMin
	}
	if c.SigmaMax != nil {
		high = *c.SigmaMax
	}
	sigmas := make([]float64, n)
	for i := range sigmas {
		ramp := 0.0
		if n > 1 {
			ramp = float64(i) / float64(n-1)
		}
		switch {
		case c.UseKarrasSigmas:
			sigmas[i] = karras(low, high, ramp, 7)
		case c.UseBetaSigmas: // arXiv 2407.12173
			sigmas[i] = low + betaQuantile(1-ramp, 0.6)*(high-low)
		default: // exponential; uniform in lambda (Lu) is the same with other ends
			sigmas[i] = math.Exp(math.Log(high) + ramp*(math.Log(low)-math.Log(high)))
		}
	}
	return sigmas
}

// karras is the noise level at a place from 0, high, to 1, low (Karras et al., arXiv 2206.00364, eq. 5).
func karras(low, high, place, rho float64) float64 {
	from, to := math.Pow(high, 1/rho), math.Pow(low, 1/rho)
	return math.Pow(from+place*(to-from), rho)
}

// betaQuantile is where the distribution Beta(a,a) reaches p, found by bisection.
func betaQuantile(p, a float64) float64 {
	if p <= 0 || p >= 1 {
		return min(max(p, 0), 1)
	}
	low, high := 0.0, 1.0
	for range 200 {
		middle := (low + high) / 2
		if betaShare(middle, a) < p {
			low = middle
		} else {
			high = middle
		}
	}
	return (low + high) / 2
}

// betaShare is the regularized incomplete beta function I_x(a,a), by its continued fraction (Press et
// al., Numerical Recipes, 6.4), which converges fast below the middle; above, by symmetry.
func betaShare(x, a float64) float64 {
	if x > 0.5 {
		return 1 - betaShare(1-x, a)
	}
	if x == 0 {
		return 0
	}
	whole, _ := math.Lgamma(2 * a)
	half, _ := math.Lgamma(a)
	front := math.Exp(whole - 2*half + a*math.Log(x) + a*math.Log1p(-x))
	c, d := 1.0, 1/(1-2*a*x/(a+1))
	h := d
	for m := 1.0; m < 300; m++ {
		even := m * (a - m) * x / ((a + 2*m - 1) * (a + 2*m))
		odd := -(a + m) * (2*a + m) * x / ((a + 2*m) * (a + 2*m + 1))
		before := h
		for _, k := range []float64{even, odd} {
			d, c = 1/(1+k*d), 1+k/c
			h *= d * c
		}
		if math.Abs(h-before) < 1e-15*math.Abs(h) {
			break
		}
	}
	return front * h / a
}

// timestepOf finds where in the rising training sigmas a noise level lies, between two timesteps in
// proportion to its logarithm. Those of the training are float32 in diffusers, which decides what is cut to
// the timestep below.
func timestepOf(sigma float64, training []float64) float64 {
	at := func(i int) float64 { return round32(math.Log(training[i])) }
	log := math.Log(max(sigma, 1e-10))
	low := sort.Search(len(training)-2, func(i int) bool { return at(i+1) > log })
	w := min(max((at(low)-log)/round32(at(low)-at(low+1)), 0), 1)
	return float64(low) + w
}

// sigmaAt reads the training sigmas between timesteps, in proportion.
func sigmaAt(timestep float64, training []float64) float64 {
	low := min(max(int(timestep), 0), len(training)-2)
	return training[low] + (timestep-float64(low))*(training[low+1]-training[low])
}

// exactLevels are the timesteps and noise levels of Euler and Heun, without the last: float32, timesteps
// not whole.
func (c SchedulerConfig) exactLevels(numSteps int, training []float64) (timesteps, sigmas []float64) {
	timesteps = spacedTimesteps(c.TimestepSpacing, c.NumTrainTimesteps, numSteps, c.StepsOffset)
	sigmas = make([]float64, numSteps)
	for i, t := range timesteps {
		timesteps[i] = round32(t)
		sigmas[i] = sigmaAt(timesteps[i], training)
	}
	if c.InterpolationType == "log_linear" {
		sigmas = logLinear(training[len(training)-1], training[0], numSteps+1)
	}
	if c.respaced() {
		sigmas = c.respace(sigmas[len(sigmas)-1], sigmas[0], numSteps)
		for i, sigma := range sigmas {
			timesteps[i] = round32(timestepOf(sigma, training))
		}
	}
	return timesteps, sigmas
}

// logLinear spaces n levels evenly in their logarithms.
func logLinear(from, to float64, n int) []float64 {
	levels := linspace32(math.Log(from), math.Log(to), n)
	for i, l := range levels {
		levels[i] = round32(math.Exp(l))
	}
	return levels
}

// multistepLevels are the timesteps, whole, and the noise levels of the multistep solvers, with the level
// behind the last step.
func (c SchedulerConfig) multistepLevels(numSteps int) (timesteps, sigmas []float64) {
	schedule := NewNoiseSchedule(c)
	training := schedule.sigmas()
	timesteps = c.solverTimesteps(numSteps, training)
	sigmas = make([]float64, len(timesteps))
	for i, t := range timesteps {
		sigmas[i] = sigmaAt(t, training)
	}
	if c.respaced() {
		sigmas = c.respace(training[0], training[len(training)-1], numSteps)
		timesteps = make([]float64, numSteps)
		rounds := c.UseKarrasSigmas || c.UseLuLambdas
		if c.Class == DPMSolver && c.BetaSchedule == "squaredcos_cap_v2" {
			rounds = false
		}
		for i, sigma := range sigmas {
			timesteps[i] = timestepOf(sigma, training)
			if rounds {
				timesteps[i] = math.RoundToEven(timesteps[i])
			}
			timesteps[i] = math.Trunc(timesteps[i])
		}
	}
	last := 0.0
	switch {
	case c.Class != DPMSolver && c.respaced() && (c.Class == DEIS || c.FinalSigmasType == "sigma_min"):
		last = sigmas[len(sigmas)-1]
	case c.Class == DEIS || c.FinalSigmasType == "sigma_min":
		last = training[0]
	}
	sigmas = append(sigmas, last)
	for i := range sigmas {
		sigmas[i] = round32(sigmas[i])
	}
	return timesteps, sigmas
}

// solverTimesteps leaves the lowest level out: it spaces one timestep more than it takes. DPM-Solver's
// lambda_min_clipped leaves the highest ones out.
func (c SchedulerConfig) solverTimesteps(numSteps int, training []float64) []float64 {
	total := c.NumTrainTimesteps
	if c.Class == DPMSolver && c.LambdaMinClipped != nil {
		total = len(training) - below(*c.LambdaMinClipped, training)
	}
	if c.TimestepSpacing == "trailing" {
		ratio := float64(c.NumTrainTimesteps) / float64(numSteps)
		timesteps := make([]float64, min(numSteps, int(math.Ceil(float64(total)/ratio))))
		for i := range timesteps {
			timesteps[i] = math.RoundToEven(float64(total)-float64(i)*ratio) - 1
		}
		return timesteps
	}
	timesteps := spacedTimesteps(c.TimestepSpacing, total, numSteps+1, c.StepsOffset)[:numSteps]
	for i := range timesteps {
		timesteps[i] = math.RoundToEven(timesteps[i])
	}
	return timesteps
}

// below counts the training levels whose lambda, -log sigma, is less than the given one.
func below(lambda float64, training []float64) int {
	n := 0
	for _, sigma := range slices.Backward(training) {
		if -math.Log(sigma) >= lambda {
			break
		}
		n++
	}
	return n
}
