"""Fill the missing pixels of planes from the pixels around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.images.resampling import Planes

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
    marks = np.ascontiguousarray(valid).view(np.uint8)
    filled: Planes = _core.fill_missing(np.ascontiguousarray(planes, np.float32), marks)
    return filled
