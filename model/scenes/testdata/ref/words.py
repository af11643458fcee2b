"""Reference of the word-level alignment score: PyTorch in float64 -> words.json

    python words.py       (torch 2.11.0)

Logits of 28 entities on a 4x6 grid are hashed from a name (model/nn/nntest/ref/hashed.py). `scores` are the sums of
log sigmoid at each named entity's best cell; `gradient` is that of their sum in the logits: first image, entity 3.
"""

import json
import os
import sys

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../../model/nn/nntest/ref"))
from hashed import uniform  # noqa: E402

NAMED = [[3, 17], [0], []]

logits = (uniform("words", (3, 28, 4, 6)).to(torch.float64) * 4 - 3).requires_grad_(True)
best = torch.nn.functional.logsigmoid(logits).amax((2, 3))
scores = torch.stack([best[i, ids].sum() for i, ids in enumerate(NAMED)])
scores.sum().backward()
with open(os.path.join(HERE, "words.json"), "w") as f:
    json.dump({"named": NAMED, "scores": scores.tolist(), "gradient": logits.grad[0, 3].flatten().tolist()}, f, indent=1)
