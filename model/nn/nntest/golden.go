package nntest

import (
	"encoding/json"
	"os"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// Golden is a file of reference outputs.
type Golden struct{ file *weights.File }

// OpenGolden opens a safetensors file that a script beside it made; tests that need libtorch skip
// without it.
func OpenGolden(t testing.TB, path string) *Golden {
	t.Helper()
	torchtest.Need(t)
	file, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Golden{file}
}

// Names lists the tensors of the file.
func (g *Golden) Names() []string {
	var names []string
	for _, t := range g.file.Tensors {
		names = append(names, t.Name)
	}
	return names
}

// goldenTypes are those of reference outputs: ids and 8-bit images, too.
var goldenTypes = map[weights.DType]torch.DType{
	weights.F32: torch.Float32, weights.F64: torch.Float64, weights.I64: torch.Int64, weights.U8: torch.Uint8,
}

// Tensor is the reference output of that name, float64 where it was saved so and float32 otherwise, in the open scope.
func (g *Golden) Tensor(t testing.TB, name string) torch.Tensor {
	t.Helper()
	found, ok := g.file.Tensor(name)
	if !ok {
		t.Fatalf("%s: no tensor %s; run the script beside it again", g.file.Path, name)
	}
	dtype, ok := goldenTypes[found.DType]
	if !ok {
		t.Fatalf("%s: %s: element type %s, want float32, float64, int64 or uint8", g.file.Path, name, found.DType)
	}
	return torch.Scope(func() torch.Tensor {
		saved := torch.FromBytes(found.Bytes, dtype, found.Shape...)
		if dtype == torch.Float64 {
			return saved
		}
		return saved.To(torch.Float32)
	})
}

// Check compares got with the reference output of that name; tolerance is relative to the largest
// number of the reference.
func (g *Golden) Check(t testing.TB, name string, got torch.Tensor, tolerance float64) {
	t.Helper()
	want := g.Tensor(t, name)
	scale := want.Abs().Max().Item()
	if d := torchtest.MaxDiff(got, want) / scale; !(d <= tolerance) {
		t.Errorf("%s: differs from the reference by %.3g of its largest number %.3g, want at most %.3g (got %v, want %v)",
			name, d, scale, tolerance, got, want)
	}
}

// ReadJSON reads the JSON file beside a reference.
func ReadJSON[T any](t testing.TB, path string) (values T) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	return values
}
