"""Reference of the sparse gradient and of the averaged weights: diffusers and PyTorch, in float64 -> sparse.json

    python sparse.py      (diffusers 0.42.1, peft 0.21.2, transformers 5.24.0, torch 2.11.0; one thread)

The model, the LoRA weights, base images, masks and rewards are those of draft.py. `coefficients` are what each
step's output counts in x_0, found by walking the scheduler with an output of one at that step and zero elsewhere.
`gradients` are of the loss with x_0 composed as

    x_0 = walk + sum over the learning steps of weight * coefficient * (output(x_i) - output(x_i) without gradient)

so that autograd, and no formula of ours, finds what reaches the LoRA weights. `average` is the loss of the moving
average of the LoRA weights after ten AdamW steps of draft.py, and `plain` that of the weights themselves.
"""

import json
import os

import torch

from draft import DTYPE, GUIDANCE, HERE, PROMPTS, REGION, SEEDS, SIDE, STEPS, WEIGHTS, encode, load, loss_of, region, rewards, uniform

LEARNING, SHARES = [0, 3, 4], [2.0, 2.0, 1.0]
DECAY = 0.6


def setting(pipe):
    context = torch.cat([encode(pipe, [""] * 2), encode(pipe, PROMPTS)]).detach()
    noise = [torch.randn(1, 4, SIDE // 2, SIDE // 2, generator=torch.Generator().manual_seed(s)) for s in SEEDS]
    base = (uniform("draft.base", (2, 3, SIDE, SIDE)).to(DTYPE) + 1) / 2
    mask = torch.zeros(2, 1, SIDE, SIDE, dtype=DTYPE)
    mask[0, :, 8:20, 4:30] = 1
    return torch.cat(noise).to(DTYPE), context, base, mask


def coefficients(pipe):
    pipe.scheduler.set_timesteps(STEPS)
    found = []
    for i in range(STEPS):
        x = torch.zeros(1, 1, 1, 1, dtype=DTYPE)
        for j, t in enumerate(pipe.scheduler.timesteps):
            x = pipe.scheduler.step(torch.full_like(x, float(i == j)), t, x).prev_sample
        found.append(x.item())
    return found


def sparse_loss(pipe, latents, context, base, mask, norm):
    counts = coefficients(pipe)

    def output(x, t):
        no, yes = pipe.unet(torch.cat([x] * 2), t, context).sample.chunk(2)
        return no + GUIDANCE * (yes - no)

    pipe.scheduler.set_timesteps(STEPS)
    x, states = latents, []
    with torch.no_grad():
        for t in pipe.scheduler.timesteps:
            states.append(x)
            x = pipe.scheduler.step(output(x, t), t, x).prev_sample
    for i, share in zip(LEARNING, SHARES):
        out = output(states[i], pipe.scheduler.timesteps[i])
        x = x + share * counts[i] * (out - out.detach())
    image = (pipe.vae.decode(x / pipe.vae.config.scaling_factor).sample / 2 + 0.5).clamp(0, 1)
    r = rewards(image)
    return -(sum(w * r[a] for a, w in WEIGHTS.items()) - REGION * region(norm, image, base, mask)).mean()


def main():
    pipe, params = load()
    latents, context, base, mask = setting(pipe)
    loss = sparse_loss(pipe, latents, context, base, mask, "local")
    grads = torch.autograd.grad(loss, list(params.values()))
    optimizer = torch.optim.AdamW(list(params.values()), lr=2e-2, betas=(0.9, 0.99), weight_decay=1e-2)
    average = [p.detach().clone() for p in params.values()]
    for n in range(1, 11):
        step, _ = loss_of(pipe, latents, context, base, mask, 2, "local")
        optimizer.zero_grad()
        step.backward()
        torch.nn.utils.clip_grad_norm_(list(params.values()), 1.0)
        optimizer.step()
        decay = min(DECAY, (1 + n) / (10 + n))
        for a, p in zip(average, params.values()):
            a.lerp_(p.detach(), 1 - decay)
    with torch.no_grad():
        plain, _ = loss_of(pipe, latents, context, base, mask, 0, "local")
        for a, p in zip(average, params.values()):
            p.copy_(a)
        averaged, _ = loss_of(pipe, latents, context, base, mask, 0, "local")
    with open(os.path.join(HERE, "sparse.json"), "w") as f:
        json.dump({
            "coefficients": coefficients(pipe), "steps": LEARNING, "weights": SHARES, "loss": loss.item(),
            "gradients": {n: g.flatten().tolist()[:6] + [g.norm().item()] for n, g in zip(params, grads)},
            "decay": DECAY, "plain": plain.item(), "average": averaged.item(),
        }, f, indent=1)


main()
