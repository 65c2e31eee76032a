"""A smooth flow through few control points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from variflow.base.choices import check_whole, keep
from variflow.base.types import Array
from variflow.images.resampling import Planes
from variflow.unknowns.unknowns import Unknowns, Values


@dataclass(frozen=True)
class ControlPoints(Unknowns):
    """The control points of a cubic B-spline, for flows that are smooth everywhere.

    The points ``u`` and ``v`` lie on a grid, the first of them one spacing above and left of the first pixel.

    Parameters
    ----------
    spacing : int
        Distance between control points, in pixels of each level of the pyramid; typically 8 to 64. A wider grid is
        smoother, and needs less other smoothness.

    References
    ----------
    R. Szeliski and J. Coughlan, Spline-based image registration, IJCV 22, 1997.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from variflow import models
    >>> from variflow.unknowns import ControlPoints
    >>> model = replace(models.brox(), unknowns=ControlPoints(spacing=16), filter=None)
    """

    spacing: int = 16

    def __post_init__(self) -> None:
        keep(self, spacing=check_whole("spacing of ControlPoints", self.spacing, 2, 10**6, "a whole number of pixels"))

    def start(self, flow: tuple[Planes, Planes], at: Any) -> Values:
        """Return the control points whose flow is nearest to a given one, in the least squares."""
        along_y, along_x = (self._find_weights(np.arange(length), length) for length in at.shape)
        return self._fit({"u": flow[0], "v": flow[1]}, (along_y, along_x))

    def flow_of(self, values: Values, at: Any) -> tuple[Array, ...]:
        """Return the flow of the spline."""
        along_y, along_x = (self._find_weights(np.arange(length), length) for length in at.shape)
        return along_y @ values["u"] @ along_x.T, along_y @ values["v"] @ along_x.T

    def carry(self, values: Values, old: Any, new: Any) -> Values:
        """Return the control points of the same spline at another size; a finer one has more of them."""
        there, weights = [], []
        for before, after in zip(old.shape, new.shape, strict=True):
            there.append(self._find_weights((np.arange(after) + 0.5) * (before / after) - 0.5, before))
            weights.append(self._find_weights(np.arange(after), after))
        scales = {"u": new.shape[1] / old.shape[1], "v": new.shape[0] / old.shape[0]}
        planes = {name: scales[name] * (there[0] @ values[name] @ there[1].T) for name in scales}
        return self._fit(planes, (weights[0], weights[1]))

    def _fit(self, planes: Values, weights: tuple[Planes, Planes]) -> Values:
        along_y, along_x = (np.linalg.pinv(part.astype(np.float64)) for part in weights)
        return {name: along_y @ plane @ along_x.T for name, plane in planes.items()}

    def _find_weights(self, positions: Any, length: int) -> Planes:
        """Return how much each control point counts at positions along an axis of so many pixels."""
        count = (length - 1) // self.spacing + 4
        at = np.asarray(positions, np.float64)[:, None] / self.spacing
        first = np.clip(np.floor(at), 0, count - 4)
        t = at - first
        # The four pieces of the cubic B-spline.
        pieces = (1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3
        weights = np.zeros((len(at), count))
        rows = np.arange(len(at))
        for k, piece in enumerate(pieces):
            weights[rows, first[:, 0].astype(int) + k] = piece[:, 0] / 6
        return weights.astype(np.float32)
