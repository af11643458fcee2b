package nn

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"focusnfix/model/torch"
)

// Muon is gradient descent for matrices whose every step is the nearest orthogonal matrix to the
// momentum (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024): rare
// directions of the gradient count as much as common ones. Steps are scaled to the size of AdamW's, so
// that a learning rate serves both, and the weight decay is AdamW's (Liu et al., arXiv 2502.16982,
// section 2.2). A convolution's weight [out,in,kernel,kernel] is the matrix [out,in·kernel²].
//
// It needs fewer images than AdamW and more arithmetic for each step, which pays where images are
// what costs: in pretraining.
type Muon struct {
	LearningRate float64
	Momentum     float64
	WeightDecay  float64
	Workers      int         // threads that share a step
	DType        torch.DType // that steps are found in; bfloat16 is as good and faster where there is hardware for it

	params []torch.Tensor
	mean   []torch.Tensor // momentum, of each parameter's shape
	groups [][]int        // parameters of one shape, which are one batch of matrices
}

// NewMuon makes an optimizer of parameters of two dimensions or more. Its momentum is float32 beside
// the parameters and lives until Drop.
func NewMuon(params []torch.Tensor, learningRate float64) *Muon {
	m := &Muon{LearningRate: learningRate, Momentum: 0.95, WeightDecay: 0.01, Workers: 1, DType: torch.Float32, params: params}
	byShape := map[string]int{}
	torch.NoGrad(func() {
		for i, p := range params {
			m.mean = append(m.mean, torch.Own(p.ZerosLike()))
			shape := torch.ShapeString(p.Shape())
			at, known := byShape[shape]
			if !known {
				at = len(m.groups)
				byShape[shape], m.groups = at, append(m.groups, nil)
			}
			m.groups[at] = append(m.groups[at], i)
		}
	})
	return m
}

// Step moves every parameter against its gradient. All gradients must be there, of the parameters'
// shapes.
func (m *Muon) Step(grads []torch.Tensor) error {
	if len(grads) != len(m.params) {
		return fmt.Errorf("muon: %d gradients for %d parameters", len(grads), len(m.params))
	}
	var next atomic.Int64
	errs := make([]error, max(1, m.Workers))
	work := func(worker int) {
		for g := next.Add(1) - 1; g < int64(len(m.groups)); g = next.Add(1) - 1 {
			err := torch.Run(func() { torch.NoGrad(func() { m.update(m.groups[g], grads) }) })
			errs[worker] = errors.Join(errs[worker], err)
		}
	}
	var done sync.WaitGroup
	for worker := 1; worker < len(errs); worker++ {
		done.Go(func() { work(worker) })
	}
	work(0)
	done.Wait()
	return errors.Join(errs...)
}

// update moves parameters of one shape.
func (m *Muon) update(group []int, grads []torch.Tensor) {
	var pushes []torch.Tensor
	for _, i := range group {
		m.mean[i].MulScalarInPlace(m.Momentum)
		m.mean[i].AddInPlace(grads[i], 1)
		push := grads[i].AddScaled(m.mean[i], m.Momentum) // Nesterov's
		pushes = append(pushes, push.Flatten(1))
	}
	steps := orthogonal(torch.Stack(pushes, 0), m.DType) // [n,rows,columns]
	scale := 0.2 * math.Sqrt(float64(max(steps.Size(1), steps.Size(2))))
	for k, i := range group {
		p := m.params[i]
		p.MulScalarInPlace(1 - m.LearningRate*m.WeightDecay)
		p.AddInPlace(steps.Select(0, int64(k)).Reshape(p.Shape()...), -m.LearningRate*scale)
	}
}

// orthogonal brings all singular values of matrices [n,rows,columns] near 1, by five Newton-Schulz
// iterations of the fifth order with Jordan's coefficients: they end between 0.7 and 1.2. The result
// is float32.
func orthogonal(x torch.Tensor, dtype torch.DType) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		wide := x.Size(1) <= x.Size(2)
		if !wide {
			x = x.Transpose(1, 2)
		}
		size := x.Square().Sum(1, 2).Sqrt().AddScalar(1e-7).Reshape(-1, 1, 1)
		x := x.Div(size).To(dtype)
		for range 5 {
			x = torch.Scope(func() torch.Tensor {
				a := x.MatMul(x.Transpose(1, 2))
				b := a.MulScalar(-4.7750).Add(a.MatMul(a).MulScalar(2.0315))
				return x.MulScalar(3.4445).Add(b.MatMul(x))
			})
		}
		if !wide {
			x = x.Transpose(1, 2)
		}
		return x.To(torch.Float32)
	})
}

// Moments are the momenta, one a parameter: all that a checkpoint needs.
func (m *Muon) Moments() []torch.Tensor { return m.mean }

// Drop frees the momenta.
func (m *Muon) Drop() { torch.Drop(m.mean...) }
