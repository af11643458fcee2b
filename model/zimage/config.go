package zimage

import (
	"errors"
	"fmt"

	"focusnfix/model/config"
)

// Config is the transformer/config.json of a diffusers folder (ZImageTransformer2DModel).
type Config struct {
	PatchSizes      []int64 `json:"all_patch_size"`   // latent pixels of a token's side; one size is supported
	FramePatchSizes []int64 `json:"all_f_patch_size"` // frames of a token; one, of 1, is supported
	InChannels      int64   `json:"in_channels"`      // of the latents
	Dim             int64   `json:"dim"`              // width of the tokens
	Layers          int     `json:"n_layers"`         // over image and caption together
	RefinerLayers   int     `json:"n_refiner_layers"` // over each apart, before
	Heads           int64   `json:"n_heads"`
	KVHeads         int64   `json:"n_kv_heads"` // not read by diffusers: keys and values have n_heads
	NormEps         float64 `json:"norm_eps"`
	QKNorm          bool    `json:"qk_norm"`
	CaptionDim      int64   `json:"cap_feat_dim"`    // width of the text encoder's states
	SiglipDim       *int64  `json:"siglip_feat_dim"` // of the editing models; not supported
	RopeTheta       float64 `json:"rope_theta"`
	TimeScale       float64 `json:"t_scale"`   // the timestep, 0 to 1, is multiplied by this
	AxesDims        []int64 `json:"axes_dims"` // numbers of a head that tell the place in the caption, the row, the column
	AxesLens        []int64 `json:"axes_lens"` // places on each of these axes
}

// DefaultConfig is what diffusers assumes for keys that a config.json leaves out.
func DefaultConfig() Config {
	return Config{
		PatchSizes: []int64{2}, FramePatchSizes: []int64{1}, InChannels: 16, Dim: 3840, Layers: 30, RefinerLayers: 2, Heads: 30,
		KVHeads: 30, NormEps: 1e-5, QKNorm: true, CaptionDim: 2560, RopeTheta: 256, TimeScale: 1000,
		AxesDims: []int64{32, 48, 48}, AxesLens: []int64{1024, 512, 512},
	}
}

// configKeys are keys beside those of Config.
var configKeys = config.Keys{Plain: map[string][]any{"_class_name": {"ZImageTransformer2DModel"}}}

// ParseConfig reads the text of a config.json; file is what errors call it. A key that is not known
// is refused by name.
func ParseConfig(file string, text []byte) (Config, error) {
	cfg := DefaultConfig()
	if err := config.Parse(file, text, &cfg, configKeys); err != nil {
		return Config{}, err
	}
	if err := cfg.validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

// What no transformer of this kind exceeds; a configuration that does is broken.
const (
	maxWidth  = 1 << 16
	maxLayers = 1 << 10
)

// validate reports every size that no network of this kind can have.
func (c Config) validate() error {
	var errs []error
	bound := func(key string, value, least, most int64) {
		if value < least || value > most {
			errs = append(errs, fmt.Errorf("%s %d, want %d to %d", key, value, least, most))
		}
	}
	bound("in_channels", c.InChannels, 1, maxWidth)
	bound("dim", c.Dim, 1, maxWidth)
	bound("n_layers", int64(c.Layers), 1, maxLayers)
	bound("n_refiner_layers", int64(c.RefinerLayers), 0, maxLayers)
	bound("n_heads", c.Heads, 1, maxLayers)
	bound("cap_feat_dim", c.CaptionDim, 1, maxWidth)
	if c.SiglipDim != nil {
		errs = append(errs, errors.New("siglip_feat_dim: an editing model, which takes images beside the prompt, is not supported"))
	}
	if len(c.PatchSizes) != 1 || len(c.FramePatchSizes) != 1 || c.PatchSizes[0] < 1 || c.PatchSizes[0] > 16 || c.FramePatchSizes[0] != 1 {
		errs = append(errs, fmt.Errorf("all_patch_size %v, all_f_patch_size %v, want one size, 1 to 16, and [1]", c.PatchSizes, c.FramePatchSizes))
	}
	return config.Join(append(errs, c.validateAxes())...)
}

func (c Config) validateAxes() error {
	if len(c.AxesDims) != 3 || len(c.AxesLens) != 3 {
		return fmt.Errorf("axes_dims %v, axes_lens %v, want three of each", c.AxesDims, c.AxesLens)
	}
	var sum int64
	for i, dim := range c.AxesDims {
		if dim < 2 || dim%2 != 0 || dim > maxWidth || c.AxesLens[i] < 1 || c.AxesLens[i] > maxWidth {
			return fmt.Errorf("axes_dims %v, axes_lens %v, want even widths and lengths up to %d", c.AxesDims, c.AxesLens, maxWidth)
		}
		sum += dim
	}
	if c.Heads > 0 && sum*c.Heads != c.Dim {
		return fmt.Errorf("axes_dims %v sum to %d, want %d: dim / n_heads", c.AxesDims, sum, c.Dim/c.Heads)
	}
	if !(c.RopeTheta > 1) || !(c.TimeScale > 0) {
		return fmt.Errorf("rope_theta %g, t_scale %g, want more than 1 and more than 0", c.RopeTheta, c.TimeScale)
	}
	return nil
}

// patch is the side of a token in latent pixels.
func (c Config) patch() int64 { return c.PatchSizes[0] }
