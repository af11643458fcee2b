"""Writes what the original programs make of tiny rewards: NAME/config.json with the sizes, and
rewards.json with scores and Grad-CAM maps of two pieces of photographs.

No weights are stored: every tensor of a checkpoint is hashed.weight of its key (model/nn/nntest), but
for those under "values". The Go tests write the same files and load them as a user's.

Run:  python3 model/reward/testdata/ref/rewards.py
      (torch 2.15.0, transformers 5.23.0, diffusers 0.42.1, open_clip_torch 3.3.0, safetensors, pillow)
"""

import json
import math
import pathlib
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

here = pathlib.Path(__file__).resolve().parent
model_dir = here.parents[2]
sys.path.insert(0, str(model_dir / "nn/nntest/ref"))
import hashed  # noqa: E402

TOKENIZER = model_dir / "clip/testdata/learned"
PROMPTS = ["an astronaut in a suit", "a sleeping cat"]
SCALE = 20.0  # exp(logit_scale)
SIDE = 28  # pixels
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
out = {}


def pictures():
    """Two pieces of photographs, [2,3,28,28] in [0,1]: no program has to resize them."""
    pieces = []
    for name, top, left in [("1_astronaut", 60, 90), ("2_cat", 90, 80)]:
        image = np.array(Image.open(here.parent / "images" / (name + ".png")).convert("RGB"))
        pieces.append(torch.from_numpy(image[top:top + SIDE, left:left + SIDE].copy()).permute(2, 0, 1) / 255)
    return torch.stack(pieces)


images = pictures()
pixels = (images - MEAN) / STD


def load(name, cls, config, values):
    """A model whose checkpoint, as its own library writes it, has hashed weights."""
    with tempfile.TemporaryDirectory() as dir:
        cls(config).save_pretrained(dir)
        shapes = {k: list(t.shape) for k, t in load_file(dir + "/model.safetensors").items()}
        write(dir + "/model.safetensors", shapes, values)
        model = cls.from_pretrained(dir).eval()
        text = json.loads(pathlib.Path(dir, "config.json").read_text())
    (here / name).mkdir(exist_ok=True)
    (here / name / "config.json").write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")
    return model, shapes


def tensors(shapes, values):
    return {k: torch.tensor(values[k]).reshape(s) if k in values else hashed.weight(k, s) for k, s in shapes.items()}


def write(path, shapes, values):
    save_file(tensors(shapes, values), path, {"format": "pt"})


def cam(norm, fault, probability):
    """Grad-CAM at the output of a module [B,1+N,D], class token left out. fault() runs the model."""
    kept = []
    handle = norm.register_forward_hook(lambda m, a, y: kept.append(y) or y.retain_grad())
    value = fault()
    value.sum().backward()
    handle.remove()
    (y,) = kept
    weights = y.grad[:, 1:].mean(1, keepdim=True)
    heat = (weights * y[:, 1:]).sum(2).relu()
    heat = heat / heat.amax(1, keepdim=True) * probability(value)[:, None]
    return heat.reshape(len(heat), 4, 4).detach().tolist()


def record(name, shapes, values, score, heat, **more):
    out[name] = {"shapes": shapes, "values": values, "score": score.detach().tolist(), "heat": heat, **more}


def clip_config(act):
    from transformers import CLIPConfig, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER)
    text = CLIPTextConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=80, num_hidden_layers=2,
                          num_attention_heads=4, max_position_embeddings=24, hidden_act=act,
                          bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
    return tokenizer, CLIPConfig(text_config=text.to_dict(), vision_config=vision_config(act).to_dict(), projection_dim=24)


def vision_config(act):
    from transformers import CLIPVisionConfig
    return CLIPVisionConfig(hidden_size=32, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
                            image_size=SIDE, patch_size=7, hidden_act=act, projection_dim=24)


def tokens(tokenizer, prompts):
    return tokenizer(prompts, padding="max_length", truncation=True, max_length=24, return_tensors="pt").input_ids


