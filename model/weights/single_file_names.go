package weights

import (
	"fmt"
	"strings"
	"sync"
)

// renaming says that a part of a tensor's name is called ldm in the layout of the
// original programs (latent-diffusion, generative-models) and diffusers in ours.
type renaming struct{ ldm, diffusers string }

// The UNet's blocks are numbered through in the original and nested in diffusers:
// input block 3B+L+1 is layer L of down block B, output block 3B+L is layer L of up
// block B; each holds a resnet, then an attention, then an up- or downsampler.
var unetBlocks = sync.OnceValue(func() []renaming {
	list := []renaming{
		{"time_embed.0", "time_embedding.linear_1"},
		{"time_embed.2", "time_embedding.linear_2"},
		{"label_emb.0.0", "add_embedding.linear_1"},
		{"label_emb.0.2", "add_embedding.linear_2"},
		{"input_blocks.0.0", "conv_in"},
		{"middle_block.0", "mid_block.resnets.0"},
		{"middle_block.1", "mid_block.attentions.0"},
		{"middle_block.2", "mid_block.resnets.1"},
		{"out.0", "conv_norm_out"},
		{"out.2", "conv_out"},
	}
	add := func(ldm, diffusers string) { list = append(list, renaming{ldm, diffusers}) }
	for block := range 4 {
		for layer := range 3 {
			in, out := 3*block+layer+1, 3*block+layer
			if layer < 2 {
				add(fmt.Sprintf("input_blocks.%d.0", in), fmt.Sprintf("down_blocks.%d.resnets.%d", block, layer))
				add(fmt.Sprintf("input_blocks.%d.1", in), fmt.Sprintf("down_blocks.%d.attentions.%d", block, layer))
			} else {
				add(fmt.Sprintf("input_blocks.%d.0.op", in), fmt.Sprintf("down_blocks.%d.downsamplers.0.conv", block))
				// It follows the attention, if the block has any.
				add(fmt.Sprintf("output_blocks.%d.1.conv", out), fmt.Sprintf("up_blocks.%d.upsamplers.0.conv", block))
				add(fmt.Sprintf("output_blocks.%d.2.conv", out), fmt.Sprintf("up_blocks.%d.upsamplers.0.conv", block))
			}
			add(fmt.Sprintf("output_blocks.%d.0", out), fmt.Sprintf("up_blocks.%d.resnets.%d", block, layer))
			add(fmt.Sprintf("output_blocks.%d.1", out), fmt.Sprintf("up_blocks.%d.attentions.%d", block, layer))
		}
	}
	return list
})

// unetResnet are the names inside a resnet of the UNet.
var unetResnet = []renaming{
	{"in_layers.0", "norm1"},
	{"in_layers.2", "conv1"},
	{"emb_layers.1", "time_emb_proj"},
	{"out_layers.0", "norm2"},
	{"out_layers.3", "conv2"},
	{"skip_connection", "conv_shortcut"},
}

// vaeBlocks are the VAE's; the original counts the decoder's blocks from the end.
var vaeBlocks = sync.OnceValue(func() []renaming {
	list := []renaming{
		{"quant_conv", "quant_conv"},
		{"post_quant_conv", "post_quant_conv"},
	}
	for _, side := range []string{"encoder.", "decoder."} {
		for _, r := range []renaming{
			{"conv_in", "conv_in"},
			{"conv_out", "conv_out"},
			{"norm_out", "conv_norm_out"},
			{"mid.block_1", "mid_block.resnets.0"},
			{"mid.block_2", "mid_block.resnets.1"},
			{"mid.attn_1.norm", "mid_block.attentions.0.group_norm"},
			{"mid.attn_1.q", "mid_block.attentions.0.to_q"},
			{"mid.attn_1.k", "mid_block.attentions.0.to_k"},
			{"mid.attn_1.v", "mid_block.attentions.0.to_v"},
			{"mid.attn_1.proj_out", "mid_block.attentions.0.to_out.0"},
		} {
			list = append(list, renaming{side + r.ldm, side + r.diffusers})
		}
	}
	add := func(ldm, diffusers string) { list = append(list, renaming{ldm, diffusers}) }
	for block := range 4 {
		for layer := range 3 {
			add(fmt.Sprintf("encoder.down.%d.block.%d", block, layer), fmt.Sprintf("encoder.down_blocks.%d.resnets.%d", block, layer))
			add(fmt.Sprintf("decoder.up.%d.block.%d", 3-block, layer), fmt.Sprintf("decoder.up_blocks.%d.resnets.%d", block, layer))
		}
		add(fmt.Sprintf("encoder.down.%d.downsample.conv", block), fmt.Sprintf("encoder.down_blocks.%d.downsamplers.0.conv", block))
		add(fmt.Sprintf("decoder.up.%d.upsample.conv", 3-block), fmt.Sprintf("decoder.up_blocks.%d.upsamplers.0.conv", block))
	}
	return list
})

