"""Public reports about other programs, each tried on this one: a table for docs/parity.md.

    python bench/peers/crosscheck/reports.py build/focusnfix

The models are the tiny ones of model/sd/testdata/ref (random weights), changed into what each report describes. A row
is drawn beside diffusers where diffusers can draw it, and otherwise says what the program does.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

import diffusers as D
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

warnings.filterwarnings("ignore")
D.utils.logging.set_verbosity_error()
D.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
WORK = pathlib.Path(tempfile.mkdtemp())
PROMPT, NEGATIVE = "a chef and a tree in the park", "the old car"
failed = False


def copy(kind):
    folder = WORK / kind
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "model/sd/testdata/ref" / kind, folder)
    return folder


def edit(file, **keys):
    text = json.loads(file.read_text())
    text.update(keys)
    file.write_text(json.dumps(text))


def set_scheduler(folder, scheduler):
    scheduler.save_pretrained(folder / "scheduler")
    edit(folder / "model_index.json", scheduler=["diffusers", type(scheduler).__name__])


def run(folder, *more, steps=4, prompt=PROMPT, guidance=5.0):
    out = WORK / "ours.png"
    p = subprocess.run([PROGRAM, "generate", prompt, "-m", folder, "--steps", str(steps), "--guidance", str(guidance), "--negative", NEGATIVE, "--seed",
                        "7", "--size", "32x32", "-q", "-o", out, "--dtype", "float32", "--device", "cpu", *more], capture_output=True, text=True)
    return p.returncode, p.stderr.strip().replace(str(WORK) + "/", ""), out


@torch.no_grad()
def theirs(folder, steps=4, prompt=PROMPT, guidance=5.0, change=None, **more):
    cls = D.StableDiffusionXLPipeline if "sdxl" in folder.name else D.StableDiffusionPipeline
    pipe = cls.from_pretrained(folder, torch_dtype=torch.float32, **({"add_watermarker": False} if "sdxl" in folder.name else {"safety_checker": None}))
    pipe.set_progress_bar_config(disable=True)
    if change:
        change(pipe)
    image = pipe(prompt, negative_prompt=NEGATIVE, num_inference_steps=steps, guidance_scale=guidance, width=32, height=32,
                 generator=torch.Generator("cpu").manual_seed(7), output_type="np", **more).images[0]
    return (image * 255).round().astype(int)


def row(report, what, found, ok):
    global failed
    failed |= not ok
    print(f"| {report} | {what} | {found} | {'ok' if ok else 'FAILS'} |", flush=True)


def drawn(report, what, folder, *more, reference=None, diffusers_fails=False, **how):
    code, error, out = run(folder, *more, **{k: v for k, v in how.items() if k in ("steps", "prompt", "guidance")})
    if code:
        return row(report, what, "refused: " + error[:160], False)
    if diffusers_fails:
        image = np.asarray(Image.open(out).convert("RGB"))
        return row(report, what, f"drawn, values of std {image.std():.0f}; diffusers raises an error", image.std() > 5)
    want = theirs(reference or folder, **how)
    d = abs(np.asarray(Image.open(out).convert("RGB")).astype(int) - want).max()
    row(report, what, f"max {d}/255 from diffusers", d <= 2)


def refused(report, what, folder, words, *more, **how):
    code, error, _ = run(folder, *more, **how)
    line = error.split("\n")[0].removeprefix("error: ").removeprefix("load model: ")
    row(report, what, "refused: " + line[:150], code in (1, 2) and words in line)


BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def schedulers():
    f = copy("sd1")
    cosine = dict(beta_schedule="squaredcos_cap_v2")
    set_scheduler(f, D.DPMSolverMultistepScheduler(**cosine, use_karras_sigmas=True))
    drawn("diffusers #12771 (2025-12)", "DPM-Solver++, cosine betas, Karras sigmas, 20 steps: IndexError", f, steps=20, diffusers_fails=True)
    set_scheduler(f, D.DPMSolverMultistepScheduler(**cosine, use_lu_lambdas=True))
    drawn("diffusers #10738 (2025-02)", "the same with Lu's spacing", f, steps=20, diffusers_fails=True)
    set_scheduler(f, D.DDIMScheduler(**BETAS, clip_sample=False, steps_offset=1, timestep_spacing="linspace"))
    drawn("diffusers #12633 (2025-11)", "DDIM with linspace steps down by another stride; drawn the same until diffusers changes", f, steps=10)
    set_scheduler(f, D.DDIMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2", clip_sample=False, steps_offset=1, timestep_spacing="linspace"))
    drawn("diffusers #11347 (2025-04)", "the same with 100 training timesteps", f, steps=5)
    set_scheduler(f, D.DPMSolverSinglestepScheduler(**BETAS, solver_order=3))
    refused("diffusers #9007", "DPMSolverSinglestepScheduler of order 3: black image", f, "DPMSolverSinglestepScheduler")
    set_scheduler(f, D.UniPCMultistepScheduler(**BETAS, use_flow_sigmas=True, prediction_type="flow_prediction"))
    refused("diffusers #12109 (2025-08)", "UniPC with flow sigmas on a UNet", f, "flow")
    set_scheduler(f, D.DDIMScheduler(**BETAS, clip_sample=False, steps_offset=1))
    refused("diffusers #10003 (2024-11)", "DDIM with 1000 steps and steps_offset 1: IndexError", f, "want 1 to 999", steps=1000)
    f = copy("sdxl")
    set_scheduler(f, D.EulerDiscreteScheduler(**BETAS, prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"))
    drawn("sd-scripts #1112", "SDXL of v-prediction and zero terminal SNR as a folder (Terminus)", f)


def configurations():
    f = copy("sd1")
    edit(f / "unet/config.json", zero_cond_t=True)
    refused("diffusers #12889 (2025-12)", "a configuration key that the library does not know is skipped", f, "zero_cond_t")
    f = copy("sd1")
    edit(f / "unet/config.json", decay=0.9999, inv_gamma=1.0, min_decay=0.0, optimization_step=37000, power=2 / 3, update_after_step=0, use_ema_warmup=False)
    drawn("ComfyUI-IDM-VTON #57", "keys of averaged weights in unet/config.json", f, reference=copy_reference("sd1"))
    f = copy("sd1")
    edit(f / "vae/config.json", shift_factor=None, use_quant_conv=True, use_post_quant_conv=True, latents_mean=None, latents_std=None)
    drawn("Paints-UNDO #101 (2025-02)", "newer keys of a VAE with null in them", f)
    f = copy("sd1")
    edit(f / "unet/config.json", dropout=0.0, mid_block_type="UNetMidBlock2DCrossAttn", reverse_transformer_layers_per_block=None,
         addition_embed_type=None, conv_in_kernel=3, resnet_out_scale_factor=1.0)
    drawn("SAVE #1 (2025-02)", "the keys of today's diffusers in an SD 1.5 folder", f)
    f = copy("sdxl")
    edit(f / "model_index.json", feature_extractor=[None, None], image_encoder=[None, None])
    drawn("kohya-colab #243 (2024-12)", "model_index.json with parts of null", f)


def copy_reference(kind):
    folder = WORK / ("reference_" + kind)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "model/sd/testdata/ref" / kind, folder)
    return folder


def texts():
    f = copy("sd1")
    keys = load_file(f / "text_encoder/model.safetensors")
    flat = {k.removeprefix("text_model."): v for k, v in keys.items() if "position_ids" not in k}
    save_file(flat, f / "text_encoder/model.safetensors", metadata={"format": "pt"})
    drawn("OneTrainer #1548 (2026-06)", "a text encoder's keys without text_model, as transformers 5.6 has them", f)
    drawn("diffusers #14124 (2026-07)", "clip skip 1 with them: AttributeError", f, "--clip-skip", "1", diffusers_fails=True)
    for name, report in (("<New1>", "sdnext #4964 (2026-06)"), ("<sks>", "diffusers #10754 (2025-02)")):
        f = copy("sd1")
        pipe = D.StableDiffusionPipeline.from_pretrained(f, torch_dtype=torch.float32, safety_checker=None)
        pipe.tokenizer.add_tokens([name])
        pipe.text_encoder.resize_token_embeddings(len(pipe.tokenizer))
        with torch.no_grad():
            pipe.text_encoder.get_input_embeddings().weight[-1:] = torch.randn(1, 16, generator=torch.Generator().manual_seed(1))
        pipe.save_pretrained(f)
        what = {"<New1>": "an added token in capitals is found in small letters, too", "<sks>": "an added token beside eos_token_id 2"}[name]
        drawn(report, what, f, prompt=f"a {name.upper()} chef" if name == "<New1>" else f"a {name} chef")


def wide_sdxl():
    """A folder of SDXL in the depth and text widths that a single file has, with thin layers."""
    folder = copy("sdxl")
    pipe = D.StableDiffusionXLPipeline.from_pretrained(folder, torch_dtype=torch.float32, add_watermarker=False)
    text, text2 = CLIPTextConfig(**TEXT, hidden_size=768), CLIPTextConfig(**TEXT, hidden_size=1280, projection_dim=1280)
    three = ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")
    unet = D.UNet2DConditionModel(
        block_out_channels=(8, 8, 16), layers_per_block=2, norm_num_groups=4, sample_size=16, cross_attention_dim=2048, down_block_types=three,
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=2, transformer_layers_per_block=(1, 2, 2),
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=1280 + 48)
    vae = D.AutoencoderKL(block_out_channels=(4, 4, 8, 8), layers_per_block=2, norm_num_groups=2, down_block_types=("DownEncoderBlock2D",) * 4,
                          up_block_types=("UpDecoderBlock2D",) * 4)
    parts = dict(unet=unet, vae=vae, text_encoder=CLIPTextModel(text), text_encoder_2=CLIPTextModelWithProjection(text2))
    D.StableDiffusionXLPipeline(**{**pipe.components, **parts}, add_watermarker=False).save_pretrained(WORK / "wide")
    return WORK / "wide"


TEXT = dict(vocab_size=551, intermediate_size=32, num_hidden_layers=2, num_attention_heads=8, hidden_act="quick_gelu")


def marks():
    folder, file = wide_sdxl(), WORK / "single.safetensors"
    subprocess.run([PROGRAM, "convert", folder, "-o", file], check=True)
    tensors, empty = load_file(file), torch.zeros(0)
    f = WORK / "marked.safetensors"

    def folder_of(*more):
        out = WORK / "converted"
        shutil.rmtree(out, ignore_errors=True)
        p = subprocess.run([PROGRAM, "convert", f, "-o", out, "--config", folder, *more], capture_output=True, text=True)
        keys = json.loads((out / "scheduler/scheduler_config.json").read_text()) if p.returncode == 0 else {}
        return {k: keys.get(k) for k in ("prediction_type", "rescale_betas_zero_snr", "timestep_spacing")}, out

    save_file({**tensors, "v_pred": empty}, f)
    got, _ = folder_of()
    row("InvokeAI #7495", "SDXL with a v_pred key is drawn as epsilon", f"{got['prediction_type']}", got["prediction_type"] == "v_prediction")
    save_file({**tensors, "v_pred": empty, "ztsnr": empty}, f)
    got, out = folder_of()
    ok = got == {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    row("ComfyUI #5573", "the ztsnr key sets zero terminal SNR", str(got), ok)
    row("InvokeAI #7965 (2025-04)", "conversion to a folder forgets v-prediction", str(got["prediction_type"]), ok)
    back = WORK / "back.safetensors"
    back.unlink(missing_ok=True)
    subprocess.run([PROGRAM, "convert", out, "-o", back], check=True, capture_output=True)
    keys = [k for k in ("v_pred", "ztsnr") if k in load_file(back)]
    row("ComfyUI #7840 (2025-04)", "a saved checkpoint lacks v_pred and ztsnr", "keys " + ", ".join(keys), keys == ["v_pred", "ztsnr"])
    got, _ = folder_of("--zero-snr=false")
    row("sd-webui-forge-classic #144 (2025-08)", "zero terminal SNR cannot be turned off", f"rescale_betas_zero_snr {got['rescale_betas_zero_snr']}",
        got["rescale_betas_zero_snr"] is False)


def main():
    print(f"torch {torch.__version__}, diffusers {D.__version__}\n\n| report | what it is about | here | |\n| --- | --- | --- | --- |")
    schedulers()
    configurations()
    texts()
    marks()
    sys.exit(int(failed))


main()
