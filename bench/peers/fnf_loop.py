"""The peer of bench/loop: Focus-N-Fix in Python, on a scenes model folder that diffusers and peft open.

The first line is a JSON object of settings. Each further line is answered by one:

    alignprop N   CPU seconds of a step, of N: written as trl's AlignProp is. Base and tuned pictures are sampled
                  anew in each step; every denoising step is checkpointed, and those before the last K are detached
    cached N      the same for a loop that keeps base pictures and masks, as ours does, and records only the last K
    references N  CPU seconds of one reference: base picture, heatmap and mask
    judge FILE    how far score, heatmap and the score's gradient are from those in a safetensors file
    step FILE     how far the first step's loss and mean reward are from those in the file, without augmentation
    work 0        floating point operations, then bytes that operators read and write, of a step of alignprop and of
                  cached; 0 of a torch that cannot count
"""

import json
import resource
import sys
import time

import peft
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

ASPECTS = ["violence", "oversexualization", "artifacts"]


class ByteCounter(TorchDispatchMode):
    """Counts what operators read and write, each tensor once an operator and views for nothing: memory traffic if no
    operator found its input in a cache."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        read = [x for x in tree_leaves((args, kwargs or {})) if isinstance(x, torch.Tensor)]
        written = [x for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
        kept = {x.untyped_storage().data_ptr() for x in read}
        view = not func._schema.is_mutable and written and all(x.untyped_storage().data_ptr() in kept for x in written)
        if not view:
            self.bytes += sum(x.numel() * x.element_size() for x in read + written)
        return out


class Residual(nn.Module):
    def __init__(self, channels, out):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, channels, 1e-5), nn.Conv2d(channels, out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, out, 1e-5), nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Trunk(nn.Module):
    def __init__(self, w64, w32, w16, w8):
        super().__init__()
        self.stem = nn.Conv2d(3, w64, 5, stride=2, padding=2)
        widths = [w64, w32, w16, w8]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(widths, widths[1:]))
        self.blocks = nn.ModuleList(Residual(w, w) for w in [w32, w16, w8, w8])
        self.up_eighth, self.up_quarter = Residual(w8 + w16, w16), Residual(w16 + w32, w32)

    def forward(self, x):
        x, features = F.silu(self.stem(x)), []
        for down, block in zip(self.down, self.blocks):
            x = block(down(x))
            features.append(x)
        double = lambda y: F.interpolate(y, scale_factor=2.0)  # noqa: E731
        eighth = self.up_eighth(torch.cat([double(self.blocks[3](x)), features[1]], 1))
        return self.up_quarter(torch.cat([double(eighth), features[0]], 1)), eighth


class Judge(nn.Module):
    """model/scenes/judge_faults.go on the first kind of trunk."""

    def __init__(self, path, aspect):
        super().__init__()
        weights = {k: v.float() for k, v in load_file(path).items()}
        widths = [weights[f"trunk.{k}.weight"].shape[0] for k in ("stem", "down.0", "down.1", "down.2")]
        self.aspect, self.trunk = ASPECTS.index(aspect), Trunk(*widths)
        self.heat = nn.Conv2d(widths[1], 3, 1)
        self.score = nn.ModuleDict({"fc1": nn.Linear(2 * widths[2] + 3, 64), "fc2": nn.Linear(64, 3)})
        self.load_state_dict(weights)
        self.requires_grad_(False).eval()

    def logits(self, images):
        quarter, eighth = self.trunk(images * 2 - 1)
        heat = self.heat(quarter)
        pooled = torch.cat([eighth.mean((2, 3)), eighth.amax((2, 3)), heat.amax((2, 3))], 1)
        score = self.score["fc2"](F.silu(self.score["fc1"](pooled)))
        return score[:, self.aspect], heat[:, self.aspect : self.aspect + 1]

    def forward(self, images):
        return -F.softplus(self.logits(images)[0])

    def heatmap(self, images):
        heat = self.logits(images)[1].sigmoid()
        return F.interpolate(heat, size=images.shape[2:], mode="bilinear", align_corners=False)


def augment(x):
    """model/reward/augment.go."""
    size, (a, b, c, d) = x.shape[-1], torch.rand(4).tolist()
    side = size - int(0.1 * a * size)
    top, left = min(int(b * (size - side + 1)), size - side), min(int(c * (size - side + 1)), size - side)
    y = x[:, :, top : top + side, left : left + side]
    if side != size:
        y = F.interpolate(y, size=(size, size), mode="bilinear", align_corners=False)
    if d < 0.5:
        y = y.flip(3)
    return y + 0.02 * torch.randn_like(y)


def region(norm, image, base, mask):
    drift = (1 - mask) * (image - base)
    rms = drift.pow(2).mean((1, 2, 3))
    felt = (rms > 1e-10).float()
    if norm == "rms":
        return drift.flatten(1).norm(dim=1) / drift[0].numel() ** 0.5 * felt
    B, C, H, W = drift.shape
    cells = drift.reshape(B, C, H // 8, 8, W // 8, 8).permute(0, 2, 4, 1, 3, 5).reshape(B, -1, C * 64)
    cells = cells.norm(dim=2) / (C * 64) ** 0.5
    return cells.norm(4, dim=1) / cells.shape[1] ** 0.25 * felt


class Loop:
    def __init__(self, s):
        self.s = s
        self.pipe = StableDiffusionPipeline.from_pretrained(s["model"], safety_checker=None, torch_dtype=torch.float32)
        self.pipe.set_progress_bar_config(disable=True)
        for part in (self.pipe.unet, self.pipe.vae, self.pipe.text_encoder):
            part.requires_grad_(False).eval()
        targets = ["to_q", "to_k", "to_v", "to_out.0"]
        self.pipe.unet.add_adapter(peft.LoraConfig(r=s["rank"], lora_alpha=s["alpha"], target_modules=targets))
        self.params = [p for p in self.pipe.unet.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.params, lr=s["learning_rate"], betas=(0.9, 0.99), weight_decay=0.01)
        self.judge = Judge(s["model"] + "/judges/judge.safetensors", s["aspect"])
        self.pipe.scheduler.set_timesteps(s["num_steps"])
        self.kept, self.at = {}, 0

    def pairs(self):
        pool, batch = self.s["pool"], self.s["batch"]
        chosen = [pool[(self.at + i) % len(pool)] for i in range(batch)]
        self.at += batch
        return [p for p, _ in chosen], [seed for _, seed in chosen]

    @torch.no_grad()
    def begin(self, prompts, seeds):
        ids = self.pipe.tokenizer([""] * len(prompts) + prompts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        side = self.pipe.unet.config.sample_size
        shape = (1, self.pipe.unet.config.in_channels, side, side)
        noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return self.pipe.text_encoder(ids)[0], torch.cat(noise)

    def guided(self, latents, t, context):
        no, yes = self.pipe.unet(torch.cat([latents] * 2), t, encoder_hidden_states=context).sample.chunk(2)
        return no + self.s["guidance_scale"] * (yes - no)

    def advance(self, latents, t, output):
        return self.pipe.scheduler.step(output, t, latents).prev_sample

    def decode(self, latents):
        image = self.pipe.vae.decode(latents / self.pipe.vae.config.scaling_factor).sample
        return (image / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def reference(self, context, latents):
        self.pipe.unet.disable_adapters()
        for t in self.pipe.scheduler.timesteps:
            latents = self.advance(latents, t, self.guided(latents, t, context))
        self.pipe.unet.enable_adapters()
        base = self.decode(latents)
        mask = (self.judge.heatmap(base) > self.s["threshold"]).float()
        mask = mask * (mask.mean((1, 2, 3), keepdim=True) >= self.s["min_area"])
        n = self.s["dilate"]
        return base, F.max_pool2d(mask, 2 * n + 1, stride=1, padding=n)

    def update(self, image, base, mask, augmented=True):
        reward = self.judge(augment(image) if augmented else image)
        loss = (self.s["region_weight"] * region(self.s["norm"], image, base, mask) - self.s["weight"] * reward).mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.params, self.s["grad_clip"])
        self.optimizer.step()
        return loss.item(), reward.mean().item()

    def alignprop(self):
        context, noise = self.begin(*self.pairs())
        base, mask = self.reference(context, noise)
        latents, first = noise, self.s["num_steps"] - self.s["backprop_steps"]
        for i, t in enumerate(self.pipe.scheduler.timesteps):
            output = checkpoint(self.guided, latents, t, context, use_reentrant=False)
            if i < first:
                output = output.detach()
            latents = self.advance(latents, t, output)
        return self.update(self.decode(latents), base, mask)

    def cached(self, augmented=True):
        prompts, seeds = self.pairs()
        context, latents = self.begin(prompts, seeds)
        missing = [i for i in range(len(seeds)) if (prompts[i], seeds[i]) not in self.kept]
        for i in missing:
            both = self.reference(context[[i, i + len(seeds)]], latents[i : i + 1])
            self.kept[prompts[i], seeds[i]] = both
        base = torch.cat([self.kept[k][0] for k in zip(prompts, seeds)])
        mask = torch.cat([self.kept[k][1] for k in zip(prompts, seeds)])
        first = self.s["num_steps"] - self.s["backprop_steps"]
        for i, t in enumerate(self.pipe.scheduler.timesteps):
            with torch.set_grad_enabled(i >= first):
                latents = self.advance(latents, t, self.guided(latents, t, context))
        return self.update(self.decode(latents), base, mask, augmented)

    def references(self):
        prompts, seeds = self.pairs()
        context, latents = self.begin(prompts[:1], seeds[:1])
        self.reference(context, latents)

    def compare_judge(self, path):
        want = load_file(path)
        images = want["images"].requires_grad_(True)
        score = self.judge(images)
        grad = torch.autograd.grad(score.sum(), images)[0]
        heat = self.judge.heatmap(images.detach())
        return [(a - want[k]).abs().max().item() for k, a in (("score", score), ("heat", heat), ("grad", grad))]

    def compare_step(self, path):
        want = load_file(path)
        loss, reward = self.cached(augmented=False)
        self.at = 0
        return abs(loss - want["loss"].item()), abs(reward - want["reward"].item())


    def work(self):
        try:
            from torch.utils.flop_counter import FlopCounterMode
        except ImportError:
            return 0, 0, 0, 0
        flops, moved = [], []
        for step in (self.alignprop, self.cached):
            step()  # draws what is missing
            self.at = 0
            with FlopCounterMode(display=False) as counter, ByteCounter() as traffic:
                step()
            flops.append(counter.get_total_flops())
            moved.append(traffic.bytes)
            self.at = 0
        return *flops, *moved


def main():
    settings = json.loads(sys.stdin.readline())
    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    clock = time.perf_counter if settings["wall"] else time.process_time
    loop = Loop(settings)
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        what, argument = line.split()
        if what in ("judge", "step"):
            print(*(loop.compare_judge if what == "judge" else loop.compare_step)(argument), flush=True)
            continue
        if what == "work":
            print(*loop.work(), flush=True)
            continue
        one, n = getattr(loop, what), int(argument)
        start = clock()
        for _ in range(n):
            one()
        seconds = (clock() - start) / n
        print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)


main()
