package weights

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func castFloats(t *testing.T, to DType, pieces int, values ...float32) ([]byte, error) {
	t.Helper()
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	e, err := Cast(Entry{Name: "w", DType: F32, Data: func(w io.Writer) error {
		for rest := raw; len(rest) > 0; {
			n := min(pieces, len(rest))
			if _, err := w.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	}}, to)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = e.Data(&out)
	return out.Bytes(), err
}

// Every half, and the float32 just above, below and between it and the next one, rounds as the
// definition says: to the nearer, at the middle to the even one.
func TestCastRoundsToNearestEven(t *testing.T) {
	for _, to := range []DType{F16, BF16} {
		decode, _ := decoder(to)
		half := func(bits uint16) float32 { return decode(binary.LittleEndian.AppendUint16(nil, bits)) }
		top := uint16(0x7bff)
		if to == BF16 {
			top = 0x7f7f
		}
		for bits := uint16(0); bits < top; bits++ {
			low, high := half(bits), half(bits+1)
			middle := low + (high-low)/2
			even := bits + bits&1
			for v, want := range map[float32]uint16{
				low: bits, middle: even,
				math.Nextafter32(middle, low): bits, math.Nextafter32(middle, high): bits + 1,
			} {
				if middle == low || middle == high { // the smallest float32 subnormals
					continue
				}
				got, err := castFloats(t, to, 4, v)
				if err != nil || binary.LittleEndian.Uint16(got) != want {
					t.Fatalf("%s of %g: %x, %v, want %04x", to, v, got, err, want)
				}
			}
		}
	}
}

func TestCastSpecials(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		to   DType
		v    float32
		want uint16
	}{
		{F16, inf, 0x7c00},
		{F16, -inf, 0xfc00},
		{BF16, inf, 0x7f80},
		{F16, float32(math.Copysign(0, -1)), 0x8000},
		{F16, 65504, 0x7bff},
		{F16, 65519, 0x7bff},
		{F16, 1e-8, 0},
		{BF16, math.MaxFloat32 / 2, 0x7f00},
	} {
		got, err := castFloats(t, c.to, 4, c.v)
		if err != nil || binary.LittleEndian.Uint16(got) != c.want {
			t.Errorf("%s of %g: %x, %v, want %04x", c.to, c.v, got, err, c.want)
		}
	}
	for _, to := range []DType{F16, BF16} {
		got, err := castFloats(t, to, 4, float32(math.NaN()))
		decode, _ := decoder(to)
		if v := decode(got); err != nil || v == v {
			t.Errorf("%s of NaN: %x, %v", to, got, err)
		}
	}
	for to, v := range map[DType]float32{F16: 65520, BF16: math.MaxFloat32} {
		if _, err := castFloats(t, to, 4, v); err == nil || !strings.Contains(err.Error(), "beyond the range of "+string(to)) {
			t.Errorf("%s of %g: %v, want an error", to, v, err)
		}
	}
}

// Data comes in pieces of any size.
func TestCastInPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	values := make([]float32, 70000)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	whole, err := castFloats(t, BF16, 1<<30, values...)
	if err != nil {
		t.Fatal(err)
	}
	for _, pieces := range []int{3, 7, 4096, 65537} {
		if got, err := castFloats(t, BF16, pieces, values...); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("in pieces of %d: %d bytes, %v, want %d bytes as at once", pieces, len(got), err, len(whole))
		}
	}
}

func TestCastLeavesIntegers(t *testing.T) {
	e := Entry{Name: "position_ids", DType: I64, Shape: []int64{1}, Data: FromBytes(make([]byte, 8))}
	got, err := Cast(e, F16)
	if err != nil || got.DType != I64 {
		t.Errorf("%v, %v", got.DType, err)
	}
	if _, err := Cast(e, I8); err == nil {
		t.Error("cast to I8 accepted")
	}
}
