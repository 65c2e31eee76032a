"""How well the frames of a level match along a flow, to judge one start against another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.images.resampling import Planes, average_boxes
from variflow.linearisation.comparison import Comparison
from variflow.problem import Problem

# The mismatch is averaged over windows of so many pixels, and tells nothing beyond `_MOST` pixels.
_AROUND, _MOST = 9, 2.0
# One flow is no better than another if its mismatch is above this times the other. If both are below so many pixels, it
# is flat there, and they tell nothing.
NO_BETTER, TEXTURE = 0.8, 0.2


def average_mismatch(problem: Problem, index: int, flow: tuple[Planes, Planes]) -> tuple[Planes, NDArray[np.bool_]]:
    """Return the mismatch along a flow, averaged over what is compared around each pixel, and where that is enough."""
    comparison = Comparison.around(problem.linearise(problem.levels[index], flow))
    share = comparison.compared.astype(np.float32)
    mismatch, share = average_boxes(np.stack((np.minimum(comparison.mismatch, _MOST) * share, share)), _AROUND)
    compared = share > 1 / _AROUND
    return np.where(compared, mismatch / np.maximum(share, np.float32(1 / _AROUND)), np.float32(0)), compared
