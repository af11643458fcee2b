"""Draws from full-size single files without a folder beside them, and compares with diffusers.

    python singlefile.py path/to/focusnfix "SD 1" [64] [float32]    (torch 2.15, diffusers 0.42, transformers 5.23)

Makes a float16 file of random weights with every key and shape that diffusers' converters know for the
kind ("SD 1", "SD 2", "SDXL"; model/weights/testdata/ref/single_file.json.gz), draws from it with
`generate`, turns it into a folder with `convert`, and opens folder and file in diffusers. Pictures, of
64 pixels a side and two steps, may differ by 2/255 in float32; in bfloat16, which rounds differently in
each program, by 8/255 on average. Prints a Markdown table and exits with 1 if a row fails. Takes two
times the file's size of disk and, in float32, of memory.
"""

import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image
from safetensors.torch import save_file

REPOSITORY = pathlib.Path(__file__).parents[3]
PROGRAM, KIND, SIDE, DTYPE = (sys.argv[1:] + ["64", "float32"][len(sys.argv) - 3 :])[:4]
SIDE = int(SIDE)
PROMPT, NEGATIVE, SEED, STEPS, GUIDANCE = "a chef in the park, golden hour", "the old car", 7, 2, 5.0
LIMIT, LIMIT_BFLOAT16 = 2, 8  # of 255; the largest difference, and the mean one
torch.set_num_threads(1)
rows = []


def random_file(path):
    shapes = json.load(gzip.open(REPOSITORY / "model/weights/testdata/ref/single_file.json.gz"))["kinds"][KIND]["single"]
    torch.manual_seed(SEED)
    tensors = {}
    for key, shape in shapes.items():
        if len(shape) > 1:
            fan_in = numpy.prod(shape[1:])
            value = torch.randn(shape) / fan_in**0.5 if "embedding" not in key else torch.randn(shape) * 0.02
        elif key.endswith("bias"):
            value = torch.randn(shape) * 0.02
        else:
            value = 1 + torch.randn(shape) * 0.1
        tensors[key] = value.half()
    save_file(tensors, path)
    return len(tensors)


def row(what, ok, figure):
    rows.append(ok)
    print(f"| {what} | {figure} | {'ok' if ok else '**FAILS**'} |", flush=True)


def program(*args):
    start = time.time()
    done = subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"focusnfix {' '.join(map(str, args))}: {done.stderr.strip()}")
    return f"{time.time() - start:.0f} s", [line for line in done.stderr.splitlines() if line.startswith("warning")]


@torch.no_grad()
def theirs(pipe):
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    images = pipe(
        PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=GUIDANCE, height=SIDE, width=SIDE,
        generator=torch.Generator("cpu").manual_seed(SEED), output_type="pil").images
    return numpy.asarray(images[0]).astype(int)


def picture(what, a, b):
    worst, mean = abs(a - b).max(), abs(a - b).mean()
    ok = worst <= LIMIT if DTYPE == "float32" else mean <= LIMIT_BFLOAT16
    row(what, ok, f"max {worst}/255, mean {mean:.3f}/255, {100 * (a != b).mean():.2f} % of values differ")


def main():
    print(f"{KIND}, {SIDE}x{SIDE}, {DTYPE}\n\n| check | figure | |\n| --- | --- | --- |")
    more = {"add_watermarker": False} if KIND == "SDXL" else {}
    cls = StableDiffusionXLPipeline if KIND == "SDXL" else StableDiffusionPipeline
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        single, folder, out = work / "single.safetensors", work / "folder", work / "out.png"
        row("random file", True, f"{random_file(single)} tensors, {single.stat().st_size / 1e9:.2f} GB")
        took, warnings = program(
            "generate", PROMPT, "--model", single, "--negative", NEGATIVE, "--steps", STEPS, "--guidance", GUIDANCE, "--seed", SEED,
            "--size", f"{SIDE}x{SIDE}", "--scheduler", "ddim", "--dtype", DTYPE, "--device", "cpu", "-o", out)
        ours = numpy.asarray(Image.open(out).convert("RGB")).astype(int)
        expected = 1 if KIND == "SD 2" else 0
        row("`generate --model single.safetensors`, no folder named", len(warnings) == expected, f"{took}, {len(warnings)} warnings, pixels of std {ours.std():.0f}")
        took, _ = program("convert", single, "-o", folder)
        row("`convert single.safetensors -o folder`, no folder named", True, took)
        pipe = cls.from_pretrained(folder, dtype=getattr(torch, DTYPE), local_files_only=True, **more)
        picture("folder opened by from_pretrained", ours, theirs(pipe))
        del pipe
        pipe = cls.from_single_file(single, config=str(folder), torch_dtype=getattr(torch, DTYPE), local_files_only=True, **more)
        picture("file opened by from_single_file", ours, theirs(pipe))
    sys.exit(0 if all(rows) else 1)


main()
