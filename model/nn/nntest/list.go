package nntest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Weightless gives parameters of any size that take no memory, for lists of names and shapes.
type Weightless struct{}

// Has reports that no name is known beforehand.
func (Weightless) Has(string) bool { return false }

// Param is zeros of the shape, all of them one number in memory.
func (Weightless) Param(_ string, _ nn.Init, shape []int64) torch.Tensor {
	return torch.Own(torch.Scope(func() torch.Tensor { return torch.Zeros(torch.Float32, torch.CPU, 1).Expand(shape...) }))
}

// List is a digest of a network's parameters that Python made: of lines "NAME [SIZE, SIZE]", sorted.
type List struct {
	Tensors    int
	Parameters int64 // numbers in them
	SHA256     string
}

// Check compares the parameters that a network asked for.
func (l List) Check(t testing.TB, params nn.Params) {
	t.Helper()
	var lines []string
	var numbers int64
	for key, tensor := range params.All() {
		lines = append(lines, fmt.Sprintf("%s %s", key, strings.ReplaceAll(fmt.Sprint(tensor.Shape()), " ", ", ")))
		numbers += tensor.Numel()
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	if got := (List{len(lines), numbers, hex.EncodeToString(sum[:])}); got != l {
		t.Errorf("parameters %+v, want %+v", got, l)
	}
}

// CheckShapes compares the names and shapes of all parameters that a network asked for.
func CheckShapes(t testing.TB, params nn.Params, want map[string][]int64) {
	t.Helper()
	got := map[string][]int64{}
	for name, tensor := range params.All() {
		got[name] = tensor.Shape()
	}
	for name, shape := range want {
		if !slices.Equal(got[name], shape) {
			t.Errorf("%s: shape %v, want %v", name, got[name], shape)
		}
		delete(got, name)
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		t.Errorf("%s: the reference has no such parameter", name)
	}
}
