"""Tiny SD 3, SD 3.5 and Z-Image: trained by focusnfix, drawn with the exported LoRA by focusnfix and by diffusers.

    python bench/peers/backbones.py FOCUSNFIX [sd3|sd35|zimage ...]      the program; prints a table in Markdown

Weights are random (model/flow/testdata/ref/pipelines.py makes the models). Of each model: four steps of `train` with
NSFWJS as the reward; `export` in every format; `generate --lora` with each file; and, for the files that diffusers has a
reader for, the same image by its pipeline after load_lora_weights. Then a single file in the names of the original
programs, of random weights: what diffusers' own converter makes of it, drawn from a folder, against `generate -m FILE`; and
the way back, a file of `convert` read by that converter.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../..")
spec = importlib.util.spec_from_file_location("pipelines", os.path.join(ROOT, "model/flow/testdata/ref/pipelines.py"))
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)
PROMPT, SIDE, STEPS, SEED = "a chef in the park", 32, 4, 5
built = {}


def keep(name, pipe, *_):
    built[name] = pipe


def write_folder(name, pipe, folder):
    """A diffusers folder with the tokenizers' own files."""
    os.makedirs(folder)
    json.dump({"_class_name": type(pipe).__name__}, open(f"{folder}/model_index.json", "w"))
    pipe.scheduler.save_pretrained(f"{folder}/scheduler")
    for part in ("transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"):
        if getattr(pipe, part, None) is not None:
            getattr(pipe, part).save_pretrained(f"{folder}/{part}")
    if name == "zimage":
        shutil.copytree(os.path.join(ROOT, "model/tokenizer/testdata/ref"), f"{folder}/tokenizer", ignore=shutil.ignore_patterns("*"))
        pipe.tokenizer.backend_tokenizer.save(f"{folder}/tokenizer/tokenizer.json")
        return
    for t in ("tokenizer", "tokenizer_2"):
        shutil.copytree(os.path.join(ROOT, "model/clip/testdata/learned"), f"{folder}/{t}")
    if pipe.tokenizer_3 is not None:
        os.makedirs(f"{folder}/tokenizer_3")
        pipe.tokenizer_3.backend_tokenizer.save(f"{folder}/tokenizer_3/tokenizer.json")


def ours(program, folder, out, *more):
    guidance = "3"
    subprocess.run([program, "generate", PROMPT, "-m", folder, "--steps", str(STEPS), "--guidance", guidance, "--size", f"{SIDE}x{SIDE}",
                    "--seed", str(SEED), "--device", "cpu", "--dtype", "float32", "-q", "-o", out, *more], check=True, capture_output=True)
    return numpy.asarray(Image.open(out).convert("RGB")).astype(int)


def theirs(pipe):
    pipe.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 16, SIDE // pipe.vae_scale_factor, SIDE // pipe.vae_scale_factor, generator=torch.Generator().manual_seed(SEED))
    guidance = 2.0 if type(pipe).__name__ == "ZImagePipeline" else 3.0  # which counts from 0
    with torch.no_grad():
        image = pipe(prompt=PROMPT, latents=noise, num_inference_steps=STEPS, guidance_scale=guidance, height=SIDE, width=SIDE,
                     output_type="pt").images[0]
    return image.permute(1, 2, 0).mul(255).round().int().numpy()


def train(program, name, folder, dir):
    open(f"{dir}/prompts.txt", "w").write("a chef\na cat\na tree\n[held out]\na fox\n")
    open(f"{dir}/config.toml", "w").write(f'''
[[reward]]
aspect = "oversexualization"
model = "builtin:nsfw-mid"
held_out = "builtin:nsfw-small"
heatmap = "cam"
threshold = 0.001
[model]
path = "{folder}"
device = "cpu"
dtype = "float32"
[sample]
scheduler = "euler"
num_steps = {STEPS}
size = "{SIDE}x{SIDE}"
[lora]
targets = ["attention", "feedforward"]
[train]
gradient = "{'sparse' if name == 'zimage' else 'chained'}"
steps = 4
batch = 2
learning_rate = 0.02
prompts = "prompts.txt"
checkpoint_every = 4
images_every = 100
''')
    subprocess.run([program, "train", "config.toml", "--run", "run"], cwd=dir, check=True, capture_output=True, text=True)


def lora(program, name, pipe, dir):
    folder = f"{dir}/{name}"
    write_folder(name, pipe, folder)
    base = ours(program, folder, f"{dir}/base.png")
    print(f"| {name}, without LoRA | {abs(base - theirs(pipe)).max()}/255 | |")
    train(program, name, folder, dir)
    for style in ("peft", "kohya", "comfyui"):
        file = f"{dir}/{style}.safetensors"
        subprocess.run([program, "export", f"{dir}/run", "--format", style, "-o", file], check=True, capture_output=True)
        image = ours(program, folder, f"{dir}/{style}.png", "--lora", file)
        row = "no reader in diffusers"
        if style == "peft" or name == "zimage":
            pipe.load_lora_weights(file)
            row = f"{abs(image - theirs(pipe)).max()}/255"
            pipe.unload_lora_weights()
        print(f"| {name}, {style} | {row} | {abs(image - base).max()}/255 |")


