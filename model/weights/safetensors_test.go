package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	oracle "github.com/nlpodyssey/safetensors"
)

func open(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// pack makes a file of a header and n zero bytes.
func pack(head string, n int) []byte {
	raw := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	return append(append(raw, head...), make([]byte, n)...)
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// All values are those that testdata/ref/make_safetensors.py puts in.
func TestOpenReadsEveryDType(t *testing.T) {
	f := open(t, "testdata/ref/all_dtypes.safetensors")
	if f.Metadata["format"] != "pt" {
		t.Errorf("metadata %v, want format pt", f.Metadata)
	}
	if len(f.Tensors) != 19 {
		t.Errorf("%d tensors, want 19", len(f.Tensors))
	}
	for _, tensor := range f.Tensors {
		if !strings.HasPrefix(tensor.Name, "t.") || tensor.DType == Complex64 {
			continue
		}
		want := []float32{0, 1, 2, 3, 100, 1}
		switch tensor.DType {
		case Bool:
			want = []float32{0, 1, 1, 1, 1, 1}
		case F8E4M3, F8E5M2:
			want[4] = 96 // the nearest of few
		}
		got, err := tensor.Float32s()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", tensor.Name, got, err, want)
		}
	}
	unicode, ok := f.Tensor(`a/ünïcode "name" <&>`)
	if !ok || !slices.Equal(unicode.Shape, []int64{5}) {
		t.Errorf("unicode name: %v %v", unicode, ok)
	}
}

func TestOpenMatchesNlpodyssey(t *testing.T) {
	raw, err := os.ReadFile("testdata/ref/floats.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	// The peer knows no F8: U8 has the same width.
	known := regexp.MustCompile(`:"F8_E\dM\d"`).ReplaceAll(raw, []byte(`:"U8"     `))
	peer, err := oracle.Deserialize(known)
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, writeFile(t, "known.safetensors", known))
	if got, want := len(f.Tensors), peer.Len(); got != want {
		t.Fatalf("%d tensors, the peer has %d", got, want)
	}
	for _, got := range f.Tensors {
		want, _ := peer.Tensor(got.Name)
		if !bytes.Equal(got.Bytes, want.Data()) || got.DType.Bits() != int(want.DType().Size())*8 {
			t.Errorf("%s: %s of %d bytes, the peer has %s of %d",
				got.Name, got.DType, len(got.Bytes), want.DType(), len(want.Data()))
		}
		if at := known[got.Offset:][:len(got.Bytes)]; !bytes.Equal(at, got.Bytes) {
			t.Errorf("%s: offset %d does not lead to its bytes", got.Name, got.Offset)
		}
	}
}

func TestOpenAgreesWithTheReferenceImplementation(t *testing.T) {
	raw, err := os.ReadFile("testdata/ref/verdicts.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref struct {
		Cases []struct {
			Case    string
			File    []byte
			Tensors []string // nil where the reference refuses the file
		}
	}
	if err := json.Unmarshal(raw, &ref); err != nil {
		t.Fatal(err)
	}
	// We refuse what the format forbids although the reference lets it pass.
	stricter := map[string]bool{"duplicate name": true, "tensor a list": true}
	for _, c := range ref.Cases {
		_, tensors, err := parse("x", c.File)
		var names []string
		for _, tensor := range tensors {
			names = append(names, tensor.Name)
		}
		slices.Sort(c.Tensors)
		switch {
		case stricter[c.Case] && err != nil:
		case (err == nil) != (c.Tensors != nil):
			t.Errorf("%s: error %v, the reference reads %v", c.Case, err, c.Tensors)
		case err == nil && !slices.Equal(names, c.Tensors):
			t.Errorf("%s: tensors %q, want %q", c.Case, names, c.Tensors)
		}
	}
	if len(ref.Cases) < 500 {
		t.Errorf("only %d cases", len(ref.Cases))
	}
}

func TestOpenErrors(t *testing.T) {
	tensor := `{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}`
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"short", []byte("1234567"), "7 bytes, too short for a safetensors file; fetch it again"},
		{
			"huge header", binary.LittleEndian.AppendUint64(nil, 1<<40),
			"header of 1099511627776 bytes, at most 100000000 allowed; not a safetensors file?",
		},
		{"truncated header", pack(tensor+"}", 16)[:30], "truncated: header of 57 bytes in a file of 30; fetch it again"},
		{"truncated data", pack(tensor+"}", 15), "truncated: a ends at byte 81 of a file of 80; fetch it again"},
		{"more data", pack(tensor+"}", 17), "1 bytes after the last tensor"},
		{
			"overlap", pack(tensor+`,"b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}}`, 16),
			"b: data offsets [8,16] overlap a, which ends at 16",
		},
		{
			"hole", pack(tensor+`,"b":{"dtype":"U8","shape":[8],"data_offsets":[17,25]}}`, 25),
			"b: data offsets [17,25] leave a hole of 1 bytes before them",
		},
		{
			"size", pack(`{"a":{"dtype":"F16","shape":[2,2],"data_offsets":[0,16]}}`, 16),
			"a: 16 bytes, want 8 for F16 [2,2]",
		},
		{
			"dtype", pack(`{"a":{"dtype":"F128","shape":[1],"data_offsets":[0,16]}}`, 16),
			`a: unknown dtype "F128"; a newer program wrote the file`,
		},
		{
			"twice", pack(tensor+`,"a":{"dtype":"U8","shape":[8],"data_offsets":[16,24]}}`, 24),
			`header: key "a" occurs twice`,
		},
		{"lfs", []byte("version https://git-lfs.github.com/spec/v1\n"), "is a git LFS pointer, not the file; run git lfs pull"},
		{"html", []byte("<!DOCTYPE html><html>"), "is a web page, not a checkpoint; was the download a log-in page?"},
		{"gguf", []byte("GGUF\x03\x00\x00\x00\x00"), "is a GGUF file; only safetensors can be read"},
	} {
		path := writeFile(t, "x.safetensors", c.data)
		_, err := Open(path)
		if err == nil || err.Error() != path+": "+c.want {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := Open("no/such.safetensors"); err == nil ||
		err.Error() != "no/such.safetensors: no such file or directory; is the path right?" {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("folder: %v", err)
	}
}

func TestOpenIndex(t *testing.T) {
	f := open(t, "testdata/ref/sharded/model.safetensors.index.json")
	if len(f.Tensors) != 5 || f.Metadata["total_size"] != "640" {
		t.Errorf("%d tensors, metadata %v", len(f.Tensors), f.Metadata)
	}
	last, _ := f.Tensor("layers.4.weight")
	values, err := last.Float32s()
	if err != nil || len(values) != 32 || values[31] != 4 || filepath.Base(last.Path) != "model-00003-of-00003.safetensors" {
		t.Errorf("layers.4.weight in %s: %v, %v", last.Path, values, err)
	}
	dir, err := OpenDir("testdata/ref/sharded", "fp16")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if len(dir.Tensors) != 5 {
		t.Errorf("OpenDir: %d tensors, want 5", len(dir.Tensors))
	}
}

func TestOpenIndexErrors(t *testing.T) {
	shard, err := os.ReadFile("testdata/ref/sharded/model-00003-of-00003.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, index, want string }{
		{"missing tensor", `{"weight_map":{"x":"s.safetensors"}}`, "x: not in s.safetensors, where the index says it is"},
		{"missing shard", `{"weight_map":{"x":"t.safetensors"}}`, "no such file"},
		{"outside", `{"weight_map":{"x":"../s.safetensors"}}`, "not the name of a .safetensors file in this folder"},
		{"pickle", `{"weight_map":{"x":"s.bin"}}`, "not the name of a .safetensors file in this folder"},
		{"empty", `{}`, "no weight_map"},
		{"broken", `{"weight_map":`, "broken JSON"},
	} {
		path := writeFile(t, "m.safetensors.index.json", []byte(c.index))
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "s.safetensors"), shard, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
		}
	}
}

