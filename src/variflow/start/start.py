"""The flow that an estimate starts from, and the base class of what chooses it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow.base.brief import Brief
from variflow.images.resampling import Planes, resample_flow
from variflow.linearisation.level import find_inside
from variflow.problem import Problem
from variflow.start.scene import SceneFlow

Places = tuple[NDArray[np.intp], ...]

# A start from matches is made at the level nearest to this size, relative to the frames.
MATCHES_SCALE = 0.25
# A start that is kept outside the frame has its full weight there from this many pixels of the full size on.
UNSEEN = 16.0


class Initialiser(ABC):
    """Says where the estimate of a problem starts."""

    @abstractmethod
    def start(self, problem: Problem) -> Start:
        """Return where to start."""

    def start_again(self, problem: Problem, index: int, flow: tuple[Planes, Planes]) -> Start | None:
        """Return a new start in place of the flow found so far, down to a level; None to go on with that flow."""
        return None


@dataclass(frozen=True, eq=False, repr=False)
class Start(Brief):
    """The flow that an estimate starts from.

    Attributes
    ----------
    level : int
        Index of the level; 0 is that of the frames.
    planes : pair of (H, W) float32
        The flow ``(u, v)`` at this level, in its pixels.
    unseen : float
        Where this start leaves the frame by as many of its pixels, it is kept up to the finest level; 0 if nowhere.
    scene : SceneFlow, optional
        What the estimate takes again at a finer level.
    """

    level: int
    planes: tuple[Planes, Planes]
    unseen: float = 0.0
    scene: SceneFlow | None = None

    def continue_outside(self, problem: Problem, index: int, flow: tuple[Planes, Planes]) -> tuple[Planes, Planes]:
        """Return the flow of a level, replaced by this start where the start leaves the frame; `unseen` must not be 0.

        Outside the frame there are no data, and smoothness alone does not continue the motion from inside.
        """
        old, new = problem.find_level(self.level).part, problem.find_level(index).part
        start = resample_flow(self.planes, new, of=old)
        leaves = np.nonzero(~(find_inside(start) | find_inside(flow)))
        outside = np.minimum(*(_measure_outside((u[leaves], v[leaves]), leaves, new.shape) for u, v in (start, flow)))
        unseen = self.unseen * new.whole[1] / old.whole[1]
        share = np.clip(outside / np.float32(unseen), 0, 1)
        kept = flow[0].copy(), flow[1].copy()
        for component, of_start in zip(kept, start, strict=True):
            component[leaves] += share * (of_start[leaves] - component[leaves])
        return kept


def _measure_outside(flow: tuple[Planes, Planes], places: Places, shape: tuple[int, int]) -> Planes:
    """Return how far outside a frame (H, W) the targets of pixels lie, whose rows and columns are `places`."""
    (rows, columns), (height, width) = places, shape
    return np.maximum(
        _measure_beyond(columns.astype(np.float32) + flow[0], width),
        _measure_beyond(rows.astype(np.float32) + flow[1], height),
    )


def _measure_beyond(positions: Planes, size: int) -> Planes:
    """Return how far outside the frame positions along one axis lie, negative inside; `positions` is overwritten."""
    middle = np.float32((size - 1) / 2)
    positions -= middle
    np.abs(positions, out=positions)
    positions -= middle
    return positions
