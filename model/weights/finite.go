package weights

import "encoding/binary"

// IsFinite reports whether no element of a float tensor is NaN or infinity. Other types are finite.
func (t Tensor) IsFinite() bool {
	le := binary.LittleEndian
	switch t.DType {
	case F32:
		for i := 0; i+4 <= len(t.Bytes); i += 4 {
			if le.Uint32(t.Bytes[i:])&0x7f800000 == 0x7f800000 {
				return false
			}
		}
	case F64:
		for i := 0; i+8 <= len(t.Bytes); i += 8 {
			if le.Uint64(t.Bytes[i:])>>52&0x7ff == 0x7ff {
				return false
			}
		}
	case F16, BF16:
		mask := map[DType]uint16{F16: 0x7c00, BF16: 0x7f80}[t.DType]
		for i := 0; i+2 <= len(t.Bytes); i += 2 {
			if le.Uint16(t.Bytes[i:])&mask == mask {
				return false
			}
		}
	case F8E4M3, F8E5M2:
		for _, b := range t.Bytes {
			if t.DType == F8E4M3 && b&0x7f == 0x7f || t.DType == F8E5M2 && b&0x7c == 0x7c {
				return false
			}
		}
	}
	return true
}
