"""Doubt the flow that an energy of one's own led to: the frames may match worse along it than if nothing moved.

Such an energy may be wrong although its slope is fine, and then nothing else tells: it has a minimum, elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.base.errors import warn
from variflow.energy.term import is_of_the_library
from variflow.frames.pyramid import find_nearest_level
from variflow.images.resampling import resample_flow
from variflow.linearisation.level import LevelLinearisation
from variflow.problem import Problem
from variflow.solve.taking_apart import flat
from variflow.unknowns.position import Position

# The frames are compared at the level nearest to this size, relative to them: at full size, those that moved far and
# have fine texture are as unlike as those of a wrong flow.
_SIZE = 1 / 4
# They match clearly worse if the differences of intensities, their mean and their root mean square, are this many times
# those at rest. Where one frame is the negative of the other, along the right flow they are sqrt(2) times those along
# any other. The differences of gradients must be larger, too, as they are not if light has changed.
_WORSE, _OF_GRADIENTS = 1.5, 1.2
# Nothing is said of fewer pixels, nor if the mean difference is below this, in frames with range [0, 1].
_FEWEST, _LEAST = 200, 0.01


def warn_of_mismatch(problem: Problem, position: Position) -> None:
    """Warn if frames match clearly worse along the flow that a person's energy led to than if nothing moved."""
    if all(is_of_the_library(term) for term, _ in flat(problem.model.energy, 1.0)):
        return
    level = problem.levels[find_nearest_level(problem.levels, _SIZE)]
    still = np.zeros(level.shape, np.float32)
    along = problem.linearise(level, resample_flow(position.flow, level.shape))
    at_rest = problem.linearise(level, (still, still))
    compared = (along.weights > 0) & (at_rest.weights > 0)
    if np.count_nonzero(compared) < _FEWEST:
        return
    found, reference = (_measure_differences(at, compared) for at in (along, at_rest))
    if found[0] > _LEAST and (found > np.array((_WORSE, _WORSE, _OF_GRADIENTS)) * reference).all():
        warn(
            f"the frames match worse along the flow than if nothing moved: they differ by {100 * found[0]:.0f} % of "
            f"their range there, and by {100 * reference[0]:.0f} % at rest. Is the energy right: the "
            "sign of at.It, as in at.Ix * u + at.Iy * v + at.It, and the order of u and v, as in u, v = d? And is "
            "there enough smoothness?"
        )


def _measure_differences(at: LevelLinearisation, compared: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean difference of intensities, its root mean square, and that of the gradients."""
    intensities, along_x, along_y = (plane[:, compared].astype(np.float64) for plane in (at.It, at.Ixt, at.Iyt))
    squares = intensities**2, along_x**2 + along_y**2
    return np.array([np.abs(intensities).mean(), *(np.sqrt(square.mean()) for square in squares)])
