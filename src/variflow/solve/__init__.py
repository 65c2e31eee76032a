"""Minimise an energy around one linearisation, for an increment of the flow.

A native solver takes the energy apart. Any other solver is one for the general minimiser, which differentiates the
energy. The general minimiser also replaces a native solver that cannot take an energy apart.

The solvers are `relaxation.Relaxation`, `local_system.LocalSystem`, `primal_dual.PrimalDual`,
`lucas_kanade.LucasKanade` and, in JAX, `newton.TruncatedNewton`, the general minimiser unless a model names another,
and `conjugate_gradient.ConjugateGradient`; their modules are imported when they are first used.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import FrozenInstanceError, replace
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from variflow import _core
from variflow.energy.advice import advise_on_arguments
from variflow.energy.residuals import NotTakenApart
from variflow.energy.term import Energy
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.minimum import Minimum, NativeSolver

if TYPE_CHECKING:
    from variflow.energy.autodiff.programs import Call

__all__ = ["conjugate_gradient", "local_system", "lucas_kanade", "newton", "primal_dual", "relaxation"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"variflow.solve.{name}")
    raise AttributeError(f"module 'variflow.solve' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def choose_solver(energy: Energy, solver: object, at: LevelLinearisation) -> tuple[object, str]:
    """Return the solver that minimises the energy, and why, if it is not the one wanted.

    Where none is wanted, it is `LocalSystem` if the energy can be taken apart into residuals. That also replaces a
    native solver that cannot take the energy apart. The general minimiser does what is left: residuals that are not
    local, and terms or penalties that override what the core would compute.

    Raises
    ------
    TypeError, ValueError, MemoryError
        Before any work, if the solver cannot minimise the energy.
    """
    try:
        return _choose_solver(energy, solver, at)
    except (TypeError, AttributeError) as fault:
        advice = advise_on_arguments(fault)
        if advice and type(fault) in (TypeError, AttributeError, FrozenInstanceError):  # which are made of a text
            fault.args = (f"{fault}; {advice}",)
        raise
    except (IndexError, ValueError) as fault:
        if _counts_planes(fault, at):
            raise type(fault)(f"the energy does not fit what it is given: {fault}; {_describe_planes(at)}") from fault
        if not isinstance(fault, IndexError) or "sizes do not fit" in str(fault):
            raise
        raise IndexError(
            f"the energy asks for what is not there: {fault}; it sees {len(at.frame0)} channel(s) of the frames, and "
            f"{len(at.guide)} of at.guide (a model with channels='gray' sees one of the frames, with 'all' every one)"
        ) from fault


def _counts_planes(fault: Exception, at: LevelLinearisation) -> bool:
    """Return whether code may have taken another number of planes than there are, as by ``d[2]``."""
    text, count = str(fault), len(at.planes)
    few, many = f", got {count})", re.search(r"too many values to unpack \(expected (\d+)", text)
    return (
        "tuple index out of range" in text
        or ("not enough values to unpack" in text and few in text)
        or (many is not None and int(many[1]) < count and bool(at.further))
    )


def _describe_planes(at: LevelLinearisation) -> str:
    """Return which planes an energy is given, and how to have others."""
    names = ["u", "v"]
    if at.further and at.values is not None:
        names = list(at.values) if len(at.values) == len(at.planes) else [*names, *("..." for _ in at.further)]
    held = f"d, the flow of a FlowTerm, and at.planes hold {len(at.planes)} planes: {', '.join(names)}"
    return f"{held} (a model has more with Model(energy, unknowns=variflow.unknowns.FlowAndPlanes('gain')))"


def _choose_solver(energy: Energy, solver: object, at: LevelLinearisation) -> tuple[object, str]:
    reason = ""
    if at.unknowns is not None:
        return _choose_for_unknowns(energy, solver, at)
    if isinstance(solver, NativeSolver):
        try:
            solver.check(energy, at)
        except NotTakenApart as fault:
            local, _ = _find_local_system(energy, at)
            if local:
                return local, f"{fault}, so LocalSystem minimised the energy in place of {type(solver).__name__}"
            reason = f"{fault}, so the general minimiser took the place of {type(solver).__name__}"
            solver = None
        else:
            return solver, ""
    elif solver is None:
        local, why = _find_local_system(energy, at)
        if local:
            return local, "LocalSystem minimised the energy, a sum of data terms and terms of the flow"
        reason = f"the general minimiser minimised the energy: {why}" if why else ""
    from variflow.solve import general  # which imports JAX

    general.check(energy, solver, at)
    if solver is not None:
        return solver, ""
    solver, other = general.choose(energy, at)
    return solver, "; ".join(filter(None, (reason, other)))


def _choose_for_unknowns(energy: Energy, solver: object, at: LevelLinearisation) -> tuple[object, str]:
    """Return the solver of unknowns other than the flow: `LocalSystem` if it can, or else a general one."""
    from variflow.solve import general  # which imports JAX
    from variflow.solve.local_system import LocalSystem

    name = type(at.unknowns).__name__
    native = solver if isinstance(solver, LocalSystem) else LocalSystem()
    reason = ""
    if solver is None or isinstance(solver, NativeSolver):
        try:
            native.check(energy, at)
        except (TypeError, NotTakenApart) as fault:
            why = (
                fault
                if isinstance(fault, NotTakenApart)
                else "the energy is no sum of data terms and terms of the flow"
            )
            reason = f"Newton's method in JAX minimised the energy over the unknowns of {name}: {why}"
            solver = None
        else:
            return native, "" if native is solver else f"LocalSystem minimised the energy over the planes of {name}"
    general.check(energy, solver, at)
    return solver, reason


def _find_local_system(energy: Energy, at: LevelLinearisation) -> tuple[NativeSolver | None, str]:
    """Return the solver of local residuals if it can minimise the energy, or why not if that is a sum of terms."""
    from variflow.solve.local_system import LocalSystem

    local = LocalSystem()
    try:
        local.check(energy, at)
    except NotTakenApart as fault:
        return None, str(fault)
    except TypeError:  # what is wrong with a term is found by the general minimiser, too
        return None, ""
    return local, ""


def minimise(
    energy: Energy,
    solver: object,
    steps: int,
    at: LevelLinearisation,
    state: object = None,
    *,
    last: bool = True,
    finest: bool = True,
) -> Minimum:
    """Minimise ``energy(d, at)`` over the increment d, from zero; `state` is that of the level's previous warp.

    Other warps follow at this level unless it is the `last`, and finer levels unless it is the `finest`.
    """
    if isinstance(solver, NativeSolver):
        here = solver.at_the_end() if last and finest else solver.on_the_way()
        return _check_flow(here.minimise(energy, at, state), solver)
    from variflow.solve import general, values

    if at.unknowns is not None:
        return values.minimise(energy, solver, steps, at, state)
    return general.minimise(energy, solver, steps, at, state)


def carry(solver: object, state: object) -> object:
    """Return what of the state of a level's last warp serves the next level."""
    return solver.carry(state) if isinstance(solver, NativeSolver) else None


def list_calls(energy: Energy, solver: object, steps: int, at: LevelLinearisation) -> list[Call]:
    """Return the calls of programs, compiled by JAX, that a level takes, if it is known before which these are."""
    if isinstance(solver, NativeSolver):
        return solver.list_calls(energy, at)
    from variflow.solve import general, newton, values

    minimiser = general.as_minimiser(solver)
    if not isinstance(minimiser, newton.TruncatedNewton):
        return []
    if at.unknowns is not None:
        return values.list_calls(energy, at)
    return newton.list_calls(energy, minimiser, steps, at)


def _check_flow(minimum: Minimum, solver: NativeSolver) -> Minimum:
    """Return what a solver found, or a failure if the flow is not finite."""
    if minimum.values is None:
        finite = all(map(_core.are_finite, minimum.flow))
    else:
        finite = all(np.isfinite(plane).all() for plane in minimum.values.values())
    if finite:
        return minimum
    failure = f"stopped because {type(solver).__name__} returned a flow that is not finite, which was dropped"
    return replace(minimum, flow=minimum.start, failure=failure)
