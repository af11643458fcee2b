"""The method in plain PyTorch, as a peer for bench/gpu.sh on a machine that has torch and nothing else.

    python draft.py FOLDER [--size 512] [--batch 4] [--steps 2] [--num-steps 50] [--k 2] [--rank 64] [--device cuda]

FOLDER is a diffusers folder of Stable Diffusion 1.x, 2.x or XL. The graph is that of diffusers with peft: LoRA on the
attention layers, guidance, DDIM, gradients through the last K denoising steps of which each is checkpointed, float16
weights with a scaled loss (XL's decoder in bfloat16), float32 LoRA and a fused AdamW. The reward is the mean of a small
convolution's output: a judge's share of a step is below a hundredth. Prompts are random embeddings, as those of a
prompt are computed once. The UNet and the decoder have the bits of diffusers 0.42 on a CPU.
Prints one line of JSON: seconds a step by phase, and the peak of memory in GiB.
"""

import argparse
import json
import math
import struct
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read(folder, device, dtype):
    """All tensors of the safetensors files of a folder."""
    out = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        raw = path.read_bytes()
        n = struct.unpack("<Q", raw[:8])[0]
        for name, e in json.loads(raw[8 : 8 + n]).items():
            if name == "__metadata__":
                continue
            a, b = e["data_offsets"]
            t = torch.frombuffer(bytearray(raw[8 + n + a : 8 + n + b]), dtype=DTYPES[e["dtype"]])
            out[name] = t.reshape(e["shape"]).to(device, dtype)
    return out


