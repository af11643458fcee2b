"""The diffusers side of bench/fullsize: loads a folder and draws one picture, prints the same JSON.

    python fullsize.py FOLDER [float32] [256] [2]        element type, side, steps
"""

import json
import resource
import sys
import time

folder, dtype, side, steps = (sys.argv[1:] + ["float32", "256", "2"][len(sys.argv) - 2 :])[:4]
imports = time.time()
import torch  # noqa: E402
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline  # noqa: E402


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


xl = "XL" in open(f"{folder}/model_index.json").read()
start, cpu = time.time(), time.process_time()
cls = StableDiffusionXLPipeline if xl else StableDiffusionPipeline
pipe = cls.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True, **({"add_watermarker": False} if xl else {}))
pipe.set_progress_bar_config(disable=True)
result = {"import_s": start - imports, "load_s": time.time() - start, "load_cpu_s": time.process_time() - cpu, "load_mb": peak_mb()}
last = time.process_time()


def tick(_pipe, _i, _t, kwargs):
    global last
    now = time.process_time()
    result["step_cpu_s"], last = now - last, now
    return kwargs


pipe(
    "a chef", num_inference_steps=int(steps), guidance_scale=1.0, height=int(side), width=int(side),
    generator=torch.Generator("cpu").manual_seed(1), callback_on_step_end=tick)
result |= {"decode_cpu_s": time.process_time() - last, "all_mb": peak_mb()}
print(json.dumps(result))
