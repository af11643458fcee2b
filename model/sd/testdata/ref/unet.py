"""Reference outputs of diffusers' UNet2DConditionModel, plain and with peft's LoRA -> unet.json, unet.safetensors

    python unet.py        (diffusers 0.42.1, peft 0.21.2, transformers 5.23.0, torch 2.15.0; float32, one thread)

Weights and inputs are hashed from their names (model/nn/nntest/ref/hashed.py), so only outputs are kept.
Three small architectures have the shape of SD 1.x, SD 2.x and SDXL; `lists` has a digest of every parameter
name and shape of the full-size models.
"""

import hashlib
import json
import os
import sys

import diffusers
import peft
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import Timesteps
from diffusers.models.resnet import Downsample2D, ResnetBlock2D, Upsample2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../nn/nntest/ref"))
from hashed import fill, uniform, weight  # noqa: E402

torch.set_num_threads(1)

CROSS, PLAIN_D, PLAIN_U = "CrossAttnDownBlock2D", "DownBlock2D", "UpBlock2D"
CROSS_U = "CrossAttnUpBlock2D"

TINY = {
    "sd1": dict(
        sample_size=16, block_out_channels=[32, 64, 64], layers_per_block=2, norm_num_groups=8,
        down_block_types=[CROSS, CROSS, PLAIN_D], up_block_types=[PLAIN_U, CROSS_U, CROSS_U],
        cross_attention_dim=24, attention_head_dim=8),
    "sd2": dict(
        sample_size=16, block_out_channels=[32, 64, 64], layers_per_block=2, norm_num_groups=8,
        down_block_types=[CROSS, CROSS, PLAIN_D], up_block_types=[PLAIN_U, CROSS_U, CROSS_U],
        cross_attention_dim=24, attention_head_dim=[2, 4, 4], use_linear_projection=True, upcast_attention=True),
    "sdxl": dict(
        sample_size=16, block_out_channels=[32, 64, 64], layers_per_block=2, norm_num_groups=8,
        down_block_types=[PLAIN_D, CROSS, CROSS], up_block_types=[CROSS_U, CROSS_U, PLAIN_U],
        cross_attention_dim=40, attention_head_dim=[2, 4, 8], use_linear_projection=True,
        transformer_layers_per_block=[1, 2, 3], addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 20),
    # one layer a level and attention on every level: the shape of the shipped default
    "small": dict(
        sample_size=16, block_out_channels=[24, 48, 96], layers_per_block=1, norm_num_groups=8,
        down_block_types=[CROSS, CROSS, CROSS], up_block_types=[CROSS_U, CROSS_U, CROSS_U],
        cross_attention_dim=32, attention_head_dim=4),
}

FULL = {
    "sd15": dict(
        act_fn="silu", attention_head_dim=8, block_out_channels=[320, 640, 1280, 1280], center_input_sample=False,
        cross_attention_dim=768, down_block_types=[CROSS, CROSS, CROSS, PLAIN_D], downsample_padding=1,
        flip_sin_to_cos=True, freq_shift=0, in_channels=4, layers_per_block=2, mid_block_scale_factor=1,
        norm_eps=1e-05, norm_num_groups=32, out_channels=4, sample_size=64,
        up_block_types=[PLAIN_U, CROSS_U, CROSS_U, CROSS_U]),
    "sd21": dict(
        act_fn="silu", attention_head_dim=[5, 10, 20, 20], block_out_channels=[320, 640, 1280, 1280],
        center_input_sample=False, cross_attention_dim=1024, down_block_types=[CROSS, CROSS, CROSS, PLAIN_D],
        downsample_padding=1, dual_cross_attention=False, flip_sin_to_cos=True, freq_shift=0, in_channels=4,
        layers_per_block=2, mid_block_scale_factor=1, norm_eps=1e-05, norm_num_groups=32, num_class_embeds=None,
        only_cross_attention=False, out_channels=4, sample_size=96,
        up_block_types=[PLAIN_U, CROSS_U, CROSS_U, CROSS_U], upcast_attention=True, use_linear_projection=True),
    "sdxl": dict(
        act_fn="silu", addition_embed_type="text_time", addition_embed_type_num_heads=64,
        addition_time_embed_dim=256, attention_head_dim=[5, 10, 20], block_out_channels=[320, 640, 1280],
        center_input_sample=False, class_embed_type=None, class_embeddings_concat=False, conv_in_kernel=3,
        conv_out_kernel=3, cross_attention_dim=2048, cross_attention_norm=None,
        down_block_types=[PLAIN_D, CROSS, CROSS], downsample_padding=1, dual_cross_attention=False,
        encoder_hid_dim=None, encoder_hid_dim_type=None, flip_sin_to_cos=True, freq_shift=0, in_channels=4,
        layers_per_block=2, mid_block_only_cross_attention=None, mid_block_scale_factor=1,
        mid_block_type="UNetMidBlock2DCrossAttn", norm_eps=1e-05, norm_num_groups=32, num_attention_heads=None,
        num_class_embeds=None, only_cross_attention=False, out_channels=4,
        projection_class_embeddings_input_dim=2816, resnet_out_scale_factor=1.0, resnet_skip_time_act=False,
        resnet_time_scale_shift="default", sample_size=128, time_cond_proj_dim=None, time_embedding_act_fn=None,
        time_embedding_dim=None, time_embedding_type="positional", timestep_post_act=None,
        transformer_layers_per_block=[1, 2, 10], up_block_types=[CROSS_U, CROSS_U, PLAIN_U],
        upcast_attention=None, use_linear_projection=True),
}

