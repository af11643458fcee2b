package sd

import (
	"math"
	"slices"
)

// UniPC (Zhao et al., arXiv 2302.04867, algorithms 1 and 2): a multistep predictor like DPM-Solver's, and
// a corrector that repeats the step before with what the network found at its end, without evaluating the
// network again.
func (w *walk) uniPC(numSteps int, _ float64) {
	timesteps, sigmas := w.cfg.multistepLevels(numSteps)
	levels := make([]solverLevel, len(sigmas))
	for i, sigma := range sigmas {
		levels[i] = vpLevel(sigma)
	}
	var ms []form // latest last
	var before *uniStep
	for i, timestep := range timesteps {
		f := w.read(timestep, levels[i].alpha, levels[i].sigma, 1)
		x, m := f.x, w.uniPCModel(f)
		if before != nil && !slices.Contains(w.cfg.DisableCorrector, int64(i-1)) {
			x = before.correct(x, m)
		}
		ms = append(ms, m)
		order := w.cfg.SolverOrder
		if w.cfg.LowerOrderFinal {
			order = min(order, len(timesteps)-i)
		}
		before = newUniStep(w.cfg, levels[:i+2], ms, min(order, i+1))
		w.to(before.predict(x), 0)
	}
}

// uniPCModel is what is integrated: the estimate, or the noise.
func (w *walk) uniPCModel(f found) form {
	if w.cfg.PredictX0 {
		return f.x0
	}
	return f.noise
}

// uniStep is one step: x' = keep·x + straight - scale·(Σ rho·difference).
type uniStep struct {
	keep, scale         float64
	straight            form
	m                   form // at the beginning
	differences         []form
	predictor, corrects []float64 // rho of the differences; the corrector's last is of the new difference
}

func newUniStep(cfg SchedulerConfig, levels []solverLevel, ms []form, order int) *uniStep {
	last, newest := len(levels)-1, len(ms)-1
	from, to := levels[last-1], levels[last]
	h := to.lambda - from.lambda
	s := &uniStep{m: ms[newest]}
	hh, unit := -h, to.alpha
	s.keep = to.sigma / from.sigma
	if !cfg.PredictX0 {
		hh, unit, s.keep = h, to.sigma, to.alpha/from.alpha
	}
	phi := math.Expm1(hh)
	s.straight = s.m.times(-unit * phi)
	spread := hh // B(h)
	if cfg.SolverType == "bh2" {
		spread = phi
	}
	s.scale = unit * spread
	var places []float64 // r_k
	for k := 1; k < order; k++ {
		r := (levels[last-1-k].lambda - from.lambda) / h
		places = append(places, r)
		s.differences = append(s.differences, ms[newest-k].minus(s.m).times(1/r))
	}
	b := uniMoments(hh, spread, phi, order)
	switch order {
	case 1:
		s.corrects = []float64{0.5}
	case 2:
		s.predictor = []float64{0.5} // diffusers' simplification
	default:
		s.predictor = solve(vandermonde(places), b[:order-1])
	}
	if order > 1 {
		s.corrects = solve(vandermonde(append(places, 1)), b)
	}
	return s
}

// uniMoments are the right side of the order conditions.
func uniMoments(hh, spread, phi float64, order int) []float64 {
	b := make([]float64, order)
	phiK, factorial := phi/hh-1, 1.0
	for i := range b {
		b[i] = phiK * factorial / spread
		factorial *= float64(i + 2)
		phiK = phiK/hh - 1/factorial
	}
	return b
}

func (s *uniStep) predict(x form) form {
	next := x.times(s.keep).plus(s.straight)
	for k, d := range s.differences {
		next = next.minus(d.times(s.scale * s.predictor[k]))
	}
	return next
}

// correct takes what predict gave, x, to what the step gives with m at its end.
func (s *uniStep) correct(x, m form) form {
	for k, d := range s.differences {
		x = x.plus(d.times(s.scale * (s.predictor[k] - s.corrects[k])))
	}
	return x.minus(m.minus(s.m).times(s.scale * s.corrects[len(s.corrects)-1]))
}

// vandermonde has the powers 0, 1, ... of places as rows.
func vandermonde(places []float64) [][]float64 {
	rows := make([][]float64, len(places))
	for i := range rows {
		rows[i] = make([]float64, len(places))
		for j, r := range places {
			rows[i][j] = math.Pow(r, float64(i))
		}
	}
	return rows
}

// solve is Gaussian elimination of a·x = b, which has a solution.
func solve(a [][]float64, b []float64) []float64 {
	b = slices.Clone(b)
	n := len(b)
	for col := range n {
		best := col
		for row := col; row < n; row++ {
			if math.Abs(a[row][col]) > math.Abs(a[best][col]) {
				best = row
			}
		}
		a[col], a[best], b[col], b[best] = a[best], a[col], b[best], b[col]
		for row := range n {
			if row != col {
				share := a[row][col] / a[col][col]
				for k := col; k < n; k++ {
					a[row][k] -= share * a[col][k]
				}
				b[row] -= share * b[col]
			}
		}
	}
	for i := range b {
		b[i] /= a[i][i]
	}
	return b
}
