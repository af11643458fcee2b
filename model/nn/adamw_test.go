package nn_test

import (
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// wave is the loss that testdata/ref/adamw.py minimizes.
func wave(w, b, x torch.Tensor) torch.Tensor {
	angle := w.Unsqueeze(2).Mul(x).MulScalar(3).Add(b.Unsqueeze(0).Unsqueeze(2))
	return angle.Sin().Square().Sum()
}

// Ten steps follow torch.optim.AdamW's losses and end at its parameters, also when training is
// stopped after four and goes on in a new optimizer.
func TestAdamWFollowsPyTorch(t *testing.T) {
	golden := nntest.OpenGolden(t, "testdata/ref/adamw.safetensors")
	for name, stopAt := range map[string]int{"at one go": -1, "resumed": 4} {
		t.Run(name, func(t *testing.T) {
			torchtest.Run(t, func() {
				x := golden.Tensor(t, "x")
				params := []torch.Tensor{golden.Tensor(t, "w").Clone().SetRequiresGrad(true), golden.Tensor(t, "b").Clone().SetRequiresGrad(true)}
				optimizer := newTestAdamW(params)
				var losses []float64
				for step := range 10 {
					if step == stopAt {
						mean, square := optimizer.Moments()
						next := newTestAdamW(params)
						next.Restore(optimizer.Steps(), mean, square)
						optimizer.Drop()
						optimizer = next
					}
					loss := wave(params[0], params[1], x)
					losses = append(losses, loss.Item())
					optimizer.LearningRate = 0.05 / float64(1+step)
					optimizer.Step(torch.Grad([]torch.Tensor{loss}, params, nil))
				}
				defer optimizer.Drop()
				// float32 sums in another order: a few units in the last place
				golden.Check(t, "losses", torch.From(losses).To(torch.Float32), 1e-6)
				golden.Check(t, "w_after", params[0].Detach(), 1e-6)
				golden.Check(t, "b_after", params[1].Detach(), 1e-6)
			})
		})
	}
}

func newTestAdamW(params []torch.Tensor) *nn.AdamW {
	a := nn.NewAdamW(params, 0.05)
	a.Beta2, a.WeightDecay = 0.99, 0.1
	return a
}

// More parameters than one operator on lists takes are all moved.
func TestAdamWManyParameters(t *testing.T) {
	torchtest.Run(t, func() {
		var params, grads []torch.Tensor
		for range 600 {
			params = append(params, torch.Ones(torch.Float32, torch.CPU, 1))
			grads = append(grads, torch.Ones(torch.Float32, torch.CPU, 1))
		}
		a := nn.NewAdamW(params, 0.1)
		defer a.Drop()
		a.WeightDecay = 0
		a.Step(grads)
		for i, p := range params {
			if got := p.Item(); got > 0.901 || got < 0.899 { // the first step is the learning rate
				t.Fatalf("parameter %d is %g after one step, want 0.9", i, got)
			}
		}
	})
}
