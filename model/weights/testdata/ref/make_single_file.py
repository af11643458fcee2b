"""Makes the reference key lists of the single-file tests with diffusers' converters.

    python make_single_file.py

single_file.json.gz   for SD 1.5, SD 2.1 and SDXL at full size, on the meta device:
                      every key of the original layout with its shape, and for every
                      key of diffusers the one it comes from and its shape
openclip.safetensors  a tiny OpenCLIP text encoder with values, as "in." and as
                      diffusers converts it, as "out."
"""

import gzip
import json
import os
import re

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as sf
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

HERE = os.path.dirname(os.path.abspath(__file__))
DOWN = ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
UP = ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3
KINDS = {
    "SD 1": {
        "unet": dict(cross_attention_dim=768, attention_head_dim=8),
        "text": [(CLIPTextModel, dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12))],
    },
    "SD 2": {
        "unet": dict(cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True),
        "text": [(CLIPTextModel, dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23))],
    },
    "SDXL": {
        "unet": dict(
            cross_attention_dim=2048,
            attention_head_dim=[5, 10, 20],
            use_linear_projection=True,
            block_out_channels=(320, 640, 1280),
            down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            transformer_layers_per_block=[1, 2, 10],
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        ),
        "text": [
            (CLIPTextModel, dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12)),
            (
                CLIPTextModelWithProjection,
                dict(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, projection_dim=1280),
            ),
        ],
    },
}


def ldm_unet(name, layout):
    """The original's name of a diffusers UNet tensor: our reading of its source."""
    tops = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    for new, old in tops.items():
        if name.startswith(new + "."):
            return old + name[len(new) :]
    resnet = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
              "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}  # fmt: skip
    side, rest = name.split(".", 1)
    if side == "mid_block":
        kind, number, rest = rest.split(".", 2)
        place = "middle_block.1" if kind == "attentions" else f"middle_block.{2 * int(number)}"
    else:
        block, kind, number, rest = rest.split(".", 3)
        at = 3 * int(block) + int(number) + (side == "down_blocks")
        blocks = "input_blocks" if side == "down_blocks" else "output_blocks"
        if kind == "downsamplers":
            return f"input_blocks.{3 * int(block) + 3}.0.op.{rest.split('.', 1)[1]}"
        if kind == "upsamplers":
            after = 2 if "CrossAttn" in layout["up_block_types"][int(block)] else 1
            return f"output_blocks.{3 * int(block) + 2}.{after}.{rest}"
        place = f"{blocks}.{at}.{'01'[kind == 'attentions']}"
    if kind == "resnets":
        part, rest = rest.split(".", 1)
        rest = resnet[part] + "." + rest
    return f"{place}.{rest}"


def ldm_vae(name):
    name = re.sub(r"decoder\.up_blocks\.(\d)", lambda m: f"decoder.up.{3 - int(m[1])}", name)
    for new, old in [
        ("encoder.down_blocks.", "encoder.down."), ("resnets", "block"), ("downsamplers.0", "downsample"),
        ("upsamplers.0", "upsample"), ("conv_shortcut", "nin_shortcut"), ("mid_block.block.0", "mid.block_1"),
        ("mid_block.block.1", "mid.block_2"), ("mid_block.attentions.0", "mid.attn_1"), ("group_norm", "norm"),
        ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"), ("conv_norm_out", "norm_out"),
    ]:  # fmt: skip
        name = name.replace(new, old)
    return name


def openclip(width, inner, layers, words, positions, zeros=torch.zeros):
    """The keys of OpenCLIP's text tower."""
    state = {
        "positional_embedding": zeros(positions, width),
        "text_projection": zeros(width, width),
        "logit_scale": zeros(()),
        "token_embedding.weight": zeros(words, width),
        "ln_final.weight": zeros(width),
        "ln_final.bias": zeros(width),
    }
    for i in range(layers):
        for name, shape in {
            "ln_1.weight": [width], "ln_1.bias": [width], "ln_2.weight": [width], "ln_2.bias": [width],
            "attn.in_proj_weight": [3 * width, width], "attn.in_proj_bias": [3 * width],
            "attn.out_proj.weight": [width, width], "attn.out_proj.bias": [width],
            "mlp.c_fc.weight": [inner, width], "mlp.c_fc.bias": [inner],
            "mlp.c_proj.weight": [width, inner], "mlp.c_proj.bias": [width],
        }.items():  # fmt: skip
            state[f"transformer.resblocks.{i}.{name}"] = zeros(*shape)
    return state


def with_wrapper(state):
    """transformers 5.6 dropped the text_model. of CLIPTextModel; published files have it."""
    return {k if k.startswith(("text_model.", "text_projection.")) else "text_model." + k: v for k, v in state.items()}


