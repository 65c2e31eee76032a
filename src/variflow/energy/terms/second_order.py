"""Second-order smoothness: what bends costs, what is affine is free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from variflow.base.choices import check_choice
from variflow.base.types import Array
from variflow.energy.flow_term import FlowTerm
from variflow.energy.term import Increment

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation


@dataclass(frozen=True)
class SecondOrderSmoothness(FlowTerm):
    """A penalty of the second derivatives of the flow, for fluids, deformation and slanted surfaces.

    The residuals of a pixel are the Hessians of u and v, ``uxx, sqrt(2) uxy, uyy`` and those of v, so that their sum of
    squares does not depend on the axes; or the Laplacians of u and v. Affine motion costs nothing; by the Laplacian
    other harmonic motion does not either.

    Parameters
    ----------
    penalty : Penalty
        Of the derivative in 1/pixel.
    weight : float
        Factor of the term; larger is smoother.
    per : {"pixel", "residual"}
        Whether the derivatives of one pixel are penalised jointly, which is isotropic, or each on its own.
    of : {"hessian", "laplacian"}
        Which derivatives.

    References
    ----------
    W. Trobin, T. Pock, D. Cremers and H. Bischof, An unbiased second-order prior for high-accuracy motion estimation,
    DAGM 2008.

    Examples
    --------
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, SecondOrderSmoothness
    >>> pair = synthetic.translation((24, 24), shift=(1.2, -0.5))
    >>> energy = BrightnessConstancy(Charbonnier(0.01)) + 0.5 * SecondOrderSmoothness(Charbonnier(0.01))
    >>> result = variflow.estimate(pair.frame0, pair.frame1, energy)
    >>> bool(abs(result.flow - pair.flow).mean() < 0.1)
    True
    """

    of: Literal["hessian", "laplacian"] = "hessian"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("of", self.of, ("hessian", "laplacian"))

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return the second derivatives of u, then those of v, at the pixels that have neighbours on all sides."""
        if self.of == "hessian":
            return [derivative for plane in flow[:2] for derivative in _find_hessian(plane)]
        return [_find_laplacian(plane) for plane in flow[:2]]


def _find_hessian(plane: Array) -> tuple[Array, Array, Array]:
    middle = plane[1:-1, 1:-1]
    along_x = plane[1:-1, 2:] - 2 * middle + plane[1:-1, :-2]
    along_y = plane[2:, 1:-1] - 2 * middle + plane[:-2, 1:-1]
    mixed = 0.25 * (plane[2:, 2:] - plane[2:, :-2] - plane[:-2, 2:] + plane[:-2, :-2])
    return along_x, 2**0.5 * mixed, along_y


def _find_laplacian(plane: Array) -> Array:
    """Return the Laplacian of nine points: that of five would leave the corners of the frames free."""
    rows = plane[:, :-2] + 4 * plane[:, 1:-1] + plane[:, 2:]
    around = rows[:-2] + 4 * rows[1:-1] + rows[2:]
    return (around - 36 * plane[1:-1, 1:-1]) / 6
