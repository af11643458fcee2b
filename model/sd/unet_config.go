package sd

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"focusnfix/model/config"
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
	TransformerLayers PerLayer `json:"transformer_layers_per_block"`
	// UpTransformerLayers are those of the way up, from the narrowest image to the widest; nil mirrors
	// TransformerLayers.
	UpTransformerLayers PerLayer `json:"reverse_transformer_layers_per_block,omitempty"`
	LinearProjection    bool     `json:"use_linear_projection"` // into and out of transformers: linear, or 1x1 convolution
	MidBlockType        string   `json:"mid_block_type"`        // "" is none
	FlipSinToCos        bool     `json:"flip_sin_to_cos"`
	FreqShift           float64  `json:"freq_shift"`
	TimeCondProjDim     int64    `json:"time_cond_proj_dim,omitempty"` // distilled models are told the guidance scale; 0 are not

	// SDXL: pooled text and image sizes join the time embedding.
	AdditionEmbedType    string `json:"addition_embed_type"` // "" or "text_time"
	AdditionTimeEmbedDim int64  `json:"addition_time_embed_dim"`
	AdditionInputDim     int64  `json:"projection_class_embeddings_input_dim"`
}

// PerLevel is a number for every level of the UNet, from the widest image to the narrowest. In JSON
// it is a list, or one number for all.
type PerLevel []int64

// SetConfig reads 2 or [1, 2, 10].
func (p *PerLevel) SetConfig(value any) error {
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	*p = nil
	for _, v := range list {
		n, err := wholeNumber(v)
		if err != nil {
			return err
		}
		*p = append(*p, n)
	}
	return nil
}

func wholeNumber(value any) (int64, error) {
	n, ok := value.(float64)
	if !ok || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return 0, fmt.Errorf("%s, want a whole number, or a list of them", config.Show(value))
	}
	return int64(n), nil
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

// PerLayer is a number for every layer of every level: in JSON one for all, or a list with one number, or
// a list of one for each layer, for every level.
type PerLayer []PerLevel

// SetConfig reads 2, [1, 2, 10] or [1, [2, 2], [4, 4]].
func (p *PerLayer) SetConfig(value any) error {
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	*p = make(PerLayer, len(list))
	for i, v := range list {
		if err := (*p)[i].SetConfig(v); err != nil {
			return err
		}
	}
	return nil
}

// MarshalJSON writes one number where that is all.
func (p PerLayer) MarshalJSON() ([]byte, error) {
	if len(p) == 1 && len(p[0]) == 1 {
		return json.Marshal(p[0])
	}
	return json.Marshal([]PerLevel(p))
}

// At is the number of a layer.
func (p PerLayer) At(level, layer int) int64 {
	if len(p) == 1 {
		level = 0
	}
	return p[level].At(layer)
}

// nested reports whether layers of one level differ.
func (p PerLayer) nested() bool {
	return slices.ContainsFunc(p, func(l PerLevel) bool { return len(l) > 1 })
}

// upTransformers are how many transformers a layer of the way up has; level counts as on the way down.
func (c UNetConfig) upTransformers(level, layer int) int64 {
	if c.UpTransformerLayers == nil {
		return c.TransformerLayers.At(level, layer)
	}
	return c.UpTransformerLayers.At(len(c.BlockOutChannels)-1-level, layer)
}

// What no UNet exceeds; a configuration that does is broken.
const (
	maxLevels = 16
	maxWidth  = 1 << 16
	maxLayers = 4096 // of one kind, heads included
)

// Block types.
const (
	crossAttnMid  = "UNetMidBlock2DCrossAttn"
	plainMid      = "UNetMidBlock2D" // one resnet
	crossAttnDown = "CrossAttnDownBlock2D"
	crossAttnUp   = "CrossAttnUpBlock2D"
	plainDown     = "DownBlock2D"
	plainUp       = "UpBlock2D"
)

