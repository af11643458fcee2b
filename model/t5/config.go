package t5

import (
	"fmt"

	"focusnfix/model/config"
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

	// What feed_forward_proj comes to, as newer files repeat it.
	Activation *string `json:"dense_act_fn"`
	Gated      *bool   `json:"is_gated_act"`
}

// configKeys are keys beside those of Config.
var configKeys = config.Transformers(nil, map[string]string{
	"num_decoder_layers": "of the decoder", "dropout_rate": "in training only", "classifier_dropout": "in training only",
	"n_positions": "distances have no end", "output_past": "of text generation", "scale_decoder_outputs": "of the decoder",
})

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

// ParseConfig reads the text of a config.json; file is what errors call it. A key that is not known is refused by name.
func ParseConfig(file string, text []byte) (Config, error) {
	cfg := defaultConfig()
	if err := config.Parse(file, text, &cfg, configKeys); err != nil {
		return Config{}, err
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
	activation := map[string]string{gatedGELU: "gelu_new", plainReLU: "relu"}[c.FeedForward]
	if c.Activation != nil && activation != "" && *c.Activation != activation {
		errs = append(errs, fmt.Errorf("dense_act_fn %q, want %s beside feed_forward_proj %s", *c.Activation, activation, c.FeedForward))
	}
	if gated := c.FeedForward == gatedGELU; c.Gated != nil && *c.Gated != gated {
		errs = append(errs, fmt.Errorf("is_gated_act %v, want %v beside feed_forward_proj %s", *c.Gated, gated, c.FeedForward))
	}
	return config.Join(errs...)
}
