package torch

// Layers of neural networks. An optional tensor may be the zero Tensor.

var (
	opMatMul       = def("matmul", "")
	opLinear       = def("linear", "")
	opConv2d       = def("conv2d", "")
	opGroupNorm    = def("group_norm", "")
	opGroupNormAct = own("group_norm_act")
	opDouble       = own("upsample_double")
	opLayerNorm    = def("layer_norm", "")
	opBatchNorm    = def("batch_norm", "")
	opEmbedding    = def("embedding", "")
	opSDPA         = def("scaled_dot_product_attention", "") // libtorch 2.0 and later
	opSiLU         = def("silu", "")
	opGELU         = def("gelu", "")
	opReLU         = def("relu", "")
	opHardtanh     = def("hardtanh", "")
	opSoftplus     = def("softplus", "")
	opSoftmax      = def("softmax", "int")
	opNearest      = def("upsample_nearest2d", "vec")
	opBilinear     = def("upsample_bilinear2d", "vec")
	opBicubic      = def("upsample_bicubic2d", "vec")
	opBilinearAA   = def("_upsample_bilinear2d_aa", "vec")
	opBicubicAA    = def("_upsample_bicubic2d_aa", "vec")
	opAvgPool2d    = def("avg_pool2d", "")
	opPixelShuffle = def("pixel_shuffle", "")
	opBCELogits    = def("binary_cross_entropy_with_logits", "")
	opCrossEntropy = def("cross_entropy_loss", "")
	opEinsum       = def("einsum", "")
)

// MatMul is the matrix product over the last two dimensions; those before broadcast.
func (t Tensor) MatMul(u Tensor) Tensor { return opMatMul.one(new(frame).tensor(t).tensor(u)) }

// Einsum sums products as the equation says, "bhqd,bhkd->bhqk" say.
func Einsum(equation string, ts ...Tensor) Tensor {
	return opEinsum.one(new(frame).string(equation).tensors(ts...))
}

// Linear is t·weightᵀ + bias over the last dimension; weight is [out,in], bias [out] or none.
func (t Tensor) Linear(weight, bias Tensor) Tensor {
	return opLinear.one(new(frame).tensor(t).tensor(weight).tensor(bias))
}

// Conv is how a convolution walks; zero values mean stride 1, padding 0, dilation 1, one group.
type Conv struct{ Stride, Padding, Dilation, Groups int64 }

// Conv2d convolves [B,C,H,W] with weight [out, C/groups, h, w]; bias is [out] or none.
func (t Tensor) Conv2d(weight, bias Tensor, c Conv) Tensor {
	stride, dilation, groups := max(c.Stride, 1), max(c.Dilation, 1), max(c.Groups, 1)
	return opConv2d.one(new(frame).tensor(t).tensor(weight).tensor(bias).
		ints(stride, stride).ints(c.Padding, c.Padding).ints(dilation, dilation).int(groups))
}

// GroupNorm normalizes groups of the channels of [B,C,...]; weight and bias are [C] or none.
func (t Tensor) GroupNorm(groups int64, weight, bias Tensor, eps float64) Tensor {
	return opGroupNorm.one(new(frame).tensor(t).int(groups).tensor(weight).tensor(bias).float(eps))
}

// GroupNormAct is GroupNorm with SiLU behind it if silu. On the CPU it is an operator of our own for
// channels-last images [B,C,H,W] in float32 and bfloat16, which computes in float32; all else is
// libtorch's two. weight and bias are a must.
func (t Tensor) GroupNormAct(groups int64, weight, bias Tensor, eps float64, silu bool) Tensor {
	return opGroupNormAct.one(new(frame).tensor(t).int(groups).tensor(weight).tensor(bias).float(eps).bool(silu))
}

// LayerNorm normalizes over the last dimensions, of the given shape.
func (t Tensor) LayerNorm(shape []int64, weight, bias Tensor, eps float64) Tensor {
	return opLayerNorm.one(new(frame).tensor(t).ints(shape...).tensor(weight).tensor(bias).float(eps))
}

// BatchNorm normalizes the channels of [B,C,...] with stored statistics, all [C].
func (t Tensor) BatchNorm(weight, bias, mean, variance Tensor, eps float64) Tensor {
	return opBatchNorm.one(new(frame).tensor(t).tensor(weight).tensor(bias).tensor(mean).tensor(variance).
		bool(false).float(0).float(eps).bool(false))
}

// Embedding takes the rows of weight [N,D] that the int64 ids name.
func Embedding(weight, ids Tensor) Tensor {
	return opEmbedding.one(new(frame).tensor(weight).tensor(ids))
}

