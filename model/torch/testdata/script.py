"""Writes script.pt and bare.pt: rewards as TorchScript, with any PyTorch from 1.13 on.

Run:  python3 model/torch/testdata/script.py      (made with PyTorch 1.13.0)
"""

import io
import pathlib
import zipfile

import torch

here = pathlib.Path(__file__).resolve().parent


class Reward(torch.nn.Module):
    """Likes pictures whose weighted sum of channels is small."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, images: torch.Tensor):
        return (images * self.weight[:, None, None]).sum(1, keepdim=True)

    @torch.jit.export
    def score(self, images: torch.Tensor):
        return -self.forward(images).square().mean([1, 2, 3])

    @torch.jit.export
    def heatmap(self, images: torch.Tensor):
        return self.forward(images) / 6

    @torch.jit.export
    def pair(self, images: torch.Tensor):
        return images, images

    @torch.jit.export
    def refuse(self, images: torch.Tensor):
        assert images.numel() == 0, "nothing pleases"
        return images


class Bare(torch.nn.Module):
    @torch.jit.export
    def score(self, images: torch.Tensor):
        return images.mean()

    def forward(self, images: torch.Tensor):
        return self.score(images)


def save(module, name):
    """Writes the archive without its debug_pkl, which names folders of this machine."""
    archive = io.BytesIO()
    torch.jit.save(torch.jit.script(module), archive)
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(here / name, "w") as lean:
        for entry in whole.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                lean.writestr(entry, whole.read(entry), zipfile.ZIP_STORED)


save(Reward(), "script.pt")
save(Bare(), "bare.pt")
