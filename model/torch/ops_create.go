package torch

// New tensors.

var (
	opZeros    = def("zeros", "")
	opOnes     = def("ones", "")
	opFull     = def("full", "")
	opArange   = def("arange", "start_step")
	opEye      = def("eye", "")
	opNewZeros = def("new_zeros", "")
	opZerosAs  = def("zeros_like", "")
	opOnesAs   = def("ones_like", "")
	opFromFile = def("from_file", "")
	opOneHot   = def("one_hot", "")
)

func (f *frame) place(dtype DType, device Device) *frame {
	return f.name("dtype").dtype(dtype).name("device").device(device)
}

// Zeros is a tensor of zeros.
func Zeros(dtype DType, device Device, shape ...int64) Tensor {
	return opZeros.one(new(frame).ints(shape...).place(dtype, device))
}

// Ones is a tensor of ones.
func Ones(dtype DType, device Device, shape ...int64) Tensor {
	return opOnes.one(new(frame).ints(shape...).place(dtype, device))
}

// Full is a tensor filled with v.
func Full(v float64, dtype DType, device Device, shape ...int64) Tensor {
	return opFull.one(new(frame).ints(shape...).float(v).place(dtype, device))
}

// Arange is start, start+step, ... up to end, which is excluded.
func Arange(start, end, step float64, dtype DType, device Device) Tensor {
	return opArange.one(new(frame).float(start).float(end).float(step).place(dtype, device))
}

// Eye is the n×n identity matrix.
func Eye(n int64, dtype DType, device Device) Tensor {
	return opEye.one(new(frame).int(n).place(dtype, device))
}

// NewZeros is zeros of t's type and device.
func (t Tensor) NewZeros(shape ...int64) Tensor {
	return opNewZeros.one(new(frame).tensor(t).ints(shape...))
}

// ZerosLike is zeros of t's shape, type and device.
func (t Tensor) ZerosLike() Tensor { return opZerosAs.one(new(frame).tensor(t)) }

// OnesLike is ones of t's shape, type and device.
func (t Tensor) OnesLike() Tensor { return opOnesAs.one(new(frame).tensor(t)) }

// OneHot is 1 at the class of each int64 element, in a new last dimension.
func (t Tensor) OneHot(classes int64) Tensor { return opOneHot.one(new(frame).tensor(t).int(classes)) }

// MapFile maps a file of the given size into memory as uint8, without reading it. Writing to the
// tensor changes memory only, never the file. The mapping lives as long as a view of it.
func MapFile(path string, size int64) Tensor {
	return opFromFile.one(new(frame).string(path).bool(false).int(size).place(Uint8, CPU))
}

// BytesAs reads part of a uint8 tensor as elements of another type: a view where the offset is a
// multiple of the element's size, a copy elsewhere.
func (t Tensor) BytesAs(offset int64, dtype DType, shape ...int64) Tensor {
	part := t.Narrow(0, offset, product(shape)*dtype.Size())
	if offset%dtype.Size() != 0 {
		part = part.Clone()
	}
	return part.ViewAs(dtype).Reshape(shape...)
}
