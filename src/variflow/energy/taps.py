"""Residuals of each pixel as sums of taps: the values of planes nearby, times coefficients."""

from __future__ import annotations

from dataclasses import dataclass

from variflow.base.brief import Brief
from variflow.images.resampling import Planes


@dataclass(frozen=True, eq=False, repr=False)
class Tap(Brief):
    """An unknown plane by its number (0 is u, 1 is v) at an offset (y, x), times a factor and, if any, a plane."""

    unknown: int
    offset: tuple[int, int]
    factor: float
    plane: Planes | None = None


@dataclass(frozen=True, eq=False, repr=False)
class LocalResidual(Brief):
    """A residual of each pixel, as the sum of taps and a value; `at_start` says of which planes the value is.

    Attributes
    ----------
    taps : list of Tap
        Their planes are (H, W).
    value : (H, W) float32, optional
        The residual of the planes 0 or, if `at_start`, of those so far; None for 0.
    shape : (height, width)
        Where there are residuals: in so many first rows and columns.
    """

    taps: list[Tap]
    value: Planes | None
    at_start: bool
    shape: tuple[int, int]
