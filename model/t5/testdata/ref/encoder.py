"""Reference outputs of transformers' T5EncoderModel -> encoder.json, encoder.safetensors

    python encoder.py        (transformers 5.24.0, torch 2.11.0; float32, one thread)

Weights are hashed from their names (model/nn/nntest/ref/hashed.py), so only outputs are kept.
"""

import json
import os
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../nn/nntest/ref"))
from hashed import fill  # noqa: E402

torch.set_num_threads(1)

SMALL = dict(
    vocab_size=50, d_model=24, d_kv=8, d_ff=40, num_layers=2, num_heads=4, relative_attention_num_buckets=8,
    relative_attention_max_distance=12)
CONFIGS = {"v1_1": SMALL | dict(feed_forward_proj="gated-gelu"), "first": SMALL | dict(feed_forward_proj="relu")}


def main():
    tensors, shapes = {}, {}
    ids = torch.tensor([[(7 * i + 3 * b) % 50 for i in range(30)] for b in range(2)])
    for name, config in CONFIGS.items():
        model = T5EncoderModel(T5Config(**config)).eval()
        shapes[name] = fill(model)
        with torch.no_grad():
            tensors[name] = model(ids).last_hidden_state
    # every bucket of the released sizes: 32 buckets, 128 tokens, prompts of 256
    attention = T5EncoderModel(T5Config(**SMALL)).encoder.block[0].layer[0].SelfAttention
    distance = torch.arange(256)[None, :] - torch.arange(256)[:, None]
    buckets = attention._relative_position_bucket(distance, num_buckets=32, max_distance=128)
    tensors["buckets"] = buckets[0].float()  # from the first token; and to it
    tensors["buckets_back"] = buckets[:, 0].float()
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(HERE, "encoder.safetensors"))
    with open(os.path.join(HERE, "encoder.json"), "w") as f:
        json.dump(dict(
            made_with=dict(transformers=transformers.__version__, torch=torch.__version__), configs=CONFIGS,
            shapes=shapes, ids=ids.tolist()), f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
