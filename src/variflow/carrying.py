"""Carry the flow of a pair forward: what the estimate of the next pair in a video starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from variflow import flowops, solve
from variflow.brief import Brief
from variflow.linearisation import linearise
from variflow.matching import Start
from variflow.model import Model
from variflow.occlusion import nearest
from variflow.pyramid import Level
from variflow.resampling import Planes, resample_flow
from variflow.result import State

# One warp at the level nearest to this size shows where the carried flow is wrong: where it changes it by more than
# this many pixels of the full size.
_JUDGED, _WRONG = 1 / 8, 1.0
# Where at most such a part of the pixels is wrong, the estimate starts at the level nearest to such a size. Where more
# is wrong, it starts afresh. Found on panning, zooming, turning, shaking and accelerating scenes, and on Middlebury and
# Sintel: these starts had no more error than fresh ones.
_STARTS = ((0.04, 1 / 2), (0.5, 1 / 4))


@dataclass(frozen=True, eq=False, repr=False)
class Carried(Brief):
    """The flow of the pair before, for the estimate of the next one.

    Attributes
    ----------
    planes : pair of (h, w) float32
        From the frame before to the first one of the pair, as ``(u, v)`` at about half the size.
    """

    planes: tuple[Planes, Planes]

    @classmethod
    def of(cls, state: State, levels: list[Level]) -> Carried:
        """Keep of where an estimate ended what the next may start from."""
        return cls(state.resampled(levels[nearest(levels, _STARTS[0][1])].shape))

    def start(self, levels: list[Level], model: Model) -> Start | None:
        """Return where to start from; None if motion is not as it was, or another scene begins."""
        judged = levels[nearest(levels, _JUDGED)]
        if np.array_equal(judged.frame0.planes, judged.frame1.planes):
            return None  # from zero, frames that are the same have exactly zero flow
        carried = self._at(judged)
        at = linearise(judged, carried, derivative=model.derivative, interpolation=model.interpolation)
        minimum = solve.minimise(model.energy, model.solver, model.steps, at)
        du, dv = minimum.increment
        wrong = np.hypot(du, dv) > _WRONG * judged.shape[1] / levels[0].shape[1]
        part = np.count_nonzero(wrong) / wrong.size
        for most, size in _STARTS:
            if part <= most and not minimum.failure:
                index = min(max(nearest(levels, size), model.finest), len(levels) - 1)
                return Start(index, self._at(levels[index]), matched=False)
        return None

    def _at(self, level: Level) -> tuple[Planes, Planes]:
        """Return the flow at a level: of each pixel that of where it came from, if it moved on as it does there."""
        u, v = resample_flow(self.planes, level.shape)
        u, v = flowops.warp_planes(np.stack((u, v)), (-u, -v), "bilinear")
        return u, v
