"""Makes the golden data of the CLIP encoders: tiny, randomly initialised models in the shape of
every encoder we load, their inputs and their outputs, float32.

    python encoders.py        (in this folder; torch 2.15.0, transformers 5.23.0, seed 20261123)

One folder per model: config.json and model.safetensors as transformers writes them, and
golden.safetensors with the inputs and outputs. Weights are redrawn with a wide spread: at the
library's own initialisation attention is almost uniform and a wrong mask would pass.
"""

import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

SEED = 20261123
HERE = pathlib.Path(__file__).parent
BOS, EOS, VOCAB = 98, 99, 100


def redraw(model):
    for name, p in model.named_parameters():
        with torch.no_grad():
            if p.ndim < 2 and "norm" in name and name.endswith("weight"):
                p.copy_(1 + 0.2 * torch.randn_like(p))
            elif p.ndim < 2 and name.endswith("bias"):
                p.copy_(0.2 * torch.randn_like(p))
            elif "embedding" in name:
                p.copy_(0.5 * torch.randn_like(p))
            elif p.ndim >= 2:
                p.copy_(1.5 * torch.randn_like(p) / p[0].numel() ** 0.5)
    return model.eval()


def text_config(act, eos, **more):
    return CLIPTextConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=80, num_hidden_layers=3,
        num_attention_heads=4, max_position_embeddings=16, hidden_act=act,
        bos_token_id=BOS, eos_token_id=eos, pad_token_id=1, **more)


def vision_config(act, **more):
    return CLIPVisionConfig(
        hidden_size=32, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
        image_size=28, patch_size=7, hidden_act=act, projection_dim=24, **more)


def prompts(pad):
    """Four prompts of 16 tokens: usual, full, empty, and one with the end token in its middle."""
    rows = [[BOS, 5, 17, 33, EOS], [BOS, *range(20, 34), EOS], [BOS, EOS], [BOS, 7, EOS, 8, EOS]]
    return torch.tensor([r + [pad] * (16 - len(r)) for r in rows])


def finish(name, model, golden):
    model.save_pretrained(HERE / name)
    save_file({k: v.contiguous() for k, v in golden.items()}, HERE / name / "golden.safetensors")


@torch.no_grad()
def text(name, cls, act, eos, pad, **more):
    model = redraw(cls(text_config(act, eos, **more)))
    ids = prompts(pad)
    out = model(ids, output_hidden_states=True)
    golden = {"ids": ids, "last_hidden_state": out.last_hidden_state}
    for i, h in enumerate(out.hidden_states):
        golden[f"hidden_states.{i}"] = h
    norm = getattr(model, "text_model", model).final_layer_norm
    golden["clip_skip_1"] = norm(out.hidden_states[-2])
    golden["pooled"] = out.text_embeds if cls is CLIPTextModelWithProjection else out.pooler_output
    finish(name, model, golden)


@torch.no_grad()
def vision(name, act):
    model = redraw(CLIPVisionModelWithProjection(vision_config(act)))
    pixels = torch.randn(2, 3, 28, 28)
    out = model(pixels, output_hidden_states=True)
    finish(name, model, {
        "pixels": pixels, "last_hidden_state": out.last_hidden_state, "image_embeds": out.image_embeds,
        "pooled": model.vision_model(pixels).pooler_output,
    })


@torch.no_grad()
def both(name):
    config = CLIPConfig(
        text_config=text_config("quick_gelu", 2).to_dict(),
        vision_config=vision_config("quick_gelu").to_dict(), projection_dim=24)
    model = redraw(CLIPModel(config))
    ids, pixels = prompts(EOS), torch.randn(2, 3, 28, 28)
    out = model(input_ids=ids, pixel_values=pixels)
    finish(name, model, {
        "ids": ids, "pixels": pixels, "text_embeds": out.text_embeds, "image_embeds": out.image_embeds,
        "logits_per_image": out.logits_per_image,
    })


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    text("text_l", CLIPTextModel, "quick_gelu", 2, EOS)  # SD1, SDXL encoder 1; old end-token rule
    text("text_h", CLIPTextModel, "gelu", EOS, 0)  # SD2: padded with "!"
    text("text_bigg", CLIPTextModelWithProjection, "gelu", EOS, 0, projection_dim=24)  # SDXL encoder 2
    vision("vision_l", "quick_gelu")
    vision("vision_h", "gelu")
    both("clip_l")
    (HERE / "made_with.json").write_text(json.dumps({
        "torch": torch.__version__, "transformers": transformers.__version__, "seed": SEED,
        "pixel_mean": OPENAI_CLIP_MEAN, "pixel_std": OPENAI_CLIP_STD}, indent=1) + "\n")


if __name__ == "__main__":
    main()
