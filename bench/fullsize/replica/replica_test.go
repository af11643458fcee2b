package replica

import (
	"path/filepath"
	"slices"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// A matrix of more values than are drawn has no two rows alike, and its values are spread as its initialization says.
func TestBlocksFillAMatrix(t *testing.T) {
	torchtest.Run(t, func() {
		generator, err := torch.NewGenerator(torch.CPU, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer generator.Close()
		source := blocks{generator, map[string]nn.Init{}}
		params := nn.NewParams(source)
		defer params.Drop()
		const rows, columns = 3000, 256
		nn.NewLinear(columns, rows, params)
		path := filepath.Join(t.TempDir(), "x.safetensors")
		entries := params.Entries()
		for i := range entries {
			if entries[i], err = source.entry(entries[i], weights.BF16); err != nil {
				t.Fatal(err)
			}
		}
		if err := weights.Write(path, nil, entries); err != nil {
			t.Fatal(err)
		}
		var linear *nn.Linear
		_, read, err := nn.LoadFile(path, torch.Float32, torch.CPU, func(p nn.Params) *nn.Linear {
			linear = nn.NewLinear(columns, rows, p)
			return linear
		})
		if err != nil {
			t.Fatal(err)
		}
		defer read.Drop()
		data, seen := linear.Weight.Bytes(), map[string]bool{}
		for row := range slices.Chunk(data, columns*4) {
			seen[string(row)] = true
		}
		if len(seen) != rows {
			t.Errorf("%d different rows of %d", len(seen), rows)
		}
		sum := 0.0
		for _, v := range linear.Weight.Doubles() {
			sum += v * v
		}
		if mean := sum / (rows * columns); mean < 0.9/(3*columns) || mean > 1.1/(3*columns) { // uniform in ±1/sqrt(columns)
			t.Errorf("mean square %g, want %g", mean, 1.0/(3*columns))
		}
	})
}
