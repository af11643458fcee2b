package zimage

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// tolerance is relative to the largest number of the reference: sums of some hundred float32 products
// in another order than PyTorch's, through half a dozen blocks.
const tolerance = 2e-5

// golden is testdata/ref/transformer.json, made by the script beside it.
type golden struct {
	Configs map[string]json.RawMessage
	Shapes  map[string]map[string][]int64
	Cases   []struct {
		Name, Arch    string
		Timestep      float64
		Lengths       []int64
		Height, Width int64
	}
	LoRA nntest.LoRA
	List nntest.List
}

func readGolden(t testing.TB) golden {
	t.Helper()
	return nntest.ReadJSON[golden](t, "testdata/ref/transformer.json")
}

func (g golden) config(t testing.TB, arch string) Config {
	t.Helper()
	cfg, err := ParseConfig(arch+".json", g.Configs[arch])
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// network builds a configuration of the reference with hashed weights.
func (g golden) network(t testing.TB, arch string) (*Transformer, nn.Params) {
	t.Helper()
	params := nntest.NewHashed("")
	t.Cleanup(params.Drop)
	return NewTransformer(g.config(t, arch), params), params
}

// inputs are those of transformer.py.
func inputs(arch string, cfg Config, lengths []int64, height, width int64) (latents torch.Tensor, captions []torch.Tensor) {
	for i, n := range lengths {
		captions = append(captions, nntest.Uniform(fmt.Sprintf("%s.caption%d", arch, i), n, cfg.CaptionDim))
	}
	return nntest.Uniform(arch+".latents", int64(len(lengths)), cfg.InChannels, height, width).MulScalar(2), captions
}

func TestTransformerMatchesDiffusers(t *testing.T) {
	g, reference := readGolden(t), nntest.OpenGolden(t, "testdata/ref/transformer.safetensors")
	for _, c := range g.Cases {
		t.Run(c.Name, func(t *testing.T) {
			torchtest.Run(t, func() {
				network, params := g.network(t, c.Arch)
				latents, captions := inputs(c.Arch, network.Config, c.Lengths, c.Height, c.Width)
				reference.Check(t, c.Name, network.Forward(latents, c.Timestep, captions), tolerance)
				nntest.CheckShapes(t, params, g.Shapes[c.Arch])
			})
		})
	}
}

// Z-Image at full size has exactly diffusers' parameters.
func TestFullSizeParameters(t *testing.T) {
	torchtest.Run(t, func() {
		params := nn.NewParams(nntest.Weightless{})
		defer params.Drop()
		NewTransformer(DefaultConfig(), params)
		readGolden(t).List.Check(t, params)
	})
}

// The gradient of the mean square of the output with respect to every LoRA matrix equals peft's in float64. Sinusoids of
// the timestep would be float32 in both, those of 0 are exact; rotations are float32 in both, the variance of RMS norms in
// diffusers.
func TestLoRAGradientsMatchPEFT(t *testing.T) {
	g, reference := readGolden(t), nntest.OpenGolden(t, "testdata/ref/transformer.safetensors")
	targets := regexp.MustCompile(`\.(to_q|to_k|to_v|to_out\.0|w1|w2|w3)$`)
	torchtest.Run(t, func() {
		params := nn.NewParams(nntest.Hashed{DType: torch.Float64})
		defer params.Drop()
		network := NewTransformer(g.config(t, g.LoRA.Arch), params)
		latents, captions := inputs(g.LoRA.Arch, network.Config, []int64{5, 9}, 16, 16)
		g.LoRA.CheckGradients(t, reference, params, targets.MatchString, func() torch.Tensor {
			return network.Forward(latents, 0, captions)
		}, 1e-6)
	})
}

func TestForwardRefuses(t *testing.T) {
	g := readGolden(t)
	torchtest.Run(t, func() {
		network, _ := g.network(t, "normed")
		for want, c := range map[string]struct {
			lengths       []int64
			height, width int64
		}{
			"latents of 16x15, want multiples of 2 up to 64x64": {[]int64{5}, 15, 16},
			"latents of 66x16":                       {[]int64{5}, 16, 66},
			"caption 0 has 128 tokens, want 1 to 95": {[]int64{128}, 16, 16},
		} {
			latents, captions := inputs("normed", network.Config, c.lengths, c.height, c.width)
			if err := torch.Run(func() { network.Forward(latents, 1, captions) }); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		latents, captions := inputs("normed", network.Config, []int64{5, 5}, 16, 16)
		if err := torch.Run(func() { network.Forward(latents, 1, captions[:1]) }); err == nil || !strings.Contains(err.Error(), "1 captions for 2 images") {
			t.Errorf("one caption for two images: got %v", err)
		}
	})
}
