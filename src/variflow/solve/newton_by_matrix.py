"""Newton's method for energies that couple near pixels only: JAX shows the Hessian, and the core solves with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from variflow import _core
from variflow.base.brief import Brief
from variflow.energy.autodiff.coupling import Coupling, evaluate, multiply_patterns, take_parts
from variflow.energy.term import Energy
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.descent import ENOUGH, INNER, ITERATIONS, ROUNDING, SHORTER, STILL, TRIALS, Found


@dataclass(frozen=True, eq=False, repr=False)
class _Point(Brief):
    """An increment, (K, 1, H, W), with the energy there and its gradient."""

    increment: Planes
    energy: float
    gradient: Planes


def minimise(
    energy: Energy,
    coupling: Coupling,
    rtol: float,
    steps: int,
    at: LevelLinearisation,
    first: float | None,
) -> Found:
    """Minimise an energy from the zero increment; `first` is how far the level's first step meant to lower it.

    A Newton step promises to lower the energy by half of what its slope says. The method has come to
    rest with a step that promises little, beside the first of the level, and moves little.
    """
    parts = take_parts(energy, at)

    def look(increment: Planes) -> _Point:
        return _Point(increment, *evaluate(energy, parts, increment))

    best = look(np.zeros((len(at.planes), 1, *parts.shape), np.float32))
    energies, reach, met = [best.energy], 1.0, False
    while len(energies) <= steps and not met and -np.inf < best.energy < np.inf:
        products = multiply_patterns(energy, coupling, parts, best.increment)
        step, positive = _solve(coupling, products, best.gradient)
        slope = _dot(best.gradient, step)
        size = -slope
        first = size if first is None else first
        length = 1.0
        if positive:
            met = size <= rtol**2 * first and _dot(step, step) <= STILL**2 * step[0].size
        else:
            longest = float(np.sqrt((step**2).sum(axis=0).max()))
            length, reach = reach / longest if longest > 0 else 1.0, 2 * reach
        for _ in range(TRIALS):
            tried = look(best.increment + np.float32(length) * step)
            better = _falls(best, tried, length, slope, step)
            energies.append(tried.energy if better else best.energy)
            if better or len(energies) > steps:
                break
            length *= SHORTER
        if not better:
            break
        best = tried
    return Found(
        tuple(best.increment[:, 0]), energies[0], best.energy, np.asarray(energies[1:], np.float32), met, first
    )


def _solve(coupling: Coupling, products: Planes, gradient: Planes) -> tuple[Planes, bool]:
    """Return Newton's step, or the slope where the energy curves down along it, and which of both it is."""
    by_y, by_unknown = coupling.steps
    matrix = _core.LocalMatrix(products, (by_y, 0, by_unknown), coupling.entries)
    step, iterations, positive = _core.solve_matrix(matrix, gradient, INNER, ITERATIONS)
    return (step, True) if iterations or positive else (-gradient, False)


def _falls(best: _Point, tried: _Point, length: float, slope: float, step: Planes) -> bool:
    """Return whether the energy falls enough from one increment to the next."""
    promised = length * slope
    fall = tried.energy - best.energy
    if abs(fall) <= ROUNDING * abs(tried.energy):
        fall = 0.5 * (promised + length * _dot(tried.gradient, step))
    return fall <= ENOUGH * promised


def _dot(planes: Planes, others: Planes) -> float:
    return float(np.vdot(planes, others))
