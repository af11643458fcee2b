"""Makes the golden data of the pipelines: three tiny randomly initialised models saved as diffusers
folders, and what diffusers draws with them, prompt to pixels, float32.

    python pipelines.py     (in this folder; torch 2.15.0, diffusers 0.42.1, transformers 5.23.0,
                             peft 0.21.2, seed 20261123)

The folders differ in layout on purpose, as those on people's disks do:
  sd1    SD 1.x: PNDM scheduler, old names in the VAE's attention, text_model. prefix and position_ids
         in the text encoder, 1x1 convolutions in the transformers
  sd2    SD 2.x: v-prediction, linear projections, fp16 variant files only, no text_model. prefix
  sdxl   SDXL: two encoders, UNet in shards
Latents are drawn from torch's CPU generator, one per picture, as a caller of diffusers would.
"""

import json
import pathlib
import shutil

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from vae import tiny_vae

SEED = 20261123
HERE = pathlib.Path(__file__).parent
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
TEXT = "a chef and a tree in the park, a red cat beside the blue car on the old street at night"


def byte_letters():
    """The printable letter of every byte, as byte-level BPE has them (GPT-2)."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in letters:
            letters[b] = chr(256 + extra)
            extra += 1
    return [letters[b] for b in keep] + [letters[b] for b in range(256) if b not in keep]


def small_vocabulary(text, count):
    """A CLIP-style vocabulary with the `count` most frequent pair merges of `text`."""
    letters = byte_letters()
    vocab = letters + [c + "</w>" for c in letters]
    words = [[*w[:-1], w[-1] + "</w>"] for w in text.replace(",", " ,").split()]
    merges = []
    while len(merges) < count:
        pairs = {}
        for w in words:
            for pair in zip(w, w[1:]):
                pairs[pair] = pairs.get(pair, 0) + 1
        if not pairs:
            break
        best = max(sorted(pairs), key=pairs.get)
        merges.append(best)
        vocab.append("".join(best))
        for w in words:
            i = 0
            while i + 1 < len(w):
                if (w[i], w[i + 1]) == best:
                    w[i : i + 2] = ["".join(best)]
                i += 1
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    return {token: i for i, token in enumerate(vocab)}, merges


VOCAB, MERGES = small_vocabulary(TEXT, 60)
BOS, EOS = VOCAB["<|startoftext|>"], VOCAB["<|endoftext|>"]


def write_tokenizer(folder, pad):
    """vocab.json, merges.txt and the two maps, as the folders on the hub have them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(VOCAB, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in MERGES) + "\n")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": pad, "unk_token": "<|endoftext|>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {**special, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}, indent=2) + "\n")


def spread(model, gain):
    for name, p in model.named_parameters():
        with torch.no_grad():
            if "norm" in name and p.ndim < 2:
                p.copy_((1 if name.endswith("weight") else 0) + 0.2 * torch.randn_like(p))
            elif p.ndim >= 2:
                fan = 1 if "embedding" in name and "proj" not in name and "linear" not in name else p[0].numel()
                p.copy_(gain * torch.randn_like(p) / fan**0.5)
    return model.eval()


def text_config(act, eos, hidden=16, **more):
    config = dict(
        vocab_size=len(VOCAB), hidden_size=hidden, intermediate_size=40, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=77, hidden_act=act, bos_token_id=BOS, eos_token_id=eos, pad_token_id=1)
    return CLIPTextConfig(**{**config, **more})


