package torch

/*
#include "calls.h"
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"
)

// Tensor is a handle on a libtorch tensor. The zero value is "no tensor", which optional arguments
// (a bias, a mask) take. Copying it copies the handle, not the numbers.
type Tensor struct{ handle uint64 }

// Defined reports whether t is a tensor rather than the zero value.
func (t Tensor) Defined() bool { return t.handle != 0 }

// DType is the type of a tensor's elements; the numbers are libtorch's.
type DType int64

// Element types.
const (
	Uint8      DType = 0
	Int8       DType = 1
	Int16      DType = 2
	Int32      DType = 3
	Int64      DType = 4
	Float16    DType = 5
	Float32    DType = 6
	Float64    DType = 7
	Bool       DType = 11
	BFloat16   DType = 15
	Float8E5M2 DType = 23 // libtorch 2.1 and later
	Float8E4M3 DType = 24 // libtorch 2.1 and later
)

var dtypes = map[DType]struct {
	name string
	size int64
}{
	Uint8: {"uint8", 1}, Int8: {"int8", 1}, Int16: {"int16", 2}, Int32: {"int32", 4}, Int64: {"int64", 8},
	Float16: {"float16", 2}, Float32: {"float32", 4}, Float64: {"float64", 8}, Bool: {"bool", 1},
	BFloat16: {"bfloat16", 2}, Float8E5M2: {"float8_e5m2", 1}, Float8E4M3: {"float8_e4m3", 1},
}

func (d DType) String() string {
	if e, ok := dtypes[d]; ok {
		return e.name
	}
	return fmt.Sprintf("dtype(%d)", int64(d))
}

// Size is the bytes of one element.
func (d DType) Size() int64 { return dtypes[d].size }

// tensorInfo is what the shim tells of a tensor.
type tensorInfo struct {
	dtype                 DType
	deviceType, deviceIdx int64
	flags                 int64
	dims                  int64
	sizes                 [C.FNF_MAX_DIMS]int64
}

const (
	flagRequiresGrad = 1 << iota
	flagContiguous
	flagGradFn
	flagChannelsLast
)

func (i *tensorInfo) shape() []int64 { return append([]int64(nil), i.sizes[:i.dims]...) }

func (i *tensorInfo) String() string {
	return i.dtype.String() + ShapeString(i.sizes[:i.dims])
}

// ShapeString writes a shape as "[2,3,4]".
func ShapeString(shape []int64) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ",")
}

func (t Tensor) info() (info tensorInfo, err error) {
	var words [5 + C.FNF_MAX_DIMS]int64
	if err := Load(); err != nil {
		return info, err
	}
	if message := C.c_info(C.uint64_t(t.handle), (*C.int64_t)(unsafe.Pointer(&words[0]))); message != nil {
		return info, take(message)
	}
	info = tensorInfo{dtype: DType(words[0]), deviceType: words[1], deviceIdx: words[2], flags: words[3], dims: words[4]}
	copy(info.sizes[:], words[5:])
	return info, nil
}

func (t Tensor) mustInfo(what string) tensorInfo {
	info, err := t.info()
	if err != nil {
		panic(&Error{Op: what, Message: err.Error()})
	}
	return info
}

// Shape is the size of every dimension.
func (t Tensor) Shape() []int64 { info := t.mustInfo("shape"); return info.shape() }

// Dim is the number of dimensions.
func (t Tensor) Dim() int64 { return t.mustInfo("dim").dims }

// Size is the length of one dimension; a negative one counts from the last.
func (t Tensor) Size(dim int64) int64 {
	info := t.mustInfo("size")
	i := dim
	if i < 0 {
		i += info.dims
	}
	if i < 0 || i >= info.dims {
		panic(&Error{Op: "size", Arguments: []string{info.String()}, Message: fmt.Sprintf("there is no dimension %d", dim)})
	}
	return info.sizes[i]
}

// Numel is the number of elements.
func (t Tensor) Numel() int64 {
	info := t.mustInfo("numel")
	return product(info.sizes[:info.dims])
}

func product(shape []int64) int64 {
	n := int64(1)
	for _, s := range shape {
		n *= s
	}
	return n
}

// DType is the type of the elements.
func (t Tensor) DType() DType { return t.mustInfo("dtype").dtype }

// RequiresGrad reports whether gradients of t are recorded.
func (t Tensor) RequiresGrad() bool { return t.mustInfo("requires_grad").flags&flagRequiresGrad != 0 }

// IsContiguous reports whether the elements lie in row-major order without gaps.
func (t Tensor) IsContiguous() bool { return t.mustInfo("is_contiguous").flags&flagContiguous != 0 }

// IsChannelsLast reports whether a [B,C,H,W] tensor lies in memory as [B,H,W,C].
func (t Tensor) IsChannelsLast() bool {
	return t.mustInfo("is_contiguous").flags&flagChannelsLast != 0
}

// String is the element type and shape, "float32[2,3]".
func (t Tensor) String() string {
	if !t.Defined() {
		return "no tensor"
	}
	info, err := t.info()
	if err != nil {
		return "tensor: " + err.Error()
	}
	return info.String()
}

// element is a Go type whose slices have the layout of a tensor's elements.
type element interface {
	~uint8 | ~int8 | ~int16 | ~int32 | ~int64 | ~float32 | ~float64 | ~bool
}

func dtypeOf[E element]() DType {
	var zero E
	switch any(zero).(type) {
	case uint8:
		return Uint8
	case int8:
		return Int8
	case int16:
		return Int16
	case int32:
		return Int32
	case int64:
		return Int64
	case float32:
		return Float32
	case float64:
		return Float64
	}
	return Bool
}

// From copies a slice into a CPU tensor of the given shape; without a shape it is one-dimensional.
func From[E element](data []E, shape ...int64) Tensor {
	if len(shape) == 0 {
		shape = []int64{int64(len(data))}
	}
	return FromBytes(bytesOf(data), dtypeOf[E](), shape...)
}

// Scalar is a tensor of no dimensions.
func Scalar[E element](value E) Tensor { return From([]E{value}, 1).Squeeze(0) }

// FromBytes copies raw elements, little endian, into a CPU tensor.
func FromBytes(data []byte, dtype DType, shape ...int64) Tensor {
	if want := product(shape) * dtype.Size(); int64(len(data)) != want || want < 0 {
		panic(&Error{Op: "from", Message: fmt.Sprintf("%d bytes for %v%s, want %d", len(data), dtype, ShapeString(shape), want)})
	}
	if err := Load(); err != nil {
		panic(&Error{Op: "from", Message: err.Error()})
	}
	var handle C.uint64_t
	must("from", C.c_from_data(unsafe.Pointer(unsafe.SliceData(data)), (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(shape))), C.int64_t(len(shape)), C.int64_t(dtype), &handle))
	return Tensor{uint64(handle)}
}

func bytesOf[E element](data []E) []byte {
	var zero E
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), len(data)*int(unsafe.Sizeof(zero)))
}

// Bytes copies the elements out, in row-major order.
func (t Tensor) Bytes() []byte {
	info := t.mustInfo("bytes")
	data := make([]byte, product(info.sizes[:info.dims])*info.dtype.Size())
	t.copyTo(data)
	return data
}

// Floats copies the elements out as float32, whatever their type.
func (t Tensor) Floats() []float32 { return copyOut[float32](t) }

// Doubles copies the elements out as float64, whatever their type.
func (t Tensor) Doubles() []float64 { return copyOut[float64](t) }

// Ints copies the elements out as int64, whatever their type.
func (t Tensor) Ints() []int64 { return copyOut[int64](t) }

func copyOut[E element](t Tensor) []E {
	data := make([]E, t.Numel())
	if want := dtypeOf[E](); t.DType() != want {
		Scope(func() Tensor { t.Detach().To(want).copyTo(bytesOf(data)); return Tensor{} })
	} else {
		t.copyTo(bytesOf(data))
	}
	return data
}

func (t Tensor) copyTo(data []byte) {
	must("copy out", C.c_copy_out(C.uint64_t(t.handle), unsafe.Pointer(unsafe.SliceData(data)), C.int64_t(len(data))))
}

// Item is the value of a tensor of one element.
func (t Tensor) Item() float64 {
	t.mustInfo("item")
	var value C.double
	must("item", C.c_item(C.uint64_t(t.handle), &value))
	return float64(value)
}
