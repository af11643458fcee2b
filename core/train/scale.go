package train

import "focusnfix/model/torch"

// lossScale multiplies the gradient that enters a network of float16 weights, whose smallest numbers would
// become zero there, and divides what comes out (Micikevicius et al., arXiv 1710.03740, section 3.2). A
// gradient that overflows halves it, and the step is computed again; after growAfter steps without one it is
// doubled. It is 1 where nothing computes in float16. It is part of a checkpoint.
type lossScale struct {
	Value float64 // a power of two
	Sound int     // steps in a row without overflow
}

const (
	firstScale = 1 << 16
	mostScale  = 1 << 20 // gradients of a batch of images reach 1e-2 or so
	growAfter  = 500
)

// scaleFor is the scale that training in an element type starts with.
func scaleFor(dtype torch.DType) lossScale {
	if dtype == torch.Float16 {
		return lossScale{Value: firstScale}
	}
	return lossScale{Value: 1}
}

// on reports whether gradients are scaled at all.
func (s lossScale) on() bool { return s.Value > 1 }

// after is the scale after a step whose gradient was finite, or not.
func (s lossScale) after(finite bool) lossScale {
	switch {
	case s.Value == 1 && s.Sound == 0: // off, or down at 1, where it stays
		return s
	case !finite:
		return lossScale{Value: max(1, s.Value/2)}
	case s.Sound+1 >= growAfter:
		return lossScale{Value: min(2*s.Value, mostScale)}
	}
	return lossScale{s.Value, s.Sound + 1}
}