// ParseUNetConfig reads the text of a config.json; file is what errors call it. What is missing has
// the default of diffusers' constructor.
func ParseUNetConfig(file string, data []byte) (UNetConfig, error) {
	values, err := config.Object(file, data)
	if err != nil {
		return UNetConfig{}, err
	}
	cfg := UNetConfig{
		InChannels: 4, OutChannels: 4, BlockOutChannels: []int64{320, 640, 1280, 1280},
		DownBlockTypes:   []string{crossAttnDown, crossAttnDown, crossAttnDown, plainDown},
		UpBlockTypes:     []string{plainUp, crossAttnUp, crossAttnUp, crossAttnUp},
		LayersPerBlock:   PerLevel{2},
		NormNumGroups:    32,
		NormEps:          1e-5,
		AttentionHeadDim: PerLevel{8}, CrossAttentionDim: 1280, TransformerLayers: PerLayer{{1}},
		MidBlockType: crossAttnMid,
		FlipSinToCos: true,
	}
	if value, ok := values["mid_block_type"]; ok && value == nil { // which is not the same as no word about it
		cfg.MidBlockType = ""
	}
	if err := config.Fill(file, values, &cfg, unetKeys); err != nil {
		return UNetConfig{}, err
	}
	if err := cfg.Validate(); err != nil {
		return UNetConfig{}, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

// unetKeys are the keys of a UNet beside those that are used.
var unetKeys = config.Keys{
	Plain: map[string][]any{
		"_class_name": {"UNet2DConditionModel"}, "act_fn": {"silu", "swish"}, "center_input_sample": {false}, "class_embed_type": {},
		"num_class_embeds": {}, "encoder_hid_dim": {}, "encoder_hid_dim_type": {}, "dual_cross_attention": {false},
		"only_cross_attention": {false}, "mid_block_only_cross_attention": {false}, "resnet_time_scale_shift": {"default"},
		"resnet_skip_time_act": {false}, "resnet_out_scale_factor": {1.0}, "time_embedding_type": {"positional"},
		"time_embedding_dim": {}, "time_embedding_act_fn": {}, "timestep_post_act": {},
		"conv_in_kernel": {3.0}, "conv_out_kernel": {3.0}, "attention_type": {"default"}, "cross_attention_norm": {},
		"downsample_padding": {1.0}, "mid_block_scale_factor": {1.0}, "num_attention_heads": {},
	},
	Irrelevant: map[string]string{
		"dropout":                       "in training only",
		"upcast_attention":              "changes the rounding only",
		"class_embeddings_concat":       "read with class_embed_type only",
		"addition_embed_type_num_heads": "read with another addition_embed_type only",
		"decay":                         averaging, "inv_gamma": averaging, "min_decay": averaging, "optimization_step": averaging,
		"power": averaging, "update_after_step": averaging, "use_ema_warmup": averaging,
	},
}

const averaging = "how the weights were averaged in training"

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
		"layers_per_block": c.LayersPerBlock, "attention_head_dim": c.AttentionHeadDim,
	} {
		if len(p) != 1 && len(p) != levels {
			wrong("%s: %d numbers, want 1 or %d", key, len(p), levels)
		}
		if slices.ContainsFunc(p, func(n int64) bool { return n < 1 || n > maxLayers }) {
			wrong("%s: %s, want numbers from 1 to %d", key, config.Show([]int64(p)), maxLayers)
		}
	}
	errs = append(errs, c.validateWidths()...)
	if len(errs) == 0 {
		errs = append(errs, c.validateTransformers()...)
		errs = append(errs, c.validateLevels()...)
	}
	return config.Join(errs...)
}

// validateWidths looks at single numbers and words.
func (c UNetConfig) validateWidths() []error {
	in := func(key string, n, most int64) check {
		return check{n >= 1 && n <= most, "%s: %d, want 1 to %d", []any{key, n, most}}
	}
	n := c.TimeCondProjDim
	return broken(
		in("in_channels", c.InChannels, 64), in("out_channels", c.OutChannels, 64),
		in("norm_num_groups", c.NormNumGroups, 1024), in("cross_attention_dim", c.CrossAttentionDim, maxWidth),
		check{
			slices.Contains([]string{"", plainMid, crossAttnMid}, c.MidBlockType),
			"mid_block_type: %.40q is not supported, want %s, %s or null",
			[]any{c.MidBlockType, crossAttnMid, plainMid},
		},
		check{n == 0 || n >= 4 && n <= maxWidth, "time_cond_proj_dim: %d, want null, or 4 to %d", []any{n, maxWidth}},
	)
}

// validateTransformers looks at how many transformers each layer has.
func (c UNetConfig) validateTransformers() (errs []error) {
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	levels := len(c.BlockOutChannels)
	check := func(key string, p PerLayer, layers func(level int) int64) {
		if len(p) != levels && (len(p) != 1 || len(p[0]) != 1) {
			wrong("%s: %d numbers, want 1 or %d", key, len(p), levels)
			return
		}
		for level, l := range p {
			if len(l) != 1 && int64(len(l)) < layers(level) {
				wrong("%s[%d]: %d numbers, want 1 or %d", key, level, len(l), layers(level))
			}
			if slices.ContainsFunc(l, func(n int64) bool { return n < 1 || n > maxLayers }) {
				wrong("%s[%d]: %s, want numbers from 1 to %d", key, level, config.Show([]int64(l)), maxLayers)
			}
		}
	}
	check("transformer_layers_per_block", c.TransformerLayers, c.LayersPerBlock.At)
	if c.UpTransformerLayers != nil {
		check("reverse_transformer_layers_per_block", c.UpTransformerLayers, func(level int) int64 {
			return c.LayersPerBlock.At(levels-1-level) + 1
		})
	} else if c.TransformerLayers.nested() {
		wrong("reverse_transformer_layers_per_block: missing, though transformer_layers_per_block differs within a level")
	}
	return errs
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
			wrong("down_block_types[%d]: %.40q is not supported, want %s or %s", i, t, crossAttnDown, plainDown)
		}
		if t := c.UpBlockTypes[i]; t != crossAttnUp && t != plainUp {
			wrong("up_block_types[%d]: %.40q is not supported, want %s or %s", i, t, crossAttnUp, plainUp)
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
		return []error{fmt.Errorf("addition_embed_type: %.40q is not supported, want null or text_time", c.AdditionEmbedType)}
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
