package torch

// Shapes, types and places. Most give a view on the same elements.

var (
	opReshape     = def("reshape", "")
	opFlatten     = def("flatten", "using_ints")
	opPermute     = def("permute", "")
	opTranspose   = def("transpose", "int")
	opUnsqueeze   = def("unsqueeze", "")
	opSqueeze     = def("squeeze", "dim")
	opExpand      = def("expand", "")
	opRepeat      = def("repeat", "")
	opRepeatInter = def("repeat_interleave", "self_int")
	opNarrow      = def("narrow", "")
	opSelect      = def("select", "int")
	opSlice       = def("slice", "Tensor")
	opIndexSelect = def("index_select", "")
	opIndex       = def("index", "Tensor")
	opChunk       = def("chunk", "")
	opSplitSizes  = def("split_with_sizes", "")
	opUnbind      = def("unbind", "int")
	opCat         = def("cat", "")
	opStack       = def("stack", "")
	opPad         = def("constant_pad_nd", "")
	opReplicate   = def("replication_pad2d", "")
	opReflect     = def("reflection_pad2d", "")
	opFlip        = def("flip", "")
	opTriu        = def("triu", "")
	opContiguous  = def("contiguous", "")
	opClone       = def("clone", "")
	opDetach      = def("detach", "")
	opToDType     = def("to", "dtype")
	opToDevice    = def("to", "device")
	opViewDType   = def("view", "dtype")
)

// Memory formats of libtorch.
const (
	memoryContiguous   = 0
	memoryChannelsLast = 2
)

// Reshape gives the elements another shape; one size may be -1.
func (t Tensor) Reshape(shape ...int64) Tensor {
	return opReshape.one(new(frame).tensor(t).ints(shape...))
}

// Flatten joins the dimensions from start to the last into one.
func (t Tensor) Flatten(start int64) Tensor { return opFlatten.one(new(frame).tensor(t).int(start)) }

// Permute reorders the dimensions.
func (t Tensor) Permute(dims ...int64) Tensor {
	return opPermute.one(new(frame).tensor(t).ints(dims...))
}

// Transpose swaps two dimensions.
func (t Tensor) Transpose(a, b int64) Tensor {
	return opTranspose.one(new(frame).tensor(t).int(a).int(b))
}

// Unsqueeze puts a dimension of size 1 before dim.
func (t Tensor) Unsqueeze(dim int64) Tensor { return opUnsqueeze.one(new(frame).tensor(t).int(dim)) }

// Squeeze removes dimension dim if its size is 1.
func (t Tensor) Squeeze(dim int64) Tensor { return opSqueeze.one(new(frame).tensor(t).int(dim)) }

// Expand repeats dimensions of size 1 without copying; -1 keeps a size.
func (t Tensor) Expand(shape ...int64) Tensor {
	return opExpand.one(new(frame).tensor(t).ints(shape...))
}

// Repeat copies the tensor so many times along each dimension.
func (t Tensor) Repeat(times ...int64) Tensor {
	return opRepeat.one(new(frame).tensor(t).ints(times...))
}

// RepeatInterleave repeats each element along a dimension: a a b b c c.
func (t Tensor) RepeatInterleave(times, dim int64) Tensor {
	return opRepeatInter.one(new(frame).tensor(t).int(times).int(dim))
}

// Narrow is length elements of a dimension from start on.
func (t Tensor) Narrow(dim, start, length int64) Tensor {
	return opNarrow.one(new(frame).tensor(t).int(dim).int(start).int(length))
}

// Select is one index of a dimension, which goes away.
func (t Tensor) Select(dim, index int64) Tensor {
	return opSelect.one(new(frame).tensor(t).int(dim).int(index))
}

// Slice is every step-th index of a dimension from start up to end, which is excluded.
func (t Tensor) Slice(dim, start, end, step int64) Tensor {
	return opSlice.one(new(frame).tensor(t).int(dim).int(start).int(end).int(step))
}

// IndexSelect takes the indices (int64, one-dimensional) of a dimension.
func (t Tensor) IndexSelect(dim int64, indices Tensor) Tensor {
	return opIndexSelect.one(new(frame).tensor(t).int(dim).tensor(indices))
}

// Index takes elements by one index tensor a dimension, from the first on; the zero Tensor takes all.
func (t Tensor) Index(indices ...Tensor) Tensor {
	return opIndex.one(new(frame).tensor(t).tensors(indices...))
}

// Chunk cuts a dimension into n parts.
func (t Tensor) Chunk(n, dim int64) []Tensor {
	return opChunk.many(new(frame).tensor(t).int(n).int(dim), n)
}

// Split cuts a dimension into parts of the given sizes.
func (t Tensor) Split(dim int64, sizes ...int64) []Tensor {
	return opSplitSizes.many(new(frame).tensor(t).ints(sizes...).int(dim), int64(len(sizes)))
}

// Unbind takes a dimension apart.
func (t Tensor) Unbind(dim int64) []Tensor {
	return opUnbind.many(new(frame).tensor(t).int(dim), t.Size(dim))
}

// Cat joins along a dimension.
func Cat(ts []Tensor, dim int64) Tensor { return opCat.one(new(frame).tensors(ts...).int(dim)) }

// Stack joins along a new dimension.
func Stack(ts []Tensor, dim int64) Tensor { return opStack.one(new(frame).tensors(ts...).int(dim)) }

// Pad adds v around the tensor: pairs of before and after, from the last dimension on.
func (t Tensor) Pad(v float64, pads ...int64) Tensor {
	return opPad.one(new(frame).tensor(t).ints(pads...).float(v))
}

// PadReplicate repeats the border of [B,C,H,W] outwards.
func (t Tensor) PadReplicate(left, right, top, bottom int64) Tensor {
	return opReplicate.one(new(frame).tensor(t).ints(left, right, top, bottom))
}

// PadReflect mirrors [B,C,H,W] at its border.
func (t Tensor) PadReflect(left, right, top, bottom int64) Tensor {
	return opReflect.one(new(frame).tensor(t).ints(left, right, top, bottom))
}

// Flip reverses the dimensions.
func (t Tensor) Flip(dims ...int64) Tensor { return opFlip.one(new(frame).tensor(t).ints(dims...)) }

// Triu zeroes what lies below the k-th diagonal.
func (t Tensor) Triu(k int64) Tensor { return opTriu.one(new(frame).tensor(t).int(k)) }

// Contiguous lays the elements in row-major order, copying if need be.
func (t Tensor) Contiguous() Tensor { return opContiguous.one(new(frame).tensor(t)) }

// ChannelsLast lays [B,C,H,W] in memory as [B,H,W,C], copying if need be.
func (t Tensor) ChannelsLast() Tensor {
	return opContiguous.one(new(frame).tensor(t).name("memory_format").int(memoryChannelsLast))
}

// Clone copies the elements.
func (t Tensor) Clone() Tensor { return opClone.one(new(frame).tensor(t)) }

// Detach is t without its history.
func (t Tensor) Detach() Tensor { return opDetach.one(new(frame).tensor(t)) }

// To converts the elements; t itself where they are of that type already.
func (t Tensor) To(dtype DType) Tensor { return opToDType.one(new(frame).tensor(t).dtype(dtype)) }

// ToDevice moves and converts; t itself where nothing changes.
func (t Tensor) ToDevice(device Device, dtype DType) Tensor {
	return opToDevice.one(new(frame).tensor(t).device(device).dtype(dtype))
}

// ViewAs reads the same bytes as elements of another type.
func (t Tensor) ViewAs(dtype DType) Tensor { return opViewDType.one(new(frame).tensor(t).dtype(dtype)) }
