"""Every scheduler of `focusnfix generate` beside diffusers' class: a table for docs/parity.md.

    python bench/peers/crosscheck/schedulers.py build/focusnfix

Models are the tiny ones of model/sd/testdata/ref (random weights); 1, 4 and 30 steps, guidance 1 and 7.5. A cell
is the largest difference of a value, of 255.
"""

import pathlib
import subprocess
import sys
import tempfile
import warnings

import diffusers as D
import numpy as np
import torch
from PIL import Image

warnings.filterwarnings("ignore")
D.utils.logging.set_verbosity_error()
D.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
PROMPT, NEGATIVE = "a chef and a tree in the park", "the old car"

KARRAS, EXPONENTIAL, BETA = dict(use_karras_sigmas=True), dict(use_exponential_sigmas=True), dict(use_beta_sigmas=True)
TRAILING, UNCUT = dict(timestep_spacing="trailing"), dict(clip_sample=False)
SDE = dict(algorithm_type="sde-dpmsolver++")
NAMES = {
    "ddim": (D.DDIMScheduler, UNCUT), "ddim_trailing": (D.DDIMScheduler, UNCUT | TRAILING), "ddpm": (D.DDPMScheduler, UNCUT),
    "pndm": (D.PNDMScheduler, dict(skip_prk_steps=True)),
    "euler": (D.EulerDiscreteScheduler, {}), "euler_karras": (D.EulerDiscreteScheduler, KARRAS),
    "euler_exponential": (D.EulerDiscreteScheduler, EXPONENTIAL), "euler_beta": (D.EulerDiscreteScheduler, BETA),
    "euler_trailing": (D.EulerDiscreteScheduler, TRAILING), "euler_a": (D.EulerAncestralDiscreteScheduler, {}),
    "euler_a_trailing": (D.EulerAncestralDiscreteScheduler, TRAILING), "heun": (D.HeunDiscreteScheduler, {}),
    "heun_karras": (D.HeunDiscreteScheduler, KARRAS), "lcm": (D.LCMScheduler, {}), "tcd": (D.TCDScheduler, {}),
    "dpm++": (D.DPMSolverMultistepScheduler, {}), "dpm++_karras": (D.DPMSolverMultistepScheduler, KARRAS),
    "dpm++_exponential": (D.DPMSolverMultistepScheduler, EXPONENTIAL), "dpm++_beta": (D.DPMSolverMultistepScheduler, BETA),
    "dpm++_1": (D.DPMSolverMultistepScheduler, dict(solver_order=1)), "dpm++_3": (D.DPMSolverMultistepScheduler, dict(solver_order=3)),
    "dpm++_3_karras": (D.DPMSolverMultistepScheduler, dict(solver_order=3) | KARRAS), "dpm++_sde": (D.DPMSolverMultistepScheduler, SDE),
    "dpm++_sde_karras": (D.DPMSolverMultistepScheduler, SDE | KARRAS), "unipc": (D.UniPCMultistepScheduler, {}),
    "unipc_karras": (D.UniPCMultistepScheduler, KARRAS), "deis": (D.DEISMultistepScheduler, {}),
}


@torch.no_grad()
def theirs(pipe, steps, guidance):
    image = pipe(PROMPT, negative_prompt=NEGATIVE, num_inference_steps=steps, guidance_scale=guidance, width=32, height=32,
                 generator=torch.Generator("cpu").manual_seed(7), output_type="np").images[0]
    return (image * 255).round().astype(int)


def ours(folder, name, steps, guidance, out):
    subprocess.run([PROGRAM, "generate", PROMPT, "-m", folder, "--scheduler", name, "--steps", str(steps), "--guidance", str(guidance), "--negative",
                    NEGATIVE, "--seed", "7", "--size", "32x32", "-q", "-o", out, "--dtype", "float32", "--device", "cpu"], check=True, capture_output=True)
    return np.asarray(Image.open(out).convert("RGB")).astype(int)


def main():
    failed = False
    work = pathlib.Path(tempfile.mkdtemp())
    columns = [(steps, guidance) for steps in (1, 4, 30) for guidance in (1.0, 7.5)]
    print(f"torch {torch.__version__}, diffusers {D.__version__}\n")
    for kind, cls in (("sd1", D.StableDiffusionPipeline), ("sdxl", D.StableDiffusionXLPipeline)):
        folder = ROOT / "model/sd/testdata/ref" / kind
        pipe = cls.from_pretrained(folder, torch_dtype=torch.float32, **({"safety_checker": None} if kind == "sd1" else {"add_watermarker": False}))
        print(f"{kind}\n\n| scheduler | " + " | ".join(f"{s} steps, {g:g}" for s, g in columns) + " |\n| --- |" + " --- |" * len(columns))
        own = pipe.scheduler.config
        for name, (scheduler, more) in NAMES.items():
            cells = []
            for steps, guidance in columns:
                parts = {**pipe.components, "scheduler": scheduler.from_config(own, **more)}
                q = cls(**parts, **({"requires_safety_checker": False} if kind == "sd1" else {"add_watermarker": False}))
                q.set_progress_bar_config(disable=True)
                try:
                    difference = abs(theirs(q, steps, guidance) - ours(folder, name, steps, guidance, work / "ours.png")).max()
                    failed |= difference > 2
                    cells.append(str(difference))
                except Exception as problem:  # diffusers' own
                    cells.append(type(problem).__name__)
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        print()
    sys.exit(int(failed))


main()
