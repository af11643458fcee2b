package weights

import (
	"regexp"
	"slices"
	"strings"
)

// What a file holds, as far as the names of its tensors tell.
const (
	WhatLoRA       = "a LoRA"
	WhatCheckpoint = "a whole checkpoint"
	WhatUNet       = "a UNet"
	WhatVAE        = "a VAE"
	WhatTAESD      = "a tiny autoencoder (TAESD)"
	WhatText       = "a text encoder"
	WhatCLIP       = "a CLIP"
	WhatControlNet = "a ControlNet"
)

// Identity is what a file is and what it is for.
type Identity struct {
	What   string // "a LoRA", "a VAE", ...; "" is unknown
	Family string // "SD 1", "FLUX", ...; "" is unknown
}

// luminaOrZImage are families whose tensors have the same names.
const luminaOrZImage = "Lumina 2 or Z-Image"

// String is "a LoRA for FLUX".
func (i Identity) String() string {
	switch {
	case i.What == "" && i.Family == "":
		return "a file of an unknown kind"
	case i.Family == "":
		return i.What
	case i.What == "":
		return "a file for " + i.Family
	}
	return i.What + " for " + i.Family
}

// known reports whether the family is one that the model packages implement.
func (i Identity) known() bool {
	return slices.Contains([]Kind{SD1, SD2, SDXL, SD3, ZImage}, Kind(i.Family)) || i.Family == luminaOrZImage
}

// Identify tells what f is by the names and shapes of its tensors.
func Identify(f *File) Identity {
	keys := make([]string, len(f.Tensors))
	for i, t := range f.Tensors {
		keys[i] = t.Key
	}
	i := Identity{What: whatIs(keys), Family: familyOf(keys)}
	if i.Family != "" {
		return i
	}
	for _, t := range f.Tensors { // the width of the text states that a UNet attends to
		if k, ok := contextWidth(t); ok {
			kind, _ := kindOfContext(k)
			i.Family = string(kind)
		}
	}
	return i
}

var contextKey = regexp.MustCompile(`attn2[._]to_[kv](?:\.weight|\.lora_A\.weight|\.lora\.down\.weight|_lora\.down\.weight|\.lora_down\.weight)$`)

// contextWidth is the width of the text states, if t is a cross-attention's key or value.
func contextWidth(t Tensor) (int64, bool) {
	if len(t.Shape) == 2 && contextKey.MatchString(t.Key) {
		return t.Shape[1], true
	}
	return 0, false
}

// kindMarks tell what a file is by words in its keys, the most telling first.
var kindMarks = []struct {
	key  *regexp.Regexp
	what string
}{
	{regexp.MustCompile(`(^|\.)(emb_params|string_to_param)|^clip_[lg]$`), "a textual inversion embedding"},
	{regexp.MustCompile(`^(image_proj|ip_adapter)\.`), "an IP-Adapter"},
	{regexp.MustCompile(`lora_controlnet`), "a Control-LoRA"},
	{regexp.MustCompile(`^(controlnet_cond_embedding|control_model|controlnet_down_blocks|input_hint_block)`), WhatControlNet},
	{regexp.MustCompile(`motion_modules\.`), "a motion module of AnimateDiff"},
	{regexp.MustCompile(`\.(lora_\w+|lora|hada_w\w+|lokr_w\w+|oft_\w+|boft_\w+|ia3_l|diff|diff_b|dora_scale|lora_\w+_layer)(\.|$)|_lora\.(down|up)\.|\.on_input$`), WhatLoRA},
	{regexp.MustCompile(`^(model\.diffusion_model|first_stage_model|cond_stage_model|conditioner\.embedders)\.`), WhatCheckpoint},
	{regexp.MustCompile(`^(adapter\.)?body\.\d+\.(resnets|block)`), "a T2I-Adapter"},
	{regexp.MustCompile(`^special_care_embeds`), "a safety checker of CompVis"},
	{regexp.MustCompile(`^(down_blocks|diffusion_model\.input_blocks|input_blocks)\.`), WhatUNet},
	{regexp.MustCompile(`^(decoder\.layers\.|taesd_decoder\.)|^1\.weight$`), WhatTAESD},
	{regexp.MustCompile(`^(encoder|decoder)\.conv_in\.weight`), WhatVAE},
	{regexp.MustCompile(`^(vision_model|visual)\.`), WhatCLIP},
	{regexp.MustCompile(`^(text_model\.)?(encoder\.layers\.|embeddings\.token_embedding)`), WhatText},
	{regexp.MustCompile(`^encoder\.block\.\d+\.layer\.\d+\.SelfAttention`), "a T5 text encoder"},
	{regexp.MustCompile(`^vit\.`), "a ViT image classifier"},
	{regexp.MustCompile(`^prompts$`), "the learned prompts of Q16"},
	{regexp.MustCompile(`^layers\.[0246]\.weight`), "an aesthetic predictor of LAION"},
	{regexp.MustCompile(`^model\.layers\.\d+\.self_attn`), "a language model"},
}

