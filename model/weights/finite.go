package weights

import "encoding/binary"

// exponents are the bits of a float type that are all set in infinity and NaN. Of F8_E4M3, which has no
// infinity, they are those of its only NaN.
var exponents = map[DType]uint64{F64: 0x7ff << 52, F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80, F8E5M2: 0x7c, F8E4M3: 0x7f}

// IsFinite reports whether no element of a float tensor is NaN or infinity. Other types are finite.
func (t Tensor) IsFinite() bool {
	mask, isFloat := exponents[t.DType]
	if !isFloat {
		return true
	}
	le, width := binary.LittleEndian, t.DType.Bits()/8
	for i := 0; i+width <= len(t.Bytes); i += width {
		var v uint64
		switch width {
		case 1:
			v = uint64(t.Bytes[i])
		case 2:
			v = uint64(le.Uint16(t.Bytes[i:]))
		case 4:
			v = uint64(le.Uint32(t.Bytes[i:]))
		default:
			v = le.Uint64(t.Bytes[i:])
		}
		if v&mask == mask {
			return false
		}
	}
	return true
}
