package torch

// Operators that change their receiver, for optimizers and buffers. They return nothing, so that no
// second handle on the tensor is born; call them inside NoGrad.

var (
	opAddIn        = def("add_", "Tensor")
	opMulScalarIn  = def("mul_", "Scalar")
	opLerpIn       = def("lerp_", "Scalar")
	opCopyIn       = def("copy_", "")
	opZeroIn       = def("zero_", "")
	opFillIn       = def("fill_", "Scalar")
	opForeachMul   = def("_foreach_mul_", "Scalar")
	opForeachAdd   = def("_foreach_add_", "List")
	opForeachCMul  = def("_foreach_addcmul_", "Scalar")
	opForeachCDiv  = def("_foreach_addcdiv_", "Scalar")
	opForeachSqrt  = def("_foreach_sqrt", "")
	opForeachDivIn = def("_foreach_div_", "Scalar")
	opForeachAddS  = def("_foreach_add_", "Scalar")
	opForeachNorm  = def("_foreach_norm", "Scalar")
)

// AddInPlace is t += scale·u.
func (t Tensor) AddInPlace(u Tensor, scale float64) {
	t.inPlace(opAddIn, new(frame).tensor(t).tensor(u).name("alpha").float(scale))
}

// MulScalarInPlace is t *= v.
func (t Tensor) MulScalarInPlace(v float64) {
	t.inPlace(opMulScalarIn, new(frame).tensor(t).float(v))
}

// LerpInPlace is t += weight·(u - t).
func (t Tensor) LerpInPlace(u Tensor, weight float64) {
	t.inPlace(opLerpIn, new(frame).tensor(t).tensor(u).float(weight))
}

// CopyFrom overwrites t's elements with u's, converting and moving them.
func (t Tensor) CopyFrom(u Tensor) { t.inPlace(opCopyIn, new(frame).tensor(t).tensor(u)) }

// Zero sets every element to zero.
func (t Tensor) Zero() { t.inPlace(opZeroIn, new(frame).tensor(t)) }

// Fill sets every element to v.
func (t Tensor) Fill(v float64) { t.inPlace(opFillIn, new(frame).tensor(t).float(v)) }

func (t Tensor) inPlace(op *operator, f *frame) { Drop(op.one(f)) }

// Operators on lists of tensors run as few kernels; optimizers on a GPU need them.

// ForeachMul multiplies every tensor by v.
func ForeachMul(ts []Tensor, v float64) { opForeachMul.void(new(frame).tensors(ts...).float(v)) }

// ForeachAddScalar adds v to every tensor.
func ForeachAddScalar(ts []Tensor, v float64) { opForeachAddS.void(new(frame).tensors(ts...).float(v)) }

// ForeachDiv divides every tensor by v.
func ForeachDiv(ts []Tensor, v float64) { opForeachDivIn.void(new(frame).tensors(ts...).float(v)) }

// ForeachAdd is ts[i] += scale·us[i].
func ForeachAdd(ts, us []Tensor, scale float64) {
	opForeachAdd.void(new(frame).tensors(ts...).tensors(us...).name("alpha").float(scale))
}

// ForeachAddMul is ts[i] += scale·us[i]·vs[i].
func ForeachAddMul(ts, us, vs []Tensor, scale float64) {
	opForeachCMul.void(new(frame).tensors(ts...).tensors(us...).tensors(vs...).float(scale))
}

// ForeachAddDiv is ts[i] += scale·us[i]/vs[i].
func ForeachAddDiv(ts, us, vs []Tensor, scale float64) {
	opForeachCDiv.void(new(frame).tensors(ts...).tensors(us...).tensors(vs...).float(scale))
}

// ForeachSqrt is the square root of every tensor.
func ForeachSqrt(ts []Tensor) []Tensor {
	return opForeachSqrt.many(new(frame).tensors(ts...), int64(len(ts)))
}

// ForeachNorm is the 2-norm of every tensor.
func ForeachNorm(ts []Tensor) []Tensor {
	return opForeachNorm.many(new(frame).tensors(ts...).float(2), int64(len(ts)))
}
