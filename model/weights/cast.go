package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

// Entry is t as it is to be written, under its Name. What has Scales is written as float32.
func (t Tensor) Entry() Entry {
	return Entry{Name: t.Name, DType: t.stored(), Shape: t.Shape, Data: t.writeTo}
}

// stored is the element type that writeTo writes.
func (t Tensor) stored() DType {
	if t.Scales != nil {
		return F32
	}
	return t.DType
}

// Cast turns an entry of a float type into one of another, F32, F16 or BF16, rounding to nearest, ties
// to even, while it is written. Other entries stay as they are. A number beyond the new type's range
// is an error, not infinity.
func Cast(e Entry, to DType) (Entry, error) {
	if to != F32 && to != F16 && to != BF16 {
		return Entry{}, fmt.Errorf("%s: cannot be written as %s, want F32, F16 or BF16", e.Name, to)
	}
	from, data := e.DType, e.Data
	decode, width := decoder(from)
	if from == to || decode == nil || !from.isFloat() {
		return e, nil
	}
	e.DType = to
	e.Data = func(w io.Writer) error {
		c := &caster{out: w, decode: decode, width: width, encode: encodeBF16, to: to}
		switch to {
		case F32:
			c.encode = encodeF32
		case F16:
			c.encode = encodeF16
		}
		if err := data(c); err != nil {
			return err
		}
		if len(c.rest) > 0 {
			return fmt.Errorf("%d bytes too many or too few", len(c.rest))
		}
		return nil
	}
	return e, nil
}

// CastAll casts every entry; "" keeps their types.
func CastAll(entries []Entry, to DType) ([]Entry, error) {
	if to == "" {
		return entries, nil
	}
	out := make([]Entry, len(entries))
	for i, e := range entries {
		converted, err := Cast(e, to)
		if err != nil {
			return nil, err
		}
		out[i] = converted
	}
	return out, nil
}

// isFloat reports whether d has a decoder and stands for fractions.
func (d DType) isFloat() bool {
	switch d {
	case F64, F32, F16, BF16, F8E4M3, F8E5M2:
		return true
	}
	return false
}

// caster converts what is written to it, element by element.
type caster struct {
	out    io.Writer
	decode func([]byte) float32
	width  int
	encode func(dst []byte, v float32) ([]byte, bool)
	to     DType
	rest   []byte // of an element that came in two parts
	buffer []byte
}

// Write converts as many whole elements as there are.
func (c *caster) Write(p []byte) (int, error) {
	data := p
	if len(c.rest) > 0 {
		data = slices.Concat(c.rest, p)
	}
	const chunk = 1 << 16 // elements at a time: 256 KiB at most
	for len(data) >= c.width {
		n := min(len(data)/c.width, chunk)
		c.buffer = c.buffer[:0]
		for i := range n {
			v := c.decode(data[i*c.width:])
			coded, ok := c.encode(c.buffer, v)
			if !ok {
				return 0, fmt.Errorf("%g is beyond the range of %s", v, c.to)
			}
			c.buffer = coded
		}
		if _, err := c.out.Write(c.buffer); err != nil {
			return 0, err
		}
		data = data[n*c.width:]
	}
	c.rest = append([]byte(nil), data...)
	return len(p), nil
}

func encodeF32(dst []byte, v float32) ([]byte, bool) {
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v)), true
}

// encodeBF16 keeps the upper half of a float32, rounded.
func encodeBF16(dst []byte, v float32) ([]byte, bool) {
	bits := math.Float32bits(v)
	if v != v {
		return binary.LittleEndian.AppendUint16(dst, uint16(bits>>16)|0x40), true
	}
	bits += 0x7fff + bits>>16&1
	half := uint16(bits >> 16)
	return binary.LittleEndian.AppendUint16(dst, half), half&0x7fff != 0x7f80 || math.IsInf(float64(v), 0)
}

// encodeF16 rounds to 5 bits of exponent and 10 of fraction (IEEE 754 binary16).
func encodeF16(dst []byte, v float32) ([]byte, bool) {
	bits := math.Float32bits(v)
	sign, exp, man := uint16(bits>>16&0x8000), int(bits>>23&0xff)-127, bits&0x7fffff
	put := func(half uint16, ok bool) ([]byte, bool) {
		return binary.LittleEndian.AppendUint16(dst, sign|half), ok
	}
	switch {
	case exp == 128 && man != 0:
		return put(0x7e00|uint16(man>>13), true)
	case exp == 128:
		return put(0x7c00, true)
	case exp > 15:
		return put(0x7c00, false)
	case exp >= -14: // a carry out of the fraction raises the exponent, as it should
		half := uint32(exp+15)<<10 | man>>13
		half += roundUp(man, 13, half)
		return put(uint16(half), half < 0x7c00)
	case exp < -25: // less than half of the smallest
		return put(0, true)
	}
	shift := uint(-14-exp) + 13 // subnormal
	man |= 0x800000
	half := man >> shift
	return put(uint16(half+roundUp(man, shift, half)), true)
}

// roundUp is 1 if the lowest shift bits of man are more than half of the next one, or just half and
// kept is odd.
func roundUp(man uint32, shift uint, kept uint32) uint32 {
	rest, half := man&(1<<shift-1), uint32(1)<<(shift-1)
	if rest > half || rest == half && kept&1 == 1 {
		return 1
	}
	return 0
}
