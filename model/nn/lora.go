package nn

import (
	"slices"

	"focusnfix/model/torch"
)

// LoRA is a low-rank update of one layer (Hu et al., arXiv 2106.09685, eq. 3): the layer computes
// W·x + Scale·Alpha/rank · Up·Down·x. The matrices keep their own element type, float32 in training,
// over a base of any; over one of a half type they are cast to it at every use.
type LoRA struct {
	Name  string       // of the layer, as in LoRA files
	Down  torch.Tensor // A: [rank,in] or [rank,in,h,w]
	Up    torch.Tensor // B: [out,rank] or [out,rank,1,1]
	Alpha float64      // the update is divided by rank and multiplied by this
	Scale float64      // strength at run time; at 0 the layer is what it was, bit for bit

	layer  adaptable
	merged bool // into the layer's weight

	castDown, castUp torch.Tensor // of Adapter.Cast, or none
}

// active reports whether the layer has to add the update to its result.
func (u *LoRA) active() bool { return u.Scale != 0 && !u.merged }

// Rank is the rank of the update.
func (u *LoRA) Rank() int64 { return u.Down.Size(0) }

func (u *LoRA) factor() float64 { return u.Scale * u.Alpha / float64(u.Rank()) }

// delta is what the update adds to the layer's weight, in the update's own element type.
func (u *LoRA) delta() torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		product := u.Up.Flatten(1).MatMul(u.Down.Flatten(1)) // [out, in·h·w]
		return product.MulScalar(u.factor()).Reshape(u.layer.weight().Shape()...)
	})
}

// Shift is a full update of one layer, which computes (W + Scale·Weight)·x + b + Scale·Bias. Both are in the
// layer's element type; either may be undefined.
type Shift struct {
	Name   string       // of the layer, as in LoRA files
	Weight torch.Tensor // of the shape of the layer's weight
	Bias   torch.Tensor // [out]
	Scale  float64      // as in LoRA

	layer adaptable
}

func (s *Shift) active() bool { return s.Scale != 0 }

// adaptable is a layer that takes low-rank updates.
type adaptable interface {
	weight() *torch.Tensor
	updateShapes(rank int64) (down, up []int64)
	list() *updates
}

// updates are the low-rank updates of one layer.
type updates struct {
	loras  []*LoRA
	shifts []*Shift
	plain  torch.Tensor // the weight before an adapter was merged into it, or none
}

func (u *updates) list() *updates { return u }

// idle reports whether the layer is to run as if there were no updates.
func (u *updates) idle() bool {
	return !slices.ContainsFunc(u.loras, (*LoRA).active) && !slices.ContainsFunc(u.shifts, (*Shift).active)
}

// addTo adds every update's share to y; through applies both matrices to the layer's input x.
func (u *updates) addTo(y, x torch.Tensor, through func(x, down, up torch.Tensor) torch.Tensor) torch.Tensor {
	for _, lora := range u.loras {
		switch {
		case !lora.active():
		case isHalf(x.DType()) && !isHalf(lora.Down.DType()):
			down, up := lora.cast(x.DType())
			y = y.Add(through(x, down, up))
		default:
			share := through(x.To(lora.Down.DType()), lora.Down, lora.Up)
			if factor := lora.factor(); factor != 1 {
				share = share.MulScalar(factor)
			}
			y = y.Add(share.To(y.DType()))
		}
	}
	return y
}

// cast gives the matrices of an update that is computed in its layer's half type: half the memory that
// is kept of x, and none of its casts. The matrices stay float32, and so do their gradients. The factor is
// multiplied into Up before it is rounded.
func (u *LoRA) cast(dtype torch.DType) (down, up torch.Tensor) {
	if u.castDown.Defined() && u.castDown.DType() == dtype && !torch.GradEnabled() {
		return u.castDown, u.castUp
	}
	up = u.Up
	if factor := u.factor(); factor != 1 {
		up = up.MulScalar(factor)
	}
	return u.Down.To(dtype), up.To(dtype)
}

// shift adds every full update's share to y; full applies a weight and a bias, of which the latter may be
// undefined, to the layer's input x, and spread shapes a bias [out] to be added to y.
func (u *updates) shift(y, x torch.Tensor, full func(x, weight, bias torch.Tensor) torch.Tensor, spread func(bias torch.Tensor) torch.Tensor) torch.Tensor {
	for _, s := range u.shifts {
		switch {
		case !s.active():
		case s.Weight.Defined():
			y = y.Add(full(x, s.Weight, s.Bias).MulScalar(s.Scale))
		case s.Bias.Defined():
			y = y.Add(spread(s.Bias).MulScalar(s.Scale))
		}
	}
	return y
}

// downInit is peft's and diffusers' start of Down, kaiming_uniform_ with a = sqrt 5; Up starts at 0, so
// that a new update changes nothing.
func downInit(shape []int64) Init {
	fanIn := int64(1)
	for _, n := range shape[1:] {
		fanIn *= n
	}
	return FanIn(fanIn)
}
