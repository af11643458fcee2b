"""Writes nsfw_gradients.json: gradients of nsfwjs' MobileNetV2Mid that do not depend on the machine.

On the plain pictures 0.4 % of the ReLU6 inputs lie exactly on a bend, where the order of a sum decides
whether a gradient passes: PyTorch's own answer changes by 1 % with the number of threads. A fixed wave
of 1e-3 on the pixels, and float64, take them off it.

Run:  python3 model/reward/testdata/ref/nsfw_gradients.py   (PyTorch, safetensors, pillow)
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open

here = pathlib.Path(__file__).resolve().parent
STAGES = [(1, 24, 1, 1), (6, 32, 2, 2), (6, 48, 3, 2), (6, 88, 4, 2), (6, 136, 3, 1), (6, 224, 3, 2), (6, 448, 1, 1)]
PIXELS = [(0, 112, 112), (1, 60, 100), (2, 180, 40), (0, 0, 0), (1, 223, 223)]


def load():
    with safe_open(here.parents[1] / "weights/nsfw_mobilenet_v2_mid_u8.safetensors", "np") as f:
        maps = json.loads(f.metadata()["quantization"])
        return {
            k: torch.from_numpy((f.get_tensor(k).astype(np.float64) * maps[k]["scale"] + maps[k]["min"]).astype(np.float32)).double()
            for k in f.keys()
        }


def conv(w, name, x, stride=1, act=True):
    weight = w[name + ".conv.weight"]
    groups = x.shape[1] // weight.shape[1]
    if weight.shape[2] == 3:
        x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
    x = F.conv2d(x, weight, w[name + ".conv.bias"], stride, groups=groups)
    return F.relu6(x) if act else x


def odds(w, x):
    x, block = conv(w, "stem", 2 * x - 1, 2), 0
    for expand, out, repeat, stride in STAGES:
        for i in range(repeat):
            s = stride if i == 0 else 1
            y = conv(w, f"blocks.{block}.expand", x) if expand != 1 else x
            y = conv(w, f"blocks.{block}.depthwise", y, s)
            y = conv(w, f"blocks.{block}.project", y, act=False)
            x = x + y if s == 1 and x.shape[1] == out else y
            block += 1
    logits = F.linear(conv(w, "head", x).mean((2, 3)), w["fc.weight"], w["fc.bias"])
    return logits[:, [1, 3, 4]].logsumexp(1) - logits[:, [0, 2]].logsumexp(1)


def main():
    w, cases = load(), []
    for path in sorted((here.parent / "images").glob("*.png")):
        x = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None].double() / 255
        x = (x + 1e-3 * torch.arange(x.numel()).double().sin().reshape(x.shape)).requires_grad_(True)
        score = odds(w, x)
        (g,) = torch.autograd.grad(score.sum(), x)
        cases.append({
            "file": path.name,
            "log_odds": score.item(),
            "l2": g.norm().item(),
            "abs_mean": g.abs().mean().item(),
            "at_c_y_x": [[c, y, x_, g[0, c, y, x_].item()] for c, y, x_ in PIXELS],
        })
    out = {"torch": torch.__version__, "dtype": "float64", "cases": cases}
    (here / "nsfw_gradients.json").write_text(json.dumps(out, indent=1) + "\n")


main()
