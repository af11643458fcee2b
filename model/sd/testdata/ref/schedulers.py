"""Reference tables and full trajectories of diffusers' schedulers -> schedulers.json

    python schedulers.py        (diffusers 0.42.1, torch 2.15.0, numpy 2.4.6)

The network is replaced by a formula that needs no weights, y = sin(x + t / 100), on eight latents; the
noise of every step is drawn from torch.Generator(seed) and kept beside the latents of every step.
"""

import json
import os
import sys

import diffusers
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


def model(x, t):
    return torch.sin(x + float(t) / 100)


def trajectory(name, cls, extra, steps, eta, seed):
    config = {**SD, **extra}
    scheduler = getattr(diffusers, cls)(**config)
    scheduler.set_timesteps(steps)
    shape = (1, 2, 2, 2)
    start = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    latents = start * scheduler.init_noise_sigma
    generator = torch.Generator().manual_seed(seed + 1000)
    path, noises = [latents], []
    for t in scheduler.timesteps:
        output = model(scheduler.scale_model_input(latents, t), t)
        kwargs = {}
        if cls == "EulerAncestralDiscreteScheduler" or eta > 0:
            same = torch.Generator()
            same.set_state(generator.get_state())  # what the scheduler is about to draw
            noises.append(torch.randn(shape, generator=same))
            kwargs = dict(generator=generator, **(dict(eta=eta) if eta > 0 else {}))
        latents = scheduler.step(output, t, latents, **kwargs).prev_sample
        path.append(latents)
    flat = lambda tensors: [[float(v) for v in x.flatten()] for x in tensors]
    return dict(
        name=name,
        config={"_class_name": cls, **config},
        num_steps=steps,
        eta=eta,
        timesteps=[float(t) for t in scheduler.timesteps],
        sigmas=[float(s) for s in scheduler.sigmas] if hasattr(scheduler, "sigmas") else None,
        init_noise_sigma=float(scheduler.init_noise_sigma),
        noise=flat(noises),
        latents=flat(path),
    )


def main():
    out = dict(
        versions=dict(diffusers=diffusers.__version__, torch=torch.__version__, python=sys.version.split()[0]),
        cases=[trajectory(n, *c, seed=i) for i, (n, c) in enumerate(CASES.items())],
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