# what each of our LoRA target groups is called in a UNet of diffusers
TARGETS = {
    "attention": r".*\.(to_q|to_k|to_v|to_out\.0)",
    "feedforward": r".*\.(ff\.net\.0\.proj|ff\.net\.2|proj_in|proj_out)",
    "convolution": r".*\.(conv1|conv2|conv_shortcut|conv)",
    "time": r"(time_embedding|add_embedding)\.linear_[12]|.*\.time_emb_proj",
}
TARGETS["all"] = "|".join(f"({t})" for t in TARGETS.values())


def inputs(name, config, batch, height, width, tokens=7):
    text = uniform(f"{name}.text", (batch, tokens, config["cross_attention_dim"]))
    latents = uniform(f"{name}.latents", (batch, 4, height, width)) * 2
    added = None
    if config.get("addition_embed_type") == "text_time":
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        added = dict(
            text_embeds=uniform(f"{name}.pooled", (batch, pooled)),
            time_ids=torch.tensor([[128.0, 96.0, 4.0, 8.0, 128.0, 128.0]] * batch))
    return latents, text, added


def build(name):
    unet = UNet2DConditionModel(**TINY[name]).eval()
    return unet, fill(unet)


def run(unet, name, t, batch=2, height=16, width=16):
    latents, text, added = inputs(name, TINY[name], batch, height, width)
    return unet(latents, torch.tensor(t), text, added_cond_kwargs=added).sample


def plain_cases(tensors):
    cases = []
    for name in TINY:
        unet, shapes = build(name)
        # odd sizes make diffusers force the upsampled size to that of the skip connection
        for label, t, b, h, w in [("", 500, 2, 16, 16), ("_first", 1, 1, 16, 16), ("_odd", 981, 1, 10, 14)]:
            with torch.no_grad():
                tensors[f"{name}{label}"] = run(unet, name, t, b, h, w)
            cases.append(dict(name=name + label, inputs=name, arch=name, timestep=t, batch=b, height=h, width=w))
        cases[-3]["shapes"] = shapes
    return cases


