"""Reference outputs of transformers' Qwen3Model -> decoder.json, decoder.safetensors

    python decoder.py        (transformers 5.24.0, torch 2.11.0; float32, one thread)

Weights are hashed from their names (model/nn/nntest/ref/hashed.py), so only outputs are kept. The prompt is padded
on the right and masked, as diffusers' ZImagePipeline does, and the padding's states are dropped.
"""

import json
import os
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3Model

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../nn/nntest/ref"))
from hashed import fill  # noqa: E402

torch.set_num_threads(1)

SMALL = dict(
    vocab_size=60, hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-6, rope_theta=1000000.0, max_position_embeddings=64)
CONFIGS = {"grouped": SMALL, "biased": SMALL | dict(num_key_value_heads=4, attention_bias=True, rope_theta=10000.0)}


def main():
    tensors, shapes = {}, {}
    ids, padded = [(7 * i + 3) % 60 for i in range(19)], 32
    row = torch.tensor([ids + [0] * (padded - len(ids))])
    mask = torch.tensor([[1] * len(ids) + [0] * (padded - len(ids))])
    for name, config in CONFIGS.items():
        model = Qwen3Model(Qwen3Config(**config)).eval()
        shapes[name] = fill(model)
        with torch.no_grad():
            states = model(input_ids=row, attention_mask=mask, output_hidden_states=True).hidden_states
        tensors[f"{name}_1"] = states[1][:, : len(ids)]
        tensors[f"{name}_2"] = states[-2][:, : len(ids)]
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(HERE, "decoder.safetensors"))
    with open(os.path.join(HERE, "decoder.json"), "w") as f:
        json.dump(dict(
            made_with=dict(transformers=transformers.__version__, torch=torch.__version__), configs=CONFIGS,
            shapes=shapes, ids=ids), f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
