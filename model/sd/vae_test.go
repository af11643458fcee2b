package sd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// vaeTolerance is relative to the largest element: about forty layers of float32, each good to 1e-6
// or so.
const vaeTolerance = 1e-5

func loadVAEConfig(path string) (VAEConfig, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return VAEConfig{}, err
	}
	return ParseVAEConfig(path, text)
}

// tinyVAE is the VAE of testdata/ref/vae, and a check against what diffusers computed with it.
func tinyVAE(t *testing.T) (v *VAE, golden func(name string) torch.Tensor, check func(name string, got torch.Tensor)) {
	t.Helper()
	dir := filepath.Join("testdata", "ref", "vae")
	g := nntest.OpenGolden(t, filepath.Join(dir, "golden.safetensors"))
	cfg, err := loadVAEConfig(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := weights.OpenDir(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	source := weights.NewSource(file.Path, file.Tensors)
	p := nn.FromWeights(source, torch.Float32, torch.CPU)
	t.Cleanup(p.Drop)
	torchtest.Run(t, func() { v = NewVAE(cfg, p) })
	if err := source.Done(); err != nil {
		t.Fatal(err)
	}
	return v, func(name string) torch.Tensor { return g.Tensor(t, name) },
		func(name string, got torch.Tensor) { t.Helper(); g.Check(t, name, got, vaeTolerance) }
}

func TestVAE(t *testing.T) {
	v, golden, check := tinyVAE(t)
	scale := v.Config.ScalingFactor
	torchtest.Run(t, func() {
		posterior := v.Encode(golden("pixels"))
		check("mean", posterior.Mean.DivScalar(scale))
		check("logvar", posterior.Std.DivScalar(scale).Log().MulScalar(2))
		check("decoded", v.Decode(golden("latents").MulScalar(scale)))
		check("large_decoded", v.Decode(golden("large_latents").MulScalar(scale)))
		check("mean", posterior.Sample(posterior.Mean.OnesLike()).Sub(posterior.Std).DivScalar(scale))
	})
}

func TestVAETiles(t *testing.T) {
	v, golden, check := tinyVAE(t)
	v.TileAbove = v.Config.SampleSize * v.Config.SampleSize
	scale := v.Config.ScalingFactor
	torchtest.Run(t, func() {
		check("tiled_decoded", v.Decode(golden("large_latents").MulScalar(scale)))
		check("tiled_mean", v.Encode(golden("large_pixels")).Mean.DivScalar(scale))
		check("decoded", v.Decode(golden("latents").MulScalar(scale))) // small: whole
	})
}

// The gradient of a decoded image with respect to its latents.
func TestVAEDecodeGradient(t *testing.T) {
	torchtest.Need(t)
	cfg := DefaultVAE()
	cfg.BlockOutChannels, cfg.NormNumGroups = []int64{4, 8}, 2
	p, err := nn.Random(3, torch.Float64, torch.CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Drop()
	torchtest.Run(t, func() {
		v := NewVAE(cfg, p)
		latents := torch.Arange(-18, 18, 1, torch.Float64, torch.CPU).DivScalar(18).Reshape(1, 4, 3, 3)
		torchtest.CheckGrad(t, 1e-6, func(xs []torch.Tensor) torch.Tensor {
			image := v.Decode(xs[0])
			return image.Mul(image).Sum()
		}, latents)
	})
}

func TestVAEConfigRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"other class":  {`{"_class_name": "AutoencoderTiny"}`, `_class_name: "AutoencoderTiny" is not supported, want "AutoencoderKL"`},
		"shift":        {`{"shift_factor": 1e12}`, "shift_factor 1e+12, want a number"},
		"of tomorrow":  {`{"use_quantum": 1}`, "use_quantum: unknown key"},
		"half a norm":  {`{"latents_mean": [0,0,0,0]}`, "latents_mean, latents_std: want both or neither"},
		"short norm":   {`{"latents_mean": [0], "latents_std": [1]}`, "1 numbers, want latent_channels, 4"},
		"other blocks": {`{"up_block_types": ["AttnUpDecoderBlock2D"]}`, `up_block_types: ["AttnUpDecoderBlock2D"] is not supported`},
		"no levels":    {`{"block_out_channels": []}`, "block_out_channels has 0 levels"},
		"groups":       {`{"block_out_channels": [48], "norm_num_groups": 32}`, "block_out_channels 48 with norm_num_groups 32"},
		"layers":       {`{"layers_per_block": 0}`, "layers_per_block 0"},
		"scale":        {`{"scaling_factor": 0}`, "scaling_factor 0, want more than 0"},
		"tile":         {`{"block_out_channels": [64,64,64,64], "sample_size": 4}`, "sample_size 4, want at least 8"},
		"wrong syntax": {`{"sample_size": "big"}`, `sample_size: "big", want a whole number`},
	} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadVAEConfig(path)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: error %v, want %s: %s", name, err, path, tc.want)
		}
	}
}
