"""Follow a flow: points through a sequence, and streamlines."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import FLOWS, as_iterable, as_numbers
from variflow.base.choices import check_whole
from variflow.base.types import ArrayLike
from variflow.flowops.fields import Flow, check_finite, check_flow, sample

# Slower than this, in pixels per frame, a streamline has no direction.
_STILL = 1e-6


def track(flows: Iterable[ArrayLike], points: ArrayLike) -> NDArray[np.float64]:
    """Follow points through a sequence of flows.

    Parameters
    ----------
    flows : iterable of (H, W, 2) arrays
        The flow from each frame to the next; a generator may compute them on the way. NaN where unknown.
    points : (N, 2) array
        Where the points are in the first frame: ``(x, y)`` in pixels.

    Returns
    -------
    (number of flows + 1, N, 2) float64
        ``(x, y)`` of each point in every frame; NaN after it has left the frame or entered an unknown region.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.full((4, 4, 2), 0.75)
    >>> flowops.track([flow, flow], [(1, 1)])[:, 0].tolist()
    [[1.0, 1.0], [1.75, 1.75], [2.5, 2.5]]
    """
    places = [_check_points(points, "points")]
    shape = getattr(flows, "shape", ())
    if len(shape) == 3:
        raise ValueError(f"flows has shape {tuple(shape)}, one flow; wanted a list of flows, or (T, H, W, 2)")
    size: tuple[int, ...] | None = None
    for index, flow in enumerate(as_iterable(flows, "flows", FLOWS)):
        field = check_flow(flow, f"flows[{index}]")
        if size is not None and field.shape != size:
            raise ValueError(f"flows[{index}] has shape {field.shape}, wanted that of the first, {size}")
        size = field.shape
        here = places[-1] = _forget_outside(places[-1], field)
        places.append(_forget_outside(here + sample(field, here[:, 0], here[:, 1]), field))
    return np.stack(places)


def streamlines(flow: ArrayLike, points: ArrayLike, *, steps: int = 100, length: float = 0.5) -> NDArray[np.float64]:
    """Follow the direction of one flow from each point, along lines that are tangent to it everywhere.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    points : (N, 2) array
        Where the lines begin: ``(x, y)`` in pixels.
    steps : int
        How many steps, at least 1.
    length : float
        Length of a step in pixels, not 0; typically 0.2 to 1. Negative goes upstream.

    Returns
    -------
    (steps + 1, N, 2) float64
        ``(x, y)`` along each line; NaN after it has left the frame, or where the flow is unknown or zero.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Notes
    -----
    Runge-Kutta steps of fourth order along the direction of the flow, looked up bilinearly.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.zeros((5, 9, 2)); flow[..., 0] = 3
    >>> flowops.streamlines(flow, [(1, 2)], steps=2, length=0.5)[:, 0].tolist()
    [[1.0, 2.0], [1.5, 2.0], [2.0, 2.0]]
    """
    field = check_flow(flow)
    check_whole("steps", steps, 1)
    if check_finite("length", length) == 0:
        raise ValueError("length is 0, wanted a step of some pixels")
    places = [_forget_outside(_check_points(points, "points"), field)]
    for _ in range(steps):
        here = places[-1]
        k1 = _find_direction(field, here)
        k2 = _find_direction(field, here + length / 2 * k1)
        k3 = _find_direction(field, here + length / 2 * k2)
        k4 = _find_direction(field, here + length * k3)
        places.append(_forget_outside(here + length / 6 * (k1 + 2 * k2 + 2 * k3 + k4), field))
    return np.stack(places)


def _find_direction(field: Flow, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit vector of the flow at each point, NaN where it has none."""
    velocity = sample(field, points[:, 0], points[:, 1]).astype(float)
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    speed[~(speed > _STILL)] = np.nan
    direction: NDArray[np.float64] = velocity / speed[:, None]
    return direction


def _forget_outside(points: NDArray[np.float64], field: Flow) -> NDArray[np.float64]:
    """Return the points, NaN for those outside the frame."""
    last = np.array(field.shape[1::-1]) - 1
    return np.where(((points >= 0) & (points <= last)).all(axis=1, keepdims=True), points, np.nan)


def _check_points(points: ArrayLike, name: str) -> NDArray[np.float64]:
    array = as_numbers(points, name)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"{name} has shape {array.shape}, wanted (N, 2): x and y of each point")
    return array.astype(float)
