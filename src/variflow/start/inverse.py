"""Start the way back from the inverse of the way there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from variflow import flowops
from variflow.base.brief import Brief
from variflow.frames.pyramid import Level
from variflow.images.filling import fill_missing
from variflow.images.resampling import resample_flow
from variflow.occlusion import Flow, nearest
from variflow.start.start import Start

# The backward estimate begins at the level nearest to this size, with this share of the warps.
_BEGINS, _SHARE = 0.4, 1 / 3


@dataclass(frozen=True, eq=False, repr=False)
class Inverse(Brief):
    """What a backward estimate starts from: the inverse of the forward flow.

    Attributes
    ----------
    forward : (H, W, 2) float32
        The flow from the first frame to the second.
    """

    forward: Flow

    def start(self, levels: list[Level]) -> Start:
        """Return the inverse at somewhat under half the size; where nothing arrives, it is like what is around."""
        index = nearest(levels, _BEGINS)
        height, width = levels[index].shape
        u, v = np.moveaxis(self.forward, 2, 0)
        # Smaller still: it is as good a start, in a quarter of the time.
        forward = np.stack(resample_flow((u, v), (-(-height // 2), -(-width // 2))), axis=2)
        inverse = flowops.splat(-forward, forward)
        if np.isnan(inverse).all():  # everything leaves the frame
            inverse = -forward
        known = np.asarray(np.isfinite(inverse).all(axis=2))
        u, v = fill_missing(np.moveaxis(inverse, 2, 0), known)
        return Start(index, resample_flow((u, v), (height, width)), matched=False)
