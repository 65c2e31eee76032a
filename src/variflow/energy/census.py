"""Census constancy: a pixel that is brighter than its neighbour stays brighter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from variflow import _core
from variflow.base.choices import check_choice, check_constant
from variflow.base.types import Array
from variflow.energy.data import DataTerm

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation

_RADIUS: dict[str, Literal[1, 2]] = {"3x3": 1, "5x5": 2}


@dataclass(frozen=True)
class CensusConstancy(DataTerm):
    """The signs of the differences between a pixel and its neighbours stay, whatever light does to the frames.

    The sign of the difference d to a neighbour is replaced by ``c = d / sqrt(d^2 + (softness m)^2 + noise^2)``, where m
    is the root mean square of the differences to all neighbours. A gain and an offset of a frame do not change c, as
    long as contrasts exceed the noise. The residual of each neighbour is ``cx du + cy dv + ct``: the difference of c
    between the frames, linearised with the derivatives of the mean of both. This makes the ternary signs of Stein
    (2004) differentiable, as Vogel, Roth and Schindler (2013) do.

    Parameters
    ----------
    penalty : Penalty
        Of the root mean square of the residuals, which are at most 2.
    weight : float
        Factor of the term.
    window : {"3x3", "5x5"}
        8 neighbours, or 24. More neighbours tell more surfaces apart, and take three times as long.
    softness : float
        How far c is from a sign, relative to the local contrast; typically 0.3 to 2. Larger is more linear, smoother
        and more exact between pixels; smaller is more robust.
    noise : float
        Differences below this are noise, in frames with range [0, 1]; typically 0.002 to 0.02. A larger value ignores
        more weak texture.

    References
    ----------
    R. Zabih and J. Woodfill, Non-parametric local transforms for computing visual correspondence, ECCV 1994.
    F. Stein, Efficient computation of optical flow using the census transform, DAGM 2004.
    C. Vogel, S. Roth and K. Schindler, An evaluation of data costs for optical flow, GCPR 2013.

    Examples
    --------
    >>> from variflow.energy import Charbonnier, Smoothness
    >>> from variflow.energy.census import CensusConstancy
    >>> energy = CensusConstancy(Charbonnier(0.1)) + 0.05 * Smoothness(Charbonnier(0.01))
    """

    window: Literal["3x3", "5x5"] = "3x3"
    softness: float = 1.0
    noise: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("window of CensusConstancy", self.window, _RADIUS)
        check_constant("softness of CensusConstancy", self.softness, least=0)
        check_constant("noise of CensusConstancy", self.noise, above=0)

    @property
    def radius(self) -> Literal[1, 2]:
        """How far neighbours reach along each axis, in pixels."""
        return _RADIUS[self.window]

    def linearised(self, at: Linearisation) -> list[tuple[Array, Array, Array]]:
        """Return ``cx du + cy dv + ct``, one residual a channel and neighbour."""
        if isinstance(at.frame0, np.ndarray):
            jx, jy, r = _core.census(at.frame0, at.frame1, self.radius, float(self.softness), float(self.noise))
            return list(zip(jx * at.valid, jy * at.valid, r * at.valid, strict=True))
        from variflow.images.derivative import differentiate

        xp = at.frame0.__array_namespace__()
        triples: list[tuple[Array, Array, Array]] = []
        for plane0, plane1 in zip(at.frame0, at.frame1, strict=True):
            first, second = xp.stack(self._find_signs(plane0)), xp.stack(self._find_signs(plane1))
            mean = 0.5 * (first + second)
            parts = differentiate(mean, "x"), differentiate(mean, "y"), second - first
            triples += zip(*(part * at.valid for part in parts), strict=True)
        return triples

    def _find_signs(self, plane: Array) -> list[Array]:
        """Return c for each neighbour, row by row."""
        xp = plane.__array_namespace__()
        (height, width), radius = plane.shape, self.radius
        padded = xp.pad(plane, radius, mode="edge")
        reach = range(2 * radius + 1)
        differences = [
            padded[row : row + height, column : column + width] - plane
            for row in reach
            for column in reach
            if (row, column) != (radius, radius)
        ]
        contrast = sum(difference**2 for difference in differences) / len(differences)
        scale = self.softness**2 * contrast + self.noise**2
        return [difference / xp.sqrt(difference**2 + scale) for difference in differences]
