"""Explain in plain words what a model minimises, from coarse to fine, and which solver does it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path

import numpy as np

from variflow import models
from variflow.base.brief import shorten
from variflow.base.errors import mute_warnings
from variflow.base.types import ArrayLike
from variflow.calling import explain_calls
from variflow.energy import Energy
from variflow.energy.levels import find_shape
from variflow.energy.residuals import NotTakenApart
from variflow.energy.term import Term
from variflow.model import Model
from variflow.problem import Problem, pose
from variflow.solve.local_system import LocalSystem
from variflow.solve.minimum import NativeSolver
from variflow.solve.taking_apart import flat
from variflow.state import State

# The frames of noise on which an energy is tried if none are given, and the longest line that shows a setting.
_SHAPE = 48, 64
_WIDTH = 100


@explain_calls
def explain(
    model: str | Model | Energy = "balanced", frame0: ArrayLike | None = None, frame1: ArrayLike | None = None
) -> str:
    """Explain in plain words what a model minimises, on which schedule, and which solver does it and why.

    Parameters
    ----------
    model : str, Model or callable
        As for `estimate`.
    frame0, frame1 : array, optional
        Frames to try it on. By default it is tried on colour frames of noise, small ones unless a term holds arrays of
        their size. Give frames if a function takes such arrays from outside.

    Returns
    -------
    str
        Several lines: the terms with their weights, penalties and constants; the schedule; the solver.

    Examples
    --------
    >>> import variflow
    >>> print(variflow.explain("horn-schunck"))  # doctest: +ELLIPSIS
    horn-schunck minimises the sum of
      1 BrightnessConstancy(penalty=Quadratic(), normalisation=0.0784)
        A point keeps its brightness: ...
    """
    if (frame0 is None) != (frame1 is None):
        raise ValueError(f"{'frame0' if frame0 is None else 'frame1'} is missing, wanted both frames or none")
    if frame0 is None or frame1 is None:
        shape = find_shape(models.get(model).energy) or _SHAPE
        frame0, frame1 = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), np.uint8)
    with mute_warnings():
        return explain_problem(pose(frame0, frame1, models.get(model)))


def explain_problem(problem: Problem) -> str:
    """Return what a problem's model minimises, on which schedule, and which solver does it and why."""
    model = problem.model
    name = model.name if model.name not in ("", "Sum") else "the model"
    lines = [f"{name} minimises the sum of"]
    for term, factor in flat(model.energy, 1.0):
        lines += [f"  {_name_term(term, factor)}", *(f"    {line}" for line in _summarise(term))]
    if model.unknowns is not None:
        lines.append(f"over the unknowns of {_show(model.unknowns)}")
    lines += ["coarse to fine:", *(f"  {line}" for line in _list_schedule(problem))]
    return "\n".join([*lines, *_explain_solver(problem)])


def explain_warp(state: State) -> str:
    """Return a line about a warp with all that is known of it."""
    compared = f"{state}, {np.mean(state.at.valid):.0%} of the pixels compared"
    return f"{compared}, tolerance not met" if state.exhausted else compared


def _name_term(term: Energy, factor: float) -> str:
    if not isinstance(term, Term):
        return f"{factor:g} {_name_function(term)}"
    settings = {
        name: getattr(term, name)
        for name, field in getattr(term, "__dataclass_fields__", {}).items()
        if not _is_default(getattr(term, name), field.default)
    }
    if not np.ndim(weight := settings.get("weight", 1.0)):
        factor, settings = float(factor * weight), {name: settings[name] for name in settings if name != "weight"}
    return f"{factor:g} {type(term).__name__}({', '.join(f'{name}={_show(settings[name])}' for name in settings)})"


def _is_default(value: object, default: object) -> bool:
    return default is not MISSING and type(value) is type(default) and bool(np.all(value == default))


def _show(value: object) -> str:
    if getattr(value, "shape", ()):
        return f"{value.dtype} {tuple(value.shape)}"  # type: ignore[attr-defined]
    names = getattr(value, "__dataclass_fields__", None)
    if names is not None and not isinstance(value, type):
        inside = ", ".join(f"{name}={_show(getattr(value, name))}" for name in names)
        return shorten(f"{type(value).__name__}({inside})", _WIDTH)
    return f"{value:.3g}" if isinstance(value, float) else shorten(repr(value), _WIDTH)