def lora_cases(tensors):
    cases = []
    for name, group, rank, alpha in [
        ("sd1", "attention", 4, 4), ("sd1", "all", 3, 6), ("sd2", "feedforward", 2, 1),
        ("sdxl", "all", 2, 4), ("small", "convolution", 2, 2), ("small", "time", 2, 2)]:
        unet, _ = build(name)
        unet.add_adapter(peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=TARGETS[group]))
        layers = {}
        with torch.no_grad():
            for key, p in unet.named_parameters():
                if "lora_" in key:
                    clean = key.replace(".default", "").replace(".base_layer", "")
                    p.copy_(weight(f"{name}.{clean}", p.shape) * 0.5)
                    layers[clean] = p
        label = f"{name}_lora_{group}"
        out = run(unet, name, 500)
        tensors[label] = out.detach()
        loss = (out * uniform(f"{label}.cotangent", out.shape)).sum()
        grads = torch.autograd.grad(loss, list(layers.values()))
        for i, (clean, g) in enumerate(zip(layers, grads)):
            if group != "all" or i // 2 % 5 == 0:  # every fifth layer of the large cases, to keep the file small
                tensors[f"{label}.grad.{clean}"] = g
        for module in unet.modules():
            if isinstance(module, peft.tuners.tuners_utils.BaseTunerLayer):
                module.scale_layer(0.5)
        with torch.no_grad():
            tensors[f"{label}_half"] = run(unet, name, 500)
        cases.append(dict(name=label, arch=name, targets=group, rank=rank, alpha=alpha, layers=len(layers) // 2))
    return cases


def layer_cases(tensors):
    """Single layers, in the order of model/sd's files."""
    temb, text = uniform("temb", (2, 48)), uniform("text", (2, 5, 20))
    x = uniform("x", (2, 32, 8, 6)) * 2
    with torch.no_grad():
        for name, cin, cout in [("resnet_same", 32, 32), ("resnet_wider", 32, 48)]:
            m = ResnetBlock2D(in_channels=cin, out_channels=cout, temb_channels=48, groups=8, eps=1e-5).eval()
            fill(m, name + ".")
            tensors[name] = m(x, temb)
        m = ResnetBlock2D(in_channels=32, temb_channels=None, groups=8, eps=1e-6).eval()
        fill(m, "resnet_no_time.")
        tensors["resnet_no_time"] = m(x, None)
        for name, linear, depth in [("transformer_conv", False, 1), ("transformer_linear", True, 2)]:
            m = Transformer2DModel(
                num_attention_heads=4, attention_head_dim=8, in_channels=32, num_layers=depth, cross_attention_dim=20,
                norm_num_groups=8, use_linear_projection=linear).eval()
            fill(m, name + ".")
            tensors[name] = m(x / 100, encoder_hidden_states=text).sample  # small, so that the norm's eps counts
        m = BasicTransformerBlock(32, 4, 8, cross_attention_dim=20).eval()
        fill(m, "block.")
        tensors["block"] = m(uniform("tokens", (2, 9, 32)) / 100, encoder_hidden_states=text)
        m = Downsample2D(32, use_conv=True, out_channels=40, padding=1, name="op")
        fill(m, "down.")
        tensors["down"] = m(x)
        m = Upsample2D(32, use_conv=True, out_channels=40)
        fill(m, "up.")
        tensors["up"] = m(x)
        tensors["up_to_15x11"] = m(x, output_size=(15, 11))
        t = torch.tensor([0.0, 1.0, 333.25, 999.0])
        tensors["timesteps_32"] = Timesteps(32, flip_sin_to_cos=True, downscale_freq_shift=0)(t)
        tensors["timesteps_10_unflipped_shift1"] = Timesteps(10, flip_sin_to_cos=False, downscale_freq_shift=1)(t)


def parameter_lists():
    lists = {}
    for name, config in FULL.items():
        with torch.device("meta"):
            unet = UNet2DConditionModel(**config)
        lines = sorted(f"{k} {list(p.shape)}" for k, p in unet.named_parameters())
        lists[name] = dict(
            config=config, tensors=len(lines), parameters=sum(p.numel() for p in unet.parameters()),
            sha256=hashlib.sha256("\n".join(lines).encode()).hexdigest())
    return lists


def main():
    tensors = {}
    meta = dict(
        versions=dict(diffusers=diffusers.__version__, peft=peft.__version__, torch=torch.__version__),
        configs=TINY, unet=plain_cases(tensors), lora=lora_cases(tensors), lists=parameter_lists())
    layer_cases(tensors)
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(HERE, "unet.safetensors"))
    with open(os.path.join(HERE, "unet.json"), "w") as f:
        json.dump(meta, f, separators=(",", ":"))
        f.write("\n")
    for name in ["unet.json", "unet.safetensors"]:
        print(name, os.path.getsize(os.path.join(HERE, name)), "bytes")
    for name in [c["name"] for c in meta["unet"] + meta["lora"]]:
        print(name, list(tensors[name].shape), "absmax %.3f std %.3f" % (tensors[name].abs().max(), tensors[name].std()))


main()
