"""Non-local smoothness: a pixel moves as those around it that look alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from variflow.base.choices import check_choice, check_constant
from variflow.base.types import Array
from variflow.energy.flow_term import FlowTerm
from variflow.energy.term import Increment

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation

_RADIUS = {"3x3": 1, "5x5": 2, "7x7": 3}


@dataclass(frozen=True)
class NonLocalSmoothness(FlowTerm):
    """A penalty of the differences between each pixel and all others of a window, weighted by how alike they look.

    The residual of the pixels p and q is ``w (u(p) - u(q))``, likewise for v, with the weight
    ``w = exp(-|p - q|^2 / (2 distance^2) - |guide(p) - guide(q)|^2 / (2 contrast^2))``. The difference of the guide is
    the root mean square over its channels. The flow may break where the picture does, at a corner too.

    Parameters
    ----------
    penalty : Penalty
        Of the weighted difference in pixels.
    weight : float
        Factor of the term; larger is smoother.
    per : {"residual"}
        Each difference is penalised on its own.
    window : {"3x3", "5x5", "7x7"}
        8, 24 or 48 neighbours; the time grows with their number.
    distance : float
        How fast weights fall with the distance, in pixels; typically 1 to 7.
    contrast : float
        How fast they fall with the difference in CIE Lab (with lightness in [0, 100]); typically 2 to 20.

    References
    ----------
    M. Werlberger, T. Pock and H. Bischof, Motion estimation with non-local total variation regularization, CVPR 2010.
    D. Sun, S. Roth and M. J. Black, Secrets of optical flow estimation and their principles, CVPR 2010.

    Examples
    --------
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, NonLocalSmoothness
    >>> pair = synthetic.translation((24, 24), shift=(1.2, -0.5))
    >>> smooth = NonLocalSmoothness(Charbonnier(0.01), 0.01, window="3x3")
    >>> result = variflow.estimate(pair.frame0, pair.frame1, BrightnessConstancy(Charbonnier(0.01)) + smooth)
    >>> bool(abs(result.flow - pair.flow).mean() < 0.1)
    True
    """

    per: Literal["pixel", "residual"] = "residual"
    window: Literal["3x3", "5x5", "7x7"] = "5x5"
    distance: float = 3.0
    contrast: float = 7.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("per of NonLocalSmoothness", self.per, ("residual",))
        check_choice("window of NonLocalSmoothness", self.window, _RADIUS)
        check_constant("distance of NonLocalSmoothness", self.distance, above=0)
        check_constant("contrast of NonLocalSmoothness", self.contrast, above=0)

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return the weighted differences of u and v for each pair of the window, once."""
        xp, reach, planes = at.guide.__array_namespace__(), _RADIUS[self.window], []
        for y in range(reach + 1):
            for x in range(-reach if y else 1, reach + 1):
                change = _difference(at.guide, y, x)
                alike = (change**2).mean(axis=0) / self.contrast**2 + (y**2 + x**2) / self.distance**2
                weights = xp.exp(-0.5 * alike)
                planes += [weights * _difference(plane, y, x) for plane in flow[:2]]
        return planes


def _difference(planes: Array, y: int, x: int) -> Array:
    """Return the value y rows below and x columns to the right, or to the left if x is negative, minus that here."""
    height, width = planes.shape[-2:]
    here = planes[..., : max(height - y, 0), max(-x, 0) : max(width - max(x, 0), 0)]
    return planes[..., y:, max(x, 0) : max(width + min(x, 0), 0)] - here
