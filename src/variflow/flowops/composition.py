"""Flows from one moment to another: compose, invert, check forward against backward, change the frame rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.base.choices import check_whole
from variflow.base.types import ArrayLike
from variflow.flowops.fields import Flow, check_finite, check_flow, check_flows, look_up
from variflow.flowops.splatting import splat

# An inverse that changes by less than this many pixels in one iteration has converged.
_CONVERGED = 1e-4


def compose(first: ArrayLike, second: ArrayLike) -> Flow:
    """Return the flow of two steps: ``first(x) + second(x + first(x))``.

    From the flow of frame 0 to 1 and that of frame 1 to 2 it makes the one from 0 to 2. The second is looked up
    bilinearly.

    Parameters
    ----------
    first, second : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.

    Returns
    -------
    (H, W, 2) float32
        NaN where either is unknown, and where the first leads out of the frame.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.zeros((1, 4, 2)); flow[..., 0] = 1
    >>> flowops.compose(flow, flow)[0, :, 0]
    array([ 2.,  2.,  2., nan], dtype=float32)
    """
    before, after = check_flows(first, second, ("first", "second"))
    return before + look_up(after, before)


def invert(flow: ArrayLike, *, tolerance: float = 0.1, iterations: int = 50) -> Flow:
    """Return the flow from the second frame back to the first: ``inverse(x + flow(x)) = -flow(x)``.

    It starts from the negated flow, splatted, and iterates ``inverse(y) = -flow(y + inverse(y))``. This converges where
    neighbours move apart or together by less than a pixel per pixel. Where several pixels arrive at one place, it
    converges to one of them, or to none.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    tolerance : float
        Above 0. The inverse is unknown where going back and forth again misses by more than this many pixels.
    iterations : int
        The most iterations, at least 1; fewer are taken if nothing changes any more.

    Returns
    -------
    (H, W, 2) float32
        NaN where nothing of the first frame arrives, and where no inverse was found.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    References
    ----------
    M. Chen et al., A simple fixed-point approach to invert a deformation field, Medical Physics 35, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.zeros((1, 4, 2)); flow[..., 0] = 1
    >>> flowops.invert(flow)[0, :, 0]
    array([nan, -1., -1., -1.], dtype=float32)
    """
    forward = check_flow(flow)
    check_finite("tolerance", tolerance, above=0)
    check_whole("iterations", iterations, 1)
    inverse = splat(-forward, forward)
    for _ in range(iterations):
        step = -look_up(forward, inverse)
        step = np.where(np.isnan(step), inverse, step)
        change = np.nanmax(np.abs(step - inverse), initial=0)
        inverse = step
        if change < _CONVERGED:
            break
    with np.errstate(invalid="ignore"):
        missed = _measure_length(inverse + look_up(forward, inverse))
        inverse[~(missed <= tolerance)] = np.nan
    return inverse


def consistency(forward: ArrayLike, backward: ArrayLike) -> NDArray[np.float32]:
    """Return how far from its start each pixel ends when it goes forward and back again, in pixels.

    Parameters
    ----------
    forward, backward : (H, W, 2) array
        The flow from the first frame to the second, and that from the second to the first; NaN where unknown.

    Returns
    -------
    (H, W) float32
        ``|forward(x) + backward(x + forward(x))|``, NaN where either is unknown or the way leads out of the frame.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> forward = np.zeros((1, 4, 2)); forward[..., 0] = 1
    >>> flowops.consistency(forward, 0 * forward - (3, 0))
    array([[ 2.,  2.,  2., nan]], dtype=float32)
    """
    return _measure_length(compose(*check_flows(forward, backward, ("forward", "backward"))))


def is_consistent(
    forward: ArrayLike, backward: ArrayLike, *, relative: float = 0.01, absolute: float = 0.5
) -> NDArray[np.bool_]:
    """Return where forward and backward flow confirm each other; most other pixels are hidden in the second frame.

    ``|f + b|^2 <= relative * (|f|^2 + |b|^2) + absolute``, with ``b`` the backward flow at the target of ``f``.

    Parameters
    ----------
    forward, backward : (H, W, 2) array
        The flow from the first frame to the second, and that from the second to the first; NaN where unknown.
    relative : float
        At least 0; typically 0.01. Larger forgives more where motion is large.
    absolute : float
        At least 0, in square pixels; typically 0.5. Larger forgives more everywhere.

    Returns
    -------
    (H, W) bool
        False where either is unknown or the way leads out of the frame.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    References
    ----------
    N. Sundaram, T. Brox and K. Keutzer, Dense point trajectories by GPU-accelerated large displacement optical flow,
    ECCV 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> forward = np.zeros((1, 4, 2)); forward[..., 0] = 1
    >>> flowops.is_consistent(forward, -forward)
    array([[ True,  True,  True, False]])
    """
    check_finite("relative", relative, least=0)
    check_finite("absolute", absolute, least=0)
    there, back = check_flows(forward, backward, ("forward", "backward"))
    back = look_up(back, there)
    with np.errstate(invalid="ignore", over="ignore"):
        squares = _measure_length(there) ** 2 + _measure_length(back) ** 2
        consistent: NDArray[np.bool_] = _measure_length(there + back) ** 2 <= relative * squares + absolute
    consistent[np.isinf(squares)] = False
    return consistent


def change_frame_rate(flow: ArrayLike, rate: float, new_rate: float) -> Flow:
    """Return the flow between frames of another rate, each pixel keeping its velocity.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels from one frame to the next, NaN where unknown.
    rate, new_rate : float
        Frames per second of `flow` and of the result, above 0. A new rate of 1 gives the velocity in pixels per second.

    Returns
    -------
    (H, W, 2) float32

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Notes
    -----
    If motion changes on the way, `compose` follows it over whole multiples of the interval.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> float(flowops.change_frame_rate(np.full((1, 1, 2), 3.0), rate=30, new_rate=60)[0, 0, 0])
    1.5
    """
    factor = check_finite("rate", rate, above=0) / check_finite("new_rate", new_rate, above=0)
    return check_flow(flow) * np.float32(factor)


def _measure_length(flow: Flow) -> NDArray[np.float32]:
    return np.hypot(flow[..., 0], flow[..., 1])
