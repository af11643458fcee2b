package train

import (
	"math"
	"math/rand/v2"

	"focusnfix/model/torch"
)

// The sparse gradient (after FlowBP-Sparse, arXiv 2606.11075). A sampler is linear in the outputs of the network:
//
//	x_0 = c_T · x_T + Σ_i c_i · output_i(x_i)  (+ noise)
//
// with c_i from its own table (backbone.Scheduler.Coefficients). The steps are walked without gradients; then K of them
// are computed again at the latents that they had, which carry no history, and each gets its share c_i of the
// gradient at x_0. No Jacobian of one step is multiplied with that of the next, memory is that of one step, and
// early steps, which decide the layout, learn as well as late ones.
//
// Each part draws its own K steps, one out of each of K consecutive strata, and multiplies by the size of the
// stratum: the mean over all draws is the gradient of all steps. Strata of late steps are smaller, so that a late
// step learns more often and an early one more at a time.

// lateBias is the exponent of the strata's borders: 1 makes them equal.
const lateBias = 1.5

// strata are the borders of k consecutive parts of 0 to n-1, k+1 numbers; no part is empty.
func strata(n, k int) []int {
	borders := make([]int, k+1)
	for j := range borders {
		share := 1 - math.Pow(1-float64(j)/float64(k), lateBias)
		borders[j] = int(math.Round(share * float64(n)))
	}
	for j := 1; j <= k; j++ { // rounding may have left one empty
		borders[j] = max(borders[j], borders[j-1]+1)
	}
	for j := k; j >= 1; j-- {
		borders[j] = min(borders[j], n-(k-j))
	}
	return borders
}

// learning chooses the steps that learn, and how much each counts.
func learning(n, k int, chance *rand.Rand) (steps []int, weights []float64) {
	borders := strata(n, k)
	for j := range k {
		size := borders[j+1] - borders[j]
		steps, weights = append(steps, borders[j]+chance.IntN(size)), append(weights, float64(size))
	}
	return steps, weights
}

// sparse is a trajectory whose gradient goes straight to some of its steps, weighted.
func (s *sampler) sparse(w walk, steps []int, weights []float64) trajectory {
	coefficients := s.scheduler.Coefficients()
	return trajectory{w.last().Leaf(), func(grad torch.Tensor, params []torch.Tensor) (sums []torch.Tensor) {
		return torch.Scopes(func() []torch.Tensor {
			for k, i := range steps {
				sums = torch.Scopes(func() []torch.Tensor {
					x, share := w.latents[i].Detach(), grad.MulScalar(coefficients[i]*weights[k])
					_, more := torch.BackwardStages(s.outputStages(w.start, i, x), []torch.Tensor{x}, []torch.Tensor{share}, params)
					return sumOf(sums, more)
				})
			}
			return sums
		})
	}}
}
