package weights

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mount gives a file system of 1 MiB to a test that may have one.
func mount(t *testing.T, flags uintptr) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size=1m"); err != nil {
		t.Skip("no leave to mount a small disk: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestWriteOnAFullDisk(t *testing.T) {
	dir := mount(t, 0)
	path := filepath.Join(dir, "x.safetensors")
	entry := Entry{"a", U8, []int64{8 << 20}, FromBytes(make([]byte, 8<<20))}
	err := Write(path, nil, []Entry{entry})
	if err == nil || !strings.HasSuffix(err.Error(), "no space left on device; free some space on the disk of "+dir) {
		t.Errorf("%v", err)
	}
	onlyFile(t, dir, "")
}

func TestWriteOnAReadOnlyDisk(t *testing.T) {
	dir := mount(t, syscall.MS_RDONLY)
	path := filepath.Join(dir, "x.safetensors")
	want := path + ": read-only file system; check who owns " + dir
	if err := Write(path, nil, nil); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestPullOnAFullDisk(t *testing.T) {
	h, o := newHub(t)
	h.files[bigPath] = make([]byte, 8<<20)
	dir := mount(t, 0)
	err := Pull(t.Context(), "some/model", dir, o)
	if err == nil || !strings.Contains(err.Error(), "no space left on device; free some space on the disk of "+dir) {
		t.Errorf("%v", err)
	}
	if n := h.count(bigPath); n != 1 {
		t.Errorf("%d requests, want 1: trying again does not help", n)
	}
}
