package torch_test

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// reference is testdata/ref/two_layers.json, which Python's PyTorch wrote (make.py beside it).
type reference struct {
	X, Y, W1, W2  []float32
	Losses        []float64
	GeneratorSeed uint64 `json:"generator_seed"`
	Randn, Rand   []float32
}

func loadReference(t *testing.T) (r reference) {
	t.Helper()
	data, err := os.ReadFile("testdata/ref/two_layers.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// adamW is AdamW as PyTorch writes it (Loshchilov and Hutter, arXiv 1711.05101).
type adamW struct {
	params, m, v []torch.Tensor
	step         int
}

func (a *adamW) update(grads []torch.Tensor, rate, beta1, beta2, eps, decay float64) {
	a.step++
	correction1 := 1 - math.Pow(beta1, float64(a.step))
	correction2 := math.Sqrt(1 - math.Pow(beta2, float64(a.step)))
	for i, p := range a.params {
		p.MulScalarInPlace(1 - rate*decay)
		a.m[i].LerpInPlace(grads[i], 1-beta1)
		a.v[i].MulScalarInPlace(beta2)
		a.v[i].AddInPlace(grads[i].Mul(grads[i]), 1-beta2)
		p.AddInPlace(a.m[i].Div(a.v[i].Sqrt().DivScalar(correction2).AddScalar(eps)), -rate/correction1)
	}
}

// TestTrainingTrajectory trains a two-layer net and compares each loss with PyTorch's. float32 sums
// in another order differ by about 1e-6.
func TestTrainingTrajectory(t *testing.T) {
	ref := loadReference(t)
	torchtest.Run(t, func() {
		x, y := torch.From(ref.X, 16, 8), torch.From(ref.Y, 16, 3)
		params := []torch.Tensor{
			torch.From(ref.W1, 12, 8), torch.Zeros(torch.Float32, torch.CPU, 12),
			torch.From(ref.W2, 3, 12), torch.Zeros(torch.Float32, torch.CPU, 3),
		}
		opt := &adamW{params: params}
		for _, p := range params {
			p.SetRequiresGrad(true)
			opt.m, opt.v = append(opt.m, p.ZerosLike()), append(opt.v, p.ZerosLike())
		}
		for i, want := range ref.Losses {
			torch.Scope(func() torch.Tensor {
				loss := x.Linear(params[0], params[1]).SiLU().Linear(params[2], params[3]).Sub(y).Square().Mean()
				grads := torch.Grad([]torch.Tensor{loss}, params, nil)
				torch.NoGrad(func() { opt.update(grads, 1e-2, 0.9, 0.99, 1e-8, 0.1) })
				if got := loss.Item(); math.Abs(got-want) > 1e-5 {
					t.Errorf("step %d: loss %.7f, want %.7f", i, got, want)
				}
				return torch.Tensor{}
			})
		}
	})
}

// TestGenerator draws the numbers that Python's generator draws, and continues from a saved state.
func TestGenerator(t *testing.T) {
	ref := loadReference(t)
	torchtest.Run(t, func() {
		g, err := torch.NewGenerator(torch.CPU, ref.GeneratorSeed)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		if got := g.Randn(torch.Float32, 20).Floats(); !closeTo(got, ref.Randn, 1e-6) {
			t.Errorf("randn %v, want %v", got, ref.Randn)
		}
		state := g.State()
		for range 2 {
			if got := g.Rand(torch.Float32, 5).Floats(); !slices.Equal(got, ref.Rand) {
				t.Errorf("rand %v, want %v", got, ref.Rand)
			}
			g.SetState(state)
		}
	})
}

func closeTo(got, want []float32, tolerance float64) bool {
	return slices.EqualFunc(got, want, func(a, b float32) bool { return math.Abs(float64(a-b)) <= tolerance })
}
