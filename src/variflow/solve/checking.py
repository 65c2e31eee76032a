"""Look at an energy before work starts, and at what a solver made of it: its slope, and its minimum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from variflow.energy.advice import NOT_FINITE, TO_COMPARE
from variflow.energy.autodiff.programs import run, settings
from variflow.energy.autodiff.tracing import explain_faults, name_of
from variflow.energy.term import Energy, Sum
from variflow.linearisation.linearisation import Linearisation

# How far the small increment goes at which an energy is looked at, in pixels.
_SMALL = 0.1
# Frames differ where their intensities and their gradients do by at least this much, and something can be seen to move
# where the gradient is at least the last number; the frames' range is [0, 1].
_DIFFERENCE, _OF_GRADIENTS, _CONTRAST = 0.02, 0.01, 0.005
# An increment is followed at least this many pixels far to see whether the energy falls without end: by more than so
# many times what it is, and at a tenth of the rate at which it fell so far.
_FAR, _FALLS, _RATE = 1e5, 10.0, 0.1
# It is followed on at least this many pixels, and to its double, to see whether the solver left off too early; then the
# energy falls by more than this part.
_ON, _NOISE = 0.5, 1e-5
# So many pixels far an energy is followed down its slope where the solver did not move.
_STEPS = (0.5, 0.05, 0.005)

ASK = "does the energy have a minimum, or is it, or a part of it, negated?"
NO_MINIMUM = "the energy falls without end: it has no minimum. Is it, or a part of it, negated?"


@dataclass(frozen=True)
class Look:
    """An energy at one increment: its value, how many numbers of its gradient are not finite, and not 0, and that."""

    value: float
    unknown: int
    moving: int
    gradient: Any

    @classmethod
    def at(cls, energy: Energy, increment: Any, at: Linearisation) -> Look:
        """Look at an energy; `at` is plain."""
        with explain_faults(energy, at.valid.shape):
            seen = run(_look, energy, increment, at)
        return cls(float(seen[0]), int(seen[1]), int(seen[2]), np.asarray(seen[3]))


def _look(energy: Energy, increment: Any, at: Linearisation) -> Any:
    at = at.evaluated()
    value, gradient = jax.value_and_grad(lambda d: jnp.asarray(energy(d, at), jnp.float32))(increment)
    planes = jnp.stack(gradient)
    return value, (~jnp.isfinite(planes)).sum(), (planes != 0).sum(), planes


@settings()
def check_slope(start: tuple[Energy, Linearisation], finest: tuple[Energy, Linearisation]) -> None:
    """Check that an energy has a finite slope where the estimate starts, and one that the frames give it.

    Parameters
    ----------
    start : callable and Linearisation
        The energy, and what it looks at around the flow that the estimate starts from.
    finest : callable and Linearisation
        Those of the finest level, which is looked at where nothing is seen at the start.

    Raises
    ------
    ValueError
        If the energy or its gradient is not finite, at the zero increment or a small one; if the gradient is zero
        everywhere; or if it is so at the zero increment although the frames differ.
    """
    for energy, at in (start, finest):
        still, small = _looks(energy, at)
        if still.moving:
            return
        if not _contrast(finest[1]).any() or (small.moving and not _differ(finest[1]).any()):
            return
    if small.moving:
        raise ValueError(
            f"{name_of(energy)} does not see that the frames differ: its gradient is zero everywhere at the zero "
            f"increment. Does it lack a data term, such as BrightnessConstancy(), or {TO_COMPARE}"
        )
    raise ValueError(
        f"the gradient of {name_of(energy)} is zero everywhere, so nothing would move. Does it round, or {TO_COMPARE}"
    )


def _looks(energy: Energy, at: Linearisation) -> tuple[Look, Look]:
    """Return looks at the zero increment and at a small one, both finite."""
    at = at.plain()
    shape = at.valid.shape
    small = np.random.default_rng(0).uniform(-_SMALL, _SMALL, (2, *shape)).astype(np.float32)
    looks = []
    for name, (u, v) in (("the zero increment", np.zeros_like(small)), ("a small increment", small)):
        look = Look.at(energy, (u, v), at)
        if not math.isfinite(look.value):
            raise ValueError(not_finite(energy, (u, v), at, name, look.value))
        if look.unknown:
            raise ValueError(
                f"the gradient of {name_of(_cause(energy, (u, v), at))} for {name} is not finite at {look.unknown} of "
                f"{small.size} places (frames of {shape[0]} x {shape[1]}): {NOT_FINITE}"
            )
        looks.append(look)
    return looks[0], looks[1]


def not_finite(energy: Energy, increment: Any, at: Linearisation, name: str, value: float) -> str:
    """Return what to say of an energy whose value is not finite; `name` is that of the increment."""
    cause = _cause(energy, increment, at)
    return f"{name_of(cause)} returned {value} for {name}, wanted one finite float: {NOT_FINITE}"


def _cause(energy: Energy, increment: Any, at: Linearisation) -> Energy:
    """Return the term of a sum that is not finite, or whose gradient is not; the energy itself if it is no sum."""
    for part in energy.terms if isinstance(energy, Sum) else ():
        look = Look.at(part, increment, at)
        if look.unknown or not math.isfinite(look.value):
            return part
    return energy


def _contrast(at: Linearisation) -> Any:
    return ((abs(at.Ix) + abs(at.Iy)).max(axis=0) > _CONTRAST) & (at.weights > 0)


def _differ(at: Linearisation) -> Any:
    """Return where any energy that compares frames sees that they differ; a change of light alone it need not see."""
    gradients = (abs(at.Ixt) + abs(at.Iyt)).max(axis=0)
    return _contrast(at) & (abs(at.It).max(axis=0) > _DIFFERENCE) & (gradients > _OF_GRADIENTS)


def fault_at_start(energy: Energy, at: Linearisation) -> str:
    """Return that an energy has no finite gradient where a solver starts, or nothing."""
    zero = np.zeros((2, *at.valid.shape), np.float32)
    return _unknown(Look.at(energy, (zero[0], zero[1]), at))


def _unknown(look: Look) -> str:
    return f"the gradient of the energy is not finite at {look.unknown} places: {NOT_FINITE}" if look.unknown else ""


def fault_of(energy: Energy, increment: Any, at: Linearisation, before: float) -> tuple[str, bool]:
    """Return why an increment that a solver found is of no use, or nothing; and whether the solver came to rest there.

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
    here = Look.at(energy, increment, at)
    if fault := _unknown(here):
        return fault, False
    sizes = np.hypot(*increment)
    largest = float(sizes.max())
    falls = here.value - _NOISE * abs(here.value)
    if not largest:
        return "", not here.moving or all(_followed(energy, -here.gradient, at, size) >= falls for size in _STEPS)

    def followed(pixels: float) -> float:
        return _followed(energy, np.stack(increment), at, pixels)

    far = max(_FAR, 100 * largest)
    rate = max(before - here.value, 0.0) / largest
    if followed(far) < here.value - max(_FALLS * (abs(before) + abs(here.value)), _RATE * rate * (far - largest)):
        return NO_MINIMUM, False
    moved = float(np.median(np.hypot(at.flow[0] + increment[0], at.flow[1] + increment[1])))
    if moved > max(sizes.shape):
        return f"half of the pixels moved by more than {moved:.0f} pixels, out of the frame: {ASK}", False
    return "", followed(max(2 * largest, _ON)) >= falls


def _followed(energy: Energy, direction: Any, at: Linearisation, pixels: float) -> float:
    """Return the energy where the longest increment of a direction (2, H, W) is so many pixels."""
    u, v = direction * np.float32(pixels / np.hypot(*direction).max())
    return Look.at(energy, (u, v), at).value
