"""Start as the model says: from zero, or from matches where motion is so large that they are needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow.base.brief import Brief
from variflow.frames.pyramid import Level
from variflow.images.resampling import average_boxes
from variflow.linearisation.comparison import Comparison
from variflow.matching.dense import SPACING
from variflow.matching.rigid import make_dense_flow_of_grid
from variflow.matching.search import search
from variflow.problem import Problem
from variflow.start.from_matches import start_from_dense_flow
from variflow.start.start import Initialiser, Start

# Motion is large if the matches are rougher than `_MAYBE_LARGE` at small levels, and than `_LARGE` at a quarter of the
# size, and if at least the share `_ENOUGH` of the points match, where there is something to match. Finer levels see
# smaller things; their matches are rougher by about the power `_DETAIL` of the size.
_MAYBE_LARGE, _LARGE, _ENOUGH = 0.03, 0.049, 0.2
_DETAIL = 0.4
# Motion is also large if the whole frame moves by more pixels than this at the coarsest level: its few pixels show no
# motion that is far beside their size.
_FAR = 1.0

# In frames whose shorter side has at least `_BIG` pixels, levels whose shorter side has at most `_SHOWN` tell how deep
# the pyramid goes. Their mismatch is averaged over blocks of `_BLOCK` pixels, which begin `_APART` pixels apart.
_BIG, _SHOWN, _BLOCK, _APART = 512, 150, 9, 3


@dataclass(frozen=True, eq=False, repr=False)
class FromModel(Brief, Initialiser):
    """Starts as the field `start` of the model says.

    Attributes
    ----------
    always : bool
        Whether a model that may start from matches does so however small the motion is.
    """

    always: bool = False

    def start(self, problem: Problem) -> Start:
        """Return zero at the coarsest level that shows more than light, or matches where motion is large."""
        levels = problem.levels
        found = _start_from_matches(levels, always=self.always) if problem.model.start == "matches" else None
        if found:
            return found
        index = _find_depth(problem)
        zero = np.zeros(levels[index].shape, np.float32)
        return Start(index, (zero, zero.copy()))


def _find_depth(problem: Problem) -> int:
    """Return the level to begin at from zero: the coarsest, unless a finer one agrees better.

    Without a flow the frames differ less the smaller they are, as motion shrinks with them. But small levels lose fine
    texture before they lose a change of light: where they differ more, they see that alone, and would take it for a
    motion.
    """
    levels = problem.levels
    best = coarsest = len(levels) - 1
    if min(levels[0].shape) < _BIG * levels[0].scale[0] or problem.model.unknowns is not None:
        return coarsest
    shown = next((level.index for level in levels if min(level.shape) <= _SHOWN), coarsest)
    least = _measure_mismatch(problem, coarsest)
    if (_measure_mismatch(problem, shown) < least).all():
        for index in range(coarsest - 1, shown - 1, -1):
            found = _measure_mismatch(problem, index)
            if (found < least).all():
                best, least = index, found
    return best


def _measure_mismatch(problem: Problem, index: int) -> NDArray[np.float64]:
    """Return by how many pixels half of the blocks of a level, and 95 % of them, differ without a flow at most."""
    level = problem.levels[index]
    still = np.zeros((2, *level.shape), np.float32)
    mismatch = Comparison.around(problem.linearise(level, (still[0], still[1]))).mismatch
    found: NDArray[np.float64] = np.quantile(average_boxes(mismatch[None], _BLOCK)[0, ::_APART, ::_APART], (0.5, 0.95))
    return found


def _start_from_matches(levels: list[Level], *, always: bool) -> Start | None:
    """Return a start from matches if motion is so large that they are needed, or `always` is asked for; else None.

    The pyramid alone finds how far a thing moves against its surroundings, as long as that is little compared with its
    size, and how far the whole frame moves, as long as the coarsest level sees it. So the matches of small levels
    decide. They are followed to finer levels only if they differ much from their surroundings, or are long.
    """
    finest = levels[0]
    decided = False
    for number, grid in enumerate(search(levels, SPACING)):
        if number == 0:  # the matches are always rough where all displacements are compared
            continue
        if grid.measure_share() < _ENOUGH:
            return None
        if not (decided or always):
            size = finest.scale[0] * grid.shape[1] / finest.shape[1]
            decided = size > 0.2
            far = grid.measure_shift() * levels[-1].shape[1] / grid.shape[1] > _FAR
            rough = grid.measure_roughness() * (0.25 / size) ** _DETAIL >= (_LARGE if decided else _MAYBE_LARGE)
            if not (far or rough):
                return None
    return start_from_dense_flow(make_dense_flow_of_grid(grid, levels), levels)
