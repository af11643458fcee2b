"""Reference of a training step whose text encoder learns, too: diffusers and peft -> text.json

    python text.py        (diffusers 0.42.1, peft 0.21.2, transformers 5.24.0, torch 2.12.1; one thread)

As draft.py, in float64, with LoRA on the attention of the text encoder as well; the prompts are encoded with recorded
gradients.
"""

import json
import os

import peft
import torch

import draft
from draft import HERE, PROMPTS, SEEDS, SIDE, DTYPE
from hashed import uniform, weight


def main():
    pipe, params = draft.load()
    peft.inject_adapter_in_model(peft.LoraConfig(
        r=draft.RANK, lora_alpha=draft.ALPHA, target_modules=["q_proj", "k_proj", "v_proj", "out_proj"]), pipe.text_encoder)
    pipe.text_encoder.to(DTYPE)
    for name, p in pipe.text_encoder.named_parameters():
        if "lora_" in name:
            key = name.replace(".default", "")
            key = "text_encoder." + (key if key.startswith("text_model.") else "text_model." + key)
            with torch.no_grad():
                p.copy_(weight("draft." + key, p.shape) * (1.0 if "lora_A" in key else 0.3))
            params[key] = p.requires_grad_(True)
    noise = [torch.randn(1, 4, SIDE // 2, SIDE // 2, generator=torch.Generator().manual_seed(s)) for s in SEEDS]
    latents = torch.cat(noise).to(DTYPE)
    base = (uniform("draft.base", (2, 3, SIDE, SIDE)).to(DTYPE) + 1) / 2
    mask = torch.zeros(2, 1, SIDE, SIDE, dtype=DTYPE)
    mask[0, :, 8:20, 4:30] = 1
    steps = []
    for k in (1, 2, draft.STEPS):
        context = torch.cat([draft.encode(pipe, [""] * 2), draft.encode(pipe, PROMPTS)])
        loss, r = draft.loss_of(pipe, latents, context, base, mask, k, "local")
        grads = torch.autograd.grad(loss, list(params.values()))
        steps.append({
            "backprop_steps": k, "norm": "local", "loss": loss.item(), "rewards": r,
            "gradients": {n: g.flatten().tolist()[:6] + [g.norm().item()] for n, g in zip(params, grads)},
        })
    with open(os.path.join(HERE, "text.json"), "w") as f:
        json.dump({"steps": steps, "losses": []}, f, indent=1)


if __name__ == "__main__":
    main()
