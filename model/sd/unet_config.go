package sd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// UNetConfig is what the config.json of a diffusers unet folder says of a UNet2DConditionModel, as far
// as SD 1.x, SD 2.x, SDXL and their kin differ in it.
type UNetConfig struct {
	InChannels        int64    `json:"in_channels"`
	OutChannels       int64    `json:"out_channels"`
	SampleSize        int64    `json:"sample_size"` // side of the latents it was trained on
	BlockOutChannels  []int64  `json:"block_out_channels"`
	DownBlockTypes    []string `json:"down_block_types"`
	UpBlockTypes      []string `json:"up_block_types"`
	LayersPerBlock    PerLevel `json:"layers_per_block"`
	NormNumGroups     int64    `json:"norm_num_groups"`
	NormEps           float64  `json:"norm_eps"`
	CrossAttentionDim int64    `json:"cross_attention_dim"`
	// AttentionHeadDim is the number of heads, not their width: diffusers' name is a mistake that too
	// many files repeat to be put right.
	AttentionHeadDim  PerLevel `json:"attention_head_dim"`
	TransformerLayers PerLevel `json:"transformer_layers_per_block"`
	LinearProjection  bool     `json:"use_linear_projection"` // into and out of transformers: linear, or 1x1 convolution
	FlipSinToCos      bool     `json:"flip_sin_to_cos"`
	FreqShift         float64  `json:"freq_shift"`

	// SDXL: pooled text and picture sizes join the time embedding.
	AdditionEmbedType    string `json:"addition_embed_type"` // "" or "text_time"
	AdditionTimeEmbedDim int64  `json:"addition_time_embed_dim"`
	AdditionInputDim     int64  `json:"projection_class_embeddings_input_dim"`
}

// PerLevel is a number for every level of the UNet, from the widest picture to the narrowest. In JSON
// it is a list, or one number for all.
type PerLevel []int64

// UnmarshalJSON reads 2 or [1, 2, 10].
func (p *PerLevel) UnmarshalJSON(data []byte) error {
	var one int64
	if string(data) == "null" { // as if the key were not there
		return nil
	}
	if json.Unmarshal(data, &one) == nil {
		*p = PerLevel{one}
		return nil
	}
	if err := json.Unmarshal(data, (*[]int64)(p)); err != nil {
		return fmt.Errorf("%s is not supported for a level, want a number or a list of numbers", data)
	}
	return nil
}

// MarshalJSON writes one number where that is all.
func (p PerLevel) MarshalJSON() ([]byte, error) {
	if len(p) == 1 {
		return json.Marshal(p[0])
	}
	return json.Marshal([]int64(p))
}

// At is the number of a level.
func (p PerLevel) At(level int) int64 {
	if len(p) == 1 {
		return p[0]
	}
	return p[level]
}

// What no UNet exceeds; a configuration that does is broken.
const (
	maxLevels = 16
	maxWidth  = 1 << 16
	maxLayers = 4096 // of one kind, heads included
)

// Block types.
const (
	crossAttnDown = "CrossAttnDownBlock2D"
	crossAttnUp   = "CrossAttnUpBlock2D"
	plainDown     = "DownBlock2D"
	plainUp       = "UpBlock2D"
)

// LoadUNetConfig reads a config.json.
func LoadUNetConfig(path string) (UNetConfig, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return UNetConfig{}, err
	}
	return ParseUNetConfig(path, data)
}

