"""Newton's method for energies that couple near pixels only: JAX shows the Hessian, and the core solves with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.energy.autodiff.coupling import Coupling, evaluate, multiply_patterns, take_parts
from variflow.energy.term import Energy
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.damping import find_damping
from variflow.solve.descent import ENOUGH, INNER, ITERATIONS, ROUNDING, STILL, TRIALS, Found

# Where a step does not lower the energy, the damping begins with the share `_LEAST` of how strongly constant flows are
# determined, or of `_OF_ROWS` of the entries of a row. It is raised and lowered by these factors.
_LEAST, _OF_ROWS, _RAISED, _LOWERED = 1e-3, 1e-4, 8.0, 0.25
# A step that promises less than this share of little may move far, because hardly anything determines it.
_HARDLY = 0.1


@dataclass(frozen=True, eq=False, repr=False)
class _Point(Brief):
    """An increment, (K, 1, H, W), with the energy there and its gradient."""

    increment: Planes
    energy: float
    gradient: Planes


class _State(NamedTuple):
    """What a level's next warp takes over.

    Attributes
    ----------
    first : float
        What the first step promised.
    always : (K, K) float64
        The damping of what is hardly determined.
    least, damping : float
        The least damping of all unknowns where a step fails, and the last one.
    """

    first: float
    always: NDArray[np.float64]
    least: float
    damping: float


def minimise(
    energy: Energy, coupling: Coupling, rtol: float, steps: int, at: LevelLinearisation, state: _State | None
) -> Found:
    """Minimise an energy from the zero increment.

    A Newton step promises to lower the energy by half of what its slope says. The method has come to rest with a step
    that promises little, beside the first of the level, and moves little. If a step does not lower the energy, it is
    taken anew with a damped matrix, as Levenberg and Marquardt do. A damped step promises little wherever it is.
    """
    parts = take_parts(energy, at)
    first, always, least, damping = state or (None, None, 0.0, 0.0)
    grids = _core.CoarserGrids()  # of a warp: with those of the one before, steps promise less than they might

    def look(increment: Planes) -> _Point:
        return _Point(increment, *evaluate(energy, parts, increment))

    best = look(np.zeros((len(at.planes), 1, *parts.shape), np.float32))
    energies, met = [best.energy], not best.gradient.any()
    while len(energies) <= steps and not met and -np.inf < best.energy < np.inf:
        products = multiply_patterns(energy, coupling, parts, best.increment)
        matrix = _core.LocalMatrix(products, (coupling.steps[0], 0, coupling.steps[1]), coupling.entries)
        if always is None:
            curvature = _unfold(_core.measure_constants(matrix), len(best.increment))
            always = np.zeros_like(curvature)
            always[:2, :2] = find_damping(curvature[:2, :2])
            rows = float(np.abs(products).sum(axis=0, dtype=np.float64).mean())
            least = _LEAST * max(*np.diag(curvature), _OF_ROWS * rows)
        before, trials, better = damping, 0, False
        while not better and trials < TRIALS and len(energies) <= steps:
            damping = max(damping * _RAISED, least) if trials else damping
            added = (always + damping * np.eye(len(always)))[np.triu_indices(len(always))]
            step, _, _ = _core.solve_matrix(matrix, best.gradient, added, INNER, ITERATIONS, grids)
            slope = _dot(best.gradient, step)
            tried = look(best.increment + step)
            better = slope < 0 and _falls(best, tried, slope, step)
            energies.append(tried.energy if better else best.energy)
            trials += 1
        if not better:
            break
        first = -slope if first is None else first
        still = _dot(step, step) <= STILL**2 * step[0].size
        met = damping <= least and -slope <= rtol**2 * first * (1 if still else _HARDLY)
        best = tried
        if damping == before:
            damping = damping * _LOWERED if damping > least else 0.0
    taken = np.asarray(energies[1:], np.float32)
    kept = None if first is None or always is None else _State(first, always, least, damping)
    return Found(tuple(best.increment[:, 0]), energies[0], best.energy, taken, met, kept)


def _unfold(triangle: list[float], size: int) -> NDArray[np.float64]:
    """Return the symmetric matrix (size, size) of an upper triangle."""
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = triangle
    return matrix + np.triu(matrix, 1).T


def _falls(best: _Point, tried: _Point, slope: float, step: Planes) -> bool:
    """Return whether the energy falls enough from one increment to the next, a step away."""
    fall = tried.energy - best.energy
    if abs(fall) <= ROUNDING * abs(tried.energy):
        fall = 0.5 * (slope + _dot(tried.gradient, step))
    return fall <= ENOUGH * slope


def _dot(planes: Planes, others: Planes) -> float:
    return float(np.vdot(planes, others))
