"""Penalties that outliers of any size pay alike: their pull falls back to nothing. All of them end at 1.

None is convex, so each wants a good start: minimise first with `Charbonnier`, or give matches.
"""

from __future__ import annotations

from dataclasses import dataclass

from variflow.base.types import Array
from variflow.energy.penalties import Penalty


@dataclass(frozen=True)
class Welsch(Penalty):
    """rho(s) = 1 - exp(-s^2 / (2 scale^2)) (Holland and Welsch, 1977; Leclerc, 1989).

    Parameters
    ----------
    scale : float
        Residuals beyond it pull less and less, and those beyond three times as much hardly; in the unit of the
        residual.

    Examples
    --------
    >>> round(float(Welsch(scale=1.0).value(2**0.5)), 4), round(float(Welsch(scale=1.0).value(5.0)), 4)
    (0.6321, 1.0)
    """

    scale: float = 0.05

    def of_squared(self, squared: Array) -> Array:
        """Return 1 - exp(-s^2 / (2 scale^2))."""
        power = -squared / (2 * self.scale**2)
        return -power.__array_namespace__().expm1(power)

    def weight_of_squared(self, squared: Array) -> Array:
        """Return exp(-s^2 / (2 scale^2)) / scale^2."""
        power = -squared / (2 * self.scale**2)
        return power.__array_namespace__().exp(power) / self.scale**2


@dataclass(frozen=True)
class GemanMcClure(Penalty):
    """rho(s) = s^2 / (s^2 + scale^2) (Geman and McClure, 1985).

    Parameters
    ----------
    scale : float
        Residuals beyond ``0.58 * scale`` pull less and less; in the unit of the residual.

    Examples
    --------
    >>> float(GemanMcClure(scale=0.5).value(0.5)), float(GemanMcClure(scale=0.5).weight(0.5))
    (0.5, 2.0)
    """

    scale: float = 0.05

    def of_squared(self, squared: Array) -> Array:
        """Return s^2 / (s^2 + scale^2)."""
        return squared / (squared + self.scale**2)

    def weight_of_squared(self, squared: Array) -> Array:
        """Return 2 scale^2 / (s^2 + scale^2)^2."""
        return 2 * (self.scale / (squared + self.scale**2)) ** 2


@dataclass(frozen=True)
class Tukey(Penalty):
    """rho(s) = 1 - (1 - (s / threshold)^2)^3 up to the threshold, then 1 (Beaton and Tukey, 1974).

    Parameters
    ----------
    threshold : float
        Residuals beyond it do not pull at all; in the unit of the residual.

    Examples
    --------
    >>> float(Tukey(threshold=2.0).value(1.0)), float(Tukey(threshold=2.0).value(3.0))
    (0.578125, 1.0)
    """

    threshold: float = 0.1

    def of_squared(self, squared: Array) -> Array:
        """Return 1 - (1 - (s / threshold)^2)^3, or 1."""
        return 1.0 - self._find_rest(squared) ** 3

    def weight_of_squared(self, squared: Array) -> Array:
        """Return 6 (1 - (s / threshold)^2)^2 / threshold^2, or 0."""
        return 6 * self._find_rest(squared) ** 2 / self.threshold**2

    def _find_rest(self, squared: Array) -> Array:
        rest = 1.0 - squared / self.threshold**2
        xp = rest.__array_namespace__()
        return xp.maximum(rest, xp.zeros((), dtype=squared.dtype))
