package mmdit

import (
	"fmt"

	"focusnfix/model/config"
)

// Config is the transformer/config.json of a diffusers folder (SD3Transformer2DModel).
type Config struct {
	SampleSize           int64   `json:"sample_size"`            // side of the latents it was trained on
	PatchSize            int64   `json:"patch_size"`             // latent pixels of a token's side
	InChannels           int64   `json:"in_channels"`            // of the latents
	OutChannels          int64   `json:"out_channels"`           // of the output, the same as InChannels in every released model
	NumLayers            int     `json:"num_layers"`             // joint blocks
	AttentionHeadDim     int64   `json:"attention_head_dim"`     // width of a head
	NumAttentionHeads    int64   `json:"num_attention_heads"`    // their number
	JointAttentionDim    int64   `json:"joint_attention_dim"`    // width of the text states
	CaptionProjectionDim int64   `json:"caption_projection_dim"` // width they are projected to: that of the network
	PooledProjectionDim  int64   `json:"pooled_projection_dim"`  // width of the pooled text
	PosEmbedMaxSize      int64   `json:"pos_embed_max_size"`     // side of the table of positions, in tokens
	DualAttentionLayers  []int   `json:"dual_attention_layers"`  // blocks whose image tokens also attend among themselves (SD3.5 medium)
	QKNorm               *string `json:"qk_norm"`                // rms_norm (SD3.5), or none (SD3)
}

// DefaultConfig is what diffusers assumes for keys that a config.json leaves out.
func DefaultConfig() Config {
	return Config{
		SampleSize: 128, PatchSize: 2, InChannels: 16, OutChannels: 16, NumLayers: 18, AttentionHeadDim: 64,
		NumAttentionHeads: 18, JointAttentionDim: 4096, CaptionProjectionDim: 1152, PooledProjectionDim: 2048,
		PosEmbedMaxSize: 96,
	}
}

// configKeys are keys beside those of Config.
var configKeys = config.Keys{Plain: map[string][]any{"_class_name": {"SD3Transformer2DModel"}}}

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
	bound := func(key string, value, most int64) {
		if value < 1 || value > most {
			errs = append(errs, fmt.Errorf("%s %d, want 1 to %d", key, value, most))
		}
	}
	bound("sample_size", c.SampleSize, maxWidth)
	bound("patch_size", c.PatchSize, 16)
	bound("in_channels", c.InChannels, maxWidth)
	bound("out_channels", c.OutChannels, maxWidth)
	bound("num_layers", int64(c.NumLayers), maxLayers)
	bound("attention_head_dim", c.AttentionHeadDim, maxWidth)
	bound("num_attention_heads", c.NumAttentionHeads, maxLayers)
	bound("joint_attention_dim", c.JointAttentionDim, maxWidth)
	bound("pooled_projection_dim", c.PooledProjectionDim, maxWidth)
	bound("pos_embed_max_size", c.PosEmbedMaxSize, 4096)
	if c.CaptionProjectionDim != c.width() {
		errs = append(errs, fmt.Errorf("caption_projection_dim %d, want %d: attention_head_dim times num_attention_heads", c.CaptionProjectionDim, c.width()))
	}
	for _, layer := range c.DualAttentionLayers {
		if layer < 0 || layer >= c.NumLayers {
			errs = append(errs, fmt.Errorf("dual_attention_layers has %d, want 0 to %d", layer, c.NumLayers-1))
		}
	}
	if c.QKNorm != nil && *c.QKNorm != "rms_norm" {
		errs = append(errs, fmt.Errorf("qk_norm %q, want rms_norm or null", *c.QKNorm))
	}
	return config.Join(errs...)
}

// width is that of the network's tokens.
func (c Config) width() int64 { return c.AttentionHeadDim * c.NumAttentionHeads }

// normed reports whether queries and keys are normed.
func (c Config) normed() bool { return c.QKNorm != nil }