class Net:
    """Layers by the names of their weights."""

    def __init__(self, weights, groups):
        self.w, self.groups, self.lora = weights, groups, {}

    def linear(self, name, x):
        y = F.linear(x, self.w[name + ".weight"], self.w.get(name + ".bias"))
        if name in self.lora:
            down, up = self.lora[name]
            y = y + F.linear(F.linear(x, down.to(x.dtype)), up.to(x.dtype))
        return y

    def conv(self, name, x, stride=1, padding=1):
        return F.conv2d(x, self.w[name + ".weight"], self.w[name + ".bias"], stride, padding)

    def norm(self, name, x, eps=1e-5):
        return F.group_norm(x, self.groups, self.w[name + ".weight"], self.w[name + ".bias"], eps)

    def layer_norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"])

    def resnet(self, name, x, emb=None, eps=1e-5):
        h = self.conv(name + ".conv1", F.silu(self.norm(name + ".norm1", x, eps)))
        if emb is not None:
            h = h + self.linear(name + ".time_emb_proj", F.silu(emb))[:, :, None, None]
        h = self.conv(name + ".conv2", F.silu(self.norm(name + ".norm2", h, eps)))
        return (self.conv(name + ".conv_shortcut", x, padding=0) if name + ".conv_shortcut.weight" in self.w else x) + h

    def attention(self, name, x, context, heads):
        q, k, v = (self.linear(f"{name}.to_{n}", t) for n, t in (("q", x), ("k", context), ("v", context)))
        q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
        return self.linear(name + ".to_out.0", F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class UNet(Net):
    def __init__(self, folder, device, dtype):
        self.cfg = json.loads((Path(folder) / "config.json").read_text())
        super().__init__(read(folder, device, dtype), self.cfg.get("norm_num_groups", 32))

    def adapt(self, rank):
        """Adds LoRA of a rank to the attention layers, and returns its matrices."""
        params = []
        for key in sorted(self.w):
            name = key.removesuffix(".weight")
            if name.split(".")[-1] in ("to_q", "to_k", "to_v") or name.endswith("to_out.0"):
                if key.endswith(".weight"):
                    out, into = self.w[key].shape
                    down = torch.randn(rank, into, device=self.w[key].device) / rank
                    up = torch.zeros(out, rank, device=self.w[key].device)
                    self.lora[name] = down.requires_grad_(), up.requires_grad_()
                    params += self.lora[name]
        return params

    def transformer(self, name, x, context, heads):
        b, c, h, w = x.shape
        linear = self.cfg.get("use_linear_projection", False)
        y = self.norm(name + ".norm", x, 1e-6)
        if linear:
            y = self.linear(name + ".proj_in", y.flatten(2).transpose(1, 2))
        else:
            y = self.conv(name + ".proj_in", y, padding=0).flatten(2).transpose(1, 2)
        layer = 0
        while f"{name}.transformer_blocks.{layer}.norm1.weight" in self.w:
            block = f"{name}.transformer_blocks.{layer}"
            z = self.layer_norm(block + ".norm1", y)
            y = y + self.attention(block + ".attn1", z, z, heads)
            y = y + self.attention(block + ".attn2", self.layer_norm(block + ".norm2", y), context, heads)
            z, gate = self.linear(block + ".ff.net.0.proj", self.layer_norm(block + ".norm3", y)).chunk(2, -1)
            y = y + self.linear(block + ".ff.net.2", z * F.gelu(gate))
            layer += 1
        if linear:
            y = self.linear(name + ".proj_out", y).transpose(1, 2).reshape(b, c, h, w)
        else:
            y = self.conv(name + ".proj_out", y.transpose(1, 2).reshape(b, c, h, w), padding=0)
        return x + y

    @staticmethod
    def waves(values, width):
        """Sinusoids of values [...] in the order of diffusers: [..., width], cosines first."""
        steps = torch.arange(width // 2, device=values.device) / (width // 2)
        angles = values[..., None] * torch.exp(-math.log(10000) * steps)
        return torch.cat([angles.cos(), angles.sin()], -1)

    def mlp(self, name, x):
        return self.linear(name + ".linear_2", F.silu(self.linear(name + ".linear_1", x)))

    def added(self, pooled, size):
        """XL's embedding of the pooled prompts [B,P] and of a square image's size, crop and target size."""
        sizes = torch.tensor([size, size, 0, 0, size, size], device=pooled.device)
        sizes = self.waves(sizes, self.cfg["addition_time_embed_dim"]).flatten().to(pooled.dtype)
        return self.mlp("add_embedding", torch.cat([pooled, sizes.expand(len(pooled), -1)], 1))

    def __call__(self, x, t, context, pooled=None):
        cfg, n = self.cfg, len(self.cfg["block_out_channels"])
        heads = cfg["attention_head_dim"]
        heads = [heads] * n if isinstance(heads, int) else heads
        emb = self.waves(torch.tensor(t, device=x.device), cfg["block_out_channels"][0]).to(x.dtype).expand(len(x), -1)
        emb = self.mlp("time_embedding", emb)
        if pooled is not None:
            emb = emb + self.added(pooled, 8 * x.shape[-1])
        x = self.conv("conv_in", x)
        skips = [x]
        for i in range(n):
            for j in range(cfg["layers_per_block"]):
                x = self.resnet(f"down_blocks.{i}.resnets.{j}", x, emb)
                if f"down_blocks.{i}.attentions.{j}.norm.weight" in self.w:
                    x = self.transformer(f"down_blocks.{i}.attentions.{j}", x, context, heads[i])
                skips.append(x)
            if i < n - 1:
                x = self.conv(f"down_blocks.{i}.downsamplers.0.conv", x, stride=2)
                skips.append(x)
        x = self.resnet("mid_block.resnets.0", x, emb)
        x = self.transformer("mid_block.attentions.0", x, context, heads[-1])
        x = self.resnet("mid_block.resnets.1", x, emb)
        for i in range(n):
            for j in range(cfg["layers_per_block"] + 1):
                x = self.resnet(f"up_blocks.{i}.resnets.{j}", torch.cat([x, skips.pop()], 1), emb)
                if f"up_blocks.{i}.attentions.{j}.norm.weight" in self.w:
                    x = self.transformer(f"up_blocks.{i}.attentions.{j}", x, context, heads[n - 1 - i])
            if i < n - 1:
                x = self.conv(f"up_blocks.{i}.upsamplers.0.conv", F.interpolate(x, scale_factor=2.0))
        return self.conv("conv_out", F.silu(self.norm("conv_norm_out", x)))


class Decoder(Net):
    def __init__(self, folder, device, dtype):
        self.cfg = json.loads((Path(folder) / "config.json").read_text())
        weights = read(folder, device, dtype)
        for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):  # of old files
            for name in [n for n in weights if f".attentions.0.{old}." in n]:
                weights[name.replace(f".{old}.", f".{new}.")] = weights.pop(name)
        super().__init__(weights, self.cfg.get("norm_num_groups", 32))

    def __call__(self, x):
        """Pixels in [-1,1] of latents as the UNet has them."""
        x = self.conv("post_quant_conv", x / self.cfg.get("scaling_factor", 0.18215), padding=0)
        x = self.conv("decoder.conv_in", x)
        x = self.resnet("decoder.mid_block.resnets.0", x, eps=1e-6)
        b, c, h, w = x.shape
        y = self.norm("decoder.mid_block.attentions.0.group_norm", x, 1e-6).flatten(2).transpose(1, 2)
        x = x + self.attention("decoder.mid_block.attentions.0", y, y, 1).transpose(1, 2).reshape(b, c, h, w)
        x = self.resnet("decoder.mid_block.resnets.1", x, eps=1e-6)
        n = len(self.cfg["block_out_channels"])
        for i in range(n):
            for j in range(self.cfg["layers_per_block"] + 1):
                x = self.resnet(f"decoder.up_blocks.{i}.resnets.{j}", x, eps=1e-6)
            if i < n - 1:
                x = self.conv(f"decoder.up_blocks.{i}.upsamplers.0.conv", F.interpolate(x, scale_factor=2.0))
        return self.conv("decoder.conv_out", F.silu(self.norm("decoder.conv_norm_out", x, 1e-6)))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder", type=Path)
    for name, value in (("size", 512), ("batch", 4), ("steps", 2), ("num-steps", 50), ("k", 2), ("rank", 64)):
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--device", default="cuda")
    a = p.parse_args()
    cuda = a.device.startswith("cuda")
    dtype = torch.float16 if cuda else torch.float32
    if cuda:
        torch.backends.cudnn.benchmark = True
    unet = UNet(a.folder / "unet", a.device, dtype)
    xl = unet.cfg.get("addition_embed_type") == "text_time"
    precise = torch.bfloat16 if xl and cuda else dtype
    vae = Decoder(a.folder / "vae", a.device, precise)
    params = unet.adapt(a.rank)
    optimizer = torch.optim.AdamW(params, lr=1e-4, fused=cuda)
    alphas = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, device=a.device) ** 2, 0)
    times = [1 + 1000 // a.num_steps * i for i in reversed(range(a.num_steps))]
    context = torch.randn(2 * a.batch, 77, unet.cfg["cross_attention_dim"], device=a.device, dtype=dtype)
    pooled = None
    if xl:
        width = unet.cfg["projection_class_embeddings_input_dim"] - 6 * unet.cfg["addition_time_embed_dim"]
        pooled = torch.randn(2 * a.batch, width, device=a.device, dtype=dtype)
    judge = torch.randn(8, 3, 3, 3, device=a.device)

    def denoise(x, t):
        none, out = unet(torch.cat([x, x]).to(dtype), t, context, pooled).float().chunk(2)
        out = none + 7.5 * (out - none)
        now, before = alphas[t], alphas[max(0, t - 1000 // a.num_steps)]
        x0 = (x - (1 - now).sqrt() * out) / now.sqrt()
        return before.sqrt() * x0 + (1 - before).sqrt() * out

    def decode(x):
        return (vae(x.to(precise)).float() / 2 + 0.5).clamp(0, 1)

    def lap(phases, name, began):
        if cuda:
            torch.cuda.synchronize()
        phases[name] = phases.get(name, 0) + time.time() - began
        return time.time()

    for _ in range(a.steps):
        phases, began = {}, time.time()
        x = torch.randn(a.batch, 4, a.size // 8, a.size // 8, device=a.device)
        with torch.no_grad():
            for t in times[: -a.k]:
                x = denoise(x, t)
        for t in times[-a.k :]:
            x = checkpoint(denoise, x, t, use_reentrant=False)
        began = lap(phases, "sample", began)
        images = [checkpoint(decode, one, use_reentrant=False) for one in x.split(1)]
        began = lap(phases, "decode", began)
        loss = -torch.stack([F.conv2d(i, judge).tanh().mean() for i in images]).mean()
        began = lap(phases, "reward", began)
        (loss * (65536 if cuda else 1)).backward()
        for q in params:
            q.grad.div_(65536 if cuda else 1)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        lap(phases, "backward", began)
    phases = {k: round(v, 3) for k, v in phases.items()}
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0
    print(json.dumps({"step": round(sum(phases.values()), 3), **phases, "gib": round(memory, 2), "loss": loss.item()}))


if __name__ == "__main__":
    main()
