package nn

import "focusnfix/model/torch"

// Linear is a fully connected layer, y = x·Weightᵀ + Bias.
type Linear struct {
	Weight torch.Tensor // [out,in]
	Bias   torch.Tensor // [out], or none
	updates
}

// NewLinear makes a layer with bias: keys weight and bias.
func NewLinear(in, out int64, p Params) *Linear {
	l := NewLinearNoBias(in, out, p)
	l.Bias = p.Param("bias", FanIn(in), out)
	return l
}

// NewLinearNoBias makes a layer without bias: key weight.
func NewLinearNoBias(in, out int64, p Params) *Linear {
	l := &Linear{Weight: p.Param("weight", FanIn(in), out, in)}
	p.register(l)
	return l
}

// Forward maps [...,in] to [...,out].
func (l *Linear) Forward(x torch.Tensor) torch.Tensor {
	if l.idle() {
		return x.Linear(l.Weight, l.Bias)
	}
	return torch.Scope(func() torch.Tensor {
		y := l.addTo(x.Linear(l.Weight, l.Bias), x, func(x, down, up torch.Tensor) torch.Tensor {
			return x.Linear(down, torch.Tensor{}).Linear(up, torch.Tensor{})
		})
		return l.shift(y, x, torch.Tensor.Linear, func(bias torch.Tensor) torch.Tensor { return bias })
	})
}

func (l *Linear) weight() *torch.Tensor { return &l.Weight }

func (l *Linear) updateShapes(rank int64) (down, up []int64) {
	out, in := l.Weight.Size(0), l.Weight.Size(1)
	return []int64{rank, in}, []int64{out, rank}
}
