package pickle

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func floats(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func content(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	f, err := Parse("x", data)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	for _, tensor := range f.Tensors {
		var b bytes.Buffer
		if err := tensor.Data(&b); err != nil {
			t.Fatal(err)
		}
		got[tensor.Name] = b.Bytes()
	}
	return got
}

func little(yes bool) []byte {
	return pickled(pairs{"protocol_version", 1001, "little_endian", yes})
}

func legacyTail(elements int, data []byte) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(elements)), data...)
}

// The layouts, built here: a matrix and its transpose on one storage.
func TestLayouts(t *testing.T) {
	data := floats(1, 2, 3, 4, 5, 6)
	root := pairs{
		"state_dict", pairs{
			"a", torchTensor(6, 0, tuple{2, 3}, tuple{3, 1}),
			"b", torchTensor(6, 0, tuple{3, 2}, tuple{1, 3}),
			"c", torchTensor(6, 4, tuple{}, tuple{}),
		}, "epoch", 3,
	}
	want := map[string][]byte{"a": data, "b": floats(1, 4, 2, 5, 3, 6), "c": floats(5)}
	for name, file := range map[string][]byte{
		"zip":    zipped(t, pickled(root), map[string][]byte{"0": data}, "version", "3\n", "byteorder", "little"),
		"legacy": legacy(little(true), pickled(root), pickled(op("]("), "0", op("e")), legacyTail(6, data)),
	} {
		got := content(t, file)
		if len(got) != len(want) {
			t.Errorf("%s: %d tensors, want %d", name, len(got), len(want))
		}
		for key, bytes := range want {
			if string(got[key]) != string(bytes) {
				t.Errorf("%s: %s is %v, want %v", name, key, got[key], bytes)
			}
		}
	}
}

// A numpy array, as pickle writes it.
func TestArray(t *testing.T) {
	array := []any{
		call{"numpy.core.multiarray _reconstruct", []any{global("numpy ndarray"), tuple{0}, []byte("b")}},
		tuple{1, tuple{2, 1}, call{"numpy dtype", []any{"f4", false, true}}, tuple{3, "<", nil, nil, nil, -1, -1, 0}, op("b"), false, floats(7, 8)},
		op("b"),
	}
	if got := content(t, pickled(array...)); string(got[Single]) != string(floats(7, 8)) {
		t.Errorf("%v", got)
	}
}

// bomb doubles a list n times through the memo.
func bomb(n int) []byte {
	s := &stream{}
	s.WriteString("\x80\x02]q\x00")
	for i := range n {
		s.WriteString("](")
		for range 10 {
			s.WriteString("h" + string([]byte{byte(i)}))
		}
		s.WriteString("eq" + string([]byte{byte(i + 1)}))
	}
	s.WriteByte('.')
	return s.Bytes()
}

func repeated(start, part string, n int, end string) []byte {
	return []byte(start + strings.Repeat(part, n) + end)
}

