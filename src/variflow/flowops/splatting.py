"""Carry an image along a flow: forward warping."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import as_pixels, as_weights, find_known
from variflow.base.types import ArrayLike, Numbers
from variflow.flowops.fields import Flow, check_flow, find_targets

# A pixel where less than this share arrives is unknown.
_LEAST = 1e-3


def splat(image: ArrayLike, flow: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float32]:
    """Carry an image along a flow: the value at ``(x, y)`` goes to ``(x + u, y + v)``.

    With the flow from the first frame to the second, splatting the *first* frame brings it onto the second; `warp`, the
    other way around, brings the second back onto the first. Each value is shared among the four pixels around its
    target, bilinearly; a pixel takes the weighted mean of what arrives.

    Parameters
    ----------
    image : array
        ``(H, W)`` or ``(H, W, C)`` of any real type, NaN where missing: such pixels carry nothing.
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown: such pixels go nowhere.
    weights : (H, W) array, optional
        At least 0. Where several pixels arrive at one place, those with a larger weight count more. Weights that fall
        steeply with depth, or with the error of matching, let the front hide what is behind.

    Returns
    -------
    array
        float32 in the layout of `image`, NaN where nothing arrives.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    References
    ----------
    S. Niklaus and F. Liu, Softmax splatting for video frame interpolation, CVPR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.zeros((1, 4, 2)); flow[..., 0] = 1
    >>> flowops.splat([[1.0, 2.0, 3.0, 4.0]], flow)
    array([[nan,  1.,  2.,  3.]], dtype=float32)
    """
    flow = check_flow(flow)
    pixels = as_pixels(image, "image", flow.shape[:2])
    channels = pixels.reshape(*flow.shape[:2], -1)
    weigh = _check_weights(weights, flow)
    present = find_known(channels)
    parts = _split_pixels(flow, present)
    shares = _gather(flow.shape[:2], parts)
    total = _gather(flow.shape[:2], parts, weigh) if weights is not None else shares
    arrived = (shares > _LEAST) & (total > 0)
    out = np.full(channels.shape, np.nan, np.float32)
    for channel in range(channels.shape[2]):
        sums = _gather(flow.shape[:2], parts, weigh * np.where(present, channels[..., channel], 0).astype(float))
        out[arrived, channel] = sums[arrived] / total[arrived]
    return out.reshape(pixels.shape)


def coverage(flow: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float32]:
    """Return how many pixels arrive at each pixel of the second frame; 0 where something appears that was hidden.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown: such pixels go nowhere.
    weights : (H, W) array, optional
        At least 0: how much each pixel counts, 1 by default.

    Returns
    -------
    (H, W) float32
        Sums of bilinear shares; 1 everywhere for zero flow.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.zeros((1, 4, 2)); flow[0, :, 0] = [2, 0.5, 0, 0]
    >>> flowops.coverage(flow)
    array([[0. , 0.5, 2.5, 1. ]], dtype=float32)
    """
    flow = check_flow(flow)
    everywhere = np.ones(flow.shape[:2], bool)
    return _gather(flow.shape[:2], _split_pixels(flow, everywhere), _check_weights(weights, flow)).astype(np.float32)


# The pixels that arrive: their source and their target (indices into the raveled frame), and the share that arrives.
_Part = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]


def _split_pixels(flow: Flow, present: NDArray[np.bool_]) -> list[_Part]:
    """Return the shares of all pixels at the four neighbours of their targets."""
    height, width = flow.shape[:2]
    x, y = find_targets(flow)
    # Far outside is outside, whatever integers can hold.
    ok = present & (x > -1) & (x < width) & (y > -1) & (y < height)
    origin = np.flatnonzero(ok)
    x, y = x[ok], y[ok]
    left, top = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    parts = []
    for right in (0, 1):
        for down in (0, 1):
            column, row = left + right, top + down
            share = (1 - abs(x - column)) * (1 - abs(y - row))
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (share > 0)
            parts.append((origin[inside], (row * width + column)[inside], share[inside]))
    return parts


def _gather(shape: tuple[int, ...], parts: list[_Part], values: Numbers | None = None) -> NDArray[np.float64]:
    """Return at each pixel the sum of the shares that arrive, each times the value it carries."""
    height, width = shape
    total = np.zeros(height * width)
    for origin, target, share in parts:
        carried = share if values is None else share * values.ravel()[origin]
        total += np.bincount(target, carried, minlength=total.size)
    return total.reshape(height, width)


def _check_weights(weights: ArrayLike, flow: Flow) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(flow.shape[:2])
    return as_weights(weights, "weights", flow.shape[:2]).astype(float)
