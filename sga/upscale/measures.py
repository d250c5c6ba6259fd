"""How near a picture is to its original: PSNR in dB and SSIM, one number a picture, as papers on super-resolution report."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["luma", "psnr", "ssim"]

_WINDOW, _SIGMA = 11, 1.5
_K = (0.01, 0.03)


def luma(images: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) uint8 RGB to (n, h, w) float64 in [16, 235]: Y of BT.601, on which papers measure."""
    return 16 + images.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def psnr(images: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """(n,) peak signal-to-noise ratio in dB, of a peak of 255, for (n, …) values of any dtype; infinite where all are equal."""
    apart = images.astype(np.float64) - originals.astype(np.float64)
    error = (apart**2).reshape(len(apart), -1).mean(axis=1)
    with np.errstate(divide="ignore"):
        ratio: np.ndarray = 10 * np.log10(255**2 / error)
    return ratio


def ssim(images: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """(n,) structural similarity (Wang et al. 2004) of (n, h, w) planes of a peak of 255, within a Gaussian window of 11 px;
    mean over the windows that lie in the picture."""
    x, y = (torch.from_numpy(np.ascontiguousarray(planes, dtype=np.float64))[:, None] for planes in (images, originals))
    mean_x, mean_y, xx, yy, xy = (_blurred(part) for part in (x, y, x * x, y * y, x * y))
    c1, c2 = ((k * 255) ** 2 for k in _K)
    structure = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
    likeness = structure * (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return likeness.mean(dim=(1, 2, 3)).numpy()


def _blurred(planes: Tensor) -> Tensor:
    place = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    line = torch.exp(-(place**2) / (2 * _SIGMA**2))
    line = line / line.sum()
    return F.conv2d(F.conv2d(planes, line[None, None, None]), line[None, None, :, None])
