"""The flow of a rigid scene, which an estimate takes again on its way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow.base.brief import Brief
from variflow.images.resampling import Planes
from variflow.problem import Problem
from variflow.start.mismatch import NO_BETTER, TEXTURE, average_mismatch


@dataclass(frozen=True, eq=False, repr=False)
class SceneFlow(Brief):
    """The flow of a rigid scene, found along lines at one level.

    An estimate starts at a coarser level. On the way it smooths the flow across the rims of things, and loses it where
    textures repeat, or where nothing matches. So at this level it takes the flow of the scene again.

    Attributes
    ----------
    level : int
        Index of the level.
    planes : pair of (H, W) float32
        The flow ``(u, v)`` at this level, in its pixels.
    where : (H, W) bool
        The pixels that show the scene.
    """

    level: int
    planes: tuple[Planes, Planes]
    where: NDArray[np.bool_]

    def take_again(self, problem: Problem, flow: tuple[Planes, Planes]) -> tuple[Planes, Planes]:
        """Return a flow of the level, replaced by that of the scene unless the frames match better along it."""
        ours, known = average_mismatch(problem, self.level, self.planes)
        other, other_known = average_mismatch(problem, self.level, flow)
        better = known & other_known & (ours > TEXTURE) & (other < NO_BETTER * ours)
        where = self.where & ~better
        u, v = (np.where(where, scene, found) for scene, found in zip(self.planes, flow, strict=True))
        return u, v