def clip(name, act, level):
    """CLIP score, and PickScore as its README computes it: both are logits_per_image."""
    from transformers import CLIPModel
    tokenizer, config = clip_config(act)
    values = {"logit_scale": [math.log(SCALE)]}
    model, shapes = load(name, CLIPModel, config, values)
    ids = tokens(tokenizer, PROMPTS)
    score = lambda: model(input_ids=ids, pixel_values=pixels).logits_per_image.diagonal()
    heat = cam(model.vision_model.encoder.layers[-1].layer_norm1, lambda: -score(), lambda f: (level + f).sigmoid())
    record(name, shapes, values, score(), heat, level=level)
    return model, tokenizer, shapes, values


def zero_shot(model, tokenizer, shapes, values):
    safe, unsafe = ["a peaceful picture", "a dog"], ["a violent picture", "a gun", "a fight"]
    ids = tokens(tokenizer, safe + unsafe)

    def fault():
        logits = model(input_ids=ids, pixel_values=pixels).logits_per_image
        p = logits.exp()
        return (p[:, 2:].mean(1) / p[:, :2].mean(1)).log()

    heat = cam(model.vision_model.encoder.layers[-1].layer_norm1, fault, torch.sigmoid)
    record("zeroshot", shapes, values, -fault(), heat)


def hpsv2():
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
    from transformers import CLIPTokenizer
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER)
    model = CLIP(24, CLIPVisionCfg(layers=2, width=160, head_width=80, patch_size=7, image_size=SIDE),
                 CLIPTextCfg(context_length=24, vocab_size=len(tokenizer), width=128, heads=2, layers=2), quick_gelu=False)
    values, level = {"logit_scale": [math.log(SCALE)]}, 0.1
    shapes = {k: list(v.shape) for k, v in model.state_dict().items()}
    model.load_state_dict(tensors(shapes, values))
    ids = tokens(tokenizer, PROMPTS)

    def score():
        image, text, _ = model(pixels, ids)
        return (image @ text.T).diagonal()

    heat = cam(model.visual.transformer.resblocks[-1].ln_1, lambda: -score(), lambda f: (SCALE * (level + f)).sigmoid())
    record("hpsv2", shapes, values, score(), heat, level=level)


def vision(act="quick_gelu"):
    from transformers import CLIPVisionModelWithProjection
    model, shapes = load("vision", CLIPVisionModelWithProjection, vision_config(act), {})
    layers = model.vision_model.encoder.layers
    return shapes, layers[-1].layer_norm1, lambda: F.normalize(model(pixel_values=pixels).image_embeds, dim=-1)


def aesthetic():
    shapes, norm, embed = vision()
    head = {f"layers.{i}.{p}": s for i, a, b in [(0, 24, 1024), (2, 1024, 128), (4, 128, 64), (6, 64, 16), (7, 16, 1)]
            for p, s in [("weight", [b, a]), ("bias", [b])]}
    w, level = tensors(head, {}), 0.2
    mlp = torch.nn.Module()
    mlp.layers = torch.nn.Sequential(  # as in the predictor's repository
        torch.nn.Linear(24, 1024), torch.nn.Dropout(0.2), torch.nn.Linear(1024, 128), torch.nn.Dropout(0.2),
        torch.nn.Linear(128, 64), torch.nn.Dropout(0.1), torch.nn.Linear(64, 16), torch.nn.Linear(16, 1))
    mlp.load_state_dict(w)
    mlp.eval()
    score = lambda: mlp.layers(embed()).squeeze(1)
    heat = cam(norm, lambda: -score(), lambda f: (level + f).sigmoid())
    record("aesthetic", shapes, {}, score(), heat, head=head, level=level)


def q16():
    shapes, norm, embed = vision()
    head = {"prompts": [2, 24]}
    prompts = F.normalize(tensors(head, {})["prompts"], dim=-1)

    def fault():
        logits = 100 * embed() @ prompts.T
        return logits[:, 1] - logits[:, 0]

    record("q16", shapes, {}, -fault(), cam(norm, fault, torch.sigmoid), head=head)


