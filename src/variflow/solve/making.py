"""How planes that an energy sees are made of the unknowns: taps, which are composed with those of residuals.

A stream function has one plane; the flow is made of its differences, and a residual of the flow looks at it further.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from variflow.base.brief import Brief
from variflow.base.types import Array
from variflow.energy.flow_term import FlowTerm
from variflow.energy.residuals import NotTakenApart
from variflow.energy.structure import Structure
from variflow.energy.taps import LocalResidual, Tap
from variflow.energy.term import Increment
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.linearisation.linearisation import Linearisation
from variflow.solve.studying import find_taps, study
from variflow.unknowns.planes import FlowAndPlanes
from variflow.unknowns.unknowns import Place, Unknowns, find_planes

# Planes of unknowns may have this many more rows and columns than the frames.
_LARGEST_MARGIN = 8
# The core solves for at most so many planes.
_MOST = 16


@dataclass(frozen=True, eq=False, repr=False)
class Making(Brief):
    """What the planes that an energy sees are made of.

    Attributes
    ----------
    residuals : list of LocalResidual, optional
        For each plane that the energy sees, its taps; None if the unknowns are those planes.
    grid : (height, width)
        Size of the planes of unknowns.
    """

    residuals: list[LocalResidual] | None
    grid: tuple[int, int]

    def compose(self, taps: list[Tap]) -> list[Tap]:
        """Return taps of the planes that an energy sees as taps of the unknowns."""
        if self.residuals is None:
            return taps
        factors: dict[tuple[int, tuple[int, int], int], float] = {}
        planes: dict[int, Planes | None] = {}
        mixed: dict[tuple[int, tuple[int, int]], Planes] = {}
        for tap in taps:
            for inner in self.residuals[tap.unknown].taps:
                offset = tap.offset[0] + inner.offset[0], tap.offset[1] + inner.offset[1]
                factor = tap.factor * inner.factor
                if inner.plane is None:
                    key = inner.unknown, offset, id(tap.plane)
                    planes[id(tap.plane)] = tap.plane
                    factors[key] = factors.get(key, 0.0) + factor
                    continue
                plane = factor * self.spread(move(inner.plane, tap.offset))
                if tap.plane is not None:
                    plane *= self.spread(tap.plane)
                place = inner.unknown, offset
                mixed[place] = mixed[place] + plane if place in mixed else plane
        composed = [
            Tap(unknown, offset, factor, planes[plane])
            for (unknown, offset, plane), factor in factors.items()
            if abs(factor) > 1e-9
        ]
        return composed + [Tap(*place, 1.0, plane) for place, plane in mixed.items() if plane.any()]

    def spread(self, plane: Planes) -> Planes:
        """Return a plane of the frames' size on the grid of the unknowns, with zeros below and to the right."""
        height, width = plane.shape[-2:]
        plane = plane.reshape(height, width)
        if (height, width) == self.grid:
            return plane
        return np.pad(plane, ((0, self.grid[0] - height), (0, self.grid[1] - width)))


@dataclass(frozen=True)
class _FlowOf(FlowTerm):
    """A term whose residuals are the planes that the energy sees, for what finds out how they are made."""

    unknowns: Unknowns | None = None
    names: tuple[str, ...] = ()

    @property
    def __name__(self) -> str:
        return f"{type(self.unknowns).__name__}.flow_of"

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        assert self.unknowns is not None
        return list(find_planes(self.unknowns, dict(zip(self.names, flow, strict=True)), Place(at)))


def find_making(at: LevelLinearisation) -> Making:
    """Return how the planes that an energy sees are made; raise NotTakenApart if not by local and linear functions."""
    if at.unknowns is None or at.values is None or isinstance(at.unknowns, FlowAndPlanes):
        return Making(None, at.flow[0].shape)
    structure = _study(at)
    return Making(find_taps(_find_term(at), _as_planes(at), structure), next(iter(at.values.values())).shape)


def check_making(at: LevelLinearisation) -> None:
    """Raise NotTakenApart unless the planes that an energy sees are local and linear functions of planes."""
    if at.unknowns is not None and at.values is not None and not isinstance(at.unknowns, FlowAndPlanes):
        _study(at)


def _study(at: LevelLinearisation) -> Structure:
    assert at.values is not None
    name = type(at.unknowns).__name__
    shapes = {np.shape(value) for value in at.values.values()}
    grid = next(iter(shapes))
    margins = [length - own for length, own in zip(grid, at.flow[0].shape, strict=False)]
    if len(shapes) > 1 or len(grid) != 2 or not all(0 <= margin <= _LARGEST_MARGIN for margin in margins):
        raise NotTakenApart(f"the unknowns of {name} are no planes of the frames' size")
    if len(at.values) > _MOST:
        raise NotTakenApart(f"the unknowns of {name} are more than {_MOST} planes")
    try:
        structure = study(_find_term(at), _as_planes(at))
    except NotTakenApart:
        raise NotTakenApart(f"the flow of {name} at a pixel depends on unknowns far from it") from None
    if not (structure.linear and structure.homogeneous):
        raise NotTakenApart(f"the flow of {name} is no linear function of the unknowns")
    return structure


def _find_term(at: LevelLinearisation) -> _FlowOf:
    assert at.values is not None
    return _FlowOf(per="residual", unknowns=at.unknowns, names=tuple(at.values))


def _as_planes(at: LevelLinearisation) -> LevelLinearisation:
    """Return a linearisation whose planes are the unknowns, as `stencils` wants it."""
    assert at.values is not None
    unseen = {"frame1": at.second, "valid": at.valid, "weights": at.weights}  # they depend on the flow
    return at.with_planes(**unseen, flow=(), further=tuple(at.values.values()))


def move(plane: Planes, offset: tuple[int, int]) -> Planes:
    """Return a plane whose value at each pixel is that at an offset (y, x) from it, 0 beyond the border."""
    height, width = plane.shape
    margin = max(map(abs, offset))
    if margin == 0:
        return plane
    top, left = margin + offset[0], margin + offset[1]
    return np.ascontiguousarray(np.pad(plane, margin)[top : top + height, left : left + width])
