"""Planes fitted to a flow around each pixel: derivatives that are known to be as good as their window is large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow.base.brief import Brief
from variflow.base.choices import check_window
from variflow.base.types import ArrayLike
from variflow.flowops.fields import check_flow

Reals = NDArray[np.float64]

# A plane is fitted where at least this share of the window is known, as in the corner of a frame.
_LEAST_SHARE = 0.25
_LARGEST_WINDOW = 1023


@dataclass(frozen=True, eq=False, repr=False)
class PlaneFit(Brief):
    """Planes fitted to u and v around each pixel; made by `fit_planes`.

    Attributes
    ----------
    jacobian : (H, W, 2, 2) float32
        Their slopes, ``[[du/dx, du/dy], [dv/dx, dv/dy]]`` in pixels per pixel; NaN where there is no plane.
    residual : (H, W) float32
        How far the flow lies from them, in pixels: the root mean square distance between both, over the known pixels
        of the window; NaN where there is no plane.
    known : (H, W) int32
        How many pixels of the window are known.
    window : int
        The side of the window in pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.fit_planes(np.zeros((20, 30, 2)), window=5)
    PlaneFit(jacobian=float32 (20, 30, 2, 2), residual=float32 (20, 30), known=int32 (20, 30), window=5)
    """

    jacobian: NDArray[np.float32]
    residual: NDArray[np.float32]
    known: NDArray[np.int32]
    window: int

    @property
    def flags(self) -> NDArray[np.int8]:
        """How each plane came about, ``(H, W)``.

        0 where the whole window is known; 1 where a part of it is unknown or outside the frame, so that the derivatives
        are noisier, and off where the flow bends; 2 where there is no plane.
        """
        partial = np.where(self.known < self.window**2, np.int8(1), np.int8(0))
        return np.where(np.isnan(self.residual), np.int8(2), partial)


def fit_planes(flow: ArrayLike, window: int) -> PlaneFit:
    """Fit a plane to u and one to v in a window around each pixel, by least squares.

    The slopes of the planes are derivatives of the flow that are less noisy than differences of neighbours, and blur
    what is smaller than the window: the virtual strain gauge of digital image correlation. If the errors of the flow
    are independent, of standard deviation s in each component, each slope has the standard deviation
    ``s * sqrt(12 / (window**2 * (window**2 - 1)))`` where the whole window is known. The errors of an estimated flow
    depend on each other over several pixels, so its slopes are noisier than that. Two frames of one state, in which
    nothing strains, show by how much.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    window : int
        The side of the window in pixels, odd, from 3 to 1023. Typically 11 to 51 for strain: as large as the smallest
        detail of the strain that matters.

    Returns
    -------
    PlaneFit
        Its ``jacobian``, ``residual``, ``known`` and ``flags``. There is no plane where the flow itself is unknown,
        where less than a quarter of the window is known, and where the known pixels lie on one line.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    References
    ----------
    A Good Practices Guide for Digital Image Correlation, International Digital Image Correlation Society, 2018,
    on virtual strain gauges.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> y, x = np.mgrid[:20, :30]
    >>> fit = flowops.fit_planes(np.stack([0.02 * x, 0.01 * y], axis=2), window=5)
    >>> np.allclose(fit.jacobian[10, 10], [[0.02, 0], [0, 0.01]])
    True
    >>> int(fit.known[0, 0]), int(fit.flags[0, 0]), int(fit.flags[10, 10])
    (9, 1, 0)
    """
    side = check_window("window", window, _LARGEST_WINDOW)
    field = check_flow(flow)
    inside = ~np.isnan(field[..., 0])
    values = np.where(inside[..., None], field, np.float32(0)).astype(np.float64)
    # The sums over the window of 1, x, y, x², xy, y², counted from its centre.
    count, of_x, of_y, of_xx, of_xy, of_yy = _sum(
        inside.astype(float), side, [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    )
    spread_x, spread_y = count * of_xx - of_x**2, count * of_yy - of_y**2
    together = count * of_xy - of_x * of_y
    determinant = spread_x * spread_y - together**2
    fits = inside & (count >= _LEAST_SHARE * side**2) & (determinant > 0)

    slopes = np.full((*inside.shape, 2, 2), np.nan)
    (misfit,) = _sum((values**2).sum(axis=2), side, [(0, 0)])
    with np.errstate(divide="ignore", invalid="ignore"):
        for component in range(2):
            total, with_x, with_y = _sum(values[..., component], side, [(0, 0), (1, 0), (0, 1)])
            mean = total / count
            with_x -= of_x * mean
            with_y -= of_y * mean
            slope_x = count * (spread_y * with_x - together * with_y) / determinant
            slope_y = count * (spread_x * with_y - together * with_x) / determinant
            slopes[..., component, 0], slopes[..., component, 1] = slope_x, slope_y
            misfit -= count * mean**2 + slope_x * with_x + slope_y * with_y
        residual = np.sqrt(np.maximum(misfit, 0) / count)
    slopes[~fits] = np.nan
    residual[~fits] = np.nan
    return PlaneFit(slopes.astype(np.float32), residual.astype(np.float32), count.astype(np.int32), side)


def _sum(plane: Reals, side: int, powers: list[tuple[int, int]]) -> list[Reals]:
    """Return the sums over the window around each pixel, weighted by these powers of x and y."""
    from scipy.ndimage import correlate1d

    offset = np.arange(side, dtype=float) - side // 2
    rows = {i: correlate1d(plane, offset**i, axis=1, mode="constant") for i in dict(powers)}
    return [correlate1d(rows[i], offset**j, axis=0, mode="constant") for i, j in powers]
