// Package clip holds the text and vision encoders of CLIP (Radford et al., arXiv 2103.00020) in the
// sizes diffusion models and rewards use: OpenAI's ViT-L/14 and OpenCLIP's ViT-H/14 and bigG/14.
// Configurations and keys are those of transformers' config.json and model.safetensors.
package clip

import (
	"fmt"
	"maps"
	"os"

	"focusnfix/model/config"
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
	// UseAttentionMask hides padding from every token; diffusers reads it for SD 1 and 2.
	UseAttentionMask bool `json:"use_attention_mask,omitempty"`

	Architectures []string `json:"architectures"`
	ModelType     string   `json:"model_type"`
}

// Projected reports whether the pooled output goes through text_projection. Only the class knows:
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
	Text   TextConfig
	Vision VisionConfig

	ProjectionDim int64
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

// ParseTextConfig is LoadTextConfig of the file's text; file is what errors call it. Of a whole CLIP's
// file it takes the text encoder's part, as transformers does.
func ParseTextConfig(file string, data []byte) (TextConfig, error) {
	values, err := config.Object(file, data)
	if err != nil {
		return TextConfig{}, err
	}
	if part, ok := nested(values, "text_config"); ok {
		values = part
	}
	return fillText(file, values)
}

func fillText(file string, values map[string]any) (TextConfig, error) {
	cfg := defaultText()
	if err := config.Fill(file, values, &cfg, textKeys); err != nil {
		return TextConfig{}, err
	}
	return cfg, cfg.validate(file)
}

// nested is the part of one encoder in a whole CLIP's configuration. Old files have a second one, whose
// name ends in _dict, which counts where the two differ.
func nested(values map[string]any, key string) (map[string]any, bool) {
	part, ok := values[key].(map[string]any)
	old, isOld := values[key+"_dict"].(map[string]any)
	if !ok && !isOld {
		return nil, false
	}
	both := map[string]any{}
	maps.Copy(both, part)
	maps.Copy(both, old)
	return both, true
}

// LoadVisionConfig reads a vision encoder's config.json; that of a whole CLIP works too.
func LoadVisionConfig(path string) (VisionConfig, error) {
	values, err := readConfig(path)
	if err != nil {
		return VisionConfig{}, err
	}
	if _, ok := nested(values, "vision_config"); ok {
		whole, err := LoadConfig(path)
		return whole.Vision, err
	}
	return fillVision(path, values)
}

func fillVision(path string, values map[string]any) (VisionConfig, error) {
	cfg := defaultVision()
	if err := config.Fill(path, values, &cfg, visionKeys); err != nil {
		return VisionConfig{}, err
	}
	return cfg, cfg.validate(path)
}

func readConfig(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return config.Object(path, text)
}

// LoadConfig reads the config.json of a whole CLIP. Both encoders project to its projection_dim,
// whatever the nested configurations say.
func LoadConfig(path string) (Config, error) {
	values, err := readConfig(path)
	if err != nil {
		return Config{}, err
	}
	whole := struct {
		ProjectionDim int64 `json:"projection_dim"`
	}{512}
	if err := config.Fill(path, values, &whole, wholeKeys); err != nil {
		return Config{}, err
	}
	cfg := Config{ProjectionDim: whole.ProjectionDim}
	text, _ := nested(values, "text_config")
	if cfg.Text, err = fillText(path+": text_config", text); err != nil {
		return Config{}, err
	}
	vision, _ := nested(values, "vision_config")
	if cfg.Vision, err = fillVision(path+": vision_config", vision); err != nil {
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
