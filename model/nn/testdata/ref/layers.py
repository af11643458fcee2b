"""Reference outputs of PyTorch's layers and of peft's LoRA layers -> layers.safetensors

    python layers.py        (torch 2.15.0, peft 0.21.2; float32, one thread)

Weights and inputs are hashed from their names (model/nn/nntest/ref/hashed.py), so only outputs are kept.
"""

import os
import sys

import peft
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../nntest/ref"))
from hashed import fill, uniform, weight  # noqa: E402

torch.set_num_threads(1)


def plain(out):
    layers = {
        "linear": (torch.nn.Linear(12, 20), (2, 5, 12)),
        "linear_no_bias": (torch.nn.Linear(12, 20, bias=False), (3, 12)),
        "conv3x3": (torch.nn.Conv2d(6, 10, 3, padding=1), (2, 6, 7, 5)),
        "conv3x3_stride2": (torch.nn.Conv2d(6, 10, 3, stride=2, padding=1), (2, 6, 7, 5)),
        "conv1x1_no_bias": (torch.nn.Conv2d(6, 10, 1, bias=False), (2, 6, 7, 5)),
        "group_norm": (torch.nn.GroupNorm(4, 16, eps=1e-6), (2, 16, 5, 3)),
        "layer_norm": (torch.nn.LayerNorm(24, eps=1e-5), (2, 3, 24)),
    }
    for name, (layer, shape) in layers.items():
        fill(layer, name + ".")
        out[name] = layer(uniform(name + ".x", shape) * 3)
    table = torch.nn.Embedding(11, 6)
    fill(table, "embedding.")
    out["embedding"] = table(torch.tensor([[0, 10, 3], [7, 7, 1]]))


def attention(out):
    q, k, v = (uniform("attention." + n, s) * 2 for n, s in
               [("q", (2, 3, 9, 8)), ("k", (2, 3, 13, 8)), ("v", (2, 3, 13, 8))])
    mask = uniform("attention.mask", (2, 1, 9, 13)) * 4
    out["attention"] = F.scaled_dot_product_attention(q, k, v)
    out["attention_masked"] = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out["attention_causal"] = F.scaled_dot_product_attention(q, k[:, :, :9], v[:, :, :9], is_causal=True)


def lora(out):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(12, 20)
            self.conv = torch.nn.Conv2d(6, 10, 3, stride=2, padding=1)

    net = Net()
    fill(net, "lora.")
    net = peft.inject_adapter_in_model(peft.LoraConfig(r=3, lora_alpha=6, target_modules=["linear", "conv"]), net)
    adapters = {}
    with torch.no_grad():
        for key, p in net.named_parameters():
            if "lora_" in key:
                clean = "lora." + key.replace(".default", "")
                p.copy_(weight(clean, p.shape))
                adapters[clean] = p
    for name, shape in [("linear", (2, 5, 12)), ("conv", (2, 6, 7, 5))]:
        layer = getattr(net, name)
        x = (uniform(f"lora.{name}.x", shape) * 3).requires_grad_()
        y = layer(x)
        out[f"lora_{name}"] = y
        mine = {k: p for k, p in adapters.items() if k.startswith(f"lora.{name}.")}
        loss = (y * uniform(f"lora.{name}.cotangent", y.shape)).sum()
        for key, g in zip([f"lora.{name}.x", *mine], torch.autograd.grad(loss, [x, *mine.values()])):
            out["grad." + key] = g
        layer.merge()
        out[f"lora_{name}_merged_weight"] = layer.base_layer.weight


def main():
    out = {}
    plain(out)
    attention(out)
    lora(out)
    path = os.path.join(HERE, "layers.safetensors")
    save_file({k: v.detach().contiguous() for k, v in out.items()}, path)
    for k, v in out.items():
        print(k, list(v.shape), "absmax %.3f" % v.abs().max())
    print(os.path.getsize(path), "bytes")


main()
