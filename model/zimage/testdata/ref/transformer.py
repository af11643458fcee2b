"""Reference outputs of diffusers' ZImageTransformer2DModel -> transformer.json, transformer.safetensors

    python transformer.py        (diffusers 0.42.1, peft 0.21.2, torch 2.12.1; float32 and, for gradients, float64; one thread)

Weights and inputs are hashed from their names (model/nn/nntest/ref/hashed.py), so only outputs are kept. `list` has
a digest of every parameter name and shape of Z-Image.
"""

import hashlib
import json
import os
import sys

import diffusers
import peft
import torch
from diffusers import ZImageTransformer2DModel
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../nn/nntest/ref"))
from hashed import fill, uniform  # noqa: E402

torch.set_num_threads(1)

SMALL = dict(
    in_channels=4, dim=48, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=20,
    axes_dims=[8, 8, 8], axes_lens=[128, 32, 32])
CONFIGS = {"normed": SMALL, "plain": SMALL | dict(qk_norm=False, n_refiner_layers=2)}

# (name, configuration, timestep, tokens of each caption, height, width)
CASES = [
    ("square", "normed", 0.3, [5], 16, 16),
    ("odd", "normed", 0.0, [7, 11], 6, 10),
    ("lengths", "normed", 0.85, [5, 40, 32], 8, 12),
    ("square", "plain", 0.5, [33], 16, 16),
]


def build(name):
    model = ZImageTransformer2DModel(**CONFIGS[name]).eval()
    return model, fill(model)


def inputs(name, lengths, height, width):
    c = CONFIGS[name]
    latents = uniform(f"{name}.latents", (len(lengths), c["in_channels"], height, width)) * 2
    captions = [uniform(f"{name}.caption{i}", (n, c["cap_feat_dim"])) for i, n in enumerate(lengths)]
    return latents, captions


def run(model, name, t, lengths, height, width, double=False):
    latents, captions = inputs(name, lengths, height, width)
    if double:
        latents, captions = latents.double(), [c.double() for c in captions]
    images = list(latents.unsqueeze(2).unbind(0))
    out = model(images, torch.tensor([t] * len(lengths)), captions).sample
    return torch.stack(out).squeeze(2)


def lora(tensors):
    """The gradient of the mean square of the output with respect to every LoRA matrix of attention and feed-forward, float64."""
    name = "normed"
    model, _ = build(name)
    model = model.double()
    model.requires_grad_(False)
    model.add_adapter(peft.LoraConfig(r=2, lora_alpha=3, target_modules=r".*\.(to_q|to_k|to_v|to_out\.0|w1|w2|w3)"))
    with torch.no_grad():
        for full, p in model.named_parameters():
            if "lora_" in full:
                p.data = uniform(full.replace(".default", ""), p.shape).double() * 0.1
    out = run(model, name, 0.0, [5, 9], 16, 16, double=True)  # at 0, whose sinusoids are exact
    out.square().mean().backward()
    tensors["lora.output"] = out.detach()
    grads = {f"grad.{n}".replace(".default", ""): p.grad for n, p in model.named_parameters() if "lora_" in n}
    tensors.update(grads)
    return dict(arch=name, rank=2, alpha=3, layers=len(grads) // 2)


def digest():
    with torch.device("meta"):
        model = ZImageTransformer2DModel()
    shapes = {k: list(v.shape) for k, v in model.state_dict().items()}
    text = "\n".join(f"{k} {shapes[k]}" for k in sorted(shapes))
    total = sum(int(torch.Size(s).numel()) for s in shapes.values())
    return dict(tensors=len(shapes), parameters=total, sha256=hashlib.sha256(text.encode()).hexdigest())


def main():
    tensors, cases, shapes = {}, [], {}
    with torch.no_grad():
        for case, name, t, lengths, height, width in CASES:
            model, shapes[name] = build(name)
            tensors[f"{name}_{case}"] = run(model, name, t, lengths, height, width)
            cases.append(dict(name=f"{name}_{case}", arch=name, timestep=t, lengths=lengths, height=height, width=width))
    facts = dict(
        made_with=dict(diffusers=diffusers.__version__, peft=peft.__version__, torch=torch.__version__),
        configs=CONFIGS, shapes=shapes, cases=cases, lora=lora(tensors), list=digest())
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(HERE, "transformer.safetensors"))
    with open(os.path.join(HERE, "transformer.json"), "w") as f:
        json.dump(facts, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
