"""Structural similarity by scikit-image -> ssim.json

    python ssim.py        (scikit-image, numpy; versions are written into the file)

Pictures are hashed from names (model/nn/nntest/ref/hashed.py). The mean is over the pixels whose window
lies inside the picture: at the border scikit-image mirrors another way than PyTorch.
"""

import json
import os
import sys

import numpy as np
import skimage
from skimage.metrics import structural_similarity

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../../model/nn/nntest/ref"))
from hashed import uniform  # noqa: E402

SIDE, BORDER = 40, 5


def main():
    ramp = np.linspace(0, 1, SIDE)[None, None, :] * np.ones((3, SIDE, 1))
    x = (ramp + 0.3 * (uniform("ssim.x", (3, SIDE, SIDE)).numpy().astype(np.float64) + 1) / 2) / 1.3
    y = (ramp + 0.3 * (uniform("ssim.y", (3, SIDE, SIDE)).numpy().astype(np.float64) + 1) / 2) / 1.3
    _, full = structural_similarity(
        x, y, data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True)
    inside = full[:, BORDER:-BORDER, BORDER:-BORDER].mean()
    with open(os.path.join(HERE, "ssim.json"), "w") as f:
        json.dump({"scikit_image": skimage.__version__, "numpy": np.__version__, "ssim": inside}, f, indent=1)


main()