def text_lora(program, name, pipe, dir):
    """A LoRA of random weights that updates transformer and both CLIPs."""
    g, state = torch.Generator().manual_seed(2), {}
    for part in ("transformer", "text_encoder", "text_encoder_2"):
        for layer, module in getattr(pipe, part).named_modules():
            if layer.endswith((".to_q", ".to_v", ".q_proj", ".v_proj")):
                state[f"{part}.{layer}.lora_A.weight"] = torch.randn(2, module.in_features, generator=g) * 0.3
                state[f"{part}.{layer}.lora_B.weight"] = torch.randn(module.out_features, 2, generator=g) * 0.3
    file = f"{dir}/text.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, file)
    base, image = ours(program, f"{dir}/{name}", f"{dir}/base.png"), ours(program, f"{dir}/{name}", f"{dir}/text.png", "--lora", file)
    pipe.load_lora_weights(file)
    print(f"| {name}, LoRA on transformer and both CLIPs | {abs(image - theirs(pipe)).max()}/255 | {abs(image - base).max()}/255 |")
    pipe.unload_lora_weights()


def way_back(program, name, pipe, dir, convert):
    """The single file that `convert` writes of a folder, as diffusers' own converter reads it: bit for bit the folder's."""
    path = f"{dir}/{name}-written.safetensors"
    subprocess.run([program, "convert", f"{dir}/{name}", "-o", path], check=True, capture_output=True)
    prefix = "model.diffusion_model."
    found = convert({k.removeprefix(prefix): v for k, v in load_file(path).items() if k.startswith(prefix)})
    want = {k: v for k, v in pipe.transformer.state_dict().items()}
    equal = set(found) == set(want) and all(torch.equal(found[k], want[k]) for k in want)
    print(f"| {name}, `convert` to one file, read by diffusers | {len(want)} tensors {'bit for bit' if equal else 'DIFFER'} | |")


def single(program, name, pipe, dir):
    """The inverse of diffusers' converter is found by asking it: which of its outputs comes from which input."""
    from diffusers.loaders import single_file_utils as utils
    convert = utils.convert_z_image_transformer_checkpoint_to_diffusers if name == "zimage" else utils.convert_sd3_transformer_checkpoint_to_diffusers
    way_back(program, name, pipe, dir, convert)
    state = {k: v.clone() for k, v in pipe.transformer.state_dict().items()}
    file = {}
    D = state["layers.0.attention.to_q.weight" if name == "zimage" else "proj_out.weight"].shape[1]
    if name == "zimage":
        for k, v in state.items():
            if ".attention.to_q." in k:
                file[k.replace("to_q", "qkv")] = torch.cat([v, state[k.replace("to_q", "to_k")], state[k.replace("to_q", "to_v")]])
            elif ".attention.to_k." not in k and ".attention.to_v." not in k:
                for a, b in (("all_final_layer.2-1", "final_layer"), ("all_x_embedder.2-1", "x_embedder"), ("attention.to_out.0", "attention.out"),
                             ("attention.norm_q", "attention.q_norm"), ("attention.norm_k", "attention.k_norm")):
                    k = k.replace(a, b)
                file[k] = v
    else:
        layers, dual = pipe.transformer.config.num_layers, pipe.transformer.config.dual_attention_layers
        g = torch.Generator().manual_seed(1)
        r = lambda *shape: torch.randn(*shape, generator=g) * 0.1  # noqa: E731
        linear = lambda key, out, width: file.update({f"{key}.weight": r(out, width), f"{key}.bias": r(out)})  # noqa: E731
        file["pos_embed"] = state["pos_embed.pos_embed"]
        file["x_embedder.proj.weight"], file["x_embedder.proj.bias"] = r(D, 16, 2, 2), r(D)
        linear("t_embedder.mlp.0", D, 256), linear("t_embedder.mlp.2", D, D), linear("y_embedder.mlp.0", D, 40), linear("y_embedder.mlp.2", D, D)
        linear("context_embedder", D, 48), linear("final_layer.linear", 64, D), linear("final_layer.adaLN_modulation.1", 2 * D, D)
        for i in range(layers):
            for block in ("x_block", "context_block"):
                key, last = f"joint_blocks.{i}.{block}", block == "context_block" and i == layers - 1
                linear(f"{key}.adaLN_modulation.1", (2 if last else 9 if block == "x_block" and i in dual else 6) * D, D)
                attns = ["attn"] + (["attn2"] if block == "x_block" and i in dual else [])
                for attn in attns:
                    linear(f"{key}.{attn}.qkv", 3 * D, D)
                    if not last:
                        linear(f"{key}.{attn}.proj", D, D)
                    if pipe.transformer.config.qk_norm:
                        file[f"{key}.{attn}.ln_q.weight"], file[f"{key}.{attn}.ln_k.weight"] = 1 + r(8), 1 + r(8)
                if not last:
                    linear(f"{key}.mlp.fc1", 4 * D, D), linear(f"{key}.mlp.fc2", D, 4 * D)
    path = f"{dir}/{name}-single.safetensors"
    save_file({f"model.diffusion_model.{k}": v.contiguous() for k, v in file.items()}, path)
    pipe.transformer.load_state_dict(convert(dict(load_file(path))))
    image = ours(program, path, f"{dir}/single.png", "--config", f"{dir}/{name}")
    print(f"| {name}, single file | {abs(image - theirs(pipe)).max()}/255 | |")


def main():
    program = os.path.abspath(sys.argv[1])
    made.draw = keep
    for name, make in {"sd3": lambda: made.sd3("sd3", False), "zimage": made.z_image,
                       "sd35": lambda: made.sd3("sd35", True, qk_norm="rms_norm", dual_attention_layers=[0])}.items():
        if name in (sys.argv[2:] or [name]):
            make()
    print("| model and file | against diffusers | change by training |\n| --- | --- | --- |")
    for name, pipe in built.items():
        with tempfile.TemporaryDirectory() as dir:
            lora(program, name, pipe, dir)
            if name != "zimage":
                text_lora(program, name, pipe, dir)
            single(program, name, pipe, dir)


if __name__ == "__main__":
    main()
