package run

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSpace(t *testing.T) {
	f := Folder{Dir: t.TempDir()}
	elsewhere := filepath.Join(t.TempDir(), "large")
	for name, size := range map[string]int{filepath.Join(f.Dir, "a"): 1000, filepath.Join(f.Dir, "checkpoints/step-000001/b"): 2345, elsewhere: 1 << 20} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(elsewhere, filepath.Join(f.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	s, err := f.Space()
	if err != nil {
		t.Fatal(err)
	}
	if s.Used != 3345 {
		t.Errorf("%d bytes in use, want 3345", s.Used)
	}
	if s.Free <= 0 || s.Free > s.Total {
		t.Errorf("%d of %d bytes free", s.Free, s.Total)
	}
	if _, err := (Folder{Dir: filepath.Join(f.Dir, "none")}).Space(); err == nil {
		t.Error("a folder that is not there has space")
	}
}