func TestChooseWeights(t *testing.T) {
	plain, half := "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"
	for _, c := range []struct {
		names   []string
		variant string
		want    string
	}{
		{[]string{plain, half, "diffusion_pytorch_model.bin"}, "", plain},
		{[]string{plain, half}, "fp16", half},
		{[]string{half}, "", half},
		{[]string{plain}, "fp16", plain},
		{[]string{"diffusion_pytorch_model.non_ema.safetensors", plain}, "", plain},
		{[]string{"model-00001-of-00002.safetensors", "model.safetensors.index.json"}, "", "model.safetensors.index.json"},
		{[]string{"model.safetensors.index.json", "model.safetensors.index.fp16.json"}, "fp16", "model.safetensors.index.fp16.json"},
		{[]string{"model.safetensors.fp16.index.json"}, "fp16", "model.safetensors.fp16.index.json"},
		{[]string{"judge.safetensors", "notes.txt"}, "", "judge.safetensors"},
		{[]string{"a.safetensors", "b.safetensors"}, "", ""},
		{[]string{"model.bin"}, "", ""},
	} {
		if got := chooseWeights(c.names, c.variant); got != c.want {
			t.Errorf("%v %q: %q, want %q", c.names, c.variant, got, c.want)
		}
	}
}

func TestNarrowFloatsMatchTorch(t *testing.T) {
	f := open(t, "testdata/ref/floats.safetensors")
	for _, name := range []string{"F16", "BF16", "F8_E4M3", "F8_E5M2"} {
		narrow, _ := f.Tensor(name)
		wide, _ := f.Tensor(name + ".widened")
		got, err := narrow.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		want, err := wide.Float32s()
		if err != nil || len(want) == 0 {
			t.Fatal(err, len(want))
		}
		for i := range want {
			same := math.Float32bits(got[i]) == math.Float32bits(want[i])
			if !same && !(math.IsNaN(float64(got[i])) && math.IsNaN(float64(want[i]))) {
				t.Errorf("%s[%d]: %v, torch has %v", name, i, got[i], want[i])
			}
		}
	}
}

