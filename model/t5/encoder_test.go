package t5

import (
	"encoding/json"
	"strings"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// golden is testdata/ref/encoder.json, made by the script beside it.
type golden struct {
	Configs map[string]json.RawMessage
	Shapes  map[string]map[string][]int64
	IDs     [][]int64
}

func readGolden(t testing.TB) golden {
	t.Helper()
	return nntest.ReadJSON[golden](t, "testdata/ref/encoder.json")
}

// Float32 sums of some dozens of products in another order than PyTorch's, through two layers.
const tolerance = 1e-5

func TestEncoderMatchesTransformers(t *testing.T) {
	g, reference := readGolden(t), nntest.OpenGolden(t, "testdata/ref/encoder.safetensors")
	for name, text := range g.Configs {
		t.Run(name, func(t *testing.T) {
			torchtest.Run(t, func() {
				cfg, err := ParseConfig(name, text)
				if err != nil {
					t.Fatal(err)
				}
				params := nntest.NewHashed("")
				defer params.Drop()
				encoder := NewEncoder(cfg, params)
				reference.Check(t, name, encoder.Forward(g.IDs), tolerance)
				nntest.CheckShapes(t, params, g.Shapes[name])
			})
		})
	}
}

// Every distance of a prompt of 256 tokens lies in the bucket that transformers puts it in.
func TestBuckets(t *testing.T) {
	reference := nntest.OpenGolden(t, "testdata/ref/encoder.safetensors")
	torchtest.Run(t, func() {
		const n = 256
		table := (&Encoder{Config: Config{Buckets: 32, MaxDistance: 128}}).buckets(n)
		for name, at := range map[string]func(i int) int64{
			"buckets":      func(i int) int64 { return table[i] },
			"buckets_back": func(i int) int64 { return table[i*n] },
		} {
			for i, want := range reference.Tensor(t, name).Doubles() {
				if got := at(i); float64(got) != want {
					t.Errorf("%s: distance %d in bucket %d, want %g", name, i, got, want)
				}
			}
		}
	})
}

func TestForwardRefusesIDs(t *testing.T) {
	g := readGolden(t)
	torchtest.Run(t, func() {
		cfg, err := ParseConfig("", g.Configs["v1_1"])
		if err != nil {
			t.Fatal(err)
		}
		params := nntest.NewHashed("")
		defer params.Drop()
		encoder := NewEncoder(cfg, params)
		for want, ids := range map[string][][]int64{
			"no prompts":            {},
			"token id 50":           {{1, 50}},
			"prompt 1 has 1 tokens": {{1, 2}, {1}},
			"prompt 0 has 0 tokens": {{}},
		} {
			if err := torch.Run(func() { encoder.Forward(ids) }); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: got %v, want %s", ids, err, want)
			}
		}
	})
}
