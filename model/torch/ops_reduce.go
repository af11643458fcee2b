package torch

// Reductions. Without dimensions they reduce all; names with Keep keep reduced dimensions as 1.

var (
	opSum        = def("sum", "")
	opSumDim     = def("sum", "dim_IntList")
	opMean       = def("mean", "")
	opMeanDim    = def("mean", "dim")
	opMax        = def("max", "")
	opMin        = def("min", "")
	opAmax       = def("amax", "")
	opArgmax     = def("argmax", "")
	opVectorNorm = def("linalg_vector_norm", "")
	opVar        = def("var", "correction")
	opLogSumExp  = def("logsumexp", "")
	opAll        = def("all", "")
	opSort       = def("sort", "")
)

// Sum adds over the dimensions.
func (t Tensor) Sum(dims ...int64) Tensor { return t.sum(dims, false) }

// SumKeep is Sum that keeps the dimensions.
func (t Tensor) SumKeep(dims ...int64) Tensor { return t.sum(dims, true) }

func (t Tensor) sum(dims []int64, keep bool) Tensor {
	if len(dims) == 0 {
		return opSum.one(new(frame).tensor(t))
	}
	return opSumDim.one(new(frame).tensor(t).ints(dims...).bool(keep))
}

// Mean averages over the dimensions.
func (t Tensor) Mean(dims ...int64) Tensor { return t.mean(dims, false) }

// MeanKeep is Mean that keeps the dimensions.
func (t Tensor) MeanKeep(dims ...int64) Tensor { return t.mean(dims, true) }

func (t Tensor) mean(dims []int64, keep bool) Tensor {
	if len(dims) == 0 {
		return opMean.one(new(frame).tensor(t))
	}
	return opMeanDim.one(new(frame).tensor(t).ints(dims...).bool(keep))
}

// Max is the largest element.
func (t Tensor) Max() Tensor { return opMax.one(new(frame).tensor(t)) }

// Min is the smallest element.
func (t Tensor) Min() Tensor { return opMin.one(new(frame).tensor(t)) }

// AMax is the largest element over the dimensions; equal ones share the gradient.
func (t Tensor) AMax(keep bool, dims ...int64) Tensor {
	return opAmax.one(new(frame).tensor(t).ints(dims...).bool(keep))
}

// ArgMax is the index of the largest element along a dimension, as int64.
func (t Tensor) ArgMax(dim int64) Tensor { return opArgmax.one(new(frame).tensor(t).int(dim)) }

// Norm is the p-norm over the dimensions. Its gradient at zero is zero, not NaN.
func (t Tensor) Norm(p float64, dims ...int64) Tensor {
	f := new(frame).tensor(t).float(p)
	if len(dims) > 0 {
		f = f.ints(dims...)
	}
	return opVectorNorm.one(f)
}

// Var is the variance over the dimensions, divided by n - correction.
func (t Tensor) Var(correction int64, dims ...int64) Tensor {
	f := new(frame).tensor(t)
	if len(dims) > 0 {
		f = f.ints(dims...)
	}
	return opVar.one(f.name("correction").int(correction))
}

// LogSumExp is log Σ e^t over the dimensions.
func (t Tensor) LogSumExp(dims ...int64) Tensor {
	return opLogSumExp.one(new(frame).tensor(t).ints(dims...))
}

// All is true where every element is.
func (t Tensor) All() Tensor { return opAll.one(new(frame).tensor(t)) }

// Sort orders along a dimension and says where the elements came from.
func (t Tensor) Sort(dim int64, descending bool) (values, indices Tensor) {
	return opSort.two(new(frame).tensor(t).int(dim).bool(descending))
}
