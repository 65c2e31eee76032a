"""Local rigidity: every small part moves like a rigid body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from variflow.base.types import Array
from variflow.energy.edges import compute_differences
from variflow.energy.flow_term import FlowTerm
from variflow.energy.term import Increment

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation


@dataclass(frozen=True)
class Rigidity(FlowTerm):
    """A penalty of the strain of Green and Lagrange, which is zero where a part only shifts and turns, by any angle.

    ``E = (J + J^T + J^T J) / 2`` with the gradient J of the flow; the residuals are ``Exx, sqrt(2) Exy, Eyy``. They are
    not linear in the flow, and are linearised anew at each warp. For motion that may also stretch and shear evenly
    there is `SecondOrderSmoothness`, for which affine motion is free.

    Parameters
    ----------
    penalty : Penalty
        Of the strain, which has no unit. A robust one lets the body break or slide.
    weight : float
        Factor of the term; larger is stiffer.
    per : {"pixel", "residual"}
        Whether the parts of the strain are penalised jointly, which does not depend on the axes.

    References
    ----------
    J. Modersitzki, FAIR: flexible algorithms for image registration, 2009, chapter 8.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.energy import Rigidity
    >>> y, x = np.mgrid[:5, :5].astype(np.float32)
    >>> turned = 0.6 * x - 0.8 * y - x, 0.8 * x + 0.6 * y - y
    >>> bool(max(abs(strain).max() for strain in Rigidity().residuals(turned, at=None)) < 1e-5)
    True
    """

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return the strain in the middle of each four pixels."""
        (ux, uy), (vx, vy) = ((_mean(x, 0), _mean(y, 1)) for x, y in map(compute_differences, flow[:2]))
        along_x = ux + 0.5 * (ux**2 + vx**2)
        along_y = vy + 0.5 * (uy**2 + vy**2)
        shear = 0.5 * (uy + vx + ux * uy + vx * vy)
        return [along_x, 2**0.5 * shear, along_y]


def _mean(plane: Array, axis: int) -> Array:
    return 0.5 * (plane[1:] + plane[:-1] if axis == 0 else plane[:, 1:] + plane[:, :-1])
