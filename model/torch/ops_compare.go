package torch

// Comparisons give boolean tensors.

var (
	opLtScalar  = def("lt", "Scalar")
	opGtScalar  = def("gt", "Scalar")
	opLogicalOr = def("logical_or", "")
	opEqual     = def("equal", "")
)

// LtScalar is t < v.
func (t Tensor) LtScalar(v float64) Tensor { return opLtScalar.one(new(frame).tensor(t).float(v)) }

// GtScalar is t > v.
func (t Tensor) GtScalar(v float64) Tensor { return opGtScalar.one(new(frame).tensor(t).float(v)) }

// Or is true where one is.
func (t Tensor) Or(u Tensor) Tensor { return opLogicalOr.one(new(frame).tensor(t).tensor(u)) }

// Equal reports whether both have the same shape and elements.
func (t Tensor) Equal(u Tensor) bool {
	var out [2]int64
	opEqual.call(new(frame).tensor(t).tensor(u), out[:])
	return out[1] != 0
}
