"""Reference outputs of diffusers' SD3Transformer2DModel, plain and with peft's LoRA -> transformer.json, transformer.safetensors

    python transformer.py        (diffusers 0.42.1, peft 0.21.2, torch 2.12.1; float32 and, for gradients, float64; one thread)

Weights, the table of positions and inputs are hashed from their names (model/nn/nntest/ref/hashed.py), so only
outputs are kept. `list` has a digest of every parameter name and shape of SD3.5 medium.
"""

import hashlib
import json
import os
import sys

import diffusers
import peft
import torch
from diffusers import SD3Transformer2DModel
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../nn/nntest/ref"))
from hashed import fill, uniform, weight  # noqa: E402

torch.set_num_threads(1)

SMALL = dict(
    sample_size=16, patch_size=2, in_channels=4, out_channels=4, num_layers=3, attention_head_dim=8,
    num_attention_heads=4, joint_attention_dim=24, caption_projection_dim=32, pooled_projection_dim=20,
    pos_embed_max_size=12)

CONFIGS = {
    "sd3": SMALL,
    "sd35_large": SMALL | dict(qk_norm="rms_norm"),
    "sd35_medium": SMALL | dict(qk_norm="rms_norm", dual_attention_layers=[0, 1], pos_embed_max_size=15),
}

MEDIUM = dict(
    sample_size=128, patch_size=2, in_channels=16, num_layers=24, attention_head_dim=64, num_attention_heads=24,
    joint_attention_dim=4096, caption_projection_dim=1536, pooled_projection_dim=2048, out_channels=16,
    pos_embed_max_size=384, dual_attention_layers=list(range(13)), qk_norm="rms_norm")

CASES = [
    ("square", "sd3", 500.0, 2, 16, 16),
    ("odd", "sd3", 17.25, 1, 10, 22),
    ("square", "sd35_large", 981.5, 2, 16, 16),
    ("square", "sd35_medium", 500.0, 2, 16, 16),
    ("tall", "sd35_medium", 3.0, 3, 24, 6),
]


def build(name):
    model = SD3Transformer2DModel(**CONFIGS[name]).eval()
    shapes = fill(model)
    with torch.no_grad():
        table = model.pos_embed.pos_embed
        table.copy_(weight("pos_embed.pos_embed", table.shape))
    return model, shapes


def inputs(name, batch, height, width, tokens=7):
    c = CONFIGS[name]
    return dict(
        hidden_states=uniform(f"{name}.latents", (batch, c["in_channels"], height, width)) * 2,
        encoder_hidden_states=uniform(f"{name}.text", (batch, tokens, c["joint_attention_dim"])),
        pooled_projections=uniform(f"{name}.pooled", (batch, c["pooled_projection_dim"])))


def run(model, name, t, batch, height, width):
    return model(**inputs(name, batch, height, width), timestep=torch.tensor([t] * batch)).sample


def lora(tensors):
    """The gradient of the mean square of the output with respect to every LoRA matrix of attention and feed-forward, float64."""
    name = "sd35_medium"
    targets = r".*\.(to_q|to_k|to_v|to_out\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out|(ff|ff_context)\.net\.(0\.proj|2))"
    model, _ = build(name)
    model = model.double()
    model.requires_grad_(False)
    model.add_adapter(peft.LoraConfig(r=2, lora_alpha=3, target_modules=targets))
    with torch.no_grad():
        for full, p in model.named_parameters():
            if "lora_" in full:
                p.data = uniform(full.replace(".default", ""), p.shape).double() * 0.1
    batch = {k: v.double() for k, v in inputs(name, 2, 16, 16).items()}
    out = model(**batch, timestep=torch.zeros(2)).sample  # 0, whose sinusoids are exact
    out.square().mean().backward()
    tensors["lora.output"] = out.detach()
    grads = {"grad." + k.replace(".default", ""): p.grad for k, p in model.named_parameters() if "lora_" in k}
    keep = [k for k, g in grads.items() if g.abs().max() > 0]  # the last block's text queries are never read
    tensors.update({k: grads[k] for k in keep})
    return dict(arch=name, rank=2, alpha=3, layers=len(grads) // 2, kept=len(keep))


def digest(config):
    with torch.device("meta"):
        model = SD3Transformer2DModel(**config)
    shapes = {k: list(v.shape) for k, v in model.state_dict().items()}
    text = "\n".join(f"{k} {shapes[k]}" for k in sorted(shapes))
    total = sum(int(torch.Size(s).numel()) for s in shapes.values())
    return dict(config=config, tensors=len(shapes), parameters=total, sha256=hashlib.sha256(text.encode()).hexdigest())


def main():
    tensors, cases, shapes = {}, [], {}
    with torch.no_grad():
        for case, name, t, batch, height, width in CASES:
            model, shapes[name] = build(name)
            shapes[name]["pos_embed.pos_embed"] = list(model.pos_embed.pos_embed.shape)
            tensors[f"{name}_{case}"] = run(model, name, t, batch, height, width)
            cases.append(dict(name=f"{name}_{case}", arch=name, timestep=t, batch=batch, height=height, width=width))
    facts = dict(
        made_with=dict(diffusers=diffusers.__version__, peft=peft.__version__, torch=torch.__version__),
        configs=CONFIGS, shapes=shapes, cases=cases, lora=lora(tensors), list=digest(MEDIUM))
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(HERE, "transformer.safetensors"))
    with open(os.path.join(HERE, "transformer.json"), "w") as f:
        json.dump(facts, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
