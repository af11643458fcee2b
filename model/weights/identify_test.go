package weights

import (
	"strings"
	"testing"
)

func TestIdentify(t *testing.T) {
	for keys, want := range map[string]string{
		"transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight":                                                                    "a LoRA for FLUX",
		"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight":                                                                            "a LoRA for FLUX",
		"lora_transformer_single_transformer_blocks_3_attn_to_k.alpha lora_transformer_single_transformer_blocks_3_attn_to_k.lora_up.weight": "a LoRA for FLUX",
		"transformer.transformer_blocks.0.attn.add_k_proj.lora_A.weight":                                                                     "a LoRA for Stable Diffusion 3",
		"diffusion_model.joint_blocks.0.x_block.attn.qkv.lora_A.weight":                                                                      "a LoRA for Stable Diffusion 3",
		"transformer_blocks.0.img_mlp.net.2.lora_A.weight transformer_blocks.0.attn.add_k_proj":                                              "a LoRA for Qwen-Image",
		"diffusion_model.blocks.0.cross_attn.k.lora_A.weight":                                                                                "a LoRA for Wan",
		"diffusion_model.layers.3.attention.to_q.lora_A.weight":                                                                              "a LoRA for Lumina 2 or Z-Image",
		"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight":                                                                     "a LoRA for a language model",
		"lora_prior_unet_down_blocks_0_1_channelwise_0.lora_up.weight":                                                                       "a LoRA for Stable Cascade",
		"lora_controlnet input_blocks.1.0.in_layers.2.up":                                                                                    "a Control-LoRA",
		"emb_params":    "a textual inversion embedding",
		"clip_l clip_g": "a textual inversion embedding",
		"image_proj.proj.weight ip_adapter.1.to_k_ip.weight":                 "an IP-Adapter",
		"control_model.input_blocks.0.0.weight":                              "a ControlNet",
		"double_blocks.0.img_attn.qkv.weight single_blocks.0.linear1.weight": "a diffusion transformer for FLUX",
		"encoder.conv_in.weight decoder.conv_in.weight":                      "a VAE",
		"down_blocks.0.resnets.0.conv1.weight":                               "a UNet",
		"text_model.encoder.layers.0.mlp.fc1.weight":                         "a text encoder",
		"prompts":        "the learned prompts of Q16",
		"something.else": "a file of an unknown kind",
	} {
		f := &File{}
		for _, key := range strings.Fields(keys) {
			f.Tensors = append(f.Tensors, Tensor{Key: key})
		}
		if got := Identify(f).String(); got != want {
			t.Errorf("%s: %s, want %s", keys, got, want)
		}
	}
	f := &File{Tensors: []Tensor{{Key: "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", Shape: []int64{320, 2048}}}}
	if got := Identify(f).String(); got != "a UNet for SDXL" {
		t.Errorf("by its shapes %s", got)
	}
}
