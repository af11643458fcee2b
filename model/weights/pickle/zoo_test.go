package pickle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// python is an interpreter with torch and numpy; FNF_PYTHON names one.
func python(t *testing.T) string {
	t.Helper()
	name := os.Getenv("FNF_PYTHON")
	if name == "" {
		name = "python3"
	}
	if err := exec.Command(name, "-c", "import torch, numpy").Run(); err != nil {
		t.Skipf("%s has no torch with numpy; FNF_PYTHON names another", name)
	}
	return name
}

// What torch.save and pickle write, of every layout and protocol, is read as torch.load reads it, bit for bit.
func TestAgainstTorch(t *testing.T) {
	dir := t.TempDir()
	said, err := exec.Command(python(t), "testdata/zoo.py", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	t.Logf("torch and numpy: %s", bytes.TrimSpace(said))
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v, want 20 or more", len(files), err)
	}
	for _, said := range files {
		t.Run(strings.TrimSuffix(filepath.Base(said), ".json"), func(t *testing.T) { compare(t, strings.TrimSuffix(said, ".json"), said) })
	}
}

func compare(t *testing.T, path, said string) {
	text, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]struct {
		DType, SHA256 string
		Shape         []int64
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Tensors) != len(want) {
		t.Errorf("%d tensors, want %d", len(f.Tensors), len(want))
	}
	for _, tensor := range f.Tensors {
		sum := sha256.New()
		if err := tensor.Data(sum); err != nil {
			t.Fatal(err)
		}
		w, ok := want[tensor.Name]
		if !ok || w.DType != tensor.DType || !slices.Equal(w.Shape, tensor.Shape) || hex.EncodeToString(sum.Sum(nil)) != w.SHA256 {
			t.Errorf("%s: %s %v, want %+v; same bytes %v", tensor.Name, tensor.DType, tensor.Shape, w, hex.EncodeToString(sum.Sum(nil)) == w.SHA256)
		}
	}
}
