"""Writes what the original programs make of tiny judges: NAME/config.json with the sizes, and judges.json with
scores and heat maps of the two pieces of photographs of rewards.py.

Run:  python3 model/reward/testdata/ref/judges.py
      (torch 2.11.0, transformers 5.24.0, timm 1.0.22, tokenizers 0.23.3, image-reward 1.5, safetensors, pillow)
"""

import json
import pathlib
import sys

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[2] / "nn/nntest/ref"))
import hashed  # noqa: E402

SIDE = 28  # pixels
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
out = {}


def pieces():
    """The two pieces of photographs of rewards.py, [2,3,28,28] in [0,1]: no program has to resize them."""
    both = []
    for name, top, left in [("1_astronaut", 60, 90), ("2_cat", 90, 80)]:
        image = np.array(Image.open(here.parent / "images" / (name + ".png")).convert("RGB"))
        both.append(torch.from_numpy(image[top:top + SIDE, left:left + SIDE].copy()).permute(2, 0, 1) / 255)
    return torch.stack(both)


images = pieces()


def normalized(mean, std):
    return (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def hash_weights(model, positive=()):
    """Gives a model hashed weights; of the tensors whose names end as in positive, half their size off 1."""
    shapes, values = {}, {}
    with torch.no_grad():
        for name, t in model.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            t.copy_(hashed.weight(name, t.shape))
            if name.endswith(tuple(positive)):
                t.abs_().add_(0.5)
                values[name] = t.flatten().tolist()
            shapes[name] = list(t.shape)
    return shapes, values


def write_config(name, config):
    (here / name).mkdir(exist_ok=True)
    (here / name / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def cam(norm, fault, level=0):
    """Grad-CAM at the output of a module [B,1+N,D], class token left out. fault() runs the model; level is the score of
    an image that is faulty as probably as not."""
    kept = []
    handle = norm.register_forward_hook(lambda m, a, y: kept.append(y) or y.retain_grad())
    value = fault()
    value.sum().backward()
    handle.remove()
    (y,) = kept
    weights = y.grad[:, 1:].mean(1, keepdim=True)
    heat = (weights * y[:, 1:]).sum(2).relu()
    heat = heat / heat.amax(1, keepdim=True).clamp_min(1e-12) * (value + level).sigmoid()[:, None]
    side = int(heat.shape[1] ** 0.5)
    return heat.reshape(len(heat), side, side).detach().tolist()


def record(name, shapes, values, score, heat, **more):
    out[name] = {"shapes": shapes, "values": values, "score": score.detach().tolist(), "heat": heat, **more}


def multihead():
    """A head of the multi-headed safety classifier as its repository builds it, over transformers' CLIP."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    config = CLIPVisionConfig(**{k: v for k, v in json.loads((here / "vision/config.json").read_text()).items()
                                 if k in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size",
                                          "patch_size", "hidden_act", "projection_dim")})
    vision = CLIPVisionModelWithProjection(config).eval()
    shapes = {k: s for k, s in json.loads((here / "rewards.json").read_text())["cases"]["q16"]["shapes"].items()}
    state = {k: hashed.weight(k, s) for k, s in shapes.items()}
    missing, unexpected = vision.load_state_dict(state, strict=False)
    assert not unexpected and all("position_ids" in m for m in missing), (missing, unexpected)
    head = torch.nn.Sequential(
        torch.nn.Linear(24, 384), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(384), torch.nn.Linear(384, 1)).eval()
    head_shapes, values = hash_weights(head, ["running_var"])
    fault = lambda: head(vision(pixel_values=normalized(CLIP_MEAN, CLIP_STD)).image_embeds).squeeze(1)
    record("multihead", shapes, values, -fault(), cam(vision.vision_model.encoder.layers[-1].layer_norm1, fault), head=head_shapes)


def eva():
    sizes = dict(img_size=SIDE, patch_size=7, embed_dim=32, depth=2, num_heads=4)
    labels = ["neutral", "low", "medium", "high"]
    model = timm.create_model("eva02_base_patch14_448", num_classes=4, **sizes).eval()
    shapes, _ = hash_weights(model)
    write_config("eva", {"architecture": "eva02_base_patch14_448", "num_classes": 4, "label_names": labels, "model_args": sizes,
                         "pretrained_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD}})

    def fault():
        p = model(normalized(CLIP_MEAN, CLIP_STD)).softmax(1)
        return (p[:, 2:].sum(1) / p[:, :2].sum(1)).log()

    record("eva", shapes, {}, -fault(), cam(model.blocks[-1].norm1, fault))


def segformer(name, labels):
    from safetensors.torch import load_file
    from transformers import SegformerConfig, SegformerForSemanticSegmentation
    import tempfile
    config = SegformerConfig(
        depths=[1, 2], hidden_sizes=[16, 24], num_attention_heads=[1, 2], sr_ratios=[2, 1], patch_sizes=[7, 3], strides=[4, 2],
        mlp_ratios=[4, 4], num_encoder_blocks=2, decoder_hidden_size=20, id2label=dict(enumerate(labels)), label2id={n: i for i, n in enumerate(labels)})
    model = SegformerForSemanticSegmentation(config).eval()
    _, values = hash_weights(model, ["running_var"])
    with tempfile.TemporaryDirectory() as dir:  # under the names that the library writes
        model.save_pretrained(dir)
        stored = load_file(dir + "/model.safetensors")
        written = json.loads(pathlib.Path(dir, "config.json").read_text())
    stored = {k: t for k, t in stored.items() if not k.endswith("num_batches_tracked")}
    for key, t in stored.items():  # names on disk are what the Go test hashes
        if not key.endswith("running_var"):
            stored[key] = hashed.weight(key, t.shape)
    reload_from(model, stored, written)
    write_config(name, written)
    (here / name / "preprocessor_config.json").write_text(json.dumps({"size": {"height": SIDE, "width": SIDE}}) + "\n")
    logits = model(normalized([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])).logits
    odds = logits[:, 0] if len(labels) == 1 else logits[:, 1] - torch.cat([logits[:, :1], logits[:, 2:]], 1).logsumexp(1)
    heat = odds.sigmoid()
    shapes = {k: list(t.shape) for k, t in stored.items()}
    kept = {k: t.flatten().tolist() for k, t in stored.items() if k.endswith("running_var")}
    record(name, shapes, kept, -F.softplus(odds).mean((1, 2)), heat.detach().tolist())


def reload_from(model, stored, config):
    """Loads tensors by the names on disk, whatever the library calls them in memory."""
    from safetensors.torch import save_file
    import tempfile
    with tempfile.TemporaryDirectory() as dir:
        save_file(stored, dir + "/model.safetensors", {"format": "pt"})
        pathlib.Path(dir, "config.json").write_text(json.dumps(config))
        fresh = type(model).from_pretrained(dir).eval()
    model.load_state_dict(fresh.state_dict())


def imagereward():
    """ImageReward's own modules; what they import from transformers has moved since."""
    import transformers.modeling_utils as old
    import transformers.pytorch_utils as new
    for name in ("apply_chunking_to_forward", "find_pruneable_heads_and_indices", "prune_linear_layer"):
        setattr(old, name, getattr(new, name, None))
    blip = pathlib.Path(sys.modules["timm"].__file__).parents[1] / "ImageReward/models/BLIP"
    sys.path.insert(0, str(blip.parent))
    package = type(sys)("BLIP")
    package.__path__ = [str(blip)]
    sys.modules["BLIP"] = package  # without its __init__, which imports what is not needed
    import importlib
    med, vit = importlib.import_module("BLIP.med"), importlib.import_module("BLIP.vit")
    config = med.BertConfig(
        vocab_size=300, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=40,
        encoder_width=32, add_cross_attention=True, hidden_act="gelu", layer_norm_eps=1e-12, pad_token_id=0)
    config.chunk_size_feed_forward = 0

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blip = torch.nn.Module()
            self.blip.visual_encoder = vit.VisionTransformer(img_size=SIDE, patch_size=7, embed_dim=32, depth=2, num_heads=1)
            text = self.blip.text_encoder = torch.nn.Module()  # the two parts of a BertModel without pooling
            text.embeddings, text.encoder = med.BertEmbeddings(config), med.BertEncoder(config)
            self.mlp = torch.nn.Module()
            self.mlp.layers = torch.nn.Sequential(  # as in ImageReward.py
                torch.nn.Linear(24, 1024), torch.nn.Dropout(0.2), torch.nn.Linear(1024, 128), torch.nn.Dropout(0.2),
                torch.nn.Linear(128, 64), torch.nn.Dropout(0.1), torch.nn.Linear(64, 16), torch.nn.Linear(16, 1))

    model = Model().eval()
    shapes, _ = hash_weights(model)
    shapes = {k: s for k, s in shapes.items() if not k.endswith("position_ids")}
    model.blip.text_encoder.embeddings.position_ids.copy_(torch.arange(40)[None])
    write_config("imagereward", {"note": "sizes are in med_config.json, as in the released files"})
    keys = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings",
            "encoder_width", "add_cross_attention", "hidden_act", "layer_norm_eps"]
    (here / "imagereward/med_config.json").write_text(json.dumps({k: getattr(config, k) for k in keys}, indent=1, sort_keys=True) + "\n")
    import gzip
    from tokenizers import Tokenizer
    words = here.parents[2] / "tokenizer/testdata/ref/wordpiece.json.gz"
    text = gzip.decompress(words.read_bytes()).decode()
    (here / "imagereward/tokenizer.json").write_text(text)
    tokenizer = Tokenizer.from_str(text)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"), pad_token="[PAD]", length=35)
    tokenizer.enable_truncation(35)
    prompts = json.loads((here / "rewards.json").read_text())["prompts"]
    encoded = tokenizer.encode_batch(prompts)
    ids, mask = torch.tensor([e.ids for e in encoded]), torch.tensor([e.attention_mask for e in encoded])
    extended = (1.0 - mask[:, None, None, :].float()) * -10000.0

    def fault():
        seen = model.blip.visual_encoder(normalized(CLIP_MEAN, CLIP_STD))
        text = model.blip.text_encoder
        x = text.embeddings(input_ids=ids)
        for layer in text.encoder.layer:  # the encoder's own loop, without the caches of the version it was written for
            x = layer(x, extended, encoder_hidden_states=seen, encoder_attention_mask=torch.zeros(2, 1, 1, seen.shape[1]), mode="multimodal")[0]
        return -(model.mlp.layers(x[:, 0]).squeeze(1) - 0.16717362830052426) / 1.0333394966054072

    level = 0.25
    norm = model.blip.visual_encoder.blocks[-1].norm1
    record("imagereward", shapes, {}, -fault(), cam(norm, fault, level), level=level)


def main():
    imagereward()
    multihead()
    eva()
    segformer("segformer", ["artifact"])
    segformer("segformer_labels", ["fine", "artifact", "blur"])
    (here / "judges.json").write_text(json.dumps({"cases": out}) + "\n")
    print({k: v["score"] for k, v in out.items()})


main()
