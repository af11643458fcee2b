package mmdit

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// tolerance is relative to the largest number of the reference: sums of some hundred float32 products
// in another order than PyTorch's, through three blocks.
const tolerance = 1e-5

// golden is testdata/ref/transformer.json, made by the script beside it.
type golden struct {
	Configs map[string]json.RawMessage
	Shapes  map[string]map[string][]int64
	Cases   []struct {
		Name, Arch           string
		Timestep             float64
		Batch, Height, Width int64
	}
	LoRA nntest.LoRA
	List struct {
		nntest.List
		Config json.RawMessage
	}
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

// inputs are those of transformer.py.
type inputs struct{ latents, text, pooled torch.Tensor }

func newInputs(arch string, cfg Config, batch, height, width int64) inputs {
	return inputs{
		nntest.Uniform(arch+".latents", batch, cfg.InChannels, height, width).MulScalar(2),
		nntest.Uniform(arch+".text", batch, 7, cfg.JointAttentionDim),
		nntest.Uniform(arch+".pooled", batch, cfg.PooledProjectionDim),
	}
}

func TestTransformerMatchesDiffusers(t *testing.T) {
	g, reference := readGolden(t), nntest.OpenGolden(t, "testdata/ref/transformer.safetensors")
	for _, c := range g.Cases {
		t.Run(c.Name, func(t *testing.T) {
			torchtest.Run(t, func() {
				cfg := g.config(t, c.Arch)
				params := nntest.NewHashed("")
				defer params.Drop()
				network := NewTransformer(cfg, params)
				in := newInputs(c.Arch, cfg, c.Batch, c.Height, c.Width)
				reference.Check(t, c.Name, network.Forward(in.latents, c.Timestep, in.text, in.pooled), tolerance)
				nntest.CheckShapes(t, params, g.Shapes[c.Arch])
			})
		})
	}
}

// SD3.5 medium at full size has exactly diffusers' parameters.
func TestFullSizeParameters(t *testing.T) {
	want := readGolden(t).List
	cfg, err := ParseConfig("medium.json", want.Config)
	if err != nil {
		t.Fatal(err)
	}
	torchtest.Run(t, func() {
		params := nn.NewParams(nntest.Weightless{})
		defer params.Drop()
		NewTransformer(cfg, params)
		want.Check(t, params)
	})
}

// The gradient of the mean square of the output with respect to every LoRA matrix equals peft's in float64. Sinusoids of
// the timestep would be float32 in both, those of 0 are exact; the variance of RMS norms is float32 in diffusers.
func TestLoRAGradientsMatchPEFT(t *testing.T) {
	g, reference := readGolden(t), nntest.OpenGolden(t, "testdata/ref/transformer.safetensors")
	targets := regexp.MustCompile(`\.(to_q|to_k|to_v|to_out\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out|(ff|ff_context)\.net\.(0\.proj|2))$`)
	torchtest.Run(t, func() {
		cfg := g.config(t, g.LoRA.Arch)
		params := nn.NewParams(nntest.Hashed{DType: torch.Float64})
		defer params.Drop()
		network := NewTransformer(cfg, params)
		in := newInputs(g.LoRA.Arch, cfg, 2, 16, 16)
		g.LoRA.CheckGradients(t, reference, params, targets.MatchString, func() torch.Tensor {
			return network.Forward(in.latents, 0, in.text, in.pooled)
		}, 1e-6)
	})
}

func TestForwardRefusesSizes(t *testing.T) {
	g := readGolden(t)
	torchtest.Run(t, func() {
		cfg := g.config(t, "sd3")
		params := nntest.NewHashed("")
		defer params.Drop()
		network := NewTransformer(cfg, params)
		for _, size := range [][2]int64{{15, 16}, {16, 26}} {
			in := newInputs("sd3", cfg, 1, size[0], size[1])
			err := torch.Run(func() { network.Forward(in.latents, 1, in.text, in.pooled) })
			if err == nil || !strings.Contains(err.Error(), "want multiples of 2 up to 24") {
				t.Errorf("%v: got %v", size, err)
			}
		}
	})
}
