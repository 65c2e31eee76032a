"""The flow that an estimate starts from, and who says which."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from variflow.base.brief import Brief
from variflow.images.resampling import Planes, resample_flow
from variflow.problem import Problem

# A start is made from matches at the level of the pyramid nearest to this size.
MATCHES_SCALE = 0.25
# It is kept where it leads out of the frame by at least so many pixels of the full size.
_UNSEEN = 16.0


class Initialiser(ABC):
    """Says where the estimate of a problem starts."""

    @abstractmethod
    def start(self, problem: Problem) -> Start:
        """Return where to start."""

    def start_again(self, problem: Problem, index: int, flow: tuple[Planes, Planes]) -> Start | None:
        """Return where to go on in place of the flow found down to a level; None to go on as it is."""
        return None


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

    def continue_outside(self, flow: tuple[Planes, Planes]) -> tuple[Planes, Planes]:
        """Return the flow of a finer level; where it leaves the frame, this start in its place if matches made it.

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
        scale = width / self.planes[0].shape[1] * MATCHES_SCALE
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
