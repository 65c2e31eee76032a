"""Find what leaves a flow undetermined: pixels that no term sees, and a weight beside which the data are lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.base.errors import warn
from variflow.energy.data import DataTerm
from variflow.energy.flow_term import FlowTerm
from variflow.energy.smoothness import Smoothness
from variflow.energy.structure import Structure
from variflow.energy.taps import LocalResidual
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.studying import find_taps
from variflow.solve.taking_apart import motion_tensor

Pixels = tuple[NDArray[np.intp], ...]

# Pixels at most so far from a determined one are left in peace: differences do not reach into the corners of frames.
_NEAR = 2
# Beside a term whose part in the linear system is larger than the data's largest by the factor `_LOST`, the data are
# lost in single precision. It is not looked at below `_LARGE`. Penalties count as at residuals of `_SMALL`.
_LOST, _LARGE, _SMALL = 3e6, 1e4, 0.01
# The squared factors of first differences along x and y, of u and v, which `Smoothness` penalises.
_OF_EDGES = 8.0


def warn_of_undetermined(
    data: list[tuple[DataTerm, float]], terms: list[tuple[FlowTerm, float, Structure]], at: LevelLinearisation
) -> None:
    """Warn, naming the first, of pixels that keep the flow that they start with; terms of the flow have weights."""
    studied = [(term, structure) for term, weight, structure in terms if weight > 0]
    # What is the same everywhere is seen in a small frame; the coefficients of each pixel take long to find.
    if any(structure.constant and _reaches_all(structure, at.shape) for _, structure in studied):
        return
    reached = np.zeros(at.shape, bool)
    for term, structure in studied:
        if structure.constant:
            reached |= _find_reach(find_taps(term, at, structure), structure, at.shape)
    uu, _, vv, *_ = motion_tensor(data, at)
    reached |= uu + vv > 0
    for term, structure in studied:
        if _widen(reached).all():
            return
        if not structure.constant:
            reached |= _find_reach(find_taps(term, at, structure), structure, at.shape)
    lost = ~_widen(reached)
    if lost.any():
        row, column = np.argwhere(lost)[0]
        warn(
            f"nothing determines the flow at {lost.sum()} of {lost.size} pixels, first at row {row}, column {column}: "
            "no data term sees anything near them, and no term of the flow reaches them, so they keep the flow that "
            "they start with. Add a smoothness, such as 0.01 * Smoothness()"
        )


def warn_of_free_components(terms: list[tuple[Smoothness | FlowTerm, float]], structures: list[Structure]) -> None:
    """Warn if no term of the flow looks at u, or at v; `structures` are those of the terms that are no `Smoothness`."""
    if any(isinstance(term, Smoothness) and factor * term.weight > 0 for term, factor in terms):
        return
    seen = {tap.unknown for structure in structures for taps in structure.taps for tap in taps}
    if free := [name for number, name in enumerate("uv") if number not in seen]:
        warn(
            f"no term of the flow looks at {' or '.join(free)}: where the frames are flat, nothing determines it, and "
            "along edges hardly anything. Add a smoothness, such as 0.01 * Smoothness()"
        )


def warn_of_lost_data(
    data: list[tuple[DataTerm, float]],
    terms: list[tuple[Smoothness | FlowTerm, float, Structure | None]],
    at: LevelLinearisation,
) -> None:
    """Warn if the part of a term in the linear system is so large that single precision loses that of the data."""
    for term, weight, structure in terms:
        taps = _OF_EDGES if structure is None else sum(tap.factor**2 for one in structure.taps for tap in one)
        size = weight * float(np.max(term.penalty.weight(np.array(_SMALL)))) * taps
        if not size > _LARGE:  # which costs less to find out than the size of the data
            continue
        uu, _, vv, *_ = motion_tensor(data, at)
        if size > (enough := _LOST * max(uu.max(), vv.max())) > 0:
            warn(
                f"the weight of {type(term).__name__} is so large that single precision loses the data beside it, and "
                f"the flow may be wrong: it is {weight:g}, and {weight * enough / size / 10:.0e} is strict enough"
            )


def find_alone(structures: list[Structure], shape: tuple[int, int]) -> Pixels | None:
    """Return the rows and columns of the pixels that no residual looks at, as in corners; None if there are none."""
    reached = np.zeros((), bool)
    for structure in structures:
        small = _find_reach_in_small(structure, shape)
        if small.all():
            return None
        reached = reached | small[np.ix_(*map(_find_alike, shape, small.shape))]
    return None if reached.all() else np.nonzero(~reached)


def _find_alike(length: int, small: int) -> NDArray[np.intp]:
    """Return for each row, or column, of a frame the one of a small frame that is as far from the border, or inside."""
    places = np.arange(length)
    inside = np.minimum(places, small // 2)
    return np.where(length - 1 - places < small // 2, small - length + places, inside)


def _reaches_all(structure: Structure, shape: tuple[int, int]) -> bool:
    """Return whether residuals that are the same everywhere depend on pixels near all pixels of a frame."""
    return bool(_widen(_find_reach_in_small(structure, shape)).all())


def _find_reach_in_small(structure: Structure, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels of a frame as small as may be residuals look at: those inside are all alike."""
    low_y, high_y, low_x, high_x = structure.reach
    lengths = (2 * (high - low + 2 * _NEAR) + 1 for low, high in ((low_y, high_y), (low_x, high_x)))
    small = min(shape[0], next(lengths)), min(shape[1], next(lengths))
    return _find_reach(structure.place(small), structure, small)


def _find_reach(residuals: list[LocalResidual], structure: Structure, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels of a frame the residuals of a term depend on."""
    low_y, high_y, low_x, high_x = structure.reach
    top, left = max(0, -low_y), max(0, -low_x)
    height, width = shape
    reached = np.zeros((top + height + max(0, high_y), left + width + max(0, high_x)), bool)
    for residual in residuals:
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
        marked = np.asarray(np.moveaxis(around, -1, 0).any(axis=0))  # whole planes at a time, which is fast
    return marked