// HasFusedAttention reports whether this libtorch has one operator for attention.
func HasFusedAttention() bool { return opSDPA.resolve() == nil }

// FusedAttention is softmax(q·kᵀ/√D + mask)·v in one operator, of libtorch 2.0 and later. q, k and v
// are [B,heads,N,D]; the mask broadcasts to [B,heads,N,M] and is added, or there is none.
func FusedAttention(q, k, v, mask Tensor, causal bool) Tensor {
	return opSDPA.one(new(frame).tensor(q).tensor(k).tensor(v).tensor(mask).float(0).bool(causal))
}

// SiLU is t·sigmoid(t).
func (t Tensor) SiLU() Tensor { return opSiLU.one(new(frame).tensor(t)) }

// GELU is t·Φ(t), exactly.
//
// A contiguous tensor on the CPU goes through it flattened: the backward kernel of libtorch 1.13 (oneDNN's)
// returns memory that it never wrote where the gradient lies in memory in another order than the
// tensor, and that of a flattened one cannot.
func (t Tensor) GELU() Tensor {
	if t.Device() != CPU || !t.IsContiguous() {
		return opGELU.one(new(frame).tensor(t))
	}
	return Scope(func() Tensor { return opGELU.one(new(frame).tensor(t.Reshape(-1))).Reshape(t.Shape()...) })
}

// GELUTanh is GELU in its tanh approximation.
func (t Tensor) GELUTanh() Tensor {
	return opGELU.one(new(frame).tensor(t).name("approximate").string("tanh"))
}

// ReLU is max(t, 0).
func (t Tensor) ReLU() Tensor { return opReLU.one(new(frame).tensor(t)) }

// ReLU6 is min(max(t, 0), 6), without gradient at the two bends.
func (t Tensor) ReLU6() Tensor { return opHardtanh.one(new(frame).tensor(t).float(0).float(6)) }

// Softplus is log(1 + e^t).
func (t Tensor) Softplus() Tensor { return opSoftplus.one(new(frame).tensor(t)) }

// Softmax is e^t / Σ e^t along a dimension.
func (t Tensor) Softmax(dim int64) Tensor { return opSoftmax.one(new(frame).tensor(t).int(dim)) }

// UpsampleNearest resizes [B,C,H,W] by repeating pixels.
func (t Tensor) UpsampleNearest(height, width int64) Tensor {
	return opNearest.one(new(frame).tensor(t).ints(height, width).none())
}

// UpsampleDouble repeats every pixel of [B,C,H,W] in both directions. For channels-last images on the
// CPU it is an operator of our own.
func (t Tensor) UpsampleDouble() Tensor { return opDouble.one(new(frame).tensor(t)) }

// Resize says how an image is resized.
type Resize struct {
	AlignCorners bool // the centers of the corner pixels stay where they are
	Antialias    bool // the filter widens when the image shrinks, as in PIL
}

// ResizeBilinear resizes [B,C,H,W] with a bilinear filter.
func (t Tensor) ResizeBilinear(height, width int64, r Resize) Tensor {
	return t.resize(opBilinear, opBilinearAA, height, width, r)
}

// ResizeBicubic resizes [B,C,H,W] with a bicubic filter.
func (t Tensor) ResizeBicubic(height, width int64, r Resize) Tensor {
	return t.resize(opBicubic, opBicubicAA, height, width, r)
}

func (t Tensor) resize(plain, antialias *operator, height, width int64, r Resize) Tensor {
	op := plain
	if r.Antialias {
		op = antialias
	}
	return op.one(new(frame).tensor(t).ints(height, width).bool(r.AlignCorners).none())
}

// AvgPool2d averages windows of [B,C,H,W].
func (t Tensor) AvgPool2d(kernel, stride, padding int64) Tensor {
	return opAvgPool2d.one(new(frame).tensor(t).ints(kernel, kernel).ints(stride, stride).ints(padding, padding))
}

// PixelShuffle turns [B,C·f²,H,W] into [B,C,H·f,W·f].
func (t Tensor) PixelShuffle(f int64) Tensor { return opPixelShuffle.one(new(frame).tensor(t).int(f)) }

// BCEWithLogits is the mean binary cross entropy of sigmoid(t) against target; posWeight, or none,
// weights the positive targets.
func (t Tensor) BCEWithLogits(target, posWeight Tensor) Tensor {
	return opBCELogits.one(new(frame).tensor(t).tensor(target).none().tensor(posWeight))
}

// CrossEntropy is the mean cross entropy of softmax(t) over dimension 1 against int64 classes.
func (t Tensor) CrossEntropy(classes Tensor) Tensor {
	return opCrossEntropy.one(new(frame).tensor(t).tensor(classes))
}
