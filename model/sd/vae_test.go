package sd

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// vaeTolerance is relative to the largest element: about forty layers of float32, each good to 1e-6
// or so.
const vaeTolerance = 1e-5

func tinyVAE(t *testing.T) (*VAE, goldenFile) {
	t.Helper()
	g := openGolden(t, "vae", "golden.safetensors")
	cfg, err := LoadVAEConfig(filepath.Join("testdata", "ref", "vae", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v *VAE
	buildFrom(t, func(p nn.Params) { v = NewVAE(cfg, p) }, "vae", "diffusion_pytorch_model.safetensors")
	return v, g
}

func TestVAE(t *testing.T) {
	v, g := tinyVAE(t)
	scale := v.Config.ScalingFactor
	err := torch.Run(func() {
		posterior := v.Encode(g.tensor("pixels"))
		g.compare("mean", posterior.Mean.DivScalar(scale), vaeTolerance)
		g.compare("logvar", posterior.Std.DivScalar(scale).Log().MulScalar(2), vaeTolerance)
		g.compare("decoded", v.Decode(g.tensor("latents").MulScalar(scale)), vaeTolerance)
		g.compare("large_decoded", v.Decode(g.tensor("large_latents").MulScalar(scale)), vaeTolerance)
		noise := posterior.Mean.OnesLike()
		g.compare("mean", posterior.Sample(noise).Sub(posterior.Std).DivScalar(scale), vaeTolerance)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVAETiles(t *testing.T) {
	v, g := tinyVAE(t)
	v.TileAbove = v.Config.SampleSize * v.Config.SampleSize
	scale := v.Config.ScalingFactor
	err := torch.Run(func() {
		g.compare("tiled_decoded", v.Decode(g.tensor("large_latents").MulScalar(scale)), vaeTolerance)
		g.compare("tiled_mean", v.Encode(g.tensor("large_pixels")).Mean.DivScalar(scale), vaeTolerance)
		g.compare("decoded", v.Decode(g.tensor("latents").MulScalar(scale)), vaeTolerance) // small: whole
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The gradient of a decoded pixel's square with respect to the latents, against central differences
// in float64.
func TestVAEDecodeGradient(t *testing.T) {
	if err := torch.Load(); err != nil {
		t.Skip(err)
	}
	cfg := DefaultVAE()
	cfg.BlockOutChannels, cfg.NormNumGroups = []int64{4, 8}, 2
	p, err := nn.Random(3, torch.Float64, torch.CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Drop()
	err = torch.Run(func() {
		v := NewVAE(cfg, p)
		start := torch.Linspace(-1, 1, 4*3*3, torch.Float64, torch.CPU).Reshape(1, 4, 3, 3)
		loss := func(x torch.Tensor) torch.Tensor { return v.Decode(x).PowScalar(2).Sum() }
		x := start.Leaf()
		gradient := torch.Grad([]torch.Tensor{loss(x)}, []torch.Tensor{x}, nil)[0].Doubles()
		const h = 1e-5
		values := start.Doubles()
		for i := range values {
			at := func(d float64) float64 {
				moved := append([]float64(nil), values...)
				moved[i] += d
				return loss(torch.From(moved, 1, 4, 3, 3)).Item()
			}
			numeric := (at(h) - at(-h)) / (2 * h)
			if math.Abs(numeric-gradient[i]) > 1e-6*(1+math.Abs(numeric)) {
				t.Errorf("element %d: gradient %g, differences give %g", i, gradient[i], numeric)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVAEConfigRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"other class":  {`{"_class_name": "AutoencoderTiny"}`, "_class_name AutoencoderTiny, act_fn silu, want AutoencoderKL"},
		"shift":        {`{"shift_factor": 0.1}`, "no shift_factor"},
		"no levels":    {`{"block_out_channels": []}`, "block_out_channels has 0 levels"},
		"groups":       {`{"block_out_channels": [48], "norm_num_groups": 32}`, "block_out_channels 48 with norm_num_groups 32"},
		"layers":       {`{"layers_per_block": 0}`, "layers_per_block 0"},
		"scale":        {`{"scaling_factor": 0}`, "scaling_factor 0, want more than 0"},
		"tile":         {`{"block_out_channels": [64,64,64,64], "sample_size": 4}`, "sample_size 4, want at least 8"},
		"wrong syntax": {`{"sample_size": "big"}`, "cannot unmarshal string"},
	} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadVAEConfig(path)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: error %v, want %s: %s", name, err, path, tc.want)
		}
	}
}
