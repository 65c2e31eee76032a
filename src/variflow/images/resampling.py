"""Change the size of planes, or smooth them: one separable linear filter.

An interpolating kernel is convolved with a Gaussian that removes what the coarser grid cannot hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from variflow import _core

Planes = NDArray[np.float32]

# The blur, in pixels, that keeps a grid free of aliases.
_ANTI_ALIAS = 0.6
# From this many standard deviations on, where it is a thousandth of its peak, a Gaussian is cut off.
_CUT_OFF = 3.7


def resample(planes: Planes, shape: tuple[int, int], *, kernel: str, blur: float = _ANTI_ALIAS) -> Planes:
    """Resample planes ``(C, H, W)`` to another size; the corners of both pixel grids coincide.

    `kernel` is ``"linear"`` or ``"cubic"`` (Catmull-Rom). Where the new grid is coarser, a Gaussian suppresses aliases:
    planes with a blur of this many pixels have the same blur on the new grid.
    """
    (first_y, weights_y), (first_x, weights_x) = _make_taps_of_axes(planes.shape[1:], shape, blur, kernel)
    return _core.resample(np.ascontiguousarray(planes, np.float32), first_y, weights_y, first_x, weights_x)


def resample_flow(
    flow: tuple[Planes, Planes], shape: tuple[int, int], *, blur: float = _ANTI_ALIAS
) -> tuple[Planes, Planes]:
    """Bring a flow ``(u, v)`` to another size; displacements are measured in the pixels of the new size.

    The planes returned are contiguous, also where the size stays. `blur` is that of `resample`.
    """
    height, width = flow[0].shape
    if (height, width) == shape:
        return np.ascontiguousarray(flow[0]), np.ascontiguousarray(flow[1])
    (first_y, weights_y), (first_x, weights_x) = _make_taps_of_axes((height, width), shape, blur, "linear")
    scales = np.float32(shape[1] / width), np.float32(shape[0] / height)
    u, v = (
        _core.resample(np.ascontiguousarray(plane)[None], first_y, scale * weights_y, first_x, weights_x)[0]
        for plane, scale in zip(flow, scales, strict=True)
    )
    return u, v


def smooth(planes: Planes, sigma: float) -> Planes:
    """Smooth planes ``(C, H, W)`` with a Gaussian of standard deviation `sigma` in pixels."""
    height, width = planes.shape[1:]
    along_y, along_x = (_make_taps(length, length, sigma, "linear") for length in (height, width))
    return _core.resample(planes, *along_y, *along_x)


def sum_boxes(planes: Planes, window: int) -> Planes:
    """Sum planes ``(C, H, W)`` over a window around each pixel, an odd number of pixels wide; beyond the rim is 0."""
    (first_y, inside_y), (first_x, inside_x) = (_place_windows(size, window) for size in planes.shape[1:])
    weights_y, weights_x = inside_y.astype(np.float32), inside_x.astype(np.float32)
    return _core.resample(np.ascontiguousarray(planes, np.float32), first_y, weights_y, first_x, weights_x)


def average_boxes(planes: Planes, window: int) -> Planes:
    """Average planes ``(C, H, W)`` over a window around each pixel, an odd number of pixels wide; the rim repeats."""
    (first_y, inside_y), (first_x, inside_x) = (_place_windows(size, window) for size in planes.shape[1:])
    weights_y, weights_x = (np.full(inside.shape, 1 / window, np.float32) for inside in (inside_y, inside_x))
    return _core.resample(planes, first_y, weights_y, first_x, weights_x)


def _place_windows(size: int, window: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the first pixel of the window around each pixel of a line, and which pixels of the window are inside."""
    first = np.arange(size, dtype=np.int32) - np.int32(window // 2)
    positions = first[:, None] + np.arange(window)
    return first, (positions >= 0) & (positions < size)


def stack(planes: Sequence[Planes]) -> Planes:
    """Return planes (H, W) as one array (K, H, W): a view if they follow each other in one array, or else a copy."""
    whole = planes[0].base
    size = planes[0].shape
    if not (isinstance(whole, np.ndarray) and whole.flags.c_contiguous and whole.shape[-2:] == size):
        return np.stack(planes)
    whole = whole.reshape(-1, *size)
    number = (_get_address(planes[0]) - _get_address(whole)) // whole.strides[0]
    part = whole[number : number + len(planes)]
    same = len(part) == len(planes) and all(
        _get_address(a) == _get_address(b) and a.strides == b.strides for a, b in zip(part, planes, strict=True)
    )
    return part if same and part.flags.c_contiguous else np.stack(planes)


def _get_address(planes: Planes) -> int:
    address: int = planes.__array_interface__["data"][0]
    return address


@lru_cache(maxsize=128)
def _make_taps_of_axes(
    old: tuple[int, int], new: tuple[int, int], blur: float, kernel: str
) -> tuple[tuple[NDArray[np.int32], NDArray[np.float32]], ...]:
    """Return the taps along y and along x from one size (H, W) to another."""
    return tuple(
        _make_taps(size, new_size, _find_added_blur(size, new_size, blur), kernel)
        for size, new_size in zip(old, new, strict=True)
    )


def _find_added_blur(size: int, new_size: int, blur: float) -> float:
    return blur * math.sqrt((size / new_size) ** 2 - 1) if new_size < size else 0.0


@lru_cache(maxsize=256)
def _make_taps(size: int, new_size: int, sigma: float, kernel: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return, for each new pixel, the first old pixel it looks at and the weights of that one and the following.

    New pixel j lies at ``(j + 1/2) size / new_size - 1/2`` of the old grid. Its weights are those of the interpolating
    kernel there, convolved with the Gaussian.
    """
    position = (np.arange(new_size) + 0.5) * (size / new_size) - 0.5
    whole = np.floor(position)
    t = (position - whole)[:, None]
    if size == new_size:
        first, weights = whole, np.ones((new_size, 1))
    elif kernel == "linear":
        first, weights = whole, np.hstack([1 - t, t])
    else:
        first = whole - 1
        weights = np.hstack(
            [
                ((2 - t) * t - 1) * t / 2,
                ((3 * t - 5) * t * t + 2) / 2,
                ((4 - 3 * t) * t + 1) * t / 2,
                (t - 1) * t * t / 2,
            ]
        )
    if sigma > 0:
        radius = math.ceil(_CUT_OFF * sigma) - 1
        gaussian = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        gaussian /= gaussian.sum()
        taps = weights.shape[1]
        convolved = np.zeros((new_size, taps + 2 * radius))
        for tap in range(taps):
            convolved[:, tap : tap + gaussian.size] += weights[:, tap, None] * gaussian
        first, weights = first - radius, convolved
    return first.astype(np.int32), weights.astype(np.float32)
