"""Matches: points of which it is known where they have moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from variflow.base.kinds import name_kind
from variflow.base.types import Array
from variflow.energy.flow_term import FlowTerm
from variflow.energy.term import Increment
from variflow.matching.matches import Matches

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation


@dataclass(frozen=True, eq=False)
class SparseMatches(FlowTerm):
    """The flow passes near given matches, at every level of the pyramid.

    The residuals of the pixel nearest to a match are the differences of u and v from it, times its confidence. Where
    several matches fall into one pixel, as at coarse levels, their mean counts, weighted by confidence. Unlike
    ``init=``, which only says where to begin, the term counts to the end.

    Parameters
    ----------
    penalty : Penalty
        Of the difference in pixels. A robust one forgives wrong matches.
    weight : float
        Factor of the term. Few pixels have a match, so it is large: typically 0.1 to 10.
    per : {"pixel", "residual"}
        Whether the differences of u and v are penalised jointly.
    matches : Matches
        In pixels of the frames: those of `variflow.match`, or your own.

    References
    ----------
    T. Brox and J. Malik, Large displacement optical flow: descriptor matching in variational motion estimation, IEEE
    PAMI 33(3), 2011.

    Examples
    --------
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, Smoothness, SparseMatches
    >>> from variflow.matching.matches import Matches
    >>> pair = synthetic.translation((24, 24), shift=(3.0, -1.0))
    >>> matches = Matches(points=[(10, 12), (20, 15)], flow=[(3, -1), (3, -1)])
    >>> energy = BrightnessConstancy() + 0.01 * Smoothness() + SparseMatches(Charbonnier(0.1), matches=matches)
    >>> result = variflow.estimate(pair.frame0, pair.frame1, energy)
    >>> bool(abs(result.flow - pair.flow).mean() < 0.1)
    True
    """

    matches: Matches = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.matches, Matches):
            raise TypeError(f"matches of SparseMatches is {name_kind(self.matches)}, wanted Matches")
        if not len(self.matches):
            raise ValueError("matches of SparseMatches has no points, wanted at least one")

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return the differences, 0 at pixels without a match."""
        xp, (height, width), scale = flow[0].__array_namespace__(), at.shape, np.array(at.scale, np.float32)
        x, y = xp.round((self.matches.points + 0.5) * scale - 0.5).astype(int).T
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        confidence = xp.where(inside, self.matches.confidence, 0)
        place = xp.clip(y, 0, height - 1), xp.clip(x, 0, width - 1)
        strength = _collect("max", confidence, place, at.shape)
        total = xp.where(strength > 0, _collect("add", confidence, place, at.shape), 1)
        displacements = (self.matches.flow * scale).T
        means = [_collect("add", confidence * one, place, at.shape) / total for one in displacements]
        return [strength * (plane - mean) for plane, mean in zip(flow[:2], means, strict=True)]

    def reversed(self, flow: Array) -> SparseMatches:
        """Return the term for the frames swapped: each match seen from its target."""
        matches = self.matches
        return replace(self, matches=Matches(matches.points + matches.flow, -matches.flow, matches.confidence))


def _collect(how: Literal["add", "max"], values: Array, place: tuple[Array, Array], shape: tuple[int, int]) -> Array:
    """Return the sum of the values of each pixel, or the largest of them and 0."""
    if isinstance(values, np.ndarray):
        plane = np.zeros(shape, np.float32)
        {"add": np.add, "max": np.maximum}[how].at(plane, place, values)
        return plane
    import jax.numpy as jnp

    return getattr(jnp.zeros(shape, jnp.float32).at[place], how)(values)
