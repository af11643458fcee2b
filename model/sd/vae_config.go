package sd

import (
	"fmt"
	"math"
	"slices"

	"focusnfix/model/config"
)

// VAEConfig is the vae/config.json of a diffusers folder (AutoencoderKL).
type VAEConfig struct {
	InChannels       int64   `json:"in_channels"`
	OutChannels      int64   `json:"out_channels"`
	BlockOutChannels []int64 `json:"block_out_channels"` // from the picture to the latents
	LayersPerBlock   int     `json:"layers_per_block"`
	LatentChannels   int64   `json:"latent_channels"`
	NormNumGroups    int64   `json:"norm_num_groups"`
	SampleSize       int64   `json:"sample_size"`    // pixels; the size of a tile
	ScalingFactor    float64 `json:"scaling_factor"` // latents are the encoder's output, less ShiftFactor, times this
	ShiftFactor      float64 `json:"shift_factor"`   // of the autoencoders of SD 3 and FLUX
	// ForceUpcast says whether the VAE overflows in float16; nil is what diffusers' pipelines take for
	// granted, that SDXL's does and no other.
	ForceUpcast *bool `json:"force_upcast"`
	// LatentsMean and LatentsStd, one number a channel, are those of the encoder's output, which is
	// normalized by them before it is scaled; nil does not.
	LatentsMean []float64 `json:"latents_mean"`
	LatentsStd  []float64 `json:"latents_std"`

	UseQuantConv         bool `json:"use_quant_conv"`
	UsePostQuantConv     bool `json:"use_post_quant_conv"`
	MidBlockAddAttention bool `json:"mid_block_add_attention"`
}

// DefaultVAE is what diffusers assumes for keys that a config.json leaves out.
func DefaultVAE() VAEConfig {
	return VAEConfig{
		InChannels: 3, OutChannels: 3, BlockOutChannels: []int64{64}, LayersPerBlock: 1, LatentChannels: 4,
		NormNumGroups: 32, SampleSize: 32, ScalingFactor: 0.18215,
		UseQuantConv: true, UsePostQuantConv: true, MidBlockAddAttention: true,
	}
}

// ParseVAEConfig reads the text of a vae/config.json and refuses what this package does not build; file is what errors
// call it.
func ParseVAEConfig(file string, text []byte) (VAEConfig, error) {
	cfg := DefaultVAE()
	if err := config.Parse(file, text, &cfg, vaeKeys); err != nil {
		return VAEConfig{}, err
	}
	return cfg, cfg.validate(file)
}

// vaeKeys are the keys of a VAE beside those that are used.
var vaeKeys = config.Keys{
	Plain: map[string][]any{
		"_class_name": {"AutoencoderKL"}, "act_fn": {"silu", "swish"},
		"down_block_types": {"DownEncoderBlock2D"}, "up_block_types": {"UpDecoderBlock2D"},
	},
}

// overflows reports whether the VAE's activations are too large for float16.
func (c VAEConfig) overflows(xl bool) bool {
	if c.ForceUpcast == nil {
		return xl
	}
	return *c.ForceUpcast
}

// Factor is how many pixels a latent pixel spans on each side.
func (c VAEConfig) Factor() int64 { return 1 << (len(c.BlockOutChannels) - 1) }

func (c VAEConfig) validate(path string) error {
	if len(c.BlockOutChannels) == 0 || len(c.BlockOutChannels) > 8 {
		return fmt.Errorf("%s: block_out_channels has %d levels, want 1 to 8", path, len(c.BlockOutChannels))
	}
	for _, n := range c.BlockOutChannels {
		if c.NormNumGroups <= 0 || n <= 0 || n%c.NormNumGroups != 0 {
			return fmt.Errorf("%s: block_out_channels %d with norm_num_groups %d, want a positive multiple", path, n, c.NormNumGroups)
		}
	}
	if c.LayersPerBlock < 1 || c.LatentChannels < 1 || c.InChannels < 1 || c.OutChannels < 1 {
		return fmt.Errorf("%s: layers_per_block %d, latent_channels %d, in_channels %d, out_channels %d, want 1 or more",
			path, c.LayersPerBlock, c.LatentChannels, c.InChannels, c.OutChannels)
	}
	if c.SampleSize < c.Factor() {
		return fmt.Errorf("%s: sample_size %d, want at least %d", path, c.SampleSize, c.Factor())
	}
	if !(c.ScalingFactor > 0 && c.ScalingFactor < 1e9) {
		return fmt.Errorf("%s: scaling_factor %g, want more than 0", path, c.ScalingFactor)
	}
	if !(math.Abs(c.ShiftFactor) < 1e9) {
		return fmt.Errorf("%s: shift_factor %g, want a number", path, c.ShiftFactor)
	}
	return c.validateNormalization(path)
}

func (c VAEConfig) validateNormalization(path string) error {
	for key, list := range map[string][]float64{"latents_mean": c.LatentsMean, "latents_std": c.LatentsStd} {
		if list != nil && int64(len(list)) != c.LatentChannels {
			return fmt.Errorf("%s: %s: %d numbers, want latent_channels, %d", path, key, len(list), c.LatentChannels)
		}
	}
	if (c.LatentsMean == nil) != (c.LatentsStd == nil) || slices.ContainsFunc(c.LatentsStd, func(s float64) bool { return !(s > 0) }) {
		return fmt.Errorf("%s: latents_mean, latents_std: want both or neither, and std more than 0", path)
	}
	return nil
}
