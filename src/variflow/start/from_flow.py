"""Start from a flow that the user gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow.base.brief import Brief
from variflow.images.filling import fill_missing
from variflow.images.resampling import resample_flow
from variflow.matching.matches import find_known_displacements
from variflow.problem import Problem
from variflow.start.start import Initialiser, Start


@dataclass(frozen=True, eq=False, repr=False)
class FromFlow(Brief, Initialiser):
    """Starts from a flow at the coarsest level, with its unknown pixels filled.

    Attributes
    ----------
    flow : (H, W, 2) float32
        In pixels of the frames; NaN where unknown.
    """

    flow: NDArray[np.float32]

    def start(self, problem: Problem) -> Start:
        """Return the flow, resampled; raise ValueError if it has a wrong size or is all unknown."""
        finest, coarsest = problem.levels[0].shape, problem.levels[-1].shape
        if self.flow.shape != (*finest, 2):
            raise ValueError(f"init has shape {self.flow.shape}, wanted {(*finest, 2)}: a flow of the frames' size")
        known = find_known_displacements(self.flow, finest, "flow of init")
        if not known.any():
            raise ValueError("init has no known pixel: all are NaN, infinite or larger than any motion")
        u, v = fill_missing(np.ascontiguousarray(np.moveaxis(self.flow, 2, 0)), known)
        return Start(len(problem.levels) - 1, resample_flow((u, v), coarsest), matched=False)
