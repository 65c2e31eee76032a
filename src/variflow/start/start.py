"""The flow that an estimate starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from variflow.base.brief import Brief
from variflow.images.resampling import Planes, resample_flow

# A start is made from matches at the level of the pyramid nearest to this size.
_START_SCALE = 0.25


# It is kept where it leads out of the frame by at least so many pixels of the full size.
_UNSEEN = 16.0


@dataclass(frozen=True, eq=False, repr=False)
class Start(Brief):
    """The flow that an estimate starts from.

    Attributes
    ----------
    level : int
        Index of the level; 0 is the finest.
    planes : pair of (H, W) float32
        The flow ``(u, v)`` at this level, in its pixels.
    matched : bool
        Whether it was made from matches.
    """

    level: int
    planes: tuple[Planes, Planes]
    matched: bool = True

    def kept_unseen(self, flow: tuple[Planes, Planes]) -> tuple[Planes, Planes]:
        """Return the flow of a finer level, but this one, if made from matches, where it leaves the frame.

        There the frames say nothing, and smoothness alone forgets how the motion around continues.
        """
        if not self.matched:
            return flow
        height, width = flow[0].shape
        u, v = resample_flow(self.planes, (height, width))
        outside = np.maximum(
            _beyond(np.arange(width, dtype=np.float32) + u, width),
            _beyond(np.arange(height, dtype=np.float32)[:, None] + v, height),
        )
        leaves = np.nonzero(outside > 0)
        scale = width / self.planes[0].shape[1] * _START_SCALE
        share = np.minimum(outside[leaves] / np.float32(_UNSEEN * scale), np.float32(1))
        kept = flow[0].copy(), flow[1].copy()
        for component, start in zip(kept, (u, v), strict=True):
            component[leaves] += share * (start[leaves] - component[leaves])
        return kept


def _beyond(positions: Planes, size: int) -> Planes:
    """Return how far outside the frame positions along one axis lie, negative inside; they are used up."""
    middle = np.float32((size - 1) / 2)
    positions -= middle
    np.abs(positions, out=positions)
    positions -= middle
    return positions
