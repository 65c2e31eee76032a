"""Start a backward estimate from the inverse of the forward flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow import flowops
from variflow.base.arrays import find_known
from variflow.base.brief import Brief
from variflow.frames.pyramid import find_nearest_level
from variflow.images.filling import fill_missing
from variflow.images.resampling import resample_flow
from variflow.images.windows import Part
from variflow.problem import Problem
from variflow.start.start import Initialiser, Start

# A backward estimate begins at the level nearest to this size, relative to the frames.
_BEGINS = 0.4


@dataclass(frozen=True, eq=False, repr=False)
class FromInverse(Brief, Initialiser):
    """Starts from the inverse of the forward flow, at somewhat under half the size.

    Attributes
    ----------
    forward : (h, w, 2) float32
        The flow from the first frame to the second, of any size and in pixels of that size.
    part : Part, optional
        Which part of larger frames it shows, at its size.
    """

    forward: NDArray[np.float32]
    part: Part | None = None

    def start(self, problem: Problem) -> Start:
        """Return the inverse of the forward flow, filled in where no forward flow arrives."""
        index = find_nearest_level(problem.levels, _BEGINS)
        part = problem.levels[index].part
        # Half the size of that level is as good a start, in a quarter of the time.
        height, width = part.whole
        half = part.bring((-(-height // 2), -(-width // 2)))
        u, v = np.moveaxis(self.forward, 2, 0)
        forward = np.stack(resample_flow((u, v), half, of=self.part), axis=2)
        inverse = flowops.splat(-forward, forward)
        if np.isnan(inverse).all():  # everything leaves the frame
            inverse = -forward
        known = find_known(inverse)
        u, v = fill_missing(np.moveaxis(inverse, 2, 0), known)
        return Start(index, resample_flow((u, v), part, of=half))
