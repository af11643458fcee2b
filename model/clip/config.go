// Package clip holds the text and vision encoders of CLIP (Radford et al., arXiv 2103.00020) in the
// sizes diffusion models and rewards use: OpenAI's ViT-L/14 and OpenCLIP's ViT-H/14 and bigG/14.
// Configurations and keys are those of transformers' config.json and model.safetensors.
package clip

import (
	"encoding/json"
	"fmt"
	"os"
)

// TextConfig is a text encoder's config.json. The zero value of a field that the file leaves out is
// replaced by transformers' default when it is read.
type TextConfig struct {
	VocabSize             int64   `json:"vocab_size"`
	HiddenSize            int64   `json:"hidden_size"`
	IntermediateSize      int64   `json:"intermediate_size"`
	NumHiddenLayers       int     `json:"num_hidden_layers"`
	NumAttentionHeads     int64   `json:"num_attention_heads"`
	MaxPositionEmbeddings int64   `json:"max_position_embeddings"`
	HiddenAct             string  `json:"hidden_act"` // quick_gelu (OpenAI) or gelu (OpenCLIP)
	LayerNormEps          float64 `json:"layer_norm_eps"`
	EOSTokenID            int64   `json:"eos_token_id"` // 2 in files older than the fix: see pooled
	ProjectionDim         int64   `json:"projection_dim"`

	Architectures []string `json:"architectures"`
	ModelType     string   `json:"model_type"`
}

// Projected tells whether the pooled output goes through text_projection. Only the class knows:
// every text config.json carries a projection_dim.
func (c TextConfig) Projected() bool {
	for _, a := range c.Architectures {
		if a == "CLIPTextModelWithProjection" || a == "CLIPModel" {
			return true
		}
	}
	return false
}

// VisionConfig is a vision encoder's config.json.
type VisionConfig struct {
	HiddenSize        int64   `json:"hidden_size"`
	IntermediateSize  int64   `json:"intermediate_size"`
	NumHiddenLayers   int     `json:"num_hidden_layers"`
	NumAttentionHeads int64   `json:"num_attention_heads"`
	NumChannels       int64   `json:"num_channels"`
	ImageSize         int64   `json:"image_size"` // pixels
	PatchSize         int64   `json:"patch_size"` // pixels
	HiddenAct         string  `json:"hidden_act"`
	LayerNormEps      float64 `json:"layer_norm_eps"`
	ProjectionDim     int64   `json:"projection_dim"`
}

// Config is the config.json of a whole CLIP: both encoders into one space of ProjectionDim.
type Config struct {
	Text   TextConfig   `json:"text_config"`
	Vision VisionConfig `json:"vision_config"`

	ProjectionDim int64 `json:"projection_dim"`
}

// defaultText is what transformers' CLIPTextConfig assumes for a key that a file leaves out.
func defaultText() TextConfig {
	return TextConfig{
		VocabSize: 49408, HiddenSize: 512, IntermediateSize: 2048, NumHiddenLayers: 12, NumAttentionHeads: 8,
		MaxPositionEmbeddings: 77, HiddenAct: "quick_gelu", LayerNormEps: 1e-5, EOSTokenID: 49407, ProjectionDim: 512,
	}
}

// defaultVision is what transformers' CLIPVisionConfig assumes.
func defaultVision() VisionConfig {
	return VisionConfig{
		HiddenSize: 768, IntermediateSize: 3072, NumHiddenLayers: 12, NumAttentionHeads: 12, NumChannels: 3,
		ImageSize: 224, PatchSize: 32, HiddenAct: "quick_gelu", LayerNormEps: 1e-5, ProjectionDim: 512,
	}
}

// LoadTextConfig reads a text encoder's config.json and refuses sizes that no encoder can have.
func LoadTextConfig(path string) (TextConfig, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return TextConfig{}, err
	}
	return ParseTextConfig(path, data)
}

// ParseTextConfig is LoadTextConfig of the file's text; file is what errors call it.
func ParseTextConfig(file string, data []byte) (TextConfig, error) {
	cfg := defaultText()
	if err := json.Unmarshal(data, &cfg); err != nil {
		return TextConfig{}, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, cfg.validate(file)
}

// LoadVisionConfig reads a vision encoder's config.json; that of a whole CLIP works too.
func LoadVisionConfig(path string) (VisionConfig, error) {
	cfg := struct {
		VisionConfig
		Nested *VisionConfig `json:"vision_config"`
	}{VisionConfig: defaultVision(), Nested: nil}
	if err := readJSON(path, &cfg); err != nil {
		return VisionConfig{}, err
	}
	if cfg.Nested != nil {
		whole, err := LoadConfig(path)
		return whole.Vision, err
	}
	return cfg.VisionConfig, cfg.validate(path)
}

// LoadConfig reads the config.json of a whole CLIP. Both encoders project to its projection_dim,
// whatever the nested configurations say.
func LoadConfig(path string) (Config, error) {
	cfg := Config{Text: defaultText(), Vision: defaultVision(), ProjectionDim: 512}
	if err := readJSON(path, &cfg); err != nil {
		return Config{}, err
	}
	cfg.Text.ProjectionDim, cfg.Vision.ProjectionDim = cfg.ProjectionDim, cfg.ProjectionDim
	cfg.Text.Architectures = []string{"CLIPModel"}
	if err := cfg.Text.validate(path); err != nil {
		return Config{}, err
	}
	return cfg, cfg.Vision.validate(path)
}

func (c TextConfig) validate(path string) error {
	if c.ModelType != "" && c.ModelType != "clip_text_model" && c.ModelType != "clip" {
		return fmt.Errorf("%s: model_type %q, want clip_text_model", path, c.ModelType)
	}
	if err := validateWidth(path, c.HiddenSize, c.NumAttentionHeads, c.NumHiddenLayers, c.HiddenAct); err != nil {
		return err
	}
	return positive(path, size{"vocab_size", c.VocabSize}, size{"intermediate_size", c.IntermediateSize},
		size{"max_position_embeddings", c.MaxPositionEmbeddings}, size{"projection_dim", c.ProjectionDim})
}

func (c VisionConfig) validate(path string) error {
	if err := validateWidth(path, c.HiddenSize, c.NumAttentionHeads, c.NumHiddenLayers, c.HiddenAct); err != nil {
		return err
	}
	if c.PatchSize > c.ImageSize {
		return fmt.Errorf("%s: patch_size %d, want at most image_size %d", path, c.PatchSize, c.ImageSize)
	}
	return positive(path, size{"patch_size", c.PatchSize}, size{"num_channels", c.NumChannels},
		size{"intermediate_size", c.IntermediateSize}, size{"projection_dim", c.ProjectionDim})
}

func validateWidth(path string, hidden, heads int64, layers int, act string) error {
	if hidden <= 0 || heads <= 0 || hidden%heads != 0 {
		return fmt.Errorf("%s: hidden_size %d with num_attention_heads %d, want a positive multiple", path, hidden, heads)
	}
	if layers <= 0 {
		return fmt.Errorf("%s: num_hidden_layers %d, want 1 or more", path, layers)
	}
	if act != "quick_gelu" && act != "gelu" {
		return fmt.Errorf("%s: hidden_act %q, want quick_gelu or gelu", path, act)
	}
	return nil
}

// size is one key of a config.json that counts something.
type size struct {
	key   string
	value int64
}

func positive(path string, sizes ...size) error {
	for _, s := range sizes {
		if s.value <= 0 {
			return fmt.Errorf("%s: %s %d, want 1 or more", path, s.key, s.value)
		}
	}
	return nil
}
