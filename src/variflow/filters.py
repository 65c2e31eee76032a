"""Filter the flow after the last warp of a level."""

from __future__ import annotations

from typing import Literal

import numpy as np

from variflow import _core
from variflow.resampling import Planes


def median(flow: tuple[Planes, Planes], size: Literal[3, 5]) -> tuple[Planes, Planes]:
    """Take the median of each component over a window of `size` x `size` pixels, the border replicated.

    It removes outliers and sharpens motion edges; why it belongs to a model as much as its penalties do is shown by
    Sun, Roth and Black, Secrets of optical flow estimation and their principles, CVPR 2010.
    """
    u, v = _core.median(np.stack(flow), size)
    return u, v
