package torch

// Element-wise operators. Two tensors broadcast as in libtorch.

var (
	opAdd        = def("add", "Tensor")
	opAddScalar  = def("add", "Scalar")
	opSub        = def("sub", "Tensor")
	opRSubScalar = def("rsub", "Scalar")
	opMul        = def("mul", "Tensor")
	opMulScalar  = def("mul", "Scalar")
	opDiv        = def("div", "Tensor")
	opDivScalar  = def("div", "Scalar")
	opMaximum    = def("maximum", "")
	opMinimum    = def("minimum", "")
	opNeg        = def("neg", "")
	opAbs        = def("abs", "")
	opExp        = def("exp", "")
	opLog        = def("log", "")
	opSqrt       = def("sqrt", "")
	opRsqrt      = def("rsqrt", "")
	opReciprocal = def("reciprocal", "")
	opSquare     = def("square", "")
	opSin        = def("sin", "")
	opCos        = def("cos", "")
	opTanh       = def("tanh", "")
	opSigmoid    = def("sigmoid", "")
	opFloor      = def("floor", "")
	opRound      = def("round", "")
	opClamp      = def("clamp", "")
	opClampMin   = def("clamp_min", "")
	opClampMax   = def("clamp_max", "")
	opWhere      = def("where", "self")
	opIsFinite   = def("isfinite", "")
)

// Add is t + u.
func (t Tensor) Add(u Tensor) Tensor { return opAdd.one(new(frame).tensor(t).tensor(u)) }

// AddScaled is t + scale·u.
func (t Tensor) AddScaled(u Tensor, scale float64) Tensor {
	return opAdd.one(new(frame).tensor(t).tensor(u).name("alpha").float(scale))
}

// AddScalar is t + v.
func (t Tensor) AddScalar(v float64) Tensor { return opAddScalar.one(new(frame).tensor(t).float(v)) }

// Sub is t - u.
func (t Tensor) Sub(u Tensor) Tensor { return opSub.one(new(frame).tensor(t).tensor(u)) }

// SubFromScalar is v - t.
func (t Tensor) SubFromScalar(v float64) Tensor {
	return opRSubScalar.one(new(frame).tensor(t).float(v))
}

// Mul is t · u, element by element.
func (t Tensor) Mul(u Tensor) Tensor { return opMul.one(new(frame).tensor(t).tensor(u)) }

// MulScalar is v·t.
func (t Tensor) MulScalar(v float64) Tensor { return opMulScalar.one(new(frame).tensor(t).float(v)) }

// Div is t / u.
func (t Tensor) Div(u Tensor) Tensor { return opDiv.one(new(frame).tensor(t).tensor(u)) }

// DivScalar is t / v.
func (t Tensor) DivScalar(v float64) Tensor { return opDivScalar.one(new(frame).tensor(t).float(v)) }

// Maximum is the larger of t and u.
func (t Tensor) Maximum(u Tensor) Tensor { return opMaximum.one(new(frame).tensor(t).tensor(u)) }

// Minimum is the smaller of t and u.
func (t Tensor) Minimum(u Tensor) Tensor { return opMinimum.one(new(frame).tensor(t).tensor(u)) }

// Neg is -t.
func (t Tensor) Neg() Tensor { return opNeg.one(new(frame).tensor(t)) }

// Abs is the absolute value.
func (t Tensor) Abs() Tensor { return opAbs.one(new(frame).tensor(t)) }

// Exp is e to the power of t.
func (t Tensor) Exp() Tensor { return opExp.one(new(frame).tensor(t)) }

// Log is the natural logarithm.
func (t Tensor) Log() Tensor { return opLog.one(new(frame).tensor(t)) }

// Sqrt is the square root.
func (t Tensor) Sqrt() Tensor { return opSqrt.one(new(frame).tensor(t)) }

// Rsqrt is one over the square root.
func (t Tensor) Rsqrt() Tensor { return opRsqrt.one(new(frame).tensor(t)) }

// Reciprocal is 1/t.
func (t Tensor) Reciprocal() Tensor { return opReciprocal.one(new(frame).tensor(t)) }

// Square is t².
func (t Tensor) Square() Tensor { return opSquare.one(new(frame).tensor(t)) }

// Sin is the sine, in radians.
func (t Tensor) Sin() Tensor { return opSin.one(new(frame).tensor(t)) }

// Cos is the cosine, in radians.
func (t Tensor) Cos() Tensor { return opCos.one(new(frame).tensor(t)) }

// Tanh is the hyperbolic tangent.
func (t Tensor) Tanh() Tensor { return opTanh.one(new(frame).tensor(t)) }

// Sigmoid is 1 / (1 + e^-t).
func (t Tensor) Sigmoid() Tensor { return opSigmoid.one(new(frame).tensor(t)) }

// Floor rounds down.
func (t Tensor) Floor() Tensor { return opFloor.one(new(frame).tensor(t)) }

// Round rounds to the nearest, halves to even.
func (t Tensor) Round() Tensor { return opRound.one(new(frame).tensor(t)) }

// Clamp limits t to [low, high].
func (t Tensor) Clamp(low, high float64) Tensor {
	return opClamp.one(new(frame).tensor(t).float(low).float(high))
}

// ClampMin limits t from below.
func (t Tensor) ClampMin(low float64) Tensor {
	return opClampMin.one(new(frame).tensor(t).float(low))
}

// ClampMax limits t from above.
func (t Tensor) ClampMax(high float64) Tensor {
	return opClampMax.one(new(frame).tensor(t).float(high))
}

// Where takes from yes where the condition holds, else from no.
func Where(condition, yes, no Tensor) Tensor {
	return opWhere.one(new(frame).tensor(condition).tensor(yes).tensor(no))
}

// IsFinite is true where t is neither infinite nor NaN.
func (t Tensor) IsFinite() Tensor { return opIsFinite.one(new(frame).tensor(t)) }
