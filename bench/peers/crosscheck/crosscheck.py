"""Opens in diffusers and peft what focusnfix wrote, and draws with both.

    python crosscheck.py path/to/focusnfix [folder ...]     (torch 2.15, diffusers 0.42, transformers 5.23, peft 0.21)

For every diffusers folder (default: the tiny golden ones): `generate` against the pipeline of
diffusers, `convert` to a single file and back, to other element types, and LoRA files in every
dialect. Pictures may differ by 2/255 at most; converted weights not at all. Prints a Markdown table
and exits with 1 if a row fails. Only the program's command line is used, as a user would.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import diffusers
import numpy
import torch
import transformers
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from peft import LoraConfig
from PIL import Image
from safetensors.torch import load_file

REPOSITORY = pathlib.Path(__file__).parents[3]
REFERENCE = REPOSITORY / "model" / "sd" / "testdata" / "ref"
PROMPT, NEGATIVE, SEED, STEPS, GUIDANCE = "a chef and a tree in the park", "the old car", 7, 4, 5.0
LIMIT = 2  # of 255
SCHEDULERS = {
    "ddim": DDIMScheduler, "euler": EulerDiscreteScheduler, "euler_a": EulerAncestralDiscreteScheduler,
    "dpm++": DPMSolverMultistepScheduler,
}
rows = []


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
    pipe = cls.from_pretrained(folder, variant=variant, torch_dtype=torch.float32, local_files_only=True, **more)
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
        generator=torch.Generator("cpu").manual_seed(seed), height=32, width=32, output_type="pil").images
    return numpy.asarray(images[0]).astype(int)


def ours(model, out, scheduler="ddim", *more):
    program(
        "generate", PROMPT, "--model", model, "--negative", NEGATIVE, "--steps", STEPS, "--guidance", GUIDANCE,
        "--seed", SEED, "--size", "32x32", "--scheduler", scheduler, "--show", "none", "-o", out, *more)
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


def check(folder, work):
    name = folder.name
    print(f"\n{name}\n\n| check | figure | |\n| --- | --- | --- |")
    for scheduler in SCHEDULERS:
        picture(f"`generate`, {scheduler}", ours(folder, work / "a.png", scheduler), theirs(open_folder(folder), scheduler))
    text = Image.open(work / "a.png").text["parameters"]
    row("PNG text read by PIL", PROMPT in text and f"Seed: {SEED}" in text, text.splitlines()[-1])

    pipe = open_folder(folder)
    single, again, half = work / f"{name}.safetensors", work / f"{name}-again", work / f"{name}-bf16"
    program("convert", folder, "-o", single)
    cls = type(pipe)
    from_single = cls.from_single_file(str(single), config=str(folder), local_files_only=True, torch_dtype=torch.float32)
    weights("`convert` to one file, opened by from_single_file", weights_of(from_single), weights_of(pipe))
    picture("`generate` from that file", ours(single, work / "b.png", "ddim", "--config", folder), theirs(pipe))
    program("convert", single, "--config", folder, "-o", again)
    weights("`convert` back to a folder, opened by from_pretrained", weights_of(open_folder(again)), weights_of(pipe))
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
        row(f"tensors of the {dialect} file", True, f"{len(load_file(file))}")


def main():
    torch.set_num_threads(1)
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    folders = [pathlib.Path(f) for f in sys.argv[2:]] or [REFERENCE / n for n in ("sd1", "sd2", "sdxl")]
    with tempfile.TemporaryDirectory() as work:
        for folder in folders:
            check(folder, pathlib.Path(work))
    sys.exit(0 if all(rows) else 1)


if __name__ == "__main__":
    main()
