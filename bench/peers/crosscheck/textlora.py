"""Trains LoRA of the UNet and of the text encoders, and opens the exports in diffusers.

    python textlora.py path/to/focusnfix     (torch 2.12, diffusers 0.42, transformers 5.24, peft 0.21.2)

Two steps on models of crosscheck.py with a large learning rate, a reward that is part of the program, and
lora.targets = ["attention", "text"]. Every dialect is loaded by diffusers and drawn; images may differ from those of
`generate --lora` by 2/255. Prints a Markdown table and exits with 1 if a row fails.
"""

import pathlib
import sys
import tempfile

import diffusers
import peft
import torch
import transformers
from safetensors import safe_open

from crosscheck import make_folders, open_folder, ours, picture, program, row, rows, theirs

PROMPTS = "a chef in the park\na cat\na tree\na dog\n[held out]\na fox\na house\n"
SETTINGS = {
    "lora.targets": "attention,text", "lora.rank": 2, "lora.alpha": 4, "train.learning_rate": 0.2, "train.grad_clip": 0, "train.batch": 1,
    "train.accumulate": 1, "sample.size": "64x64", "sample.num_steps": 3, "train.backprop_steps": 1, "train.images_every": 10,
    "gate.action": "warn", "model.device": "cpu", "model.dtype": "float32",
}
PRESET = """
[[reward]]
aspect = "over-sexualization"
model = "builtin:nsfw-mid"
held_out = "builtin:nsfw-small"
"""


def load(pipe, folder, name):
    """load_lora_weights. Names of files begin with text_model, which transformers 5 took off its text encoders;
    diffusers 0.42 does not know that, of any program's file, so it is done here."""
    parts = [p for p in ("text_encoder", "text_encoder_2") if getattr(pipe, p, None) is not None]
    flat = [p for p in parts if not hasattr(getattr(pipe, p), "text_model")]
    plain = type(pipe).lora_state_dict

    def strip(value):
        if isinstance(value, dict):
            return {strip(k): strip(v) for k, v in value.items()}
        if isinstance(value, (list, tuple, set)):
            return type(value)(strip(v) for v in value)
        if isinstance(value, str):
            for p in flat:
                value = value.replace(p + ".text_model.", p + ".")
            return value.removeprefix("text_model.")
        return value

    pipe.lora_state_dict = lambda *args, **more: tuple(strip(v) for v in plain(*args, **more))
    pipe.load_lora_weights(folder, weight_name=name)


def check(folder, work):
    name = folder.name
    print(f"\n{name}\n\n| check | figure | |\n| --- | --- | --- |")
    (work / "prompts.txt").write_text(PROMPTS)
    (work / "preset.toml").write_text(PRESET)
    settings = {**SETTINGS, "model.path": folder, "train.prompts": work / "prompts.txt"}
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    run = work / f"{name}-run"
    program("train", work / "preset.toml", "--steps", 2, "--run", run, *sets)
    plain = theirs(open_folder(folder))
    reference = None
    for dialect in ("peft", "diffusers", "kohya"):
        file = work / f"{name}-{dialect}.safetensors"
        if dialect == "diffusers":
            program("convert", work / f"{name}-peft.safetensors", "--lora-format", dialect, "-o", file)
        else:
            program("export", run, "--format", dialect, "-o", file)
        with safe_open(file, "pt") as f:
            keys = list(f.keys())
        text = [k for k in keys if k.startswith(("text_encoder", "lora_te"))]
        row(f"{dialect}: keys of text encoders", bool(text), f"{len(text)} of {len(keys)}, such as {min(text)}")
        drawn = ours(folder, work / "e.png", "ddim", "--lora", file)
        if reference is None:
            reference = drawn
            change = abs(drawn - plain).max()
            row("the LoRA changes the image", change > 20, f"max {change}/255")
        picture(f"{dialect}: `generate --lora`", drawn, reference)
        tuned = open_folder(folder)
        load(tuned, work, file.name)
        encoders = [e for e in ("text_encoder", "text_encoder_2") if getattr(tuned, e, None) is not None]
        loaded = [any("lora_A" in n for n, _ in getattr(tuned, e).named_parameters()) for e in encoders]
        row(f"{dialect}: diffusers puts it on {', '.join(encoders)}", all(loaded), str(loaded))
        picture(f"{dialect}: loaded by diffusers", theirs(tuned), reference)


def main():
    torch.set_num_threads(1)
    transformers.integrations.peft.MIN_PEFT_VERSION = "0.21.0"  # transformers 5.24 wants one that is not out yet
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}, transformers {transformers.__version__}, peft {peft.__version__}")
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / "models").mkdir()
        for folder in make_folders(work / "models"):
            if folder.name != "sd2":  # whose text encoder is one of SDXL's
                check(folder, work)
    sys.exit(0 if all(rows) else 1)


if __name__ == "__main__":
    main()
