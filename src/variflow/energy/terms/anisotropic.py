"""Anisotropic smoothness: the flow is smoothed along image edges, and less or otherwise across them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from variflow.base.choices import check_choice, check_constant
from variflow.base.types import Array
from variflow.energy.edges import compute_differences
from variflow.energy.flow_term import FlowTerm
from variflow.energy.term import Increment

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation

# Below this gradient of the guide, per pixel, its direction means little.
_FLAT = 1e-3


@dataclass(frozen=True)
class NagelEnkelmann(FlowTerm):
    """Oriented smoothness: across an image edge the flow may change, along it not.

    ``grad u^T D grad u + grad v^T D grad v`` with ``D = (g' g'^T + contrast^2 I) / (|g|^2 + 2 contrast^2)``, where g is
    the gradient of the lightness and g' is normal to it. The residuals are the derivatives of u and v along both,
    times the roots of the eigenvalues of D. Where the picture is flat, D is half the identity.

    Parameters
    ----------
    penalty : Penalty
        Of the weighted derivatives of the flow; `Quadratic` is the published choice.
    weight : float
        Factor of the term; larger is smoother.
    per : {"pixel", "residual"}
        Whether the derivatives of one pixel are penalised jointly.
    contrast : float
        The gradient in CIE Lab per pixel (with lightness in [0, 100]) from which on an edge counts; typically 1 to 10.

    References
    ----------
    H.-H. Nagel and W. Enkelmann, An investigation of smoothness constraints for the estimation of displacement vector
    fields from image sequences, IEEE PAMI 8(5), 1986.

    Examples
    --------
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import BrightnessConstancy, NagelEnkelmann
    >>> pair = synthetic.translation((24, 24), shift=(1.2, -0.5))
    >>> energy = BrightnessConstancy() + 0.05 * NagelEnkelmann()
    >>> result = variflow.estimate(pair.frame0, pair.frame1, energy)
    >>> bool(abs(result.flow - pair.flow).mean() < 0.1)
    True
    """

    contrast: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_constant("contrast of NagelEnkelmann", self.contrast, above=0)

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return the weighted derivatives across and along image edges, of u and of v."""
        gx, gy = _find_gradient(at.guide[0])
        xp, squared, least = gx.__array_namespace__(), gx**2 + gy**2, self.contrast**2
        length = xp.sqrt(squared + _FLAT**2)
        whole = xp.sqrt(squared + 2 * least)
        across, along = self.contrast / whole, xp.sqrt(squared + least) / whole
        planes = []
        for plane in flow[:2]:
            of_x, of_y = _find_gradient(plane)
            planes += [across * (gx * of_x + gy * of_y) / length, along * (gx * of_y - gy * of_x) / length]
        return planes


@dataclass(frozen=True)
class DirectionalSmoothness(FlowTerm):
    """A penalty of the derivative of the flow in one direction: across image edges, or along them.

    The residuals are the derivatives of u and v in the direction of the gradient of the lightness, or normal to it.
    A sum of two such terms is joint image- and flow-driven smoothness: a robust penalty across edges, a quadratic one
    along them.

    Parameters
    ----------
    penalty : Penalty
        Of the length of ``(du, dv)`` per pixel.
    weight : float
        Factor of the term; larger is smoother.
    per : {"pixel", "residual"}
        Whether the derivatives of u and v are penalised jointly.
    direction : {"across", "along"}
        Of the derivative, as seen from an image edge.

    References
    ----------
    D. Sun, S. Roth, J. P. Lewis and M. J. Black, Learning optical flow, ECCV 2008.
    H. Zimmer, A. Bruhn and J. Weickert, Optic flow in harmony, IJCV 93(3), 2011.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, DirectionalSmoothness
    >>> across = DirectionalSmoothness(Charbonnier(0.01), 0.01, direction="across")
    >>> along = DirectionalSmoothness(weight=0.05, direction="along")
    >>> energy = BrightnessConstancy(Charbonnier(0.01)) + across + along
    """

    direction: Literal["across", "along"] = "across"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("direction of DirectionalSmoothness", self.direction, ("across", "along"))

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return the derivatives of u and of v."""
        gx, gy = _find_gradient(at.guide[0])
        xp = gx.__array_namespace__()
        # Where the picture is flat, its gradient has some direction all the same: a small one is added to it.
        gx = gx + _FLAT
        length = xp.sqrt(gx**2 + gy**2)
        nx, ny = (gx / length, gy / length) if self.direction == "across" else (-gy / length, gx / length)
        return [nx * of_x + ny * of_y for of_x, of_y in map(_find_gradient, flow[:2])]


def _find_gradient(plane: Array) -> tuple[Array, Array]:
    """Return the gradient in the middle of each four pixels."""
    along_x, along_y = compute_differences(plane)
    return 0.5 * (along_x[1:] + along_x[:-1]), 0.5 * (along_y[:, 1:] + along_y[:, :-1])
