"""Makes the golden data of the decoder for previews: a tiny randomly initialized AutoencoderTiny, float32.

    python taesd.py        (in this folder; torch 2.12.1, diffusers 0.42.1, seed 20261127)

taesd/ is the folder as diffusers writes it, without the encoder's weights; taesd/golden.safetensors has latents and
their images; taesd/taesd_decoder.safetensors has the weights under the names of github.com/madebyollin/taesd, whose
first module is a clamp.
"""

import pathlib

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

SEED = 20261127
HERE = pathlib.Path(__file__).parent / "taesd"


@torch.no_grad()
def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    # The number of blocks is TAESD's, which a file alone cannot tell; a width of 64 would make it large.
    vae = AutoencoderTiny(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4).eval()
    for p in vae.parameters():
        p.copy_(torch.randn_like(p) * (1.4 / p[0].numel() ** 0.5 if p.ndim > 1 else 0.1))
    latents = 3 * torch.randn(2, 4, 5, 7)
    image = vae.decode(latents / vae.config.scaling_factor).sample
    save_file({"latents": latents, "image": (image / 2 + 0.5).clamp(0, 1).contiguous()}, _folder() / "golden.safetensors")
    vae.save_pretrained(HERE)
    weights = {k: v for k, v in load_file(HERE / "diffusion_pytorch_model.safetensors").items() if k.startswith("decoder.")}
    weights["encoder.layers.0.bias"] = torch.zeros(8)  # of what a decoder leaves unread
    save_file(weights, HERE / "diffusion_pytorch_model.safetensors")
    original = {}
    for key, value in weights.items():
        part, number, rest = key.removeprefix("decoder.").split(".", 2) if key.startswith("decoder.") else (None, 0, "")
        if part:
            original[f"{int(number) + 1}.{rest}"] = value
    save_file(original, HERE / "taesd_decoder.safetensors")


def _folder():
    HERE.mkdir(exist_ok=True)
    return HERE


if __name__ == "__main__":
    main()
