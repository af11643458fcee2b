package nn

import (
	"fmt"
	"math"

	"focusnfix/model/torch"
)

// AdamW is Adam with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101, algorithm 2), with
// the arithmetic and rounding order of torch.optim.AdamW. Its fields may be changed between steps.
type AdamW struct {
	LearningRate float64
	Beta1, Beta2 float64 // decay of the mean and of the mean square of the gradients
	Eps          float64
	WeightDecay  float64

	params       []torch.Tensor
	mean, square []torch.Tensor // moments, of each parameter's shape
	steps        int
}

// NewAdamW makes an optimizer of the parameters with the constants of torch.optim.AdamW. Its moments
// are float32 beside the parameters, which should be float32 too, and live until Drop.
func NewAdamW(params []torch.Tensor, learningRate float64) *AdamW {
	a := &AdamW{LearningRate: learningRate, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01, params: params}
	torch.NoGrad(func() {
		for _, p := range params {
			a.mean = append(a.mean, torch.Own(p.ZerosLike()))
			a.square = append(a.square, torch.Own(p.ZerosLike()))
		}
	})
	return a
}

// Step moves every parameter against its gradient. All gradients must be there, of the parameters'
// shapes and types.
func (a *AdamW) Step(grads []torch.Tensor) {
	if len(grads) != len(a.params) {
		panic(&torch.Error{Op: "adamw", Message: fmt.Sprintf("%d gradients for %d parameters", len(grads), len(a.params))})
	}
	a.steps++
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor { a.update(grads); return torch.Tensor{} })
	})
}

func (a *AdamW) update(grads []torch.Tensor) {
	params, mean, square := a.params, a.mean, a.square
	t := float64(a.steps)
	correction1, correction2 := 1-math.Pow(a.Beta1, t), 1-math.Pow(a.Beta2, t)
	if a.WeightDecay != 0 {
		torch.ForeachMul(params, 1-a.LearningRate*a.WeightDecay)
	}
	torch.ForeachMul(mean, a.Beta1)
	torch.ForeachAdd(mean, grads, 1-a.Beta1)
	torch.ForeachMul(square, a.Beta2)
	torch.ForeachAddMul(square, grads, grads, 1-a.Beta2)
	root := torch.ForeachSqrt(square)
	torch.ForeachDiv(root, math.Sqrt(correction2))
	torch.ForeachAddScalar(root, a.Eps)
	torch.ForeachAddDiv(params, mean, root, -a.LearningRate/correction1)
}

// Steps is how many steps were made.
func (a *AdamW) Steps() int { return a.steps }

// Moments are the running means of the gradients and of their squares, one each a parameter: with
// Steps all that a checkpoint needs.
func (a *AdamW) Moments() (mean, square []torch.Tensor) { return a.mean, a.square }

// Restore continues where Moments and Steps were read.
func (a *AdamW) Restore(steps int, mean, square []torch.Tensor) {
	if len(mean) != len(a.params) || len(square) != len(a.params) {
		panic(&torch.Error{Op: "adamw", Message: fmt.Sprintf("%d and %d moments for %d parameters", len(mean), len(square), len(a.params))})
	}
	torch.NoGrad(func() {
		for i := range a.params {
			a.mean[i].CopyFrom(mean[i])
			a.square[i].CopyFrom(square[i])
		}
	})
	a.steps = steps
}

// Drop frees the moments.
func (a *AdamW) Drop() { torch.Drop(append(a.mean, a.square...)...) }
