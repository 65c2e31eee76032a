"""Start from a flow that the user gives."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from variflow.base.brief import Brief
from variflow.frames.pyramid import find_nearest_level
from variflow.images.filling import fill_missing
from variflow.images.resampling import Planes, resample_flow
from variflow.matching.matches import find_known_displacements
from variflow.problem import Problem
from variflow.start.from_model import FromModel
from variflow.start.mismatch import NO_BETTER, TEXTURE, average_mismatch
from variflow.start.start import UNSEEN, Initialiser, Start

# The frames are asked at these sizes, relative to the finest, in this order. The finest solved is never the
# first: one level alone corrects only what is rough.
_ASKED = (1 / 8, 1 / 4, 1 / 2)

# The mismatch along a flow is compared with that along the flow moved by so many pixels.
_BESIDE = 2
# The frames confirm a flow if at most this share of the pixels does not.
_DOUBTED = 0.04


@dataclass(frozen=True, eq=False, repr=False)
class FromFlow(Brief, Initialiser):
    """Starts from a flow at the finest level at which the frames confirm it, with its unknown pixels filled.

    Attributes
    ----------
    flow : (H, W, 2) float32
        In pixels of the frames; NaN where unknown.
    """

    flow: NDArray[np.float32]

    def start(self, problem: Problem) -> Start:
        """Return the flow, resampled; raise ValueError if it has a wrong size or is all unknown.

        Where motion is so large that the model would start from matches, these may be better. A flow that is no worse
        begins at half the size, although matches begin at a quarter: there, things that are small and move far would be
        lost again. A rigid scene that the matches show is taken again all the same.

        Else the flow begins where the frames confirm it. If they do nowhere, what the model would start from may be
        better.
        """
        flow, found = self._fill(problem), FromModel().start(problem)
        if found.unseen:  # from matches
            index = find_nearest_level(problem.levels, _ASKED[-1])
            if _is_better(problem, index, found.planes, flow):
                return found
        else:
            confirmed = _find_confirmed(problem, flow)
            if confirmed is None:
                ours = replace(found, planes=resample_flow(flow, problem.levels[found.level].shape))
                return found if _is_better(problem, found.level, found.planes, flow) else ours
            index = confirmed
        level = problem.levels[index]
        return Start(index, resample_flow(flow, level.shape), UNSEEN * level.scale[0], found.scene)

    def _fill(self, problem: Problem) -> tuple[Planes, Planes]:
        """Return the flow with its unknown pixels filled."""
        wanted = (*problem.images.frames[0].shape[:2], 2)
        if self.flow.shape != wanted:
            raise ValueError(f"init has shape {self.flow.shape}, wanted {wanted}: a flow of the frames' size")
        flow = problem.images.cut.crop(self.flow)
        known = find_known_displacements(flow, problem.images.shape, "flow of init")
        if not known.any():
            where = " between the bars of the frames" if problem.images.cut else ""
            raise ValueError(f"init has no known pixel{where}: all are NaN, infinite or larger than any motion")
        u, v = fill_missing(np.ascontiguousarray(np.moveaxis(flow, 2, 0)), known)
        return u, v


def _find_confirmed(problem: Problem, flow: tuple[Planes, Planes]) -> int | None:
    """Return the finest level at which the frames confirm a flow, as at all coarser ones asked; None if there is none.

    If there is one level only, it need not be asked.
    """
    levels = problem.levels
    if len(levels) == 1:
        return 0
    found = None
    second = min(problem.finest + 1, len(levels) - 1)
    asked = {max(find_nearest_level(levels, size), second): None for size in _ASKED}
    for index in asked:
        if _measure_doubt(problem, index, flow) > _DOUBTED:
            break
        found = index
    return found


def _is_better(problem: Problem, index: int, flow: tuple[Planes, Planes], other: tuple[Planes, Planes]) -> bool:
    """Return whether the frames of a level confirm a flow at more pixels than another."""
    return _measure_doubt(problem, index, flow) < _measure_doubt(problem, index, other)


def _measure_doubt(problem: Problem, index: int, flow: tuple[Planes, Planes]) -> float:
    """Return at which share of the pixels of a level the frames do not confirm a flow; 1 if they are flat."""
    u, v = resample_flow(flow, problem.levels[index].shape)
    along, compared = average_mismatch(problem, index, (u, v))
    beside = np.zeros_like(along)
    steps = ((_BESIDE, 0), (-_BESIDE, 0), (0, _BESIDE), (0, -_BESIDE))
    for x, y in steps:
        mismatch, each = average_mismatch(problem, index, (u + np.float32(x), v + np.float32(y)))
        beside += mismatch / np.float32(len(steps))
        compared &= each
    told = compared & (np.maximum(along, beside) > TEXTURE)
    return float((along > NO_BETTER * beside)[told].mean()) if told.any() else 1.0
