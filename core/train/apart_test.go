package train

import (
	"math"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// The passes of guidance give the same latents and gradients apart as in one batch, but for rounding.
func TestPassesApart(t *testing.T) {
	torchtest.Need(t)
	if torchtest.Device() != torch.CPU {
		t.Skip("a GPU computes the passes in one batch")
	}
	tr := fixTrainer(t)
	steps(t, tr, 2) // so that the weights' gradients do not vanish
	tr.Sampling.GuidanceScale = 2.5
	onCanvas(t, tr, false, func(c *Canvas) {
		own := c.s.apart
		torchtest.Run(t, func() {
			if _, passes := c.s.passes(c.start); len(passes) != 2 {
				t.Fatalf("%d passes apart, want 2", len(passes))
			}
		})
		live := torch.Live()
		draw := func(apart *workers) (latents, grads []float64) {
			c.s.apart = apart
			torchtest.Run(t, func() {
				w, err := c.toLast(nil)
				if err != nil {
					t.Fatal(err)
				}
				drawn, drop := c.s.stepwise(w)
				defer drop()
				latents = drawn.latents.Detach().Doubles()
				for _, g := range drawn.backward(drawn.latents.Detach(), tr.params) {
					grads = append(grads, g.Doubles()...)
				}
			})
			return latents, grads
		}
		wantLatents, wantGrads := draw(nil)
		latents, grads := draw(own)
		for name, both := range map[string][2][]float64{"latents": {latents, wantLatents}, "gradients": {grads, wantGrads}} {
			largest, far := 0.0, 0.0
			for i, want := range both[1] {
				largest, far = max(largest, math.Abs(want)), max(far, math.Abs(both[0][i]-want))
			}
			if largest == 0 || far > 1e-4*largest {
				t.Errorf("%s up to %g, apart they differ by %g", name, largest, far)
			}
		}
		if left := torch.Live(); left != live {
			t.Errorf("%d tensors left over", left-live)
		}
	})
}
