package weights

import (
	"bytes"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Scaled 8-bit floats: 0x38 is 1 in F8_E4M3, 0xc0 is -2.
func TestScaledFloats(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scaled.safetensors")
	f32 := func(v float32) []byte { return floatTensor("", nil, v).Bytes }
	entries := []Entry{
		{"a.weight", F8E4M3, []int64{2, 2}, FromBytes([]byte{0x38, 0xc0, 0x38, 0x38})},
		{"a.scale_weight", F32, []int64{}, FromBytes(f32(0.5))},
		{"a.scale_input", F32, []int64{}, FromBytes(f32(9))},
		{"b.weight", F8E4M3, []int64{2, 1}, FromBytes([]byte{0x38, 0x38})},
		{"b.weight_scale", F32, []int64{2, 1}, FromBytes(slices.Concat(f32(3), f32(4)))},
		{"c.weight", F32, []int64{1}, FromBytes(f32(7))},
		{"scaled_fp8", F8E4M3, []int64{0}, FromBytes(nil)},
	}
	if err := Write(path, nil, entries); err != nil {
		t.Fatal(err)
	}
	f := open(t, path)
	if len(f.Tensors) != 3 {
		t.Fatalf("%d tensors, want the 3 weights", len(f.Tensors))
	}
	for key, want := range map[string][]float32{"a.weight": {0.5, -1, 0.5, 0.5}, "b.weight": {3, 4}, "c.weight": {7}} {
		tensor, _ := f.Tensor(key)
		if got, err := tensor.Float32s(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", key, got, err, want)
		}
		var written bytes.Buffer
		e := tensor.Entry()
		if err := e.Data(&written); err != nil || e.DType != F32 || written.Len() != 4*len(want) {
			t.Errorf("%s: written as %s, %d bytes, %v", key, e.DType, written.Len(), err)
		}
	}
	cut := f.Tensors[1].Rows(1, 1)
	if got, err := cut.Float32s(); err != nil || got[0] != 4 {
		t.Errorf("row 1 of b is %v, %v, want 4", got, err)
	}
}

func TestQuantizedWeightsAreRefused(t *testing.T) {
	for key, want := range map[string]string{
		"a.weight_scale_2": "NVFP4",
		"a.SCB":            "bitsandbytes' 8 bits",
		"a.weight_scale":   "no a.weight that it could scale",
	} {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		if err := Write(path, nil, []Entry{{key, F32, []int64{1}, FromBytes(make([]byte, 4))}}); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", key, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	err := Write(path, nil, []Entry{{"a.weight", I8, []int64{4}, FromBytes(make([]byte, 4))}, {"a.weight_scale", F32, []int64{1}, FromBytes(make([]byte, 4))}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "I8 with a scale, want 8-bit floats") {
		t.Errorf("scaled int8: %v", err)
	}
}

// The table for one byte gives what the decoder gives.
func TestByteTable(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, dtype := range []DType{F8E4M3, F8E5M2, I8, U8} {
		decode, _ := decoder(dtype)
		got, err := Tensor{DType: dtype, Bytes: all, Shape: []int64{256}}.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if want := decode(all[i : i+1]); v != want && !(math.IsNaN(float64(v)) && math.IsNaN(float64(want))) {
				t.Errorf("%s %#x: %g, want %g", dtype, i, v, want)
			}
		}
	}
}
