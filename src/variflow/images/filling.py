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
    height, width = valid.shape
    rows, columns = np.arange(0, height, 2), np.arange(0, width, 2)
    count = np.add.reduceat(np.add.reduceat(valid.astype(np.float32), rows, 0), columns, 1)
    total = np.add.reduceat(np.add.reduceat(known, rows, 1), columns, 2)
    average = (total / np.maximum(count, 1)).astype(np.float32, copy=False)
    coarse = fill_missing(average, count > 0)
    return np.where(valid, planes, resample(coarse, (height, width), kernel="linear"))
