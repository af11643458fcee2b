package train

import (
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestMergedWhileNothingIsRecorded: latents are the same but for float32's rounding, gradients reach the LoRA
// weights as before, and the layers' weights are back, bit for bit, after a panic too.
func TestMergedWhileNothingIsRecorded(t *testing.T) {
	m := newTiny(t)
	torchtest.Run(t, func() {
		m.hash()
		plain, merged := m.sampler(t, 2), m.sampler(t, 2)
		merged.adapter = m.adapter
		st := m.batch(t, plain).start
		want, got := plain.draw(st), merged.draw(st)
		if d := torchtest.MaxDiff(got.latents, want.latents); d > 1e-4 || d == 0 {
			t.Errorf("latents differ by %g, want a rounding", d)
		}
		seed := want.latents.Detach().Tanh()
		wantGrads, gotGrads := want.backward(seed, m.params), got.backward(seed, m.params)
		for i := range wantGrads {
			if d := torchtest.MaxDiff(gotGrads[i], wantGrads[i]); d > 1e-3*(1e-3+wantGrads[i].Abs().Max().Item()) {
				t.Errorf("gradient %d differs by %g", i, d)
			}
		}
		again := func() torch.Tensor { return plain.draw(st).latents }
		func() {
			defer func() { _ = recover() }()
			merged.merged(func() { panic("out of memory") })
		}()
		if !again().Equal(want.latents) {
			t.Error("the weights are not what they were")
		}
	})
}
