package train

import (
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestMergedWhileNothingIsRecorded: latents are the same but for float32's rounding, and the layers' weights are back,
// bit for bit, after a panic too.
func TestMergedWhileNothingIsRecorded(t *testing.T) {
	m := newTiny(t)
	torchtest.Run(t, func() {
		m.hash()
		s := m.sampler(t, Chained, 0)
		st := m.part(t, s).start
		draw := func() (x torch.Tensor) { return s.draw(st) }
		want, got := draw(), torch.Tensor{}
		if err := merged(m.adapter, func() error { got = draw(); return nil }); err != nil {
			t.Fatal(err)
		}
		if d := torchtest.MaxDiff(got, want); d > 1e-4 || d == 0 {
			t.Errorf("latents differ by %g, want a rounding", d)
		}
		func() {
			defer func() { _ = recover() }()
			_ = merged(m.adapter, func() error { panic("out of memory") })
		}()
		if !draw().Equal(want) {
			t.Error("the weights are not what they were")
		}
	})
}
