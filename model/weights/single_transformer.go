package weights

import (
	"fmt"
	"slices"
	"strings"
)

// Single files of the rectified-flow transformers: the transformer alone, as ComfyUI keeps it, or with autoencoder and
// text encoders.

// singleTexts are the prefixes of text encoders, which have the names of transformers behind them.
var singleTexts = []struct{ prefix, part string }{
	{"text_encoders.clip_l.transformer.", "text_encoder"},
	{"text_encoders.clip_g.transformer.", "text_encoder_2"},
	{"text_encoders.t5xxl.transformer.", "text_encoder_3"},
}

// TransformerKind tells what transformer a single file holds, by its names; "" if none. LoRA files hold none.
func TransformerKind(f *File) Kind {
	if Identify(f).What == WhatLoRA {
		return ""
	}
	has := func(words ...string) bool {
		return !slices.ContainsFunc(words, func(word string) bool {
			return !slices.ContainsFunc(f.Tensors, func(t Tensor) bool { return strings.Contains("."+t.Key, "."+word) })
		})
	}
	switch {
	case has("joint_blocks.0.x_block.") || has("transformer_blocks.0.attn.add_q_proj.", "pos_embed.pos_embed"):
		return SD3
	case has("cap_embedder.", "noise_refiner.0.", "layers.0.attention."):
		return ZImage
	}
	return ""
}

// SplitTransformer takes a single file apart without copying: tensors by part (transformer, vae, text_encoder,
// text_encoder_2, text_encoder_3), named as in a diffusers folder.
func SplitTransformer(f *File) (*Checkpoint, error) {
	c := &Checkpoint{Kind: TransformerKind(f), Parts: map[string][]Tensor{}}
	if c.Kind == "" {
		return nil, fmt.Errorf("%s: no transformer of %s or %s in it", f.Path, SD3, ZImage)
	}
	width := blockWidth(f)
	for _, t := range f.Tensors {
		if isUseless(t.Key) {
			continue
		}
		part, tensors, err := c.placeTransformer(t, width)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		case part != "":
			c.Parts[part] = append(c.Parts[part], tensors...)
		case !matchesAny(t.Key, Leftovers) && t.Key != "norm_final.weight": // which Z-Image's own program does not use
			c.Unknown = append(c.Unknown, t.Key)
		}
	}
	return c, nil
}

// placeTransformer says which part t belongs to, and as what; part is "" if to none.
func (c *Checkpoint) placeTransformer(t Tensor, width int64) (part string, as []Tensor, err error) {
	if rest, ok := strings.CutPrefix(t.Key, vaePrefix); ok {
		if t, ok = placeVAE(t, rest); ok {
			return "vae", []Tensor{t}, nil
		}
		return "", nil, nil
	}
	for _, text := range singleTexts {
		if rest, ok := strings.CutPrefix(t.Key, text.prefix); ok {
			t.Name = rest
			return text.part, []Tensor{t}, nil
		}
	}
	key := strings.TrimPrefix(strings.TrimPrefix(t.Key, unetPrefix), "diffusion_model.")
	module, ending := splitEnding(key)
	names := c.transformerNames(module)
	switch len(names) {
	case 0:
		return "", nil, nil
	case 1:
		t.Name = names[0] + ending
		t.Swapped = c.Kind == SD3 && len(t.Shape) > 0 && scaleFirst(module, t.Shape[0], width)
		return transformerPart, []Tensor{t}, nil
	}
	thirds, err := t.thirds()
	for i := range thirds {
		thirds[i].Name = names[i] + ending
	}
	return transformerPart, thirds[:], err
}

// blockWidth is that of Stable Diffusion 3's tokens; 0 if nothing tells.
func blockWidth(f *File) int64 {
	i := slices.IndexFunc(f.Tensors, func(t Tensor) bool { return strings.HasSuffix(t.Key, ".x_block.attn.proj.weight") && len(t.Shape) == 2 })
	if i < 0 {
		return 0
	}
	return f.Tensors[i].Shape[0]
}

// transformerNames is the function of that name, where names of the two families do not exclude each other.
func (c *Checkpoint) transformerNames(module string) []string {
	if c.Kind == SD3 {
		return transformerNames(module)
	}
	for own, theirs := range map[string]string{"x_embedder": "all_x_embedder.2-1", "final_layer": "all_final_layer.2-1"} {
		if rest, ok := strings.CutPrefix(module, own); ok && (rest == "" || rest[0] == '.') {
			return []string{theirs + rest}
		}
	}
	if zImageBlock.MatchString(module) {
		return transformerNames(module)
	}
	for _, start := range []string{"cap_embedder.", "t_embedder.", "all_x_embedder.", "all_final_layer.", "x_pad_token", "cap_pad_token"} {
		if strings.HasPrefix(module, start) {
			return []string{module}
		}
	}
	return nil
}
