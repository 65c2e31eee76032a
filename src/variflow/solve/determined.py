"""Find what leaves a flow undetermined: pixels that no term sees, and a weight beside which the data are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from variflow.base.errors import warn
from variflow.energy.data import DataTerm
from variflow.energy.flow_term import FlowTerm
from variflow.energy.smoothness import Smoothness
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.taking_apart import motion_tensor

if TYPE_CHECKING:
    from variflow.energy.autodiff.stencils import Structure

# Pixels at most so far from a determined one are left in peace: differences do not reach into the corners of frames.
_NEAR = 2
# Beside a term whose part in the linear system is larger than the data's largest by the factor `_LOST`, the data are
# lost in single precision. It is not looked at below `_LARGE`. Penalties count as at residuals of `_SMALL`.
_LOST, _LARGE, _SMALL = 3e6, 1e4, 0.01


def warn_of_undetermined(
    data: list[tuple[DataTerm, float]], smooth: list[tuple[Smoothness | FlowTerm, float]], at: LevelLinearisation
) -> None:
    """Warn, naming the first, of pixels that keep the flow that they start with."""
    from variflow.energy.autodiff.stencils import study

    terms = [term for term, factor in smooth if factor * term.weight > 0]
    if any(isinstance(term, Smoothness) for term in terms):
        return
    studied = [(term, study(term, at)) for term in terms if isinstance(term, FlowTerm)]
    reached = np.zeros(at.shape, bool)
    # What is the same everywhere is known at once; the coefficients of each pixel take long to find.
    for term, structure in studied:
        if structure.constant:
            reached |= _find_reach(term, structure, at)
    if reached.all():
        return
    uu, _, vv, *_ = motion_tensor(data, at)
    reached |= uu + vv > 0
    for term, structure in studied:
        if _widen(reached).all():
            return
        if not structure.constant:
            reached |= _find_reach(term, structure, at)
    lost = ~_widen(reached)
    if lost.any():
        row, column = np.argwhere(lost)[0]
        warn(
            f"nothing determines the flow at {lost.sum()} of {lost.size} pixels, first at row {row}, column {column}: "
            "no data term sees anything near them, and no term of the flow reaches them, so they keep the flow that "
            "they start with. Add a smoothness, such as 0.01 * Smoothness()"
        )


def warn_of_lost_data(
    data: list[tuple[DataTerm, float]], smooth: list[tuple[Smoothness | FlowTerm, float]], at: LevelLinearisation
) -> None:
    """Warn if the part of a term in the linear system is so large that single precision loses that of the data."""
    from variflow.energy.autodiff.stencils import study

    for term, factor in smooth:
        if not isinstance(term, FlowTerm):
            continue
        weight = factor * term.weight
        taps = sum(tap.factor**2 for one in study(term, at).taps for tap in one)
        size = weight * float(np.max(term.penalty.weight(np.array(_SMALL)))) * taps
        if not size > _LARGE:  # which costs less to find out than the size of the data
            continue
        uu, _, vv, *_ = motion_tensor(data, at)
        if size > (enough := _LOST * max(uu.max(), vv.max())) > 0:
            warn(
                f"the weight of {type(term).__name__} is so large that single precision loses the data beside it, and "
                f"the flow may be wrong: it is {weight:g}, and {weight * enough / size / 10:.0e} is strict enough"
            )


def _find_reach(term: FlowTerm, structure: Structure, at: LevelLinearisation) -> NDArray[np.bool_]:
    """Return which pixels the residuals of a term depend on."""
    from variflow.energy.autodiff.stencils import find_taps

    low_y, high_y, low_x, high_x = structure.reach
    top, left = max(0, -low_y), max(0, -low_x)
    height, width = at.shape
    reached = np.zeros((top + height + max(0, high_y), left + width + max(0, high_x)), bool)
    for residual in find_taps(term, at, structure):
        rows, columns = residual.shape
        for tap in residual.taps:
            y, x = top + tap.offset[0], left + tap.offset[1]
            there = reached[y : y + rows, x : x + columns]
            there |= True if tap.plane is None else tap.plane[:rows, :columns] != 0
    return reached[top : top + height, left : left + width]


def _widen(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pixels are near marked ones."""
    for axis in (0, 1):
        padded = np.pad(marked, [(_NEAR, _NEAR) if axis == number else (0, 0) for number in (0, 1)])
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEAR + 1, axis=axis)
        marked = np.asarray(around.any(axis=-1))
    return marked
