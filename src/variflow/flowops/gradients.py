"""What a flow does locally: its derivatives, divergence and vorticity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.base.types import ArrayLike
from variflow.flowops.fields import check_flow
from variflow.flowops.planes import PlaneFit, fit_planes


def jacobian(flow: ArrayLike | PlaneFit, window: int | None = None) -> NDArray[np.float32]:
    """Return the derivatives of a flow, in pixels per pixel: differences between neighbours, or slopes of planes.

    Differences are central; where only one neighbour is known, at the border or beside a gap, they are one-sided. So
    they are exact for affine flows up to the border.

    Parameters
    ----------
    flow : (H, W, 2) array or PlaneFit
        ``(u, v)`` in pixels, NaN where unknown; or what `fit_planes` found of it.
    window : int, optional
        The derivatives are the slopes of planes, fitted in a window of so many pixels, odd, from 3 to 1023
        (see `fit_planes`). By default they are differences between neighbours, exact and noisy.

    Returns
    -------
    (H, W, 2, 2) float32
        ``[[du/dx, du/dy], [dv/dx, dv/dy]]`` at each pixel; NaN where the flow is unknown, and along an axis without a
        known neighbour, or where there is no plane.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit, or a window is given for a PlaneFit, which has one.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> y, x = np.mgrid[:4, :5]
    >>> flowops.jacobian(np.stack([2 * x + 3 * y, -x], axis=2))[0, 0].tolist()
    [[2.0, 3.0], [-1.0, 0.0]]
    """
    if isinstance(flow, PlaneFit):
        if window is not None:
            raise ValueError(f"window is {window!r}, wanted none: flow is a PlaneFit of window {flow.window}")
        return flow.jacobian
    if window is not None:
        return fit_planes(flow, window).jacobian
    field = check_flow(flow)
    return np.stack([_differentiate(field, 1), _differentiate(field, 0)], axis=-1)


def divergence(flow: ArrayLike | PlaneFit, window: int | None = None) -> NDArray[np.float32]:
    """Return ``du/dx + dv/dy``, by which areas grow, per frame; above 0 where the flow spreads.

    Parameters
    ----------
    flow : (H, W, 2) array or PlaneFit
        ``(u, v)`` in pixels, NaN where unknown; or what `fit_planes` found of it.
    window : int, optional
        The derivatives are the slopes of planes in a window of so many pixels, as for `jacobian`.

    Returns
    -------
    (H, W) float32
        NaN where a derivative is unknown (see `jacobian`).

    Raises
    ------
    TypeError, ValueError
        As `jacobian` does.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> y, x = np.mgrid[:4, :5]
    >>> float(flowops.divergence(np.stack([0.25 * x, 0.5 * y], axis=2))[1, 1])
    0.75
    """
    rates = jacobian(flow, window)
    return rates[..., 0, 0] + rates[..., 1, 1]


def vorticity(flow: ArrayLike | PlaneFit, window: int | None = None) -> NDArray[np.float32]:
    """Return ``dv/dx - du/dy``, twice the angle of rotation per frame, in radians; above 0 is clockwise as seen.

    It is clockwise because y points down; with y up, as in much of fluid dynamics, the sign is the opposite.

    Parameters
    ----------
    flow : (H, W, 2) array or PlaneFit
        ``(u, v)`` in pixels, NaN where unknown; or what `fit_planes` found of it.
    window : int, optional
        The derivatives are the slopes of planes in a window of so many pixels, as for `jacobian`.

    Returns
    -------
    (H, W) float32
        NaN where a derivative is unknown (see `jacobian`).

    Raises
    ------
    TypeError, ValueError
        As `jacobian` does.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> y, x = np.mgrid[:4, :5]
    >>> float(flowops.vorticity(np.stack([-0.25 * y, 0.25 * x], axis=2))[1, 1])
    0.5
    """
    rates = jacobian(flow, window)
    return rates[..., 1, 0] - rates[..., 0, 1]


def _differentiate(field: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return the mean of the differences to both neighbours along an axis, of those that are known."""
    step = np.diff(field, axis=axis)
    missing = np.full_like(np.take(field, [0], axis=axis), np.nan)
    after, before = np.concatenate([step, missing], axis=axis), np.concatenate([missing, step], axis=axis)
    return np.where(np.isnan(after), before, np.where(np.isnan(before), after, (after + before) / np.float32(2)))
