package nn

import "focusnfix/model/torch"

// GroupNorm normalizes groups of channels (arXiv 1803.08494), in float32 whatever the element type.
//
// libtorch 1.13's CPU kernel is wrong for bfloat16 in channels-last memory (by 56 to 84 % of the
// result, found in training that went astray). Such images go to our own kernel, other half types on
// the CPU are widened; CUDA's kernel widens them itself.
type GroupNorm struct {
	Weight, Bias torch.Tensor // [C]
	groups       int64
	eps          float64
}

// NewGroupNorm makes a norm of channels in groups: keys weight and bias.
func NewGroupNorm(groups, channels int64, eps float64, p Params) *GroupNorm {
	return &GroupNorm{p.Param("weight", Ones, channels), p.Param("bias", Zeros, channels), groups, eps}
}

// Forward keeps the shape [B,C,...] and the element type.
func (n *GroupNorm) Forward(x torch.Tensor) torch.Tensor { return n.forward(x, false) }

// ForwardSiLU is Forward and SiLU behind it.
func (n *GroupNorm) ForwardSiLU(x torch.Tensor) torch.Tensor { return n.forward(x, true) }

func (n *GroupNorm) forward(x torch.Tensor, silu bool) torch.Tensor {
	dtype := x.DType()
	if !isHalf(dtype) || x.Device() != torch.CPU || dtype == torch.BFloat16 && x.IsChannelsLast() {
		return x.GroupNormAct(n.groups, n.Weight, n.Bias, n.eps, silu)
	}
	return torch.Scope(func() torch.Tensor {
		return wide(x).GroupNormAct(n.groups, wide(n.Weight), wide(n.Bias), n.eps, silu).To(dtype)
	})
}

// LayerNorm normalizes the last dimension (arXiv 1607.06450), in float32 as GroupNorm does.
type LayerNorm struct {
	Weight, Bias torch.Tensor // [D]
	eps          float64
}

// NewLayerNorm makes a norm of width elements: keys weight and bias.
func NewLayerNorm(width int64, eps float64, p Params) *LayerNorm {
	return &LayerNorm{p.Param("weight", Ones, width), p.Param("bias", Zeros, width), eps}
}

// Forward keeps the shape [...,D] and the element type.
func (n *LayerNorm) Forward(x torch.Tensor) torch.Tensor {
	dtype, shape := x.DType(), n.Weight.Shape()
	if !isHalf(dtype) || x.Device() != torch.CPU {
		return x.LayerNorm(shape, n.Weight, n.Bias, n.eps)
	}
	return torch.Scope(func() torch.Tensor {
		return wide(x).LayerNorm(shape, wide(n.Weight), wide(n.Bias), n.eps).To(dtype)
	})
}

func isHalf(d torch.DType) bool { return d == torch.Float16 || d == torch.BFloat16 }

// wide is x in float32, itself if it is no half type.
func wide(x torch.Tensor) torch.Tensor {
	if isHalf(x.DType()) {
		return x.To(torch.Float32)
	}
	return x
}

// RMSNorm divides the last dimension by its root mean square (arXiv 1910.07467), in float32 whatever
// the element type. It has a gain and no shift.
type RMSNorm struct {
	Weight torch.Tensor // [D]
	eps    float64
}

// NewRMSNorm makes a norm of width elements: key weight.
func NewRMSNorm(width int64, eps float64, p Params) *RMSNorm {
	return &RMSNorm{p.Param("weight", Ones, width), eps}
}

// Forward keeps the shape [...,D] and the element type.
func (n *RMSNorm) Forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		w := wide(x)
		normed := w.Mul(w.Square().MeanKeep(-1).AddScalar(n.eps).Rsqrt())
		return normed.To(x.DType()).Mul(n.Weight)
	})
}

// Normalize is a layer norm over the last dimension without gain and shift, in float32 as LayerNorm
// is: what adaptive norms scale and shift by themselves. x is [...,D].
func Normalize(x torch.Tensor, eps float64) torch.Tensor {
	dtype, shape := x.DType(), []int64{x.Size(-1)}
	if !isHalf(dtype) || x.Device() != torch.CPU {
		return x.LayerNorm(shape, torch.Tensor{}, torch.Tensor{}, eps)
	}
	return torch.Scope(func() torch.Tensor {
		return wide(x).LayerNorm(shape, torch.Tensor{}, torch.Tensor{}, eps).To(dtype)
	})
}
