"""The peer of bench/call: one call of the same transformer in diffusers, for every line.

The first line is {"folder": DIR, "dtype": "bfloat16", "side": LATENTS}. Each further line is answered with a JSON object: wall and processor
seconds of one call, and its first outputs.
"""

import json
import math
import sys
import time

import diffusers
import torch

asked = json.loads(sys.stdin.readline())
path, dtype, side = asked["folder"] + "/transformer", getattr(torch, asked["dtype"]), asked["side"]
config = json.load(open(path + "/config.json"))
network = getattr(diffusers, config["_class_name"]).from_pretrained(path, torch_dtype=dtype, local_files_only=True).eval()
config = network.config


def wave(*shape):
    return torch.arange(math.prod(shape), dtype=torch.float32).cos().reshape(shape).to(dtype)


@torch.no_grad()
def call():
    latents = wave(1, 16, side, side)
    if "joint_attention_dim" in config:
        text, pooled = wave(1, 333, config.joint_attention_dim), wave(1, config.pooled_projection_dim)
        return network(latents, encoder_hidden_states=text, pooled_projections=pooled, timestep=torch.tensor([500.0])).sample
    return network([latents[0].unsqueeze(1)], torch.tensor([0.5]), [wave(64, config.cap_feat_dim)]).sample[0]


print(torch.__version__, flush=True)
for _ in sys.stdin:
    wall, cpu = time.time(), time.process_time()
    out = call()
    print(json.dumps({"wall": time.time() - wall, "cpu": time.process_time() - cpu, "first": out.float().flatten()[: side * side].tolist()}), flush=True)
