"""Minimise an energy around one linearisation, for an increment of the flow.

A native solver takes the energy apart. Any other solver is one for the general minimiser, which differentiates the
energy. The general minimiser also replaces a native solver that cannot take an energy apart.

The solvers are `relaxation.Relaxation`, `primal_dual.PrimalDual`, `lucas_kanade.LucasKanade` and, in JAX,
`conjugate_gradient.ConjugateGradient`; their modules are imported when they are first used.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from types import ModuleType

import numpy as np

from variflow.energy.residuals import NotTakenApart
from variflow.energy.term import Energy
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.minimum import Minimum, NativeSolver

__all__ = ["conjugate_gradient", "lucas_kanade", "primal_dual", "relaxation"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"variflow.solve.{name}")
    raise AttributeError(f"module 'variflow.solve' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def choose_solver(energy: Energy, solver: object, at: LevelLinearisation) -> tuple[object, str]:
    """Return the solver that minimises the energy, and why, if it is not the one wanted.

    L-BFGS replaces a native solver if residuals cannot be linearised pixel by pixel, or if a user's own term or penalty
    overrides what the core would compute.

    Raises
    ------
    TypeError, ValueError, MemoryError
        Before any work, if the solver cannot minimise the energy.
    """
    try:
        return _choose_solver(energy, solver, at)
    except IndexError as fault:
        raise IndexError(
            f"the energy asks for what is not there: {fault}; it sees {len(at.frame0)} channel(s) of the frames, and "
            f"{len(at.guide)} of at.guide (a model with channels='gray' sees one of the frames, with 'all' every one)"
        ) from fault


def _choose_solver(energy: Energy, solver: object, at: LevelLinearisation) -> tuple[object, str]:
    reason = ""
    if isinstance(solver, NativeSolver):
        try:
            solver.check(energy, at)
        except NotTakenApart as fault:
            reason = f"{fault}, so L-BFGS minimised the energy in place of {type(solver).__name__}"
            solver = None
        else:
            return solver, ""
    from variflow.solve import general  # which imports JAX

    general.check(energy, solver, at)
    return solver, reason


def minimise(
    energy: Energy, solver: object, steps: int, at: LevelLinearisation, state: Planes | Minimum | None = None
) -> Minimum:
    """Minimise ``energy(d, at)`` over the increment d, from zero; `state` is that of the level's previous warp."""
    if isinstance(solver, NativeSolver):
        return _check_flow(solver.minimise(energy, at, state), solver)
    from variflow.solve import general

    return general.minimise(energy, solver, steps, at)


def _check_flow(minimum: Minimum, solver: NativeSolver) -> Minimum:
    """Return what a solver found, or a failure if the flow is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = sum(float(plane.sum()) for plane in minimum.flow)  # the fastest test of all pixels
    if math.isfinite(total):
        return minimum
    failure = f"stopped because {type(solver).__name__} returned a flow that is not finite, which was dropped"
    return replace(minimum, flow=minimum.start, failure=failure)
