package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// DType is an element type, spelled as safetensors headers spell it.
type DType string

// The element types that models use. The format has a few more, for quantized ones:
// dtypeOrder names them all.
const (
	Bool      DType = "BOOL"
	U8        DType = "U8"
	I8        DType = "I8"
	U16       DType = "U16"
	I16       DType = "I16"
	U32       DType = "U32"
	I32       DType = "I32"
	U64       DType = "U64"
	I64       DType = "I64"
	F8E4M3    DType = "F8_E4M3"
	F8E5M2    DType = "F8_E5M2"
	F16       DType = "F16"
	BF16      DType = "BF16"
	F32       DType = "F32"
	F64       DType = "F64"
	Complex64 DType = "C64"
)

// dtypeOrder lists the element types of version 0.8 as the reference writer orders them;
// it lays tensors out from the last to the first, which keeps wide elements aligned.
var dtypeOrder = []struct {
	name DType
	bits uint64
}{
	{Bool, 8},
	{"F4", 4},
	{"F6_E2M3", 6},
	{"F6_E3M2", 6},
	{U8, 8},
	{I8, 8},
	{F8E5M2, 8},
	{F8E4M3, 8},
	{"F8_E8M0", 8},
	{"F8_E4M3FNUZ", 8},
	{"F8_E5M2FNUZ", 8},
	{I16, 16},
	{U16, 16},
	{F16, 16},
	{BF16, 16},
	{I32, 32},
	{U32, 32},
	{F32, 32},
	{Complex64, 64},
	{F64, 64},
	{I64, 64},
	{U64, 64},
}

// Bits is the width of one element, and 0 for a type the format does not have.
func (d DType) Bits() int {
	for _, o := range dtypeOrder {
		if o.name == d {
			return int(o.bits)
		}
	}
	return 0
}

// rank is the place of d in dtypeOrder.
func (d DType) rank() int {
	for i, o := range dtypeOrder {
		if o.name == d {
			return i
		}
	}
	return -1
}

// Float32s decodes the tensor to float32, row by row. It copies: it is meant for
// tests and small tensors. Integers beyond 2^24 and float64 are rounded.
func (t Tensor) Float32s() ([]float32, error) {
	decode, width := decoder(t.DType)
	if decode == nil {
		return nil, fmt.Errorf("%s: %s: %s cannot be read as float32", t.Path, t.Key, t.DType)
	}
	values := make([]float32, len(t.Bytes)/width)
	if width == 1 { // a table is ten times as fast for whole models of 8-bit floats
		var table [256]float32
		for i := range table {
			table[i] = decode([]byte{byte(i)})
		}
		for i, b := range t.Bytes {
			values[i] = table[b]
		}
	} else {
		for i := range values {
			values[i] = decode(t.Bytes[i*width:])
		}
	}
	t.scale(values)
	if half := len(values) / 2; t.Swapped {
		values = slices.Concat(values[half:], values[:half])
	}
	if !t.Transposed {
		return values, nil
	}
	rows, cols := int(t.Shape[0]), int(t.Shape[1]) // stored as [cols,rows]
	turned := make([]float32, len(values))
	for r := range rows {
		for c := range cols {
			turned[r*cols+c] = values[c*rows+r]
		}
	}
	return turned, nil
}

// scale multiplies decoded values by the tensor's Scales.
func (t Tensor) scale(values []float32) {
	if len(t.Scales) == 0 || len(values) == 0 {
		return
	}
	row := len(values) / len(t.Scales)
	for i, s := range t.Scales {
		for j := range values[i*row : (i+1)*row] {
			values[i*row+j] *= s
		}
	}
}

// decoder says how one element of d becomes a float32, and its width in bytes.
func decoder(d DType) (func([]byte) float32, int) {
	le := binary.LittleEndian
	switch d {
	case F32:
		return func(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) }, 4
	case F64:
		return func(b []byte) float32 { return float32(math.Float64frombits(le.Uint64(b))) }, 8
	case F16:
		return func(b []byte) float32 { return smallFloat(uint32(le.Uint16(b)), 5, 10, true) }, 2
	case BF16:
		return func(b []byte) float32 { return math.Float32frombits(uint32(le.Uint16(b)) << 16) }, 2
	case F8E5M2:
		return func(b []byte) float32 { return smallFloat(uint32(b[0]), 5, 2, true) }, 1
	case F8E4M3:
		return func(b []byte) float32 { return smallFloat(uint32(b[0]), 4, 3, false) }, 1
	case Bool, U8:
		return func(b []byte) float32 { return float32(b[0]) }, 1
	case I8:
		return func(b []byte) float32 { return float32(int8(b[0])) }, 1
	case U16:
		return func(b []byte) float32 { return float32(le.Uint16(b)) }, 2
	case I16:
		return func(b []byte) float32 { return float32(int16(le.Uint16(b))) }, 2
	case U32:
		return func(b []byte) float32 { return float32(le.Uint32(b)) }, 4
	case I32:
		return func(b []byte) float32 { return float32(int32(le.Uint32(b))) }, 4
	case U64:
		return func(b []byte) float32 { return float32(le.Uint64(b)) }, 8
	case I64:
		return func(b []byte) float32 { return float32(int64(le.Uint64(b))) }, 8
	}
	return nil, 0
}

// smallFloat widens a float of 1 sign bit, expBits and manBits to float32, which
// holds all of them exactly. With ieee the top exponent means Inf and NaN;
// without (F8_E4M3 of arXiv 2209.05433) only the all-ones pattern is NaN.
func smallFloat(bits uint32, expBits, manBits int, ieee bool) float32 {
	sign := bits >> (expBits + manBits) & 1 << 31
	exp := int(bits>>manBits) & (1<<expBits - 1)
	man := bits & (1<<manBits - 1)
	top := exp == 1<<expBits-1
	switch {
	case top && ieee:
		return math.Float32frombits(sign | 0xff<<23 | man<<(23-manBits))
	case top && man == 1<<manBits-1:
		return math.Float32frombits(sign | 0x7fc<<20)
	case exp == 0:
		value := math.Ldexp(float64(man), 2-(1<<(expBits-1))-manBits)
		return math.Float32frombits(sign | math.Float32bits(float32(value)))
	}
	exp32 := uint32(exp - (1<<(expBits-1) - 1) + 127)
	return math.Float32frombits(sign | exp32<<23 | man<<(23-manBits))
}
