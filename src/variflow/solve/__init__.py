"""Minimise an energy at one linearisation for an increment of the flow.

A native solver takes the energy apart; any other is one for the general minimiser, which differentiates it.
"""

from __future__ import annotations

from typing import Any

from variflow.energy.terms import Energy
from variflow.linearisation import Linearisation
from variflow.solve.minimum import Minimum, NativeSolver


def check(energy: Energy, solver: Any, at: Linearisation) -> None:
    """Raise before any work if the solver cannot minimise the energy."""
    if isinstance(solver, NativeSolver):
        solver.check(energy, at)
        return
    from variflow.solve import general  # which imports JAX

    general.check(energy, solver, at)


def minimise(energy: Energy, solver: Any, steps: int, at: Linearisation, state: Any = None) -> Minimum:
    """Minimise ``energy(d, at)`` over the increment d, from zero; `state` is that of the level's previous warp."""
    if isinstance(solver, NativeSolver):
        return solver.minimise(energy, at, state)
    from variflow.solve import general

    return general.minimise(energy, solver, steps, at)
