package nn_test

import (
	"math"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestMuonStep makes one step on a wide and a tall matrix and a convolution: it points against the
// gradient, its singular values are near one another whatever the gradient's, and its size is AdamW's.
func TestMuonStep(t *testing.T) {
	for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16} {
		t.Run(dtype.String(), func(t *testing.T) { checkMuonStep(t, dtype) })
	}
}

func checkMuonStep(t *testing.T, dtype torch.DType) {
	torchtest.Run(t, func() {
		chance, err := torch.NewGenerator(torch.CPU, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer chance.Close()
		var params, grads []torch.Tensor
		for _, shape := range [][]int64{{8, 24}, {24, 8}, {8, 24}, {16, 4, 3, 3}} {
			params = append(params, torch.Zeros(torch.Float32, torch.CPU, shape...))
			skew := chance.Randn(torch.Float32, shape[0]).MulScalar(3).Exp() // rows of very different sizes
			grads = append(grads, chance.Randn(torch.Float32, shape...).Mul(skew.Reshape(append([]int64{-1}, []int64{1, 1, 1}[:len(shape)-1]...)...)))
		}
		m := nn.NewMuon(params, 0.1)
		defer m.Drop()
		m.Workers, m.DType = 2, dtype
		if err := m.Step(grads); err != nil {
			t.Fatal(err)
		}
		for i, p := range params {
			step := p.Flatten(1)
			if along := step.Mul(grads[i].Flatten(1)).Sum().Item(); along >= 0 {
				t.Errorf("matrix %d: the step goes along the gradient (%g)", i, along)
			}
			rows, columns := step.Size(0), step.Size(1)
			unit := step.DivScalar(0.1 * 0.2 * math.Sqrt(float64(max(rows, columns))))
			if rows > columns {
				unit = unit.Transpose(0, 1)
			}
			gram := unit.MatMul(unit.Transpose(0, 1)) // its eigenvalues are the squared singular values
			trace := gram.Mul(torch.From(identity(int(gram.Size(0))), gram.Size(0), gram.Size(0))).Sum().Item()
			if mean := trace / float64(gram.Size(0)); mean < 0.5 || mean > 1.5 {
				t.Errorf("matrix %d: mean squared singular value %.3f, want about 1", i, mean)
			}
		}
		if err := m.Step(grads[:1]); err == nil {
			t.Error("a step with too few gradients was made")
		}
	})
}

func identity(n int) []float32 {
	values := make([]float32, n*n)
	for i := range n {
		values[i*n+i] = 1
	}
	return values
}
