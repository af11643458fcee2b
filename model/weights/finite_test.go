package weights

import (
	"math"
	"testing"
)

// IsFinite agrees with the decoder on every number of 8 and 16 bits, and on the edges of wider ones.
func TestIsFinite(t *testing.T) {
	check := func(dtype DType, bytes []byte) {
		t.Helper()
		x := Tensor{DType: dtype, Shape: []int64{1}, Bytes: bytes}
		values, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		v := float64(values[0])
		if want := !math.IsNaN(v) && !math.IsInf(v, 0); x.IsFinite() != want {
			t.Errorf("%s %x: finite %v, want %v", dtype, bytes, x.IsFinite(), want)
		}
	}
	for i := range 1 << 16 {
		check(F16, []byte{byte(i), byte(i >> 8)})
		check(BF16, []byte{byte(i), byte(i >> 8)})
		check(F8E4M3, []byte{byte(i)})
		check(F8E5M2, []byte{byte(i)})
		check(F32, []byte{byte(i), 0, byte(i >> 8), 0x7f})
		check(F32, []byte{byte(i), 0, byte(i >> 8), 0x80})
	}
	for _, hex := range [][]byte{{0, 0, 0, 0, 0, 0, 0xf0, 0x7f}, {1, 0, 0, 0, 0, 0, 0xf0, 0xff}, {0, 0, 0, 0, 0, 0, 0, 0x80}} {
		check(F64, hex)
	}
}