// hostile are files that mean harm, or to fill the memory, with what is said about them.
func hostile(t testing.TB) map[string]struct {
	data []byte
	want string
} {
	one := floats(1)
	torch := func(pkl []byte) []byte { return zipped(t, pkl, map[string][]byte{"0": one}) }
	tensor := func(elements, offset int, shape, stride tuple) []byte {
		return torch(pickled(pairs{"a", torchTensor(elements, offset, shape, stride)}))
	}
	compressed := zipped(t, pickled(nil), nil)
	compressed[8] = 8 // the method of the first local header; the directory's follows
	i := bytes.LastIndex(compressed, []byte("PK\x01\x02"))
	compressed[i+10] = 8
	crowded := zipped(t, pickled(nil), nil)
	j := bytes.LastIndex(crowded, []byte("PK\x05\x06"))
	copy(crowded[j+10:], []byte{0xff, 0xff, 0, 0, 0, 0x7f})
	return map[string]struct {
		data []byte
		want string
	}{
		"os.system":          {torch(pickled(pairs{"a", call{"posix system", []any{"echo pwned > /tmp/pwned"}}})), "asks Python for posix.system"},
		"builtins.eval":      {torch(pickled(call{"builtins eval", []any{"1"}})), "asks Python for builtins.eval"},
		"subprocess":         {pickled(call{"subprocess Popen", []any{"sh"}}), "asks Python for subprocess.Popen"},
		"stack global":       {pickled("os", "system", op("\x93")), "asks Python for os.system"},
		"inst":               {pickled(op("(ios\nsystem\n")), "instruction INST"},
		"obj":                {pickled(op("(o")), "instruction OBJ"},
		"ext":                {pickled(op("\x82\x01")), "instruction EXT1"},
		"load in load":       {torch(pickled(call{"torch.storage _load_from_bytes", []any{[]byte("x")}})), "asks Python for torch.storage._load_from_bytes"},
		"legacy os.system":   {legacy(little(true), pickled(call{"nt system", []any{"x"}}), nil, nil), "asks Python for nt.system"},
		"call of a name":     {pickled(call{"torch FloatStorage", []any{1}}), "it calls torch.FloatStorage"},
		"call of a result":   {pickled(call{"torch device", []any{"cpu"}}, tuple{}, op("R")), "calls what is no function"},
		"callback called":    {pickled(call{"pytorch_lightning.callbacks.x Y", nil}), "it calls pytorch_lightning.callbacks.x.Y"},
		"10 GB storage":      {tensor(2_000_000_000, 0, tuple{2_000_000_000}, tuple{1}), "truncated: storage 0 has 4 bytes"},
		"legacy storage":     {legacy(little(true), pickled(torchTensor(1<<30, 0, tuple{1}, tuple{1})), nil, nil), "truncated: storage 0"},
		"view outside":       {tensor(1, 1, tuple{1}, tuple{1}), "ends at element 2 of a storage of 1"},
		"expanded to 40 GB":  {tensor(1, 0, tuple{100_000, 100_000}, tuple{0, 0}), "repeats a storage of 1 elements too often"},
		"overflow of sizes":  {tensor(1, 0, tuple{2147483647, 2147483647, 2147483647}, tuple{0, 0, 0}), "too large"},
		"overflow of stride": {torch(pickled(torchTensor(1, 0, tuple{2, 2}, tuple{int64(math.MaxInt64), 1}))), "too large"},
		"negative":           {tensor(1, 0, tuple{-1}, tuple{1}), "want a number of 0 or more"},
		"memo bomb":          {bomb(30), "nested too deeply, or without end"},
		"recursion":          {pickled(op("]q\x00h\x00a")), "nested too deeply, or without end"},
		"recursive dict":     {pickled(op("}q\x00"), "a", op("h\x00s")), "nested too deeply, or without end"},
		"deep":               {repeated("\x80\x02", "]", 60_000, strings.Repeat("a", 59_999)+"."), "nested too deeply, or without end"},
		"deep stack":         {repeated("\x80\x02", "(", 1<<20, "."), "values on the stack"},
		"many values":        {repeated("\x80\x02", "N0", 1<<20, "N."), "more than 524288 values"},
		"many dicts":         {repeated("\x80\x02](", "}", 60_000, "e."), "holds no tensors"},
		"long text":          {repeated("\x80\x02", "X\x00\x00\x01\x00"+strings.Repeat("a", 1<<16)+"0", 600, "N."), "bytes of text"},
		"claimed text":       {pickled(op("X\xff\xff\xff\x7fabc")), "truncated"},
		"claimed bytes":      {pickled(op("\x8e\xff\xff\xff\xff\xff\xff\xff\x7f")), "truncated"},
		"claimed long":       {pickled(op("\x8b\xff\xff\xff\x7f")), "truncated"},
		"big-endian":         {zipped(t, pickled(nil), nil, "byteorder", "big"), "big-endian numbers are not read"},
		"legacy big-endian":  {legacy(little(false), pickled(nil), nil, nil), "big-endian numbers are not read"},
		"zip bomb":           {compressed, "is compressed"},
		"zip of many":        {crowded, "a zip of 65535 entries"},
		"objects of numpy":   {pickled(call{"numpy dtype", []any{"O8", false, true}}), "element type O8 is not read"},
		"big numpy":          {pickled(call{"numpy dtype", []any{">f4", false, true}}), "element type >f4 is not read"},
		"torchscript":        {zipped(t, pickled(nil), nil, "constants.pkl", ""), "is a TorchScript module"},
		"shared to the full": {shares(t, 4000), "share storages so often"},
		"no pickle":          {[]byte("\xffhello"), "no pickle"},
	}
}

// shares names one storage of 1 MB n times.
func shares(t testing.TB, n int) []byte {
	all := pairs{}
	for i := range n {
		all = append(all, string(rune('a'+i%26))+strings.Repeat("x", i/26), torchTensor(1<<18, 0, tuple{1 << 18}, tuple{1}))
	}
	return zipped(t, pickled(all), map[string][]byte{"0": make([]byte, 1<<20)})
}

// Every hostile file is refused in one line, in less than a second and 100 MB.
func TestHostile(t *testing.T) {
	dir := t.TempDir()
	for name, c := range hostile(t) {
		path := filepath.Join(dir, "x.pt")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := Open(path)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb >= mostMB || took >= mostSeconds*time.Second {
			t.Errorf("%s: %d MB allocated in all, %s", name, mb, took)
		}
	}
	if _, err := os.Stat("/tmp/pwned"); err == nil {
		t.Error("/tmp/pwned is there")
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range hostile(f) {
		if len(c.data) < 1<<14 {
			f.Add(c.data)
		}
	}
	f.Add(zipped(f, pickled(pairs{"a", torchTensor(6, 0, tuple{2, 3}, tuple{3, 1})}), map[string][]byte{"0": floats(1, 2, 3, 4, 5, 6)}, "byteorder", "little"))
	f.Add(legacy(little(true), pickled(torchTensor(1, 0, tuple{1}, tuple{1})), pickled(op("]("), "0", op("e")), legacyTail(1, floats(1))))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("x", data)
		if err != nil {
			return
		}
		for _, tensor := range file.Tensors {
			var b counter
			if err := tensor.Data(&b); err != nil {
				t.Fatal(err)
			}
			if want := tensor.view.size(); int64(b) != want {
				t.Errorf("%s: %d bytes, want %d", tensor.Name, b, want)
			}
		}
	})
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
