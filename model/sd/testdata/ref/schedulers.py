"""Reference tables and full trajectories of diffusers' schedulers -> schedulers.json

    python schedulers.py        (versions are written into the file; scipy for beta sigmas)

The network is replaced by a formula that needs no weights, y = sin(x + t / 100), on eight latents; the
noise of every step is drawn from torch.Generator(seed) and kept beside the latents of every step.
"""

import inspect
import json
import os
import sys

import diffusers
import numpy as np
import torch

SD = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
V = dict(prediction_type="v_prediction")

# name: (class, configuration beyond SD's, steps, eta)
CASES = {
    "ddim_sd15": ("DDIMScheduler", dict(steps_offset=1, set_alpha_to_one=False, clip_sample=False), 10, 0.0),
    "ddim_50": ("DDIMScheduler", dict(steps_offset=1, set_alpha_to_one=False, clip_sample=False), 50, 0.0),
    "ddim_eta1": ("DDIMScheduler", dict(steps_offset=1, set_alpha_to_one=False, clip_sample=False), 10, 1.0),
    "ddim_eta_half_v": ("DDIMScheduler", dict(clip_sample=False, **V), 7, 0.5),
    "ddim_alpha_one": ("DDIMScheduler", dict(clip_sample=False), 8, 0.0),
    "ddim_trailing_v": ("DDIMScheduler", dict(clip_sample=False, timestep_spacing="trailing", **V), 9, 0.0),
    "ddim_trailing_zero_snr_v": (
        "DDIMScheduler",
        dict(clip_sample=False, timestep_spacing="trailing", rescale_betas_zero_snr=True, **V), 10, 0.0),
    "ddim_linspace": ("DDIMScheduler", dict(clip_sample=False, timestep_spacing="linspace"), 12, 0.0),
    "ddim_sample": ("DDIMScheduler", dict(clip_sample=False, prediction_type="sample"), 6, 0.0),
    "ddim_linear_betas": ("DDIMScheduler", dict(clip_sample=False, beta_schedule="linear"), 6, 0.0),
    "ddim_cosine_betas": ("DDIMScheduler", dict(clip_sample=False, beta_schedule="squaredcos_cap_v2"), 6, 0.0),
    "ddim_3": ("DDIMScheduler", dict(steps_offset=1, set_alpha_to_one=False, clip_sample=False), 3, 0.0),
    "euler_sdxl": ("EulerDiscreteScheduler", dict(steps_offset=1, timestep_spacing="leading"), 10, 0.0),
    "euler_linspace": ("EulerDiscreteScheduler", {}, 11, 0.0),
    "euler_trailing_v": ("EulerDiscreteScheduler", dict(timestep_spacing="trailing", **V), 7, 0.0),
    "euler_karras": ("EulerDiscreteScheduler", dict(use_karras_sigmas=True), 10, 0.0),
    "euler_sigma_min": ("EulerDiscreteScheduler", dict(final_sigmas_type="sigma_min"), 6, 0.0),
    "euler_zero_snr_v": (
        "EulerDiscreteScheduler", dict(timestep_spacing="trailing", rescale_betas_zero_snr=True, **V), 8, 0.0),
    "euler_a": ("EulerAncestralDiscreteScheduler", dict(steps_offset=1, timestep_spacing="leading"), 10, 0.0),
    "euler_a_linspace_v": ("EulerAncestralDiscreteScheduler", dict(**V), 6, 0.0),
    "dpm_2m": ("DPMSolverMultistepScheduler", {}, 10, 0.0),
    "dpm_2m_20": ("DPMSolverMultistepScheduler", {}, 20, 0.0),
    "dpm_2m_karras": ("DPMSolverMultistepScheduler", dict(use_karras_sigmas=True), 10, 0.0),
    "dpm_2m_karras_20": ("DPMSolverMultistepScheduler", dict(use_karras_sigmas=True), 20, 0.0),
    "dpm_2m_leading_v": (
        "DPMSolverMultistepScheduler", dict(timestep_spacing="leading", steps_offset=1, **V), 9, 0.0),
    "dpm_2m_trailing": ("DPMSolverMultistepScheduler", dict(timestep_spacing="trailing"), 16, 0.0),
    "dpm_2m_sigma_min_20": ("DPMSolverMultistepScheduler", dict(final_sigmas_type="sigma_min"), 20, 0.0),
    "dpm_2m_sigma_min_14": ("DPMSolverMultistepScheduler", dict(final_sigmas_type="sigma_min"), 14, 0.0),
    "dpm_2m_no_lower_order": (
        "DPMSolverMultistepScheduler", dict(lower_order_final=False, final_sigmas_type="sigma_min"), 6, 0.0),
    "dpm_2m_euler_at_final": (
        "DPMSolverMultistepScheduler", dict(euler_at_final=True, final_sigmas_type="sigma_min"), 20, 0.0),
}

