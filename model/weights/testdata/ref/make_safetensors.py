"""Makes the reference files of the safetensors tests with the Python packages.

    python make_safetensors.py # writes beside this script

all_dtypes.safetensors  one small tensor of every element type that torch 2 has
floats.safetensors      bit patterns of narrow floats, and what torch widens them to
sharded/                a checkpoint cut into shards by huggingface_hub
verdicts.json           broken and sound files, and whether the reference opens them
"""

import base64
import json
import os
import random
import shutil
import struct

import huggingface_hub
import safetensors
import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(7)
random.seed(7)


def all_dtypes():
    names = """bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 float32 float64
        float8_e4m3fn float8_e5m2 complex64""".split()
    tensors = {}
    for name in names:
        values = torch.tensor([[0, 1, 2], [3, 100, 1]])
        tensors["t." + name] = values.to(getattr(torch, name))
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 4)
    tensors["a/ünïcode \"name\" <&>"] = torch.arange(5, dtype=torch.float32)
    save_file(tensors, os.path.join(HERE, "all_dtypes.safetensors"), {"format": "pt"})


def floats():
    tensors = {}
    for name, dtype, carrier, bits in [
        ("F16", torch.float16, torch.int16, torch.arange(0, 1 << 16, 37)),
        ("BF16", torch.bfloat16, torch.int16, torch.arange(0, 1 << 16, 37)),
        ("F8_E4M3", torch.float8_e4m3fn, torch.uint8, torch.arange(256)),
        ("F8_E5M2", torch.float8_e5m2, torch.uint8, torch.arange(256)),
    ]:
        tensors[name] = bits.to(carrier).view(dtype)
        tensors[name + ".widened"] = tensors[name].float()
    save_file(tensors, os.path.join(HERE, "floats.safetensors"))


def sharded():
    folder = os.path.join(HERE, "sharded")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    tensors = {f"layers.{i}.weight": torch.full((4, 8), float(i)) for i in range(5)}
    huggingface_hub.save_torch_state_dict(tensors, folder, max_shard_size=300)


def pack(header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def verdicts():
    def entry(dtype="F32", shape=(2, 2), offsets=(0, 16)):
        return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}

    good = pack({"a": entry(), "b": entry("U8", [3], [16, 19])}, bytes(19))
    cases = {
        "good": good,
        "empty": pack({}),
        "empty metadata": pack({"__metadata__": {}}),
        "metadata": pack({"__metadata__": {"k": "v"}, "a": entry()}, bytes(16)),
        "metadata not text": pack({"__metadata__": {"k": 1}, "a": entry()}, bytes(16)),
        "metadata a list": pack({"__metadata__": [], "a": entry()}, bytes(16)),
        "padded": pack(json.dumps({"a": entry()}).encode() + b"   ", bytes(16)),
        "leading space": pack(b" " + json.dumps({"a": entry()}).encode(), bytes(16)),
        "text after": pack(json.dumps({"a": entry()}).encode() + b"x", bytes(16)),
        "truncated data": good[:-1],
        "truncated header": good[:40],
        "extra byte": good + b"\0",
        "seven bytes": b"1234567",
        "header too large": struct.pack("<Q", 100_000_001) + b"{}",
        "header huge": struct.pack("<Q", 2**64 - 1) + b"{}",
        "not UTF-8": pack(b'{"\xff": ' + json.dumps(entry()).encode() + b"}", bytes(16)),
        "hole": pack({"a": entry(), "b": entry(offsets=(20, 36))}, bytes(36)),
        "hole at start": pack({"a": entry(offsets=(4, 20))}, bytes(20)),
        "overlap": pack({"a": entry(), "b": entry(offsets=(8, 24))}, bytes(24)),
        "same bytes twice": pack({"a": entry(), "b": entry()}, bytes(16)),
        "backwards": pack({"a": entry(shape=[0], offsets=(16, 0))}, bytes(16)),
        "size not shape": pack({"a": entry(shape=[2, 3])}, bytes(16)),
        "overflow": pack({"a": entry(shape=[2**40, 2**40])}, bytes(16)),
        "wrapping overflow": pack({"a": entry(shape=[2**62, 4, 4])}, bytes(16)),
        "negative length": pack({"a": entry(shape=[-1, -4])}, bytes(16)),
        "float length": pack({"a": entry(shape=[2.0, 2])}, bytes(16)),
        "exponent length": pack(b'{"a":{"dtype":"F32","shape":[4e0],"data_offsets":[0,16]}}', bytes(16)),
        "text length": pack({"a": entry(shape=["2", 2])}, bytes(16)),
        "scalar": pack({"a": entry(shape=[], offsets=(0, 4))}, bytes(4)),
        "no elements": pack({"a": entry(shape=[0, 3], offsets=(0, 0))}),
        "no elements between": pack({"a": entry(), "z": entry(shape=[0], offsets=(16, 16))}, bytes(16)),
        "unknown dtype": pack({"a": entry("F128", [1])}, bytes(16)),
        "lower case dtype": pack({"a": entry("f32")}, bytes(16)),
        "F4": pack({"a": entry("F4", [4, 8])}, bytes(16)),
        "F4 half a byte": pack({"a": entry("F4", [3], [0, 1])}, bytes(1)),
        "F6": pack({"a": entry("F6_E2M3", [4], [0, 3])}, bytes(3)),
        "E8M0": pack({"a": entry("F8_E8M0", [16])}, bytes(16)),
        "E4M3FNUZ": pack({"a": entry("F8_E4M3FNUZ", [16])}, bytes(16)),
        "E5M2FNUZ": pack({"a": entry("F8_E5M2FNUZ", [16])}, bytes(16)),
        "C64": pack({"a": entry("C64", [2])}, bytes(16)),
        "three offsets": pack({"a": entry(offsets=(0, 16, 16))}, bytes(16)),
        "no dtype": pack({"a": {"shape": [2, 2], "data_offsets": [0, 16]}}, bytes(16)),
        "wrong case field": pack({"a": {"Dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}, bytes(16)),
        "unknown field": pack({"a": entry() | {"x": 1}}, bytes(16)),
        "tensor a list": pack({"a": ["F32", [2, 2], [0, 16]]}, bytes(16)),
        "duplicate field": pack(b'{"a":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}}', bytes(16)),
        "duplicate name": pack(
            b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
            bytes(16),
        ),
        "JSON list": pack(b"[]"),
        "JSON null": pack(b"null"),
        "escaped name": pack(b'{"\\u0061\\n":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', bytes(16)),
    }
    for i in range(500):  # a sound file with one to three bytes changed, added or taken away
        raw = bytearray(good)
        for _ in range(random.randint(1, 3)):
            at = random.randrange(8, len(raw))
            raw[at : at + random.randint(0, 1)] = bytes(random.choices(b'0123456789{}[],:"aF \\\t\xff\x00', k=random.randint(0, 1)))
        if i % 4:  # most have a header of the right length again
            raw[:8] = struct.pack("<Q", len(raw) - 8 - 19)
        cases[f"mutation {i}"] = bytes(raw)
    out = []
    for name, raw in cases.items():
        try:
            names = sorted(name for name, _ in safetensors.deserialize(raw))
        except Exception:
            names = None
        out.append({"case": name, "file": base64.b64encode(raw).decode(), "tensors": names})
    made = f"safetensors {safetensors.__version__}"
    with open(os.path.join(HERE, "verdicts.json"), "w") as f:
        json.dump({"made_with": made, "cases": out}, f, indent=0)


all_dtypes()
floats()
sharded()
verdicts()
print("safetensors", safetensors.__version__, "torch", torch.__version__)