// ParseUNetConfig reads the text of a config.json; file is what errors call it. What is missing has
// the default of diffusers' constructor.
func ParseUNetConfig(file string, data []byte) (UNetConfig, error) {
	keys := map[string]any{}
	if err := json.Unmarshal(data, &keys); err != nil {
		return UNetConfig{}, fmt.Errorf("%s: not JSON: %w", file, err)
	}
	cfg := UNetConfig{
		InChannels: 4, OutChannels: 4, BlockOutChannels: []int64{320, 640, 1280, 1280},
		DownBlockTypes:   []string{crossAttnDown, crossAttnDown, crossAttnDown, plainDown},
		UpBlockTypes:     []string{plainUp, crossAttnUp, crossAttnUp, crossAttnUp},
		LayersPerBlock:   PerLevel{2},
		NormNumGroups:    32,
		NormEps:          1e-5,
		AttentionHeadDim: PerLevel{8}, CrossAttentionDim: 1280, TransformerLayers: PerLevel{1},
		FlipSinToCos: true,
	}
	if err := json.Unmarshal(data, &cfg); err != nil {
		return UNetConfig{}, fmt.Errorf("%s: %w", file, err)
	}
	if err := errors.Join(refuseKeys(keys, plainUNetKeys), cfg.Validate()); err != nil {
		return UNetConfig{}, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

// plainUNetKeys are keys that change the network, with the one value that is built here.
var plainUNetKeys = map[string]any{
	"_class_name": "UNet2DConditionModel", "act_fn": "silu", "center_input_sample": false, "class_embed_type": nil,
	"num_class_embeds": nil, "encoder_hid_dim": nil, "encoder_hid_dim_type": nil, "dual_cross_attention": false,
	"only_cross_attention": false, "mid_block_only_cross_attention": nil, "resnet_time_scale_shift": "default",
	"resnet_skip_time_act": false, "resnet_out_scale_factor": 1.0, "time_embedding_type": "positional",
	"time_embedding_dim": nil, "time_embedding_act_fn": nil, "timestep_post_act": nil, "time_cond_proj_dim": nil,
	"conv_in_kernel": 3.0, "conv_out_kernel": 3.0, "attention_type": "default", "cross_attention_norm": nil,
	"downsample_padding": 1.0, "mid_block_scale_factor": 1.0, "mid_block_type": "UNetMidBlock2DCrossAttn",
	"reverse_transformer_layers_per_block": nil, "num_attention_heads": nil,
}

// refuseKeys reports every key of a file that has another value than the only one supported.
func refuseKeys(keys, plain map[string]any) error {
	var errs []error
	for key, want := range plain {
		got, ok := keys[key]
		if list, isList := got.([]any); isList { // not comparable
			got = fmt.Sprint(list)
		}
		switch {
		case !ok || got == nil || got == want:
		case want == nil:
			errs = append(errs, fmt.Errorf("%s: %v is not supported, want null", key, got))
		default:
			errs = append(errs, fmt.Errorf("%s: %v is not supported, want %v", key, got, want))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// Validate reports every value that makes no network.
func (c UNetConfig) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	levels := len(c.BlockOutChannels)
	if levels < 1 || levels > maxLevels || len(c.DownBlockTypes) != levels || len(c.UpBlockTypes) != levels {
		wrong("block_out_channels, down_block_types, up_block_types: %d, %d and %d levels, want as many of each, 1 to %d",
			levels, len(c.DownBlockTypes), len(c.UpBlockTypes), maxLevels)
	}
	for key, p := range map[string]PerLevel{
		"layers_per_block": c.LayersPerBlock, "attention_head_dim": c.AttentionHeadDim, "transformer_layers_per_block": c.TransformerLayers,
	} {
		if len(p) != 1 && len(p) != levels {
			wrong("%s: %d numbers, want 1 or %d", key, len(p), levels)
		}
		if slices.ContainsFunc(p, func(n int64) bool { return n < 1 || n > maxLayers }) {
			wrong("%s: %v, want numbers from 1 to %d", key, []int64(p), maxLayers)
		}
	}
	for _, n := range []struct {
		key  string
		n    int64
		most int64
	}{
		{"in_channels", c.InChannels, 64},
		{"out_channels", c.OutChannels, 64},
		{"norm_num_groups", c.NormNumGroups, 1024},
		{"cross_attention_dim", c.CrossAttentionDim, maxWidth},
	} {
		if n.n < 1 || n.n > n.most {
			wrong("%s: %d, want 1 to %d", n.key, n.n, n.most)
		}
	}
	if len(errs) == 0 {
		errs = append(errs, c.validateLevels()...)
	}
	return errors.Join(errs...)
}

func (c UNetConfig) validateLevels() (errs []error) {
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, channels := range c.BlockOutChannels {
		if channels < 2 || channels > maxWidth || channels%c.NormNumGroups != 0 {
			wrong("block_out_channels[%d]: %d, want a multiple of norm_num_groups, %d", i, channels, c.NormNumGroups)
		} else if channels%c.AttentionHeadDim.At(i) != 0 {
			wrong("block_out_channels[%d]: %d cannot be split into %d heads (attention_head_dim)", i, channels, c.AttentionHeadDim.At(i))
		}
		if t := c.DownBlockTypes[i]; t != crossAttnDown && t != plainDown {
			wrong("down_block_types[%d]: %q is not supported, want %s or %s", i, t, crossAttnDown, plainDown)
		}
		if t := c.UpBlockTypes[i]; t != crossAttnUp && t != plainUp {
			wrong("up_block_types[%d]: %q is not supported, want %s or %s", i, t, crossAttnUp, plainUp)
		}
	}
	return append(errs, c.validateAddition()...)
}

func (c UNetConfig) validateAddition() []error {
	width, pooled := c.AdditionTimeEmbedDim, c.PooledDim()
	switch {
	case c.AdditionEmbedType == "":
		return nil
	case c.AdditionEmbedType != "text_time":
		return []error{fmt.Errorf("addition_embed_type: %q is not supported, want null or text_time", c.AdditionEmbedType)}
	case width < 2 || width > maxWidth || width%2 != 0 || pooled < 1 || pooled > maxWidth:
		return []error{fmt.Errorf("addition_time_embed_dim, projection_class_embeddings_input_dim: %d, %d, want an even number and more than six times as much",
			width, c.AdditionInputDim)}
	}
	return nil
}

// numTimeIDs are SDXL's: original height and width, crop top and left, target height and width.
const numTimeIDs = 6

// PooledDim is the width of the pooled text that SDXL is told, 0 for other models.
func (c UNetConfig) PooledDim() int64 {
	if c.AdditionEmbedType == "" {
		return 0
	}
	return c.AdditionInputDim - numTimeIDs*c.AdditionTimeEmbedDim
}