func whatIs(keys []string) string {
	for _, mark := range kindMarks {
		if slices.ContainsFunc(keys, mark.key.MatchString) {
			return mark.what
		}
	}
	if slices.ContainsFunc(keys, transformerKey.MatchString) {
		return "a diffusion transformer"
	}
	return ""
}

var transformerKey = regexp.MustCompile(`^(diffusion_model\.)?(transformer_blocks|single_transformer_blocks|double_blocks|joint_blocks|blocks)\.\d`)

// familyMarks tell the model that a file is for by words in its keys, in which dots have become
// underscores. The most telling come first: several families share the last ones.
var familyMarks = []struct {
	word   *regexp.Regexp
	family string
}{
	{regexp.MustCompile(`double_stream_modulation|single_stream_modulation`), "FLUX.2"},
	{regexp.MustCompile(`distilled_guidance_layer`), "Chroma"},
	{regexp.MustCompile(`(^|_)double_stream_blocks_\d`), "HiDream"},
	{regexp.MustCompile(`token_refiner`), "HunyuanVideo"},
	{regexp.MustCompile(`transformer_blocks_\d+_(img|txt)_(mlp|mod)`), "Qwen-Image"},
	{regexp.MustCompile(`(^|_)(noise_refiner|context_refiner)_|(^|transformer_|diffusion_model_)layers_\d+_(attention_to|attention_qkv|adaLN)`), luminaOrZImage},
	{regexp.MustCompile(`(^|_)(single|double)_blocks_\d|single_transformer_blocks_\d`), "FLUX"},
	{regexp.MustCompile(`joint_(transformer_)?blocks_\d|transformer_blocks_\d+_attn_add_[qkv]_proj`), "Stable Diffusion 3"},
	{regexp.MustCompile(`(^|_)blocks_\d+_(cross_attn|ffn)_`), "Wan"},
	{regexp.MustCompile(`temporal_transformer_blocks|time_stack`), "Stable Video Diffusion"},
	{regexp.MustCompile(`motion_modules`), "AnimateDiff"},
	{regexp.MustCompile(`lora_prior_unet|channelwise`), "Stable Cascade"},
	{regexp.MustCompile(`adaln_single|caption_projection|(^|base_model_model_|lora_)transformer_(transformer_)?blocks_\d+_attn1`), "a diffusion transformer such as PixArt or LTX-Video"},
	{regexp.MustCompile(`(^|_)model_layers_\d+_(self_attn|mlp)_`), "a language model"},
}

// familyOf is the family that the keys name, other than by shapes; "" for one of Stable Diffusion's, and
// where nothing tells.
func familyOf(keys []string) string {
	flat := make([]string, len(keys))
	for i, key := range keys {
		flat[i] = strings.ReplaceAll(key, ".", "_")
	}
	for _, mark := range familyMarks {
		if slices.ContainsFunc(flat, mark.word.MatchString) {
			return mark.family
		}
	}
	return ""
}
