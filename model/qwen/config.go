package qwen

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"focusnfix/model/config"
)

// Config is a text encoder's config.json, as far as Qwen3 models differ in it.
type Config struct {
	VocabSize         int64   `json:"vocab_size"`
	HiddenSize        int64   `json:"hidden_size"`       // width of the tokens
	IntermediateSize  int64   `json:"intermediate_size"` // width between the feed-forward layers
	NumHiddenLayers   int     `json:"num_hidden_layers"`
	NumAttentionHeads int64   `json:"num_attention_heads"` // of queries
	NumKeyValueHeads  int64   `json:"num_key_value_heads"` // of keys and values, each shared by a group of queries
	HeadDim           int64   `json:"head_dim"`
	RMSNormEps        float64 `json:"rms_norm_eps"`
	RopeTheta         float64 `json:"rope_theta"` // longest wavelength of the positions, divided by 2 pi
	AttentionBias     bool    `json:"attention_bias"`
	HiddenAct         string  `json:"hidden_act"`
	UseSlidingWindow  bool    `json:"use_sliding_window"`
	ModelType         string  `json:"model_type"`

	// Where transformers 5 writes rope_theta.
	RopeParameters *rope `json:"rope_parameters"`
	RopeScaling    *rope `json:"rope_scaling"`
}

// configKeys are keys beside those of Config.
var configKeys = config.Transformers(map[string][]any{"layer_types": {"full_attention"}}, map[string]string{
	"max_position_embeddings": "prompts are shorter", "max_window_layers": "of the sliding window", "sliding_window": "of the sliding window",
})

// rope is how positions are told.
type rope struct {
	Theta float64 // 0 says nothing
	Type  string
}

// SetConfig reads the object.
func (r *rope) SetConfig(value any) error {
	keys, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s, want an object", config.Show(value))
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		switch value := keys[key].(type) {
		case string:
			if ok = key == "rope_type" || key == "type"; ok {
				r.Type = value
			}
		case float64:
			if ok = key == "rope_theta"; ok {
				r.Theta = value
			} else {
				ok = key == "partial_rotary_factor" && value == 1
			}
		default:
			ok = value == nil
		}
		if !ok {
			return fmt.Errorf("%s %s is not supported", key, config.Show(keys[key]))
		}
	}
	return nil
}

// defaultConfig is what transformers assumes for keys that a config.json leaves out.
func defaultConfig() Config {
	return Config{
		VocabSize: 151936, HiddenSize: 4096, IntermediateSize: 22016, NumHiddenLayers: 32, NumAttentionHeads: 32,
		NumKeyValueHeads: 32, HeadDim: 128, RMSNormEps: 1e-6, RopeTheta: 10000, HiddenAct: "silu", ModelType: "qwen3",
	}
}

// ParseConfig reads the text of a config.json; file is what errors call it. A key that is not known is refused by name.
func ParseConfig(file string, text []byte) (Config, error) {
	cfg := defaultConfig()
	if err := config.Parse(file, text, &cfg, configKeys); err != nil {
		return Config{}, err
	}
	if cfg.RopeParameters != nil && cfg.RopeParameters.Theta > 0 {
		cfg.RopeTheta = cfg.RopeParameters.Theta
	}
	if err := cfg.validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

// What no model of this kind exceeds; a configuration that does is broken.
const (
	maxWidth = 1 << 20
	maxCount = 1 << 12
)

func (c Config) validate() error {
	var errs []error
	bound := func(key string, value, most int64) {
		if value < 1 || value > most {
			errs = append(errs, fmt.Errorf("%s %d, want 1 to %d", key, value, most))
		}
	}
	bound("vocab_size", c.VocabSize, maxWidth)
	bound("hidden_size", c.HiddenSize, maxWidth)
	bound("intermediate_size", c.IntermediateSize, maxWidth)
	bound("num_hidden_layers", int64(c.NumHiddenLayers), maxCount)
	bound("num_attention_heads", c.NumAttentionHeads, maxCount)
	bound("num_key_value_heads", c.NumKeyValueHeads, maxCount)
	bound("head_dim", c.HeadDim, maxWidth)
	if c.ModelType != "qwen3" {
		errs = append(errs, fmt.Errorf("model_type %q, want qwen3", c.ModelType))
	}
	if c.NumKeyValueHeads > 0 && c.NumAttentionHeads%c.NumKeyValueHeads != 0 {
		errs = append(errs, fmt.Errorf("num_attention_heads %d, want a multiple of num_key_value_heads, %d", c.NumAttentionHeads, c.NumKeyValueHeads))
	}
	if c.HeadDim%2 != 0 {
		errs = append(errs, fmt.Errorf("head_dim %d, want an even number", c.HeadDim))
	}
	if !(c.RopeTheta > 1) {
		errs = append(errs, fmt.Errorf("rope_theta %g, want more than 1", c.RopeTheta))
	}
	if c.HiddenAct != "silu" {
		errs = append(errs, fmt.Errorf("hidden_act %q, want silu", c.HiddenAct))
	}
	if c.UseSlidingWindow {
		errs = append(errs, errors.New("use_sliding_window is not supported"))
	}
	for key, r := range map[string]*rope{"rope_parameters": c.RopeParameters, "rope_scaling": c.RopeScaling} {
		if r != nil && r.Type != "" && r.Type != "default" {
			errs = append(errs, fmt.Errorf("%s: rope_type %q, want default", key, r.Type))
		}
	}
	return config.Join(errs...)
}
