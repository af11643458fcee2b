"""Writes two_layers.json: ten AdamW steps of a two-layer net and the first numbers of the CPU generator.

Run with any PyTorch from 1.13 on:  python3 model/torch/testdata/ref/make.py
"""

import json
import math
import os

import torch

torch.set_num_threads(1)
torch.manual_seed(0)
x = torch.randn(16, 8)
y = torch.randn(16, 3)
w1 = torch.randn(12, 8) / math.sqrt(8)
b1 = torch.zeros(12)
w2 = torch.randn(3, 12) / math.sqrt(12)
b2 = torch.zeros(3)
start = {k: v.flatten().tolist() for k, v in dict(x=x, y=y, w1=w1, w2=w2).items()}

params = [p.requires_grad_() for p in (w1, b1, w2, b2)]
optimizer = torch.optim.AdamW(params, lr=1e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
losses = []
for _ in range(10):
    loss = ((torch.nn.functional.silu(x @ w1.T + b1) @ w2.T + b2 - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

g = torch.Generator("cpu").manual_seed(1234)
numbers = {
    "randn": torch.randn(20, generator=g).tolist(),
    "rand": torch.rand(5, generator=g).tolist(),
}
out = {"torch": torch.__version__, "seed": 0, **start, "losses": losses, "generator_seed": 1234, **numbers}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "two_layers.json"), "w") as f:
    json.dump(out, f, indent=1)
