package torch

// Comparisons give boolean tensors.

var (
	opEqScalar   = def("eq", "Scalar")
	opEq         = def("eq", "Tensor")
	opNeScalar   = def("ne", "Scalar")
	opLtScalar   = def("lt", "Scalar")
	opLt         = def("lt", "Tensor")
	opLeScalar   = def("le", "Scalar")
	opGtScalar   = def("gt", "Scalar")
	opGt         = def("gt", "Tensor")
	opGeScalar   = def("ge", "Scalar")
	opLogicalAnd = def("logical_and", "")
	opLogicalOr  = def("logical_or", "")
	opLogicalNot = def("logical_not", "")
	opEqual      = def("equal", "")
)

// EqScalar is t == v.
func (t Tensor) EqScalar(v float64) Tensor { return opEqScalar.one(new(frame).tensor(t).float(v)) }

// Eq is t == u.
func (t Tensor) Eq(u Tensor) Tensor { return opEq.one(new(frame).tensor(t).tensor(u)) }

// NeScalar is t != v.
func (t Tensor) NeScalar(v float64) Tensor { return opNeScalar.one(new(frame).tensor(t).float(v)) }

// LtScalar is t < v.
func (t Tensor) LtScalar(v float64) Tensor { return opLtScalar.one(new(frame).tensor(t).float(v)) }

// Lt is t < u.
func (t Tensor) Lt(u Tensor) Tensor { return opLt.one(new(frame).tensor(t).tensor(u)) }

// LeScalar is t <= v.
func (t Tensor) LeScalar(v float64) Tensor { return opLeScalar.one(new(frame).tensor(t).float(v)) }

// GtScalar is t > v.
func (t Tensor) GtScalar(v float64) Tensor { return opGtScalar.one(new(frame).tensor(t).float(v)) }

// Gt is t > u.
func (t Tensor) Gt(u Tensor) Tensor { return opGt.one(new(frame).tensor(t).tensor(u)) }

// GeScalar is t >= v.
func (t Tensor) GeScalar(v float64) Tensor { return opGeScalar.one(new(frame).tensor(t).float(v)) }

// And is true where both are.
func (t Tensor) And(u Tensor) Tensor { return opLogicalAnd.one(new(frame).tensor(t).tensor(u)) }

// Or is true where one is.
func (t Tensor) Or(u Tensor) Tensor { return opLogicalOr.one(new(frame).tensor(t).tensor(u)) }

// Not is true where t is not.
func (t Tensor) Not() Tensor { return opLogicalNot.one(new(frame).tensor(t)) }

// Equal reports whether both have the same shape and elements.
func (t Tensor) Equal(u Tensor) bool {
	var out [2]int64
	opEqual.call(new(frame).tensor(t).tensor(u), out[:])
	return out[1] != 0
}