# Every further kind at 1, 4 and 30 steps.
KINDS = {
    "pndm": ("PNDMScheduler", dict(skip_prk_steps=True, steps_offset=1), 0.0),
    "pndm_v_trailing": ("PNDMScheduler", dict(skip_prk_steps=True, timestep_spacing="trailing", **V), 0.0),
    "pndm_prk": ("PNDMScheduler", dict(skip_prk_steps=False, set_alpha_to_one=True), 0.0),
    "ddpm": ("DDPMScheduler", dict(clip_sample=False), 0.0),
    "ddpm_large_v": ("DDPMScheduler", dict(clip_sample=False, variance_type="fixed_large", timestep_spacing="trailing", **V), 0.0),
    "ddim_clip": ("DDIMScheduler", dict(clip_sample=True, clip_sample_range=1.5), 0.0),
    "ddim_thresholding": ("DDIMScheduler", dict(thresholding=True, sample_max_value=3.0, dynamic_thresholding_ratio=0.9), 0.0),
    "lcm": ("LCMScheduler", {}, 0.0),
    "lcm_v": ("LCMScheduler", dict(**V), 0.0),
    "tcd": ("TCDScheduler", {}, 0.0),
    "tcd_eta": ("TCDScheduler", {}, 0.3),
    "heun": ("HeunDiscreteScheduler", {}, 0.0),
    "heun_karras_leading": ("HeunDiscreteScheduler", dict(use_karras_sigmas=True, timestep_spacing="leading", steps_offset=1), 0.0),
    "heun_clip_v": ("HeunDiscreteScheduler", dict(clip_sample=True, **V), 0.0),
    "euler_exponential": ("EulerDiscreteScheduler", dict(use_exponential_sigmas=True), 0.0),
    "euler_beta": ("EulerDiscreteScheduler", dict(use_beta_sigmas=True), 0.0),
    "euler_trailing": ("EulerDiscreteScheduler", dict(timestep_spacing="trailing"), 0.0),
    "euler_a_trailing": ("EulerAncestralDiscreteScheduler", dict(timestep_spacing="trailing"), 0.0),
    "euler_log_linear": ("EulerDiscreteScheduler", dict(interpolation_type="log_linear"), 0.0),
    "euler_continuous_v": ("EulerDiscreteScheduler", dict(timestep_type="continuous", **V), 0.0),
    "euler_sigma_range": ("EulerDiscreteScheduler", dict(sigma_min=0.05, sigma_max=10.0, use_karras_sigmas=True), 0.0),
    "dpm_1": ("DPMSolverMultistepScheduler", dict(solver_order=1), 0.0),
    "dpm_3": ("DPMSolverMultistepScheduler", dict(solver_order=3), 0.0),
    "dpm_3_karras_v": ("DPMSolverMultistepScheduler", dict(solver_order=3, use_karras_sigmas=True, **V), 0.0),
    "dpm_heun": ("DPMSolverMultistepScheduler", dict(solver_type="heun"), 0.0),
    "dpm_plain": ("DPMSolverMultistepScheduler", dict(algorithm_type="dpmsolver", final_sigmas_type="sigma_min"), 0.0),
    "dpm_plain_3": ("DPMSolverMultistepScheduler", dict(algorithm_type="dpmsolver", final_sigmas_type="sigma_min", solver_order=3), 0.0),
    "dpm_sde": ("DPMSolverMultistepScheduler", dict(algorithm_type="sde-dpmsolver++"), 0.0),
    "dpm_sde_3_heun": ("DPMSolverMultistepScheduler", dict(algorithm_type="sde-dpmsolver++", solver_type="heun", solver_order=3), 0.0),
    "dpm_sde_plain": ("DPMSolverMultistepScheduler", dict(algorithm_type="sde-dpmsolver", final_sigmas_type="sigma_min"), 0.0),
    "dpm_lu": ("DPMSolverMultistepScheduler", dict(use_lu_lambdas=True), 0.0),
    "dpm_exponential": ("DPMSolverMultistepScheduler", dict(use_exponential_sigmas=True), 0.0),
    "dpm_beta": ("DPMSolverMultistepScheduler", dict(use_beta_sigmas=True), 0.0),
    "dpm_thresholding": ("DPMSolverMultistepScheduler", dict(thresholding=True, sample_max_value=2.0), 0.0),
    "dpm_lambda_clipped": ("DPMSolverMultistepScheduler", dict(lambda_min_clipped=-1.0), 0.0),
    "dpm_lambda_clipped_trailing": ("DPMSolverMultistepScheduler", dict(lambda_min_clipped=-1.0, timestep_spacing="trailing"), 0.0),
    "dpm_cosine_clipped": ("DPMSolverMultistepScheduler", dict(lambda_min_clipped=-5.1, beta_schedule="squaredcos_cap_v2"), 0.0),
    "unipc": ("UniPCMultistepScheduler", {}, 0.0),
    "unipc_3": ("UniPCMultistepScheduler", dict(solver_order=3), 0.0),
    "unipc_bh1_karras_v": ("UniPCMultistepScheduler", dict(solver_type="bh1", use_karras_sigmas=True, **V), 0.0),
    "unipc_noise": ("UniPCMultistepScheduler", dict(predict_x0=False, final_sigmas_type="sigma_min", disable_corrector=[0]), 0.0),
    "deis": ("DEISMultistepScheduler", {}, 0.0),
    "deis_3_v": ("DEISMultistepScheduler", dict(solver_order=3, **V), 0.0),
    "deis_karras": ("DEISMultistepScheduler", dict(use_karras_sigmas=True), 0.0),
    "edm_euler": ("EDMEulerScheduler", {}, 0.0),
    "edm_dpm": ("EDMDPMSolverMultistepScheduler", {}, 0.0),
    "edm_dpm_v_exponential": ("EDMDPMSolverMultistepScheduler", dict(sigma_schedule="exponential", solver_order=3, **V), 0.0),
    "trained_betas": ("DDIMScheduler", dict(clip_sample=False, trained_betas=np.linspace(0.0001, 0.03, 20).tolist(), num_train_timesteps=20), 0.0),
}
for kind, (cls, extra, eta) in KINDS.items():
    for steps in (1, 4, 30):
        if kind == "pndm_prk" and steps < 4 or kind == "trained_betas" and steps != 4:
            continue
        CASES[f"{kind}_{steps}"] = (cls, extra, steps, eta)


