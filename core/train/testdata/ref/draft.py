"""Reference of the training step: diffusers and peft, back-propagated by PyTorch -> draft.json

    python draft.py       (diffusers 0.42.1, peft 0.21.2, transformers 5.23.0, torch 2.15.0; one thread)

The model is model/sd/testdata/ref/sd1 in float64, so that only the method is compared and not the order
of float32 sums. LoRA weights, base picture, mask and reward are hashed from names or plain formulas
(model/nn/nntest/ref/hashed.py). `steps` has, for each number of recorded denoising steps and each norm of
the region term, the loss and every LoRA gradient; `losses` are those of ten AdamW steps.
"""

import json
import os
import sys

import peft
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../../../..")
sys.path.insert(0, os.path.join(ROOT, "model/nn/nntest/ref"))
from hashed import uniform, weight  # noqa: E402

torch.set_num_threads(1)
STEPS, GUIDANCE, RANK, ALPHA = 5, 3.0, 2, 4.0
PROMPTS, SEEDS = ["a chef in the park", "a red cat and a tree"], [7, 8]
WEIGHTS, REGION = {"bright": 1.0, "pattern": 0.5}, 12.0
SIDE = 32
DTYPE = torch.float64


def load():
    pipe = StableDiffusionPipeline.from_pretrained(os.path.join(ROOT, "model/sd/testdata/ref/sd1"), safety_checker=None)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    pipe.to(DTYPE)
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        part.requires_grad_(False)
    pipe.unet.add_adapter(peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    params = {}
    for name, p in pipe.unet.named_parameters():
        if "lora_" in name:
            key = name.replace(".default", "")
            with torch.no_grad():
                p.copy_(weight("draft." + key, p.shape) * (1.0 if "lora_A" in key else 0.3))
            params[key] = p.requires_grad_(True)
    return pipe, params


def encode(pipe, prompts):
    ids = pipe.tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    return pipe.text_encoder(ids)[0]


def draw(pipe, latents, context, k):
    """latents after all steps, with the gradient of the last k."""
    pipe.scheduler.set_timesteps(STEPS)
    for i, t in enumerate(pipe.scheduler.timesteps):
        with torch.set_grad_enabled(i >= STEPS - k):
            out = pipe.unet(torch.cat([latents] * 2), t, context).sample
            no, yes = out.chunk(2)
            latents = pipe.scheduler.step(no + GUIDANCE * (yes - no), t, latents).prev_sample
    return latents


def region(norm, image, base, mask):
    drift = (1 - mask) * (image - base)
    if norm == "frobenius":
        return drift.flatten(1).norm(dim=1)
    if norm == "rms":
        return drift.pow(2).mean((1, 2, 3)).clamp_min(1e-300).sqrt()
    cells = drift.unfold(2, 8, 8).unfold(3, 8, 8).pow(2).mean((1, 4, 5)).clamp_min(1e-300).sqrt()
    return cells.pow(4).mean((1, 2)).pow(0.25)


def rewards(image):
    pattern = uniform("draft.pattern", (3, SIDE, SIDE)).to(DTYPE)
    return {"bright": image.mean((1, 2, 3)), "pattern": (image * pattern).sum((1, 2, 3)).sigmoid()}


def loss_of(pipe, latents, context, base, mask, k, norm):
    x = draw(pipe, latents, context, k)
    image = (pipe.vae.decode(x / pipe.vae.config.scaling_factor).sample / 2 + 0.5).clamp(0, 1)
    r = rewards(image)
    objective = sum(w * r[a] for a, w in WEIGHTS.items()) - REGION * region(norm, image, base, mask)
    return -objective.mean(), {a: v.tolist() for a, v in r.items()}


def main():
    pipe, params = load()
    context = torch.cat([encode(pipe, [""] * 2), encode(pipe, PROMPTS)]).detach()
    noise = [torch.randn(1, 4, SIDE // 2, SIDE // 2, generator=torch.Generator().manual_seed(s)) for s in SEEDS]
    latents = torch.cat(noise).to(DTYPE)
    base = (uniform("draft.base", (2, 3, SIDE, SIDE)).to(DTYPE) + 1) / 2
    mask = torch.zeros(2, 1, SIDE, SIDE, dtype=DTYPE)
    mask[0, :, 8:20, 4:30] = 1  # the second picture has no fault
    steps = []
    for k in (1, 2, STEPS):
        for norm in ("rms", "frobenius", "local"):
            loss, r = loss_of(pipe, latents, context, base, mask, k, norm)
            grads = torch.autograd.grad(loss, list(params.values()))
            steps.append({
                "backprop_steps": k, "norm": norm, "loss": loss.item(), "rewards": r,
                "gradients": {n: g.flatten().tolist()[:6] + [g.norm().item()] for n, g in zip(params, grads)},
            })
    optimizer = torch.optim.AdamW(list(params.values()), lr=2e-2, betas=(0.9, 0.99), weight_decay=1e-2)
    losses = []
    for _ in range(10):
        loss, _ = loss_of(pipe, latents, context, base, mask, 2, "local")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(params.values()), 1.0)
        optimizer.step()
        losses.append(loss.item())
    with open(os.path.join(HERE, "draft.json"), "w") as f:
        json.dump({"steps": steps, "losses": losses}, f, indent=1)


if __name__ == "__main__":
    main()