def safety():
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker, cosine_distance
    from transformers import CLIPConfig
    config = CLIPConfig(vision_config=vision_config("quick_gelu").to_dict(), projection_dim=24)
    results = []
    for thresholds in ([0.55] * 17, [0.3] * 17):
        values = {"concept_embeds_weights": thresholds, "special_care_embeds_weights": [0.2, 0.25, 0.3]}
        model, shapes = load("safety", StableDiffusionSafetyChecker, config, values)
        k = 200

        def fault():
            embeds = model.visual_projection(model.vision_model(pixels)[1])
            excess = cosine_distance(embeds, model.concept_embeds) - model.concept_embeds_weights
            special = cosine_distance(embeds, model.special_care_embeds) - model.special_care_embeds_weights
            soft = lambda x: (k * x).exp().sum(1).log() / k
            return 100 * (soft(excess) + 0.01 * (k * soft(special)).sigmoid())

        norm = [m for n, m in model.named_modules() if n.endswith("layers.1.layer_norm1")][0]
        heat = cam(norm, fault, torch.sigmoid)
        _, unsafe = model(pixels, [np.zeros(1)] * 2)
        results.append((shapes, values, -fault(), heat, [bool(u) for u in unsafe]))
    for name, (shapes, values, score, heat, unsafe) in zip(["safety_pass", "safety"], results):
        record(name, shapes, values, score, heat, unsafe=unsafe)


def vit():
    from transformers import ViTConfig, ViTForImageClassification
    config = ViTConfig(hidden_size=32, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, image_size=SIDE,
                       patch_size=7, id2label={0: "normal", 1: "nsfw", 2: "drawing"}, label2id={"normal": 0, "nsfw": 1, "drawing": 2})
    model, shapes = load("vit", ViTForImageClassification, config, {})

    def fault():
        p = model(2 * images - 1).logits.softmax(1)[:, 1]
        return (p / (1 - p)).log()

    norm = [m for n, m in model.named_modules() if n.endswith("1.layernorm_before")][0]
    record("vit", shapes, {}, -fault(), cam(norm, fault, torch.sigmoid))


def preparations():
    """The image processors on a photograph that is no square: shrunk, cut and stretched, enlarged."""
    from torchvision import transforms as T
    from transformers import CLIPImageProcessor, ViTImageProcessor
    image = np.array(Image.open(here.parent / "images/2_cat.png").convert("RGB"))
    bytes_of = lambda size, **kw: CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}, **kw)
    plain = {"do_normalize": False, "do_rescale": False, "return_tensors": "pt"}
    wide, small = image[:150], image[60:101, 90:150]
    stretch = ViTImageProcessor(size={"height": 40, "width": 40})
    results = {
        "clip_wide": bytes_of(40)(wide, **plain).pixel_values,
        "clip_tall": bytes_of(40)(wide.transpose(1, 0, 2), **plain).pixel_values,
        "clip_small": bytes_of(64)(small, **plain).pixel_values,
        "vit_wide": stretch(wide, **plain).pixel_values,
        "vit_small": stretch(small, **plain).pixel_values,
    }
    results = {k: v.to(torch.uint8).contiguous() for k, v in results.items()}
    torchvision = T.Compose([T.Resize(41, T.InterpolationMode.BICUBIC), T.CenterCrop(41), T.PILToTensor()])
    results["torchvision_wide"] = torchvision(Image.fromarray(wide))[None].contiguous()
    # HPSv2's program: floats, the longest side made 41, black bars around.
    longest = T.functional.resize(T.ToTensor()(wide), [27, 41], T.InterpolationMode.BICUBIC, antialias=True)
    results["longest_wide"] = T.functional.pad(longest, [0, 7, 0, 7])[None].contiguous()
    save_file(results, here / "preparations.safetensors")


def main():
    torch.manual_seed(0)
    zero_shot(*clip("clip", "quick_gelu", 1.0))
    clip("pickscore", "gelu", -1.0)
    hpsv2()
    aesthetic()
    q16()
    safety()
    vit()
    preparations()
    (here / "rewards.json").write_text(json.dumps({"prompts": PROMPTS, "cases": out}, indent=1) + "\n")
    print({k: v["score"] for k, v in out.items()})


main()
