"""Reverse an energy, for the flow from the second frame to the first."""

from __future__ import annotations

from dataclasses import replace
from types import FunctionType, MethodType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from variflow.energy.autodiff.fingerprint import is_of_library, take_fingerprint
from variflow.energy.term import Energy, Sum, keeps
from variflow.linearisation.linearisation import Linearisation
from variflow.unknowns.unknowns import Unknowns

if TYPE_CHECKING:
    from variflow.frames.pyramid import Level

# An energy depends on direction if its values for a flow and for the opposite flow differ by more than this share.
_ROUNDING = 1e-4


def reverse_energy(energy: Energy, flow: NDArray[np.float32], finest: Level) -> Energy:
    """Return the energy for the frames swapped, given the flow ``(H, W, 2)`` from the first frame to the second.

    A term with a method ``reversed(flow)`` says itself what its reverse is. Any other that holds an array of the
    frames' size, or depends on direction, raises TypeError.
    """
    check_reversible(energy, finest)
    return _reverse(energy, flow)


def check_reversible(energy: Energy, finest: Level) -> None:
    """Raise TypeError, naming it, if a part of an energy needs a method `reversed` and has none."""
    for part in _list_parts(energy):
        if hasattr(part, "reversed"):
            continue
        if _lies_over_frame(part, finest):
            fault = "holds an array of the frames' size, which lies over the first frame"
        elif _is_own(part) and _depends_on_direction(part, finest):
            fault = "has another value for the opposite flow"
        else:
            continue
        name = getattr(part, "__qualname__", type(part).__name__)
        raise TypeError(
            f"{name} {fault}, so the way back (backward, occlusion, confidence) has another energy: give it a method "
            "reversed(flow) that returns the energy for the frames swapped, itself if it is the same"
        )


def reverse_unknowns(unknowns: Unknowns | None, flow: NDArray[np.float32], finest: Level) -> Unknowns | None:
    """Return what is sought for the frames swapped, given the flow ``(H, W, 2)`` from the first frame to the second."""
    check_reversible_unknowns(unknowns, finest)
    if unknowns is None or not hasattr(unknowns, "reversed"):
        return unknowns
    other: Unknowns = unknowns.reversed(flow)
    return other


def check_reversible_unknowns(unknowns: Unknowns | None, finest: Level) -> None:
    """Raise TypeError if unknowns need a method `reversed` and have none."""
    if hasattr(unknowns, "reversed") or not _lies_over_frame(unknowns, finest):
        return
    raise TypeError(
        f"{type(unknowns).__name__} holds an array of the frames' size, which lies over the first frame, so the way "
        "back (backward, occlusion, confidence) has other unknowns: give it a method reversed(flow) that returns those "
        "for the frames swapped"
    )


def _lies_over_frame(part: object, finest: Level) -> bool:
    """Return whether a part of a model holds an array of the frames' size."""
    return any(finest.shape in (shape[:2], shape[-2:]) for shape in take_fingerprint(part).shapes)


def _is_own(part: object) -> bool:
    return isinstance(part, FunctionType | MethodType) or not is_of_library(type(part))


def _list_parts(energy: Energy) -> list[Energy]:
    if keeps(energy, Sum, "__call__") and not hasattr(energy, "reversed"):
        return [part for term in energy.terms for part in _list_parts(term)]
    return [energy]


def _reverse(energy: Energy, flow: NDArray[np.float32]) -> Energy:
    if hasattr(energy, "reversed"):
        other: Energy = energy.reversed(flow)
        if not callable(other):
            raise TypeError(f"reversed of {type(energy).__name__} returned {other!r}, wanted an energy")
        return other
    if keeps(energy, Sum, "__call__"):
        return replace(energy, terms=tuple(_reverse(term, flow) for term in energy.terms))
    return energy


def _depends_on_direction(energy: Energy, finest: Level) -> bool:
    """Return whether a flow and the opposite flow have different energies in frames that show nothing."""
    import jax.numpy as jnp

    from variflow.energy.autodiff.programs import apply_settings

    # A flow to the lower right that grows and turns: neither it nor its differences equal any mirror image of
    # themselves.
    shape = finest.shape
    y, x = np.mgrid[: shape[0], : shape[1]]
    noise = np.random.default_rng(0).normal(scale=0.1, size=(4, *shape))
    flow = np.array([1 + 0.2 * (x % 16) - 0.05 * (y % 16), 0.7 + 0.15 * (y % 16) + 0.05 * (x % 16)]) + noise[:2]

    def cost(sign: float) -> float:
        u, v, du, dv = (jnp.asarray(sign * plane, jnp.float32) for plane in (*flow, *(0.1 * flow + noise[2:])))
        frame, guide = (jnp.full((len(planes), *shape), 0.5) for planes in (finest.frame0.planes, finest.guide))
        at = Linearisation(frame, frame, frame, (u, v), jnp.ones(shape, bool), jnp.ones(shape), guide)
        return float(energy((du, dv), at))

    with apply_settings():
        there, back = cost(1.0), cost(-1.0)
    return abs(there - back) > _ROUNDING * (abs(there) + abs(back))
