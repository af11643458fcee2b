"""Numbers that Go and Python can both make, so that no random weights need to be kept in git.

Every tensor is a pure function of its name and shape: element i of a tensor called NAME is

    u = splitmix64(fnv1a64(NAME) + i * 0x9E3779B97F4A7C15) >> 40     24 bits
    u / 2**23 - 1                                                    in [-1, 1), exact in float32

times a float32 scale. model/nn/nntest/hashed.go is the same in Go; both are bit-exact.
"""

import numpy as np
import torch

GAMMA = np.uint64(0x9E3779B97F4A7C15)


def fnv1a64(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    return h


def uniform(name, shape):
    """float32 tensor in [-1, 1)."""
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a64(name)) + np.arange(n, dtype=np.uint64) * GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    return torch.from_numpy(u.astype(np.float32)).reshape(tuple(shape))


def weight(name, shape):
    """A weight of sensible size: one-dimensional ones by their name (gains near 1, biases near 0),
    the others uniform with variance 1/fan_in, so that activations neither die nor explode."""
    if len(shape) == 1:
        small = uniform(name, shape) * np.float32(0.1)
        is_gain = name.endswith(".weight")
        return small + 1 if is_gain else small
    fan_in = int(np.prod(shape[1:]))
    return uniform(name, shape) * torch.tensor(np.float32(np.sqrt(3.0 / fan_in)))


def fill(module, prefix=""):
    """Gives every parameter of a torch module its hashed weight; returns {name: shape}."""
    shapes = {}
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(weight(prefix + name, p.shape))
            shapes[prefix + name] = list(p.shape)
    return shapes
