"""Makes the golden data of the autoencoder: one tiny randomly initialised AutoencoderKL, both ways,
whole and in tiles, float32.

    python vae.py        (in this folder; torch 2.15.0, diffusers 0.42.1, seed 20261123)

vae/ is the folder as diffusers writes it; vae/golden.safetensors has inputs and outputs.
"""

import pathlib

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

SEED = 20261123
HERE = pathlib.Path(__file__).parent


def tiny_vae(**more):
    """The smallest AutoencoderKL with every part of the real one: two levels, shortcut, attention."""
    config = dict(
        block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, norm_num_groups=4,
        latent_channels=4, sample_size=32)
    vae = AutoencoderKL(**{**config, **more})
    for name, p in vae.named_parameters():
        with torch.no_grad():
            if "norm" in name:
                p.copy_((1 if name.endswith("weight") else 0) + 0.2 * torch.randn_like(p))
            elif p.ndim >= 2:
                p.copy_(torch.randn_like(p) / p[0].numel() ** 0.5)
    return vae.eval()


@torch.no_grad()
def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    vae = tiny_vae()
    pixels = torch.rand(2, 3, 32, 24) * 2 - 1
    latents = torch.randn(2, 4, 16, 12)
    large_pixels, large_latents = torch.rand(1, 3, 56, 80) * 2 - 1, torch.randn(1, 4, 28, 40)
    posterior = vae.encode(pixels).latent_dist
    golden = {
        "pixels": pixels, "latents": latents, "mean": posterior.mean, "logvar": posterior.logvar,
        "decoded": vae.decode(latents).sample, "large_pixels": large_pixels, "large_latents": large_latents,
        "large_decoded": vae.decode(large_latents).sample,
    }
    vae.enable_tiling()
    golden["tiled_decoded"] = vae.decode(large_latents).sample
    golden["tiled_mean"] = vae.encode(large_pixels).latent_dist.mean
    vae.save_pretrained(HERE / "vae")
    save_file({k: v.contiguous() for k, v in golden.items()}, HERE / "vae" / "golden.safetensors")


if __name__ == "__main__":
    main()
