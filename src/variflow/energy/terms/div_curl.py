"""Divergence and curl: how much the flow spreads and turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from variflow.base.choices import check_choice
from variflow.base.types import Array
from variflow.energy.edges import compute_differences
from variflow.energy.flow_term import FlowTerm
from variflow.energy.term import Increment

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation


@dataclass(frozen=True)
class _OfOrder(FlowTerm):
    order: Literal[1, 2] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("order", self.order, (1, 2))

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return what is penalised, or its gradient."""
        plane = self._find(*flow[:2])
        if self.order == 1:
            return [plane]
        along_x, along_y = compute_differences(plane)
        return [along_x[:-1], along_y[:, :-1]]

    def _find(self, u: Array, v: Array) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class Divergence(_OfOrder):
    """A penalty of the divergence ``ux + vy``, or of its gradient.

    Of order 1 it keeps the flow incompressible, as a liquid in a plane is. Of order 2 it smooths sources and sinks, but
    leaves their strength as the frames show it. A usual sum for fluids is
    ``Divergence(order=2) + Curl(order=2)``, which a first-order smoothness would damp.

    Parameters
    ----------
    penalty : Penalty
        Of the divergence, which has no unit, or of the length of its gradient in 1/pixel.
    weight : float
        Factor of the term.
    per : {"pixel", "residual"}
        Of order 2: whether both derivatives are penalised jointly.
    order : {1, 2}
        1 penalises the divergence, 2 its gradient.

    References
    ----------
    D. Suter, Motion estimation and vector splines, CVPR 1994.
    T. Corpetti, E. Memin and P. Perez, Dense estimation of fluid flows, IEEE PAMI 24(3), 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.energy import Divergence
    >>> y, x = np.mgrid[:4, :5].astype(np.float32)
    >>> [divergence] = Divergence().residuals((0.25 * x, 0.5 * y), at=None)
    >>> divergence[0].tolist()
    [0.75, 0.75, 0.75, 0.75]
    """

    def _find(self, u: Array, v: Array) -> Array:
        (along_x, _), (_, along_y) = compute_differences(u), compute_differences(v)
        return 0.5 * (along_x[1:] + along_x[:-1] + along_y[:, 1:] + along_y[:, :-1])


@dataclass(frozen=True)
class Curl(_OfOrder):
    """A penalty of the curl ``vx - uy``, or of its gradient.

    Of order 1 it keeps the flow free of rotation. Of order 2 it smooths vortices, but leaves their strength as the
    frames show it. See `Divergence`.

    Parameters
    ----------
    penalty : Penalty
        Of the curl, which has no unit, or of the length of its gradient in 1/pixel.
    weight : float
        Factor of the term.
    per : {"pixel", "residual"}
        Of order 2: whether both derivatives are penalised jointly.
    order : {1, 2}
        1 penalises the curl, 2 its gradient.

    References
    ----------
    D. Suter, Motion estimation and vector splines, CVPR 1994.
    T. Corpetti, E. Memin and P. Perez, Dense estimation of fluid flows, IEEE PAMI 24(3), 2002.

    Examples
    --------
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, Curl, Divergence
    >>> pair = synthetic.translation((24, 24), shift=(1.2, -0.5))
    >>> energy = BrightnessConstancy(Charbonnier(0.01)) + Divergence(order=2) + Curl(order=2)
    >>> result = variflow.estimate(pair.frame0, pair.frame1, energy)
    >>> bool(abs(result.flow - pair.flow).mean() < 0.1)
    True
    """

    def _find(self, u: Array, v: Array) -> Array:
        (_, along_y), (along_x, _) = compute_differences(u), compute_differences(v)
        return 0.5 * (along_x[1:] + along_x[:-1] - along_y[:, 1:] - along_y[:, :-1])
