"""The peer of bench/binding: the same operators through PyTorch's Python, driven line by line.

Each line "case iterations" is answered with the CPU seconds that one iteration took.
"""

import math
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(1)


class Block:
    """Two convolutions and self-attention with residuals, as in a UNet."""

    def __init__(self, channels, heads, grad):
        def parameter(*shape):
            fan = math.prod(shape[1:])
            return (torch.randn(*shape) / math.sqrt(fan)).requires_grad_(grad)

        C = channels
        self.heads = heads
        self.norms = [(torch.ones(C).requires_grad_(grad), torch.zeros(C).requires_grad_(grad)) for _ in range(3)]
        self.convs = [(parameter(C, C, 3, 3), torch.zeros(C).requires_grad_(grad)) for _ in range(2)]
        self.qkv = [parameter(C, C) for _ in range(3)]
        self.out = (parameter(C, C), torch.zeros(C).requires_grad_(grad))
        self.parameters = [p for pair in self.norms + self.convs + [self.out] for p in pair] + self.qkv

    def __call__(self, x):
        B, C, H, W = x.shape
        h = x
        for norm, conv in zip(self.norms, self.convs):
            h = F.conv2d(F.silu(F.group_norm(h, 32, *norm)), *conv, padding=1)
        x = x + h
        tokens = F.group_norm(x, 32, *self.norms[2]).reshape(B, C, H * W).transpose(1, 2)
        q, k, v = [
            F.linear(tokens, w).reshape(B, H * W, self.heads, C // self.heads).transpose(1, 2) for w in self.qkv
        ]
        a = torch.softmax((q * (C // self.heads) ** -0.5) @ k.transpose(2, 3), -1) @ v
        o = F.linear(a.transpose(1, 2).reshape(B, H * W, C), *self.out)
        return x + o.transpose(1, 2).reshape(B, C, H, W)


def train(block, x):
    def run():
        torch.autograd.grad(block(x).mean(), block.parameters)

    return run


def forward(block, x):
    def run():
        with torch.no_grad():
            block(x)

    return run


def cases():
    a, b = torch.zeros(1), torch.ones(1)
    x, w = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)
    small, large = torch.randn(4, 64, 16, 16), torch.randn(2, 320, 64, 64)

    def add():
        with torch.no_grad():
            for _ in range(1000):
                a + b

    def conv2d():
        with torch.no_grad():
            for _ in range(1000):
                F.conv2d(x, w)

    return {
        "add": add,
        "conv2d": conv2d,
        "small-forward": forward(Block(64, 4, False), small),
        "small-train": train(Block(64, 4, True), small),
        "large-forward": forward(Block(320, 8, False), large),
        "large-train": train(Block(320, 8, True), large),
    }


def main():
    table = cases()
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        name, iterations = line.split()
        start = time.process_time()
        for _ in range(int(iterations)):
            table[name]()
        print((time.process_time() - start) / int(iterations), flush=True)


main()
