"""Where an estimate stands at a level: the flow, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass

from variflow.base.brief import Brief
from variflow.images.resampling import Planes
from variflow.unknowns.unknowns import Values


@dataclass(frozen=True, eq=False, repr=False)
class Position(Brief):
    """Where an estimate stands at a level.

    Attributes
    ----------
    level : int
        Index of the level; 0 is that of the frames.
    flow : pair of (H, W) float32
        The flow ``(u, v)`` so far, in pixels of the level.
    values : dict, optional
        What the flow is made of, by name; None if the flow itself is sought.
    further : tuple of (H, W) float32
        The further planes that the energy sees.
    """

    level: int
    flow: tuple[Planes, Planes]
    values: Values | None = None
    further: tuple[Planes, ...] = ()


def name_unknowns(flow: tuple[Planes, Planes], values: Values | None) -> Values:
    """Return copies of values by name; without any, the flow is what was sought."""
    found = {"u": flow[0], "v": flow[1]} if values is None else values
    return {name: value.copy() for name, value in found.items()}
