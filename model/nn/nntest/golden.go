package nntest

import (
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// Golden is a file of reference outputs.
type Golden struct {
	file   *weights.File
	params nn.Params
}

// OpenGolden opens a safetensors file that a script beside it made; tests that need libtorch skip
// without it.
func OpenGolden(t testing.TB, path string) *Golden {
	t.Helper()
	torchtest.Need(t)
	file, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	params := nn.FromWeights(weights.NewSource(path, file.Tensors), torch.Float32, torch.CPU)
	t.Cleanup(func() {
		params.Drop()
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Golden{file, params}
}

// Names lists the tensors of the file.
func (g *Golden) Names() []string {
	var names []string
	for _, t := range g.file.Tensors {
		names = append(names, t.Name)
	}
	return names
}

// Tensor is the reference output of that name, float32.
func (g *Golden) Tensor(t testing.TB, name string) torch.Tensor {
	t.Helper()
	found, ok := g.file.Tensor(name)
	if !ok {
		t.Fatalf("%s: no tensor %s; run the script beside it again", g.file.Path, name)
	}
	return g.params.Param(name, nn.Zeros, found.Shape...)
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