def full_size(kind, spec):
    meta = lambda *shape: torch.zeros(*shape, device="meta")
    config = dict(sample_size=64, in_channels=4, out_channels=4, layers_per_block=2, down_block_types=DOWN, up_block_types=UP)
    config |= {"block_out_channels": (320, 640, 1280, 1280)} | spec["unet"]
    with init_empty_weights():
        unet = UNet2DConditionModel(**config)
        vae = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        )  # fmt: skip
        texts = [cls(CLIPTextConfig(vocab_size=49408, max_position_embeddings=77, **c)) for cls, c in spec["text"]]

    single = {}
    for name, tensor in unet.state_dict().items():
        single["model.diffusion_model." + ldm_unet(name, config)] = tensor
    for name, tensor in vae.state_dict().items():
        conv = "attentions" in name and tensor.ndim == 2
        single["first_stage_model." + ldm_vae(name)] = meta(*tensor.shape, 1, 1) if conv else tensor
    first = with_wrapper(texts[0].state_dict())
    if kind == "SD 2":
        single |= {"cond_stage_model.model." + k: v for k, v in openclip(1024, 4096, 24, 49408, 77, meta).items()}
    else:
        prefix = "cond_stage_model." if kind == "SD 1" else "conditioner.embedders.0."
        single |= {prefix + "transformer." + k: v for k, v in first.items()}
        single[prefix + "transformer.text_model.embeddings.position_ids"] = meta(1, 77)
    if kind == "SDXL":
        second = openclip(1280, 5120, 32, 49408, 77, meta)
        single |= {"conditioner.embedders.1.model." + k: v for k, v in second.items()}

    # Every tensor holds its own number, without memory of its size, so that the
    # converted ones tell where they came from.
    number = lambda i, t: torch.tensor(i, dtype=torch.int16).expand(t.shape)
    keys = list(single)
    single = {k: number(i, t) for i, (k, t) in enumerate(single.items())}
    parts = {
        "unet": sf.convert_ldm_unet_checkpoint(dict(single), unet.config),
        "vae": sf.convert_ldm_vae_checkpoint(dict(single), vae.config),
    }
    wanted = {"unet": unet.state_dict(), "vae": vae.state_dict(), "text_encoder": first}
    if kind == "SD 2":
        parts["text_encoder"] = sf.convert_open_clip_checkpoint(texts[0], dict(single), "cond_stage_model.model.")
    else:
        parts["text_encoder"] = sf.convert_ldm_clip_checkpoint(dict(single))
        parts["text_encoder"].pop("text_model.embeddings.position_ids")
    if kind == "SDXL":
        parts["text_encoder_2"] = sf.convert_open_clip_checkpoint(texts[1], dict(single), "conditioner.embedders.1.model.")
        wanted["text_encoder_2"] = texts[1].state_dict()
    shapes = lambda state: {k: list(v.shape) for k, v in state.items()}
    for part, state in parts.items():  # the converted keys are exactly those of the model
        assert shapes(state) == shapes(wanted[part]), (kind, part)
    inferred = {"SD 1": "v1", "SD 2": "v2", "SDXL": "xl_base"}[kind]
    assert sf.infer_diffusers_model_type(single) == inferred
    origin = lambda state: {k: {"from": keys[int(v.flatten()[0])], "shape": list(v.shape)} for k, v in state.items()}
    return {"single": shapes(single), "parts": {part: origin(state) for part, state in parts.items()}}


def tiny_openclip():
    torch.manual_seed(3)
    state = openclip(8, 12, 2, 10, 6, lambda *shape: torch.randn(*shape) if shape != ((),) else torch.tensor(1.0))
    state = {"conditioner.embedders.1.model." + k: v for k, v in state.items()}
    model = CLIPTextModelWithProjection(
        CLIPTextConfig(vocab_size=10, max_position_embeddings=6, hidden_size=8, intermediate_size=12,
                       num_hidden_layers=2, num_attention_heads=2, projection_dim=8)  # fmt: skip
    )
    out = sf.convert_open_clip_checkpoint(model, dict(state), "conditioner.embedders.1.model.")
    tensors = {"in." + k: v for k, v in state.items()} | {"out." + k: v for k, v in out.items()}
    save_file({k: v.clone().contiguous() for k, v in tensors.items()}, os.path.join(HERE, "openclip.safetensors"))


made = f"diffusers {diffusers.__version__}, transformers {transformers.__version__}, torch {torch.__version__}"
out = {"made_with": made, "kinds": {kind: full_size(kind, spec) for kind, spec in KINDS.items()}}
with open(os.path.join(HERE, "single_file.json.gz"), "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
    z.write(json.dumps(out, separators=(",", ":")).encode())
tiny_openclip()
os.chmod(os.path.join(HERE, "openclip.safetensors"), 0o644)
print(made, {kind: len(v["single"]) for kind, v in out["kinds"].items()})