// vaeResnet are the names inside a resnet of the VAE that differ.
var vaeResnet = []renaming{{"nin_shortcut", "conv_shortcut"}}

// openCLIPTower is how OpenCLIP names one of its encoders. The fused in_proj is not among the names.
type openCLIPTower struct {
	top        []renaming
	layers     renaming
	transposed string // the projection, stored as [in,out]
}

// The text encoder, which SD 2 and the second encoder of SDXL come from, and the image's, without
// its "visual.".
var (
	openCLIPText = openCLIPTower{
		top: []renaming{
			{"token_embedding.weight", "text_model.embeddings.token_embedding.weight"},
			{"positional_embedding", "text_model.embeddings.position_embedding.weight"},
			{"ln_final", "text_model.final_layer_norm"},
			{"text_projection", "text_projection.weight"},
		},
		layers:     renaming{"transformer.resblocks", "text_model.encoder.layers"},
		transposed: "text_projection",
	}
	openCLIPVision = openCLIPTower{
		top: []renaming{
			{"class_embedding", "vision_model.embeddings.class_embedding"},
			{"conv1", "vision_model.embeddings.patch_embedding"},
			{"positional_embedding", "vision_model.embeddings.position_embedding.weight"},
			{"ln_pre", "vision_model.pre_layrnorm"},
			{"ln_post", "vision_model.post_layernorm"},
			{"proj", "visual_projection.weight"},
		},
		layers:     renaming{"transformer.resblocks", "vision_model.encoder.layers"},
		transposed: "proj",
	}
	openCLIPLayer = []renaming{
		{"ln_1", "layer_norm1"},
		{"ln_2", "layer_norm2"},
		{"mlp.c_fc", "mlp.fc1"},
		{"mlp.c_proj", "mlp.fc2"},
		{"attn.out_proj", "self_attn.out_proj"},
	}
)

// swap replaces the longest beginning of name, up to a dot or its end, that from
// finds in a renaming, and returns the rest without its dot.
func swap(name string, list []renaming, from, to func(renaming) string) (start, rest string, ok bool) {
	longest := -1
	for _, r := range list {
		old := from(r)
		tail, found := strings.CutPrefix(name, old)
		if found && len(old) > longest && (tail == "" || tail[0] == '.') {
			start, rest, ok, longest = to(r), strings.TrimPrefix(tail, "."), true, len(old)
		}
	}
	return start, rest, ok
}

func ldmName(r renaming) string       { return r.ldm }
func diffusersName(r renaming) string { return r.diffusers }

// join glues the two parts of a name.
func join(start, rest string) string {
	if rest == "" {
		return start
	}
	return start + "." + rest
}

// inner renames what stands inside a block and leaves names that do not differ.
func inner(name string, list []renaming, from, to func(renaming) string) string {
	if start, rest, ok := swap(name, list, from, to); ok {
		return join(start, rest)
	}
	return name
}

// unetFromLDM turns the name of a UNet tensor or module, without model.diffusion_model,
// into diffusers' name.
func unetFromLDM(name string) (string, bool) {
	start, rest, ok := swap(name, unetBlocks(), ldmName, diffusersName)
	if strings.Contains(start, ".resnets.") {
		rest = inner(rest, unetResnet, ldmName, diffusersName)
	}
	return join(start, rest), ok
}

// unetToLDM is the way back. attentionInUp says whether an up block has attention.
func unetToLDM(name string, attentionInUp func(block string) bool) (string, bool) {
	start, rest, ok := swap(name, unetBlocks(), diffusersName, ldmName)
	if block, found := strings.CutSuffix(start, ".1.conv"); found && attentionInUp(strings.Join(strings.Split(name, ".")[:2], ".")) {
		start = block + ".2.conv"
	}
	if strings.Contains(name, ".resnets.") {
		rest = inner(rest, unetResnet, diffusersName, ldmName)
	}
	return join(start, rest), ok
}

// vaeName renames a VAE tensor in either direction.
func vaeName(name string, from, to func(renaming) string) (string, bool) {
	start, rest, ok := swap(name, vaeBlocks(), from, to)
	return join(start, inner(rest, vaeResnet, from, to)), ok
}

// rename renames a tensor of OpenCLIP's encoder in either direction.
func (o openCLIPTower) rename(name string, from, to func(renaming) string) (string, bool) {
	if start, rest, ok := swap(name, o.top, from, to); ok {
		return join(start, rest), true
	}
	rest, ok := strings.CutPrefix(name, from(o.layers)+".")
	if !ok {
		return name, false
	}
	number, rest, _ := strings.Cut(rest, ".")
	start, rest, ok := swap(rest, openCLIPLayer, from, to)
	return join(to(o.layers)+"."+number+"."+start, rest), ok
}
