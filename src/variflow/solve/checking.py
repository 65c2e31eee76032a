"""Check the slope of an energy before work starts, and the minimum that a solver found."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from variflow.base.brief import Brief
from variflow.base.types import Array
from variflow.energy.advice import TO_COMPARE, advise_on_not_finite
from variflow.energy.autodiff.coupling import evaluate, take_parts
from variflow.energy.autodiff.programs import apply_settings
from variflow.energy.autodiff.tracing import explain_faults, name_of
from variflow.energy.term import Energy, Sum
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.linearisation.linearisation import Linearisation
from variflow.unknowns.unknowns import Place, find_planes

# Largest component, in pixels, of the small increment at which an energy is evaluated.
_SMALL = 0.1
# Frames differ where their intensities differ by more than `_DIFFERENCE` and their gradients by more than
# `_OF_GRADIENTS`. Motion can be seen where the gradient is more than `_CONTRAST`. The range of the frames is [0, 1].
_DIFFERENCE, _OF_GRADIENTS, _CONTRAST = 0.02, 0.01, 0.005
# An energy falls without end if it falls further when the increment is extended to at least `_FAR` pixels: by more than
# `_FALLS` times its size, and at more than the share `_RATE` of the rate so far.
_FAR, _FALLS, _RATE = 1e5, 10.0, 0.1
# Pixels have left the frame where they moved by more than its longer side, and by at least so many pixels: in frames as
# small as that, noise moves them out.
_LEAST_FAR = 16
# A solver left off too early if the energy falls by more than the share `_NOISE` when the increment is extended to its
# double, and to at least `_ON` pixels.
_ON, _NOISE = 0.5, 1e-5
# Where the solver moved no pixel by more than `_HARDLY`, the energy is evaluated this many pixels down its slope, and
# shifted as a whole: an increment so small says nothing about what lies beyond.
_HARDLY, _STEPS = 1e-3, (0.5, 0.05, 0.005)

ASK = "does the energy have a minimum, or is it, or a part of it, negated?"
NO_MINIMUM = "the energy falls without end: it has no minimum. Is it, or a part of it, negated?"


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Brief):
    """An energy and its gradient at one increment.

    Attributes
    ----------
    value : float
        The energy.
    unknown, moving : int
        How many numbers of the gradient are not finite, and how many are not 0.
    gradient : (2, H, W) float32
    """

    value: float
    unknown: int
    moving: int
    gradient: Planes

    @classmethod
    def at(cls, energy: Energy, increment: tuple[Planes, ...], at: Linearisation) -> Evaluation:
        """Evaluate an energy and its gradient."""
        with explain_faults(energy, at.valid.shape):
            value, gradient = evaluate(energy, take_parts(energy, at), np.stack(increment)[:, None])
        planes = gradient[:, 0]
        return cls(value, int((~np.isfinite(planes)).sum()), int((planes != 0).sum()), planes)


@apply_settings()
def check_slope(start: tuple[Energy, LevelLinearisation], finest: tuple[Energy, LevelLinearisation]) -> None:
    """Check that an energy has a finite slope where the estimate starts, and that it depends on the frames.

    The flow must depend on the unknowns, too, if others than the flow are sought.

    Parameters
    ----------
    start : callable and Linearisation
        The energy, and the linearisation around the flow that the estimate starts from.
    finest : callable and Linearisation
        Those of the finest level, which is checked if the energy has no slope at the start.

    Raises
    ------
    ValueError
        If the energy or its gradient is not finite, at the zero increment or a small one. If the gradient is zero
        everywhere, or zero at the zero increment although the frames differ.
    """
    unknowns = finest[1].unknowns
    if unknowns is not None and not any(_moves_with_unknowns(energy, at) for energy, at in (start, finest)):
        name = type(unknowns).__name__
        raise ValueError(
            f"the gradient of {name_of(finest[0])} over the unknowns of {name} is zero everywhere, so nothing would "
            f"move. Does flow_of of {name} take no notice of its values, or does it round them?"
        )
    for energy, at in (start, finest):
        still, small = _evaluate_twice(energy, at)
        if still.moving:
            return
        if not _find_contrast(finest[1]).any() or (small.moving and not _find_differences(finest[1]).any()):
            return
    if small.moving:
        raise ValueError(
            f"{name_of(energy)} does not see that the frames differ: its gradient is zero everywhere at the zero "
            f"increment. Does it lack a data term, such as BrightnessConstancy(), or {TO_COMPARE}"
        )
    raise ValueError(
        f"the gradient of {name_of(energy)} is zero everywhere, so nothing would move. Are all its weights 0, does "
        f"it round, or does it {TO_COMPARE}"
    )


def _moves_with_unknowns(energy: Energy, at: LevelLinearisation) -> bool:
    """Return whether the flow has a slope over the unknowns where an estimate stands."""
    with explain_faults(energy, at.shape):
        planes, pull_back = jax.vjp(lambda values: find_planes(at.unknowns, values, Place(at)), at.values)
        rng = np.random.default_rng(0)
        (slopes,) = pull_back(tuple(jnp.asarray(rng.normal(size=plane.shape), plane.dtype) for plane in planes))
    return any(np.any(slope) for slope in slopes.values())


def _evaluate_twice(energy: Energy, at: Linearisation) -> tuple[Evaluation, Evaluation]:
    """Evaluate an energy at the zero increment and at a small one; raise ValueError if either is not finite."""
    shape = at.valid.shape
    small = np.random.default_rng(0).uniform(-_SMALL, _SMALL, (len(at.planes), *shape)).astype(np.float32)
    evaluations = []
    for name, planes in (("the zero increment", np.zeros_like(small)), ("a small increment", small)):
        increment = tuple(planes)
        evaluation = Evaluation.at(energy, increment, at)
        if not math.isfinite(evaluation.value):
            raise ValueError(explain_not_finite(energy, increment, at, name, evaluation.value))
        if evaluation.unknown:
            cause = _find_cause(energy, increment, at)
            raise ValueError(
                f"the gradient of {name_of(cause)} for {name} is not finite at {evaluation.unknown} of {small.size} "
                f"places (frames of {shape[0]} x {shape[1]}): {advise_on_not_finite(cause)}"
            )
        evaluations.append(evaluation)
    return evaluations[0], evaluations[1]


def explain_not_finite(
    energy: Energy, increment: tuple[Planes, ...], at: Linearisation, name: str, value: float
) -> str:
    """Return the message about an energy whose value is not finite; `name` is that of the increment."""
    cause = _find_cause(energy, increment, at)
    return f"{name_of(cause)} returned {value} for {name}, wanted one finite float: {advise_on_not_finite(cause)}"


def _find_cause(energy: Energy, increment: tuple[Planes, ...], at: Linearisation) -> Energy:
    """Return the first term of a sum that is not finite, or has no finite gradient, else the energy."""
    for part in energy.terms if isinstance(energy, Sum) else ():
        evaluation = Evaluation.at(part, increment, at)
        if evaluation.unknown or not math.isfinite(evaluation.value):
            return part
    return energy


def _find_contrast(at: Linearisation) -> Array:
    return ((abs(at.Ix) + abs(at.Iy)).max(axis=0) > _CONTRAST) & (at.weights > 0)


def _find_differences(at: Linearisation) -> Array:
    """Return where every energy that compares frames finds a difference, even one that forgives a change of light."""
    gradients = (abs(at.Ixt) + abs(at.Iyt)).max(axis=0)
    return _find_contrast(at) & (abs(at.It).max(axis=0) > _DIFFERENCE) & (gradients > _OF_GRADIENTS)


def find_fault_at_start(energy: Energy, at: Linearisation) -> str:
    """Return a message if the gradient of an energy is not finite where a solver starts, else an empty text."""
    zero = np.zeros((2, *at.valid.shape), np.float32)
    return _explain_gradient(energy, Evaluation.at(energy, (zero[0], zero[1]), at))


def _explain_gradient(energy: Energy, evaluation: Evaluation) -> str:
    return (
        f"the gradient of the energy is not finite at {evaluation.unknown} places: {advise_on_not_finite(energy)}"
        if evaluation.unknown
        else ""
    )


def find_fault(energy: Energy, increment: tuple[Planes, Planes], at: Linearisation, before: float) -> tuple[str, bool]:
    """Return why an increment that a solver found is unusable (or an empty text), and whether the solver came to rest.

    Parameters
    ----------
    energy : callable
    increment : pair of (H, W) float32
        Finite.
    at : Linearisation
        A plain one.
    before : float
        The energy at the zero increment.
    """
    here = Evaluation.at(energy, increment, at)
    if fault := _explain_gradient(energy, here):
        return fault, False
    sizes = np.hypot(*increment)
    largest = float(sizes.max())
    falls = here.value - _NOISE * abs(here.value)
    found = np.stack(increment)
    rests = True
    if largest <= _HARDLY:
        ways = _list_shifts(sizes.shape)
        ways += [-here.gradient] if here.moving else []
        rests = all(_evaluate_along(energy, way, at, size, found) >= falls for way in ways for size in _STEPS)
        if not largest:
            return "", rests

    def energy_at(pixels: float) -> float:
        return _evaluate_along(energy, found, at, pixels)

    far = max(_FAR, 100 * largest)
    while (beyond := energy_at(far)) == -np.inf and far > 10 * largest:
        far /= 10  # so far away it may have overflowed
    rate = max(before - here.value, 0.0) / largest
    if beyond < here.value - max(_FALLS * (abs(before) + abs(here.value)), _RATE * rate * (far - largest)):
        return NO_MINIMUM, False
    if fault := find_departure(increment, at):
        return fault, False
    return "", rests and energy_at(max(2 * largest, _ON)) >= falls


def _list_shifts(shape: tuple[int, ...]) -> list[Planes]:
    """Return shifts of the whole flow: an energy with kinks, as total variation has, may fall along these alone."""
    steps = np.array([(1, 0), (-1, 0), (0, 1), (0, -1)], np.float32)
    return [np.broadcast_to(step[:, None, None], (2, *shape)) for step in steps]


def find_departure(increment: tuple[Planes, Planes], at: Linearisation) -> str:
    """Return a message if half of the pixels left the frame, else an empty text."""
    u, v = at.flow[0] + increment[0], at.flow[1] + increment[1]
    far = max(*u.shape, _LEAST_FAR)
    with np.errstate(over="ignore"):
        left = np.count_nonzero(u * u + v * v > far**2)
    if 2 * left > u.size:
        return f"half of the pixels moved by more than {np.median(np.hypot(u, v)):.0f} pixels, out of the frame: {ASK}"
    return ""


def _evaluate_along(
    energy: Energy, direction: Planes, at: Linearisation, pixels: float, start: Planes | float = 0.0
) -> float:
    """Return the energy that lies along a direction (2, H, W), where its longest vector has a length in pixels."""
    u, v = start + direction / np.hypot(*direction).max() * np.float32(pixels)  # a solver may have moved by 1e-35
    return Evaluation.at(energy, (u, v), at).value
