"""Fill the missing pixels of planes from the pixels around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.images.resampling import Planes, resample

# Before a spline is fitted, samples that are not finite become the mean of the finite ones around them, weighted by a
# Gaussian of this standard deviation in pixels. Where these have less than this share, the mean of all is taken.
SPLINE_FILLING, LEAST_SHARE = 1.0, 1e-3


def fill_missing(planes: Planes, valid: NDArray[np.bool_]) -> Planes:
    """Fill the missing pixels of planes ``(C, H, W)`` smoothly from the valid ones around them.

    Valid pixels are averaged over blocks of growing size until no block is empty. Each missing pixel takes the finest
    average there is, interpolated bilinearly (the pull-push of Gortler et al., The Lumigraph, 1996). If nothing is
    valid, nothing is filled.
    """
    if valid.all() or not valid.any():
        return planes
    known = np.where(valid, planes, np.float32(0))
    count, total = _sum_blocks(valid.astype(np.float32)), _sum_blocks(known)
    average = (total / np.maximum(count, 1)).astype(np.float32, copy=False)
    coarse = fill_missing(average, count > 0)
    return np.where(valid, planes, resample(coarse, valid.shape, kernel="linear"))


def _sum_blocks(planes: Planes) -> Planes:
    """Return the sums of planes over blocks of two rows and two columns; at an odd end the block is smaller."""
    sums = planes[..., ::2, :].copy()
    sums[..., : planes.shape[-2] // 2, :] += planes[..., 1::2, :]
    rows, sums = sums, sums[..., ::2].copy()
    sums[..., : planes.shape[-1] // 2] += rows[..., 1::2]
    return sums
