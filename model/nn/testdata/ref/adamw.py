"""Ten steps of torch.optim.AdamW, for adamw_test.go. Run: python3 adamw.py (torch 2.15.0, float32).

Minimises the sum of sin(3 w_i x + b_i)^2 over the numbers x = 0.1 .. 0.8 with a step size that falls.
"""
import torch
from safetensors.torch import save_file

x = torch.arange(1, 9, dtype=torch.float32) / 10
w = (torch.arange(6, dtype=torch.float32).reshape(2, 3) / 5 - 0.4).requires_grad_()
b = torch.tensor([0.3, -0.2, 0.5]).requires_grad_()
out = {"x": x, "w": w.detach().clone(), "b": b.detach().clone()}
optimizer = torch.optim.AdamW([w, b], lr=0.05, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, foreach=True)
losses = []
for step in range(10):
    for group in optimizer.param_groups:
        group["lr"] = 0.05 / (1 + step)
    loss = (torch.sin(3 * w[:, :, None] * x + b[None, :, None]) ** 2).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
out |= {"losses": torch.tensor(losses), "w_after": w.detach(), "b_after": b.detach()}
save_file({k: v.contiguous() for k, v in out.items()}, "adamw.safetensors")