def unet(**more):
    config = dict(
        block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, sample_size=16, cross_attention_dim=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
    return spread(UNet2DConditionModel(**{**config, **more}), 0.9)


def reread_tokenizer(folder, pad):
    write_tokenizer(folder, pad)
    return CLIPTokenizer.from_pretrained(folder)


def rewrite(path, rename, more=()):
    """Saves a safetensors file again with other key names."""
    save_file({rename(k): v for k, v in load_file(path).items()} | dict(more), path, metadata={"format": "pt"})


def old_vae_name(key):
    if ".attentions." not in key:
        return key
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        key = key.replace(f".{new}.", f".{old}.")
    return key


def make_sd1():
    folder = HERE / "sd1"
    pipe = StableDiffusionPipeline(
        vae=tiny_vae(), text_encoder=spread(CLIPTextModel(text_config("quick_gelu", 2)), 1.2),
        tokenizer=reread_tokenizer(folder / "tokenizer", "<|endoftext|>"), unet=unet(attention_head_dim=2),
        scheduler=PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipe.save_pretrained(folder)
    write_tokenizer(folder / "tokenizer", "<|endoftext|>")
    rewrite(folder / "vae" / "diffusion_pytorch_model.safetensors", old_vae_name)
    ids = {"text_model.embeddings.position_ids": torch.arange(77).unsqueeze(0)}
    rewrite(folder / "text_encoder" / "model.safetensors", lambda k: "text_model." + k, ids)
    return pipe


def make_sd2():
    folder = HERE / "sd2"
    pipe = StableDiffusionPipeline(
        vae=tiny_vae(), text_encoder=spread(CLIPTextModel(text_config("gelu", EOS)), 1.2),
        tokenizer=reread_tokenizer(folder / "tokenizer", "!"),
        unet=unet(attention_head_dim=(2, 4), use_linear_projection=True),
        scheduler=DDIMScheduler(
            **BETAS, prediction_type="v_prediction", steps_offset=1, set_alpha_to_one=False, clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipe.to(torch.float16).save_pretrained(folder, variant="fp16")  # float16 on disk, computed in float32
    write_tokenizer(folder / "tokenizer", "!")
    return pipe.to(torch.float32)


def make_sdxl():
    folder = HERE / "sdxl"
    pipe = StableDiffusionXLPipeline(
        vae=tiny_vae(scaling_factor=0.13025), text_encoder=spread(CLIPTextModel(text_config("quick_gelu", 2)), 1.2),
        text_encoder_2=spread(CLIPTextModelWithProjection(text_config("gelu", EOS, 24, projection_dim=20)), 1.2),
        tokenizer=reread_tokenizer(folder / "tokenizer", "<|endoftext|>"),
        tokenizer_2=reread_tokenizer(folder / "tokenizer_2", "!"),
        unet=unet(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4), transformer_layers_per_block=(1, 2), use_linear_projection=True,
            cross_attention_dim=40, addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=20 + 6 * 8),
        scheduler=EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1), add_watermarker=False)
    pipe.to(torch.float16).save_pretrained(folder, max_shard_size="250KB")
    write_tokenizer(folder / "tokenizer", "<|endoftext|>")
    write_tokenizer(folder / "tokenizer_2", "!")
    return pipe.to(torch.float32)


PROMPT, NEGATIVE = "a chef and a tree in the park", "the old car"
CASES = [
    dict(name="sd1_ddim", folder="sd1", scheduler="ddim", guidance=7.5),
    dict(name="sd1_batch", folder="sd1", scheduler="ddim", guidance=4.0, prompt=[PROMPT, TEXT], negative=None, seeds=[5, 6]),
    dict(name="sd1_unguided", folder="sd1", scheduler="ddim", guidance=1.0, negative=None),
    dict(name="sd1_eta", folder="sd1", scheduler="ddim", guidance=3.0, eta=1.0),
    dict(name="sd1_clip_skip", folder="sd1", scheduler="ddim", guidance=3.0, clip_skip=1),
    dict(name="sd1_euler_a", folder="sd1", scheduler="euler_a", guidance=3.0),
    dict(name="sd2_v", folder="sd2", scheduler="ddim", guidance=5.0),
    dict(name="sd2_v_dpm", folder="sd2", scheduler="dpm++", guidance=5.0, prompt=["A RED  cat!! in the park, 2 o’clock"]),
    dict(name="sdxl_euler", folder="sdxl", scheduler="euler", guidance=5.0, height=24, width=40),
    dict(name="sdxl_zeros", folder="sdxl", scheduler="euler", guidance=5.0, negative=None, height=40, width=24),
    dict(name="sdxl_clip_skip", folder="sdxl", scheduler="ddim", guidance=5.0, clip_skip=1),
    dict(name="sd1_lora", folder="sd1", scheduler="ddim", guidance=3.0, lora=0.8),
    dict(name="sdxl_lora", folder="sdxl", scheduler="euler", guidance=3.0, lora=1.0),
]
SCHEDULERS = {
    "ddim": lambda c: DDIMScheduler.from_config(c, clip_sample=False),
    "euler": EulerDiscreteScheduler.from_config,
    "euler_a": EulerAncestralDiscreteScheduler.from_config,
    "dpm++": lambda c: DPMSolverMultistepScheduler.from_config(c, algorithm_type="dpmsolver++", use_karras_sigmas=True),
}


UNET_TARGETS = [
    "to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2",
    "time_emb_proj"]


def add_lora(name, pipe):
    """Saves a random LoRA, alpha unlike rank, on every kind of layer, and loads it as a user does."""
    unet = LoraConfig(r=2, lora_alpha=3, target_modules=UNET_TARGETS, init_lora_weights=False)
    text = LoraConfig(r=3, lora_alpha=1, target_modules=["q_proj", "out_proj", "fc1"], init_lora_weights=False)
    layers = dict(unet_lora_layers=lora_state(pipe.unet, unet), unet_lora_adapter_metadata=metadata(unet))
    if name == "sd1_lora":
        layers |= dict(text_encoder_lora_layers=lora_state(pipe.text_encoder, text), text_encoder_lora_adapter_metadata=metadata(text))
    type(pipe).save_lora_weights(HERE, weight_name=f"{name}.safetensors", **layers)
    pipe.load_lora_weights(HERE, weight_name=f"{name}.safetensors")


def lora_state(model, config):
    model.add_adapter(config)
    for key, p in model.named_parameters():
        if "lora_" in key:
            p.data = 0.3 * torch.randn_like(p) / p[0].numel() ** 0.5
    state = {k: v.detach().clone() for k, v in get_peft_model_state_dict(model).items()}
    delete = getattr(model, "delete_adapters", None) or model.delete_adapter  # diffusers', transformers'
    delete("default")
    return state


def metadata(config):
    return dict(r=config.r, lora_alpha=config.lora_alpha, target_modules=sorted(config.target_modules))


@torch.no_grad()
def draw(pipe, own_scheduler, case, golden):
    """Runs one case; the pipeline draws its own latents from the seeds."""
    pipe.scheduler = SCHEDULERS[case["scheduler"]](own_scheduler)
    if case["lora"]:
        add_lora(case["name"], pipe)
    n = len(case["seeds"]) // len(case["prompt"])
    trace = {}

    def first(_pipe, _i, _t, kwargs):
        trace.setdefault("after_1", kwargs["latents"].clone())
        return kwargs

    # diffusers 0.42 reads text_encoder.text_model for clip_skip, transformers 5 no longer has it.
    object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)
    negative = case["negative"] and [case["negative"]] * len(case["prompt"])
    call = dict(
        prompt=case["prompt"], negative_prompt=negative, num_images_per_prompt=n,
        generator=[torch.Generator("cpu").manual_seed(s) for s in case["seeds"]], eta=case["eta"],
        num_inference_steps=case["steps"], guidance_scale=case["guidance"], clip_skip=case["clip_skip"],
        height=case["height"], width=case["width"], callback_on_step_end=first,
        cross_attention_kwargs={"scale": case["lora"]} if case["lora"] else None)
    latents = pipe(**call, output_type="latent").images
    call["generator"] = [torch.Generator("cpu").manual_seed(s) for s in case["seeds"]]
    images = pipe(**call, output_type="pt").images
    golden |= {f"{case['name']}.{k}": v.contiguous() for k, v in (
        ("after_1", trace["after_1"]), ("latents", latents), ("images", images))}
    print(case["name"], tuple(images.shape), "std %.3f, saturated %.3f" % (images.std(), ((images <= 0) | (images >= 1)).float().mean()))


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    for name in ("sd1", "sd2", "sdxl"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    pipes = {"sd1": make_sd1(), "sd2": make_sd2(), "sdxl": make_sdxl()}
    # Read back from the folder: from_config forgets keys that were never set by name.
    configs = {k: type(p.scheduler).from_pretrained(HERE / k, subfolder="scheduler").config for k, p in pipes.items()}
    golden = {}
    golden["noise.7"] = torch.randn(1, 4, 16, 16, generator=torch.Generator("cpu").manual_seed(7))
    for case in CASES:
        defaults = dict(prompt=[PROMPT], negative=NEGATIVE, seeds=[7, 8], steps=4, eta=0.0, clip_skip=None, lora=None, height=32, width=32)
        case |= defaults | case
        pipes[case["folder"]].set_progress_bar_config(disable=True)
        draw(pipes[case["folder"]], configs[case["folder"]], case, golden)
    save_file(golden, HERE / "pipelines.safetensors")
    (HERE / "pipelines.json").write_text(json.dumps(CASES, indent=1) + "\n")


if __name__ == "__main__":
    main()