def _name_function(function: object) -> str:
    named = getattr(function, "__name__", type(function).__name__)
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    where = "" if code is None else f" ({Path(code.co_filename).name}, line {code.co_firstlineno})"
    return f"the function {named}{where}"


def _summarise(term: Energy) -> Iterator[str]:
    """Yield the first line of what a term or a function says of itself, if it says anything."""
    owner = type(term) if isinstance(term, Term) else term
    own = vars(owner).get("__doc__") if isinstance(owner, type) else getattr(owner, "__doc__", None)
    if own and not own.startswith(f"{getattr(owner, '__name__', '')}("):  # what a dataclass is given
        yield inspect.cleandoc(own).splitlines()[0].replace("``", "")


def _list_schedule(problem: Problem) -> Iterator[str]:
    model, (finest, *_) = problem.model, problem.levels
    sizes = ", ".join(f"{width} x {height}" for height, width in (level.shape for level in problem.levels[::-1]))
    count = f"{len(problem.levels)} level{'s' if len(problem.levels) > 1 else ''}"
    yield f"for frames of {finest.shape[1]} x {finest.shape[0]} {count}: {sizes}"
    yield f"each {model.factor:g} times as large as the next, with a shorter side of at least {model.coarsest} pixels"
    if problem.finest < 0:
        height, width = problem.find_level(-1).shape
        yield f"and then one that is finer than the frames: {width} x {height}"
    elif problem.finest > 0:
        yield f"without the finest {problem.finest}, to whose size the flow is enlarged"
    coarsest = len(problem.levels) - 1
    last = min(problem.finest, coarsest)
    warps = [model.warps_at(level, coarsest, last) for level in range(last, coarsest + 1)]
    while warps[-2:-1] == warps[-1:]:  # all coarser levels have as many
        warps.pop()
    more = f" at the finest, then {', '.join(map(str, warps[1:]))} at all coarser" if warps[1:] else " at each level"
    yield f"{warps[0]} warp{'s' if warps[0] > 1 else ''}{more}; derivatives: {model.derivative}; {model.interpolation}"
    if model.limit < math.inf:
        yield f"a warp changes each component by at most {model.limit:g} pixels"
    if model.presmoothing:
        yield f"frames smoothed by a Gaussian of {model.presmoothing:g} pixels"
    if model.filter is not None:
        yield f"after each level {_show(model.filter)}"
    yield f"channels: {model.channels}; start: {model.start}; light: {model.light}; noise: {model.noise}"
    if model.occlusion == "estimated":
        yield "what is occluded counts nothing, once half the size is reached"


def _explain_solver(problem: Problem) -> list[str]:
    given = problem.model.solver
    chosen, instead = problem.with_solver()
    solver = chosen.model.solver
    if isinstance(solver, NativeSolver):
        kind, why = f"{_show(solver)}, in the native core", instead or "the model names it"
    elif solver is None:
        kind = f"TruncatedNewton(), at most {problem.model.steps} steps a warp, through JAX"
        why = instead or _find_obstacle(chosen)
    else:
        of_optax = type(solver).__module__.startswith("optax")
        name = "an optimiser of optax" if of_optax else type(solver).__name__
        kind = f"{name}, at most {problem.model.steps} steps a warp, through JAX"
        why = instead or ("the model names it" if given is not None else "")
    return [f"solver: {kind}", f"  why: {why}"]


def _find_obstacle(problem: Problem) -> str:
    """Return why the native solver of sums of terms does not take an energy."""
    for term, _ in flat(problem.model.energy, 1.0):
        if not isinstance(term, Term):
            return f"the energy holds {_name_function(term)}, of which JAX knows values and derivatives only"
    try:
        LocalSystem().check(problem.model.energy, problem.linearise_at_rest())
    except (TypeError, NotTakenApart) as fault:
        return str(fault)
    return ""