func TestTransposedTensorIsTurned(t *testing.T) {
	tensor := Tensor{DType: U8, Shape: []int64{2, 3}, Bytes: []byte{1, 4, 2, 5, 3, 6}, Transposed: true}
	got, err := tensor.Float32s()
	if want := []float32{1, 2, 3, 4, 5, 6}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

// FuzzParse checks that no header makes the parser panic, and that what it accepts
// tiles the file.
func FuzzParse(f *testing.F) {
	f.Add(pack(`{}`, 0))
	f.Add(pack(`{"__metadata__":{"a":"b"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}`, 16))
	f.Add(pack(`{"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[],"data_offsets":[2,3]}}`, 3))
	f.Add(pack(`{ "a\u0062\n" :{"x":{"y":[1e5,null]},"dtype":"U8","shape":[ 1 , 2],"data_offsets":[0,2]}} `, 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, tensors, err := parse("x", data)
		if err != nil {
			return
		}
		total := 8 + int(binary.LittleEndian.Uint64(data))
		if !json.Valid(data[8:total]) {
			t.Error("accepts what is not JSON")
		}
		for _, tensor := range tensors {
			total += len(tensor.Bytes)
			if _, err := tensor.Float32s(); err != nil && tensor.DType.Bits()%8 == 0 &&
				!slices.Contains([]DType{Complex64, "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}, tensor.DType) {
				t.Error(err)
			}
		}
		if total != len(data) {
			t.Errorf("tensors and header fill %d of %d bytes", total, len(data))
		}
	})
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":1},"weight_map":{"a":"b.safetensors"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		idx, err := parseIndex(raw)
		if err != nil {
			return
		}
		for _, file := range idx.files() {
			if strings.ContainsAny(file, "/\x00") && filepath.Base(file) != file {
				t.Errorf("index leads out of its folder: %q", file)
			}
		}
	})
}

// A header length may look like the beginning of a pickle (80 02) or of a web page (20 3c).
func TestHeaderLengthLikeSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	for _, length := range []int{0x280, 0x380, 0x580, 0x3c20, 0x3c28} {
		e := Entry{Name: "n", DType: U8, Shape: []int64{1}, Data: FromBytes([]byte{7})}
		e.Name = strings.Repeat("n", length-len(`{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`))
		if err := Write(path, nil, []Entry{e}); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatalf("header of %#x bytes: %v", length, err)
		}
		if got := binary.LittleEndian.Uint64(f.maps[0]); got != uint64(length) {
			t.Errorf("header of %#x bytes, want %#x", got, length)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
