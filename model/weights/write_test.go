package weights

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// entriesOf makes the entries that would write f again, in another order.
func entriesOf(f *File) []Entry {
	var entries []Entry
	for _, tensor := range slices.Backward(f.Tensors) {
		entries = append(entries, Entry{tensor.Name, tensor.DType, tensor.Shape, FromBytes(tensor.Bytes)})
	}
	return entries
}

func TestWriteEqualsTheReferenceWriter(t *testing.T) {
	const ref = "testdata/ref/all_dtypes.safetensors"
	f := open(t, ref)
	path := filepath.Join(t.TempDir(), "again.safetensors")
	if err := Write(path, f.Metadata, entriesOf(f)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(ref)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from the file that Python wrote:\n%.400q\n%.400q", got, want)
	}
	onlyFile(t, filepath.Dir(path), "again.safetensors")
}

func TestWriteSharded(t *testing.T) {
	var entries []Entry
	for i := range 5 {
		entries = append(entries, Entry{fmt.Sprintf("layers.%d.weight", i), F32, []int64{4, 8}, FromBytes(make([]byte, 128))})
	}
	for _, c := range []struct {
		maxBytes uint64
		name     string
		files    int
	}{
		{640, "model.safetensors", 1},
		{300, "model.safetensors.index.json", 4},
		{1, "model.safetensors.index.json", 6},
	} {
		dir := t.TempDir()
		path, err := WriteSharded(dir, "model", nil, entries, c.maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != c.files || filepath.Base(path) != c.name {
			t.Errorf("at most %d bytes: %s and %d files, %v, want %s and %d", c.maxBytes, path, len(files), err, c.name, c.files)
		}
		if f := open(t, path); len(f.Tensors) != 5 {
			t.Errorf("at most %d bytes: %d tensors, want 5", c.maxBytes, len(f.Tensors))
		}
	}
	// The names and the index are those that huggingface_hub gives.
	dir := t.TempDir()
	path, err := WriteSharded(dir, "model", nil, entries, 300)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readIndex(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := readIndex("testdata/ref/sharded/model.safetensors.index.json")
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("index %v, want %v, %v", got, want, err)
	}
}

func TestWriteErrorsLeaveNothingBehind(t *testing.T) {
	data := FromBytes(make([]byte, 16))
	boom := errors.New("boom")
	for _, c := range []struct {
		name    string
		entries []Entry
		want    string
	}{
		{"few bytes", []Entry{{"a", F32, []int64{5}, data}}, "a: 16 bytes, want 20 for F32 [5]"},
		{"many bytes", []Entry{{"a", F32, []int64{3}, data}}, "a: 16 bytes, want 12 for F32 [3]"},
		{"twice", []Entry{{"a", F32, []int64{4}, data}, {"a", U8, []int64{16}, data}}, "a: written twice or reserved; tensor names must differ"},
		{"reserved", []Entry{{"__metadata__", F32, []int64{4}, data}}, "__metadata__: written twice or reserved; tensor names must differ"},
		{"dtype", []Entry{{"a", "F128", []int64{4}, data}}, `a: unknown dtype "F128"; a newer program wrote the file`},
		{"negative", []Entry{{"a", F32, []int64{-4}, data}}, "a: shape [-4] has a negative length"},
		{"data", []Entry{{"a", F32, []int64{4}, func(io.Writer) error { return boom }}}, "a: boom"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "x.safetensors")
		if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Write(path, nil, c.entries); err == nil || err.Error() != path+": "+c.want {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "before" {
			t.Errorf("%s: the old file is %q, %v", c.name, got, err)
		}
		onlyFile(t, dir, "x.safetensors")
	}
}

func TestWriteIntoAFolderThatIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "x.safetensors")
	want := path + ": no such file or directory; is the path right?"
	if err := Write(path, nil, nil); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestWriteIntoAnUnwritableFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.safetensors")
	want := path + ": permission denied; check who owns " + dir
	if err := Write(path, nil, nil); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// A full disk needs privileges to arrange; a limit on the size of files fails at
// the same place. The test runs itself again under such a limit.
func TestWriteWhenTheDiskRefuses(t *testing.T) {
	if dir := os.Getenv("FNF_TEST_LIMITED_DIR"); dir != "" {
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Skip("no limit on file sizes here:", err)
		}
		entry := Entry{"a", U8, []int64{8 << 20}, FromBytes(make([]byte, 8<<20))}
		fmt.Println(Write(filepath.Join(dir, "x.safetensors"), nil, []Entry{entry}))
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestWriteWhenTheDiskRefuses$")
	cmd.Env = append(os.Environ(), "FNF_TEST_LIMITED_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := "the file system or ulimit -f forbids files this large"; !strings.Contains(string(out), want) {
		t.Errorf("printed %s, want %s", out, want)
	}
	onlyFile(t, dir, "")
}

func TestDescribeGivesAHint(t *testing.T) {
	const path = "/m/x.safetensors"
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "no space left on device; free some space on the disk of /m",
		syscall.EACCES: "permission denied; check who owns /m",
		syscall.EROFS:  "read-only file system; check who owns /m",
	} {
		err := describe(path, &os.PathError{Op: "write", Path: tempName(path), Err: errno})
		if err.Error() != path+": "+want || !errors.Is(err, errno) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// onlyFile checks that dir holds nothing but name; "" is nothing at all.
func onlyFile(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != name {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

// A checkpoint may be larger than the memory: what it takes to write one does not
// depend on its size.
func TestWriteStreams(t *testing.T) {
	const chunk, chunks = 1 << 20, 64
	buffer := make([]byte, chunk)
	entry := Entry{"a", U8, []int64{chunk * chunks}, func(w io.Writer) error {
		for range chunks {
			if _, err := w.Write(buffer); err != nil {
				return err
			}
		}
		return nil
	}}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := Write(path, nil, []Entry{entry})
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; err != nil || used > 4*chunk {
		t.Errorf("%d bytes allocated to write %d, %v", used, chunk*chunks, err)
	}
}

// FuzzWrite checks that what is written is read back.
func FuzzWrite(f *testing.F) {
	f.Add("a.b", "k", "v", []byte("123456789"))
	f.Add("\"\\\u2028<>\x01", "", "", []byte{})
	f.Fuzz(func(t *testing.T, name, key, value string, data []byte) {
		name, key, value = strings.ToValidUTF8(name, "?"), strings.ToValidUTF8(key, "?"), strings.ToValidUTF8(value, "?")
		if name == "__metadata__" {
			t.Skip("reserved")
		}
		path := filepath.Join(t.TempDir(), "x.safetensors")
		entries := []Entry{
			{name, U8, []int64{int64(len(data))}, FromBytes(data)},
			{name + "2", F32, []int64{1, 1}, FromBytes([]byte{1, 2, 3, 4})},
		}
		if err := Write(path, map[string]string{key: value}, entries); err != nil {
			t.Fatal(err)
		}
		got := open(t, path)
		tensor, ok := got.Tensor(name)
		if !ok || !bytes.Equal(tensor.Bytes, data) || got.Metadata[key] != value {
			t.Errorf("%q: read back %q %v, metadata %q", name, tensor.Bytes, ok, got.Metadata)
		}
		if wide, _ := got.Tensor(name + "2"); wide.Offset%8 != 0 {
			t.Errorf("first tensor at %d, want a multiple of 8", wide.Offset)
		}
	})
}