def recorded(drawn):
    """Makes every scheduler's noise go through a list."""
    for module in [m for name, m in sys.modules.items() if name.startswith("diffusers.schedulers.") and hasattr(m, "randn_tensor")]:
        real = module.randn_tensor if not hasattr(module, "_real") else module._real
        module._real = real

        def draw(*args, real=real, **kwargs):
            drawn.append(real(*args, **kwargs))
            return drawn[-1]

        module.randn_tensor = draw


def model(x, t):
    return torch.sin(x + float(t) / 100)


def number(v):
    return float(f"{float(v):.9g}")


def trajectory(name, cls, extra, steps, eta, seed):
    edm = cls.startswith("EDM")
    config = dict(extra) if edm else {**SD, **extra}
    scheduler = getattr(diffusers, cls)(**config)
    scheduler.set_timesteps(steps)
    shape = (1, 2, 2, 2)
    start = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    latents = start * scheduler.init_noise_sigma
    kwargs = {}
    parameters = inspect.signature(scheduler.step).parameters
    if "generator" in parameters:
        kwargs["generator"] = torch.Generator().manual_seed(seed + 1000)
    if "eta" in parameters:
        kwargs["eta"] = eta
    path, noises = [latents], []
    for t in scheduler.timesteps:
        drawn = []
        recorded(drawn)
        output = model(scheduler.scale_model_input(latents, t), t)
        latents = scheduler.step(output, t, latents, **kwargs).prev_sample
        noises.append(drawn[0] if drawn else torch.zeros(0))
        path.append(latents)
    flat = lambda tensors: [[number(v) for v in x.flatten()] for x in tensors]
    return dict(
        name=name,
        config={"_class_name": cls, **config},
        num_steps=steps,
        eta=eta,
        timesteps=[number(t) for t in scheduler.timesteps],
        init_noise_sigma=number(scheduler.init_noise_sigma),
        noise=flat(noises) if any(len(n) for n in noises) else [],
        latents=flat(path),
    )


def finite(t):
    """Some of diffusers' own combinations end in NaN; they have no number to compare with."""
    ok = all(np.isfinite(x).all() for x in t["latents"])
    if not ok:
        print("left out, not finite in diffusers:", t["name"])
    return ok


def main():
    out = dict(
        versions=dict(diffusers=diffusers.__version__, torch=torch.__version__, python=sys.version.split()[0]),
        cases=[t for t in map(lambda ic: trajectory(ic[1][0], *ic[1][1], seed=ic[0]), enumerate(CASES.items())) if finite(t)],
        alphas_cumprod={
            name: [float(a) for a in diffusers.DDIMScheduler(**{**SD, **extra}).alphas_cumprod[::37]]
            for name, extra in dict(
                scaled_linear={}, linear=dict(beta_schedule="linear"),
                squaredcos_cap_v2=dict(beta_schedule="squaredcos_cap_v2"),
                zero_snr=dict(rescale_betas_zero_snr=True)).items()
        },
    )
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schedulers.json")
    with open(path, "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")
    print(path, os.path.getsize(path), "bytes")


main()
