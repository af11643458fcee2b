package qwen

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// golden is testdata/ref/decoder.json, made by the script beside it.
type golden struct {
	Configs map[string]json.RawMessage
	Shapes  map[string]map[string][]int64
	IDs     []int64
}

func readGolden(t testing.TB) golden {
	t.Helper()
	return nntest.ReadJSON[golden](t, "testdata/ref/decoder.json")
}

// Float32 sums of some dozens of products in another order than PyTorch's, through two layers.
const tolerance = 1e-5

func TestDecoderMatchesTransformers(t *testing.T) {
	g, reference := readGolden(t), nntest.OpenGolden(t, "testdata/ref/decoder.safetensors")
	for name, text := range g.Configs {
		t.Run(name, func(t *testing.T) {
			torchtest.Run(t, func() {
				cfg, err := ParseConfig(name, text)
				if err != nil {
					t.Fatal(err)
				}
				params := nntest.NewHashed("")
				defer params.Drop()
				decoder := NewDecoder(cfg, cfg.NumHiddenLayers-1, params)
				for i, state := range decoder.Forward(g.IDs, 1, 2) {
					reference.Check(t, fmt.Sprintf("%s_%d", name, i+1), state, tolerance)
				}
				for key, tensor := range params.All() {
					if want := g.Shapes[name][key]; !slices.Equal(tensor.Shape(), want) {
						t.Errorf("%s: shape %v, want %v", key, tensor.Shape(), want)
					}
				}
			})
		})
	}
}

func TestForwardRefuses(t *testing.T) {
	g := readGolden(t)
	torchtest.Run(t, func() {
		cfg, err := ParseConfig("", g.Configs["grouped"])
		if err != nil {
			t.Fatal(err)
		}
		params := nntest.NewHashed("")
		defer params.Drop()
		decoder := NewDecoder(cfg, 2, params)
		for want, f := range map[string]func(){
			"no tokens":                         func() { decoder.Forward(nil, 1) },
			"token id 60":                       func() { decoder.Forward([]int64{60}, 1) },
			"state behind layer 3, want 1 to 2": func() { decoder.Forward([]int64{1}, 3) },
			"4 layers, want 1 to 3":             func() { NewDecoder(cfg, 4, params) },
		} {
			if err := torch.Run(f); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	})
}
