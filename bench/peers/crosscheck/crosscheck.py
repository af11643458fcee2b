"""Opens in diffusers and peft what focusnfix wrote, and draws with both.

    python crosscheck.py path/to/focusnfix [folder ...]     (torch 2.15, diffusers 0.42, transformers 5.23, peft 0.21)

For every diffusers folder: `generate` against the pipeline of diffusers, `convert` to a single file and
back, to another element type, and LoRA files in every dialect. Without folders it makes three of its
own, SD 1, SD 2 and SDXL in the depth and text width of the real ones, which single files need, with
thin layers and random weights. Pictures may differ by 2/255 at most; converted weights not at all.
Prints a Markdown table and exits with 1 if a row fails. Only the program's command line is used.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import diffusers
import numpy
import peft
import torch
import transformers
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from peft import LoraConfig
from PIL import Image

REPOSITORY = pathlib.Path(__file__).parents[3]
sys.path.insert(0, str(REPOSITORY / "model" / "sd" / "testdata" / "ref"))
import pipelines as tiny  # noqa: E402  the golden data's models
from vae import tiny_vae  # noqa: E402

PROMPT, NEGATIVE, SEED, STEPS, GUIDANCE = "a chef and a tree in the park", "the old car", 7, 4, 5.0
LIMIT = 2  # of 255
SCHEDULERS = {
    "ddim": DDIMScheduler, "euler": EulerDiscreteScheduler, "euler_a": EulerAncestralDiscreteScheduler,
    "dpm++": DPMSolverMultistepScheduler,
}
VAE_LEVELS = dict(
    block_out_channels=(8, 8, 16, 16), layers_per_block=2, down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4)
rows = []


def make_folders(work):
    """SD 1, SD 2 and SDXL with thin layers."""
    torch.manual_seed(SEED)
    levels = dict(block_out_channels=(16, 16, 32, 32), layers_per_block=2, sample_size=8)
    cross = dict(
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",), up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3)
    text = dict(num_hidden_layers=2)
    l = lambda **more: tiny.spread(tiny.CLIPTextModel(tiny.text_config("quick_gelu", 2, 768, **text, **more)), 1.2)
    h = lambda width, cls, **more: tiny.spread(cls(tiny.text_config("gelu", tiny.EOS, width, **text, **more)), 1.2)
    none = dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    sd1 = StableDiffusionPipeline(
        vae=tiny_vae(**VAE_LEVELS), text_encoder=l(), tokenizer=tiny.reread_tokenizer(work / "t1", "<|endoftext|>"),
        unet=tiny.unet(cross_attention_dim=768, attention_head_dim=4, **levels, **cross),
        scheduler=PNDMScheduler(**tiny.BETAS, skip_prk_steps=True, steps_offset=1), **none)
    sd2 = StableDiffusionPipeline(
        vae=tiny_vae(**VAE_LEVELS), text_encoder=h(1024, tiny.CLIPTextModel), tokenizer=tiny.reread_tokenizer(work / "t2", "!"),
        unet=tiny.unet(cross_attention_dim=1024, attention_head_dim=(2, 2, 4, 4), use_linear_projection=True, **levels, **cross),
        scheduler=DDIMScheduler(**tiny.BETAS, prediction_type="v_prediction", steps_offset=1, set_alpha_to_one=False, clip_sample=False), **none)
    sdxl = StableDiffusionXLPipeline(
        vae=tiny_vae(scaling_factor=0.13025, **VAE_LEVELS), text_encoder=l(), text_encoder_2=h(1280, tiny.CLIPTextModelWithProjection, projection_dim=1280),
        tokenizer=tiny.reread_tokenizer(work / "t1", "<|endoftext|>"), tokenizer_2=tiny.reread_tokenizer(work / "t2", "!"),
        unet=tiny.unet(
            block_out_channels=(16, 16, 32), layers_per_block=2, sample_size=8, cross_attention_dim=2048,
            down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2, up_block_types=("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
            attention_head_dim=(2, 2, 4), transformer_layers_per_block=(1, 2, 3), use_linear_projection=True,
            addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=1280 + 6 * 8),
        scheduler=EulerDiscreteScheduler(**tiny.BETAS, timestep_spacing="leading", steps_offset=1), add_watermarker=False)
    for name, pipe in (("sd1", sd1), ("sd2", sd2), ("sdxl", sdxl)):
        pipe.save_pretrained(work / name)
        yield work / name


def row(what, ok, figure):
    rows.append(ok)
    print(f"| {what} | {figure} | {'ok' if ok else '**FAILS**'} |", flush=True)


def program(*args):
    done = subprocess.run([sys.argv[1], *map(str, args)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"focusnfix {' '.join(map(str, args))}: {done.stderr.strip()}")
    return done.stdout


def open_folder(folder, **more):
    index = json.loads((folder / "model_index.json").read_text())
    cls = StableDiffusionXLPipeline if "XL" in index["_class_name"] else StableDiffusionPipeline
    variant = "fp16" if list(folder.glob("unet/*.fp16.safetensors")) else None
    pipe = cls.from_pretrained(folder, variant=variant, dtype=torch.float32, local_files_only=True, **more)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def theirs(pipe, scheduler="ddim", seed=SEED):
    config = dict(pipe.scheduler.config)
    config.pop("clip_sample", None)
    more = {"clip_sample": False} if scheduler == "ddim" else {}
    pipe.scheduler = SCHEDULERS[scheduler].from_config(config, **more)
    images = pipe(
        PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
        generator=torch.Generator("cpu").manual_seed(seed), height=64, width=64, output_type="pil").images
    return numpy.asarray(images[0]).astype(int)


def ours(model, out, scheduler="ddim", *more):
    program(
        "generate", PROMPT, "--model", model, "--negative", NEGATIVE, "--steps", STEPS, "--guidance", GUIDANCE,
        "--seed", SEED, "--size", "64x64", "--scheduler", scheduler, "-o", out, *more)
    return numpy.asarray(Image.open(out).convert("RGB")).astype(int)


def picture(what, a, b):
    worst = abs(a - b).max()
    row(what, worst <= LIMIT, f"max {worst}/255, {100 * (a != b).mean():.2f} % of values differ")


def weights_of(pipe):
    parts = [p for p in ("unet", "vae", "text_encoder", "text_encoder_2") if getattr(pipe, p, None) is not None]
    return {f"{p}.{k}": v for p in parts for k, v in getattr(pipe, p).state_dict().items()}


def weights(what, got, want):
    same = got.keys() == want.keys() and all(torch.equal(got[k], want[k]) for k in want)
    row(what, same, f"{len(want)} tensors compared bit for bit")


def random_lora(pipe, folder):
    """A LoRA on every layer kind, with alpha unlike rank, saved by diffusers."""
    torch.manual_seed(SEED)
    targets = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2", "time_emb_proj"]
    pipe.unet.add_adapter(LoraConfig(r=4, lora_alpha=2, target_modules=targets, init_lora_weights=False))
    for name, p in pipe.unet.named_parameters():
        if "lora_" in name:
            p.data = 0.15 * torch.randn_like(p)
    type(pipe).save_lora_weights(folder, unet_lora_layers=lora_state(pipe), unet_lora_adapter_metadata=dict(r=4, lora_alpha=2, target_modules=targets))
    return folder / "pytorch_lora_weights.safetensors"


def lora_state(pipe):
    from peft.utils import get_peft_model_state_dict

    return get_peft_model_state_dict(pipe.unet)


def fits_one_file(folder):
    """A single file holds two layers a block and a VAE of four levels only."""
    unet, vae = (json.loads((folder / part / "config.json").read_text()) for part in ("unet", "vae"))
    return unet["layers_per_block"] == 2 and len(vae["block_out_channels"]) == 4


def check_single(folder, pipe, single, again, work):
    program("convert", folder, "-o", single)
    from_single = type(pipe).from_single_file(str(single), config=str(folder), local_files_only=True, dtype=torch.float32)
    weights("`convert` to one file, opened by from_single_file", weights_of(from_single), weights_of(pipe))
    picture("`generate` from that file", ours(single, work / "b.png", "ddim", "--config", folder), theirs(pipe))
    program("convert", single, "--config", folder, "-o", again)
    weights("`convert` back to a folder, opened by from_pretrained", weights_of(open_folder(again)), weights_of(pipe))


def check(folder, work):
    name = folder.name
    print(f"\n{name}\n\n| check | figure | |\n| --- | --- | --- |")
    for scheduler in SCHEDULERS:
        picture(f"`generate`, {scheduler}", ours(folder, work / "a.png", scheduler), theirs(open_folder(folder), scheduler))
    text = Image.open(work / "a.png").text["parameters"]
    row("PNG text read by PIL", PROMPT in text and f"Seed: {SEED}" in text, text.splitlines()[-1])

    pipe = open_folder(folder)
    single, again, half = work / f"{name}.safetensors", work / f"{name}-again", work / f"{name}-bf16"
    if fits_one_file(folder):
        check_single(folder, pipe, single, again, work)
    program("convert", folder, "--dtype", "bfloat16", "-o", half)
    want = {k: v.bfloat16().float() if v.is_floating_point() else v for k, v in weights_of(pipe).items()}
    weights("`convert --dtype bfloat16`", weights_of(open_folder(half)), want)

    lora = random_lora(open_folder(folder), work / f"{name}-lora")
    tuned = open_folder(folder)
    tuned.load_lora_weights(lora.parent, weight_name=lora.name)
    reference = theirs(tuned)
    change = abs(reference - theirs(open_folder(folder))).max()
    row("the LoRA changes the picture", change > 20, f"max {change}/255")
    picture("`generate --lora`, file of diffusers", ours(folder, work / "c.png", "ddim", "--lora", lora), reference)
    for dialect in ("peft", "diffusers", "kohya"):
        file = work / f"{name}-{dialect}.safetensors"
        program("convert", lora, "--lora-format", dialect, "-o", file)
        tuned = open_folder(folder)
        tuned.load_lora_weights(work, weight_name=file.name)
        picture(f"`convert --lora-format {dialect}`, loaded by diffusers", theirs(tuned), reference)
        picture(f"`generate --lora`, {dialect}", ours(folder, work / "d.png", "ddim", "--lora", file), reference)


def main():
    torch.set_num_threads(1)
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}, transformers {transformers.__version__}, peft {peft.__version__}")
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / "models").mkdir()
        for folder in [pathlib.Path(f) for f in sys.argv[2:]] or list(make_folders(work / "models")):
            check(folder, work)
    sys.exit(0 if all(rows) else 1)


if __name__ == "__main__":
    main()
