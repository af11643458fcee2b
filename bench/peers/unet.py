"""The peer of bench/unet: the same UNets in diffusers, with peft's LoRA, driven line by line.

The first line is a JSON object of configurations. Each further line "arch batch side train iterations" is
answered with the CPU seconds of one iteration and the peak memory in MiB.
"""

import json
import resource
import sys
import time

import peft
import torch
from diffusers import UNet2DConditionModel

torch.set_num_threads(1)


def build(config, train):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    unet = unet.to_empty(device="cpu").eval().requires_grad_(False)
    for p in unet.parameters():
        p.fill_(0.01)
    if train:
        unet.add_adapter(peft.LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    return unet


def step(unet, batch, side, train):
    latents = torch.full((batch, 4, side, side), 0.5)
    text = torch.full((batch, 77, unet.config.cross_attention_dim), 0.5)
    if not train:
        with torch.no_grad():
            return unet(latents, 500, text).sample
    loras = [p for p in unet.parameters() if p.requires_grad]
    return torch.autograd.grad(unet(latents, 500, text).sample.mean(), loras)


def main():
    configs = json.loads(sys.stdin.readline())
    print(torch.__version__, flush=True)
    unet, built = None, None
    for line in sys.stdin:
        arch, batch, side, train, iterations = line.split()
        train, iterations = train == "true", int(iterations)
        if built != (arch, train):
            unet = None
            unet, built = build(configs[arch], train), (arch, train)
        start = time.process_time()
        for _ in range(iterations):
            step(unet, int(batch), int(side), train)
        seconds = (time.process_time() - start) / iterations
        print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)


main()
