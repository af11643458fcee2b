package t5

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Config is a text encoder's config.json, as far as encoders differ in it.
type Config struct {
	VocabSize   int64   `json:"vocab_size"`
	DModel      int64   `json:"d_model"`    // width of the tokens
	DKV         int64   `json:"d_kv"`       // width of a head; heads together need not be as wide as the tokens
	DFF         int64   `json:"d_ff"`       // width between the feed-forward layers
	NumLayers   int     `json:"num_layers"` // of the encoder
	NumHeads    int64   `json:"num_heads"`
	Buckets     int64   `json:"relative_attention_num_buckets"`  // of distances between tokens
	MaxDistance int64   `json:"relative_attention_max_distance"` // tokens; all beyond share a bucket
	NormEps     float64 `json:"layer_norm_epsilon"`
	FeedForward string  `json:"feed_forward_proj"` // gated-gelu (v1.1), or relu (the first T5)
	ModelType   string  `json:"model_type"`
}

// defaultConfig is what transformers assumes for keys that a config.json leaves out.
func defaultConfig() Config {
	return Config{
		VocabSize: 32128, DModel: 512, DKV: 64, DFF: 2048, NumLayers: 6, NumHeads: 8, Buckets: 32, MaxDistance: 128,
		NormEps: 1e-6, FeedForward: "relu", ModelType: "t5",
	}
}

// Feed-forward layers that exist.
const (
	gatedGELU = "gated-gelu"
	plainReLU = "relu"
)

// ParseConfig reads the text of a config.json; file is what errors call it.
func ParseConfig(file string, text []byte) (Config, error) {
	cfg := defaultConfig()
	if err := json.Unmarshal(text, &cfg); err != nil {
		return Config{}, fmt.Errorf("%s: not a T5 configuration: %w", file, err)
	}
	if err := cfg.validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

// What no encoder exceeds; a configuration that does is broken.
const (
	maxWidth = 1 << 20
	maxCount = 1 << 12
)

func (c Config) validate() error {
	var errs []error
	bound := func(key string, value, least, most int64) {
		if value < least || value > most {
			errs = append(errs, fmt.Errorf("%s %d, want %d to %d", key, value, least, most))
		}
	}
	bound("vocab_size", c.VocabSize, 1, maxWidth)
	bound("d_model", c.DModel, 1, maxWidth)
	bound("d_kv", c.DKV, 1, maxWidth)
	bound("d_ff", c.DFF, 1, maxWidth)
	bound("num_layers", int64(c.NumLayers), 1, maxCount)
	bound("num_heads", c.NumHeads, 1, maxCount)
	bound("relative_attention_num_buckets", c.Buckets, 4, maxCount)
	bound("relative_attention_max_distance", c.MaxDistance, c.Buckets/4+1, maxWidth)
	if c.ModelType != "t5" {
		errs = append(errs, fmt.Errorf("model_type %q, want t5", c.ModelType))
	}
	if c.FeedForward != gatedGELU && c.FeedForward != plainReLU {
		errs = append(errs, fmt.Errorf("feed_forward_proj %q, want %s or %s", c.FeedForward, gatedGELU, plainReLU))
	}
	return errors.Join(errs...)
}
