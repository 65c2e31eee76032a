"""Change the size of planes, or smooth them: one separable linear filter.

An interpolating kernel is convolved with a Gaussian that removes what the coarser grid cannot hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.images.windows import Part, Window

Planes = NDArray[np.float32]
Taps = tuple[NDArray[np.int32], NDArray[np.float32]]

# The blur, in pixels, that keeps a grid free of aliases.
_ANTI_ALIAS = 0.6
# From this many standard deviations on, where it is a thousandth of its peak, a Gaussian is cut off.
_CUT_OFF = 3.7


def resample(
    planes: Planes, to: tuple[int, int] | Part, *, kernel: str, blur: float = _ANTI_ALIAS, of: Part | None = None
) -> Planes:
    """Resample planes ``(C, H, W)`` to another size; the corners of both pixel grids coincide.

    `kernel` is ``"linear"`` or ``"cubic"`` (Catmull-Rom). Where the new grid is coarser, a Gaussian suppresses aliases:
    planes with a blur of this many pixels have the same blur on the new grid.

    If the planes are a part of a frame, `of` says which one, and `to` which part of the frame at its new size is
    wanted. It has the values that it has in the whole frame; where it looks beyond the planes, their rim is repeated.
    """
    (first_y, weights_y), (first_x, weights_x) = _make_taps_of_axes(*_find_parts(planes[0], of, to), blur, kernel)
    return _core.resample(np.ascontiguousarray(planes, np.float32), first_y, weights_y, first_x, weights_x)


def resample_flow(
    flow: tuple[Planes, Planes], to: tuple[int, int] | Part, *, blur: float = _ANTI_ALIAS, of: Part | None = None
) -> tuple[Planes, Planes]:
    """Bring a flow ``(u, v)`` to another size; displacements are measured in the pixels of the new size.

    The planes returned are contiguous, also where the size stays. `to`, `blur` and `of` are those of `resample`.
    """
    old, new = _find_parts(flow[0], of, to)
    if old == new:
        return np.ascontiguousarray(flow[0]), np.ascontiguousarray(flow[1])
    u, v = _resample_flow(flow, old, new, blur, in_pairs=False)
    return u, v


class FoundFlow(NamedTuple):
    """A flow ``(u, v)`` as it was found, which is brought to the size of the frames when it is asked for.

    Attributes
    ----------
    flow : pair of (H, W) float32
        In its own pixels.
    of, to : Part
        Which part of the frames it is, at its size, and which part is wanted at the size of the frames.
    """

    flow: tuple[Planes, Planes]
    of: Part
    to: Part

    def make_planes(self) -> tuple[Planes, Planes]:
        """Return both components, to be read only."""
        return resample_flow(self.flow, self.to, blur=0.0, of=self.of)

    def make_pairs(self) -> Planes:
        """Return the flow as a new array ``(h, w, 2)``."""
        if self.of == self.to:
            return _core.interleave(*map(np.ascontiguousarray, self.flow))
        return _resample_flow(self.flow, self.of, self.to, 0.0, in_pairs=True)


def _resample_flow(flow: tuple[Planes, Planes], old: Part, new: Part, blur: float, *, in_pairs: bool) -> Planes:
    (first_y, weights_y), (first_x, weights_x) = _make_taps_of_axes(old, new, blur, "linear")
    (height, width), (new_height, new_width) = old.whole, new.whole
    u, v = map(np.ascontiguousarray, flow)
    factors = new_width / width, new_height / height
    return _core.resample_flow(u, v, first_y, weights_y, first_x, weights_x, *factors, in_pairs)


def smooth(planes: Planes, sigma: float) -> Planes:
    """Smooth planes ``(C, H, W)`` with a Gaussian of standard deviation `sigma` in pixels."""
    height, width = planes.shape[1:]
    along_y, along_x = (_make_taps(length, length, sigma, "linear") for length in (height, width))
    return _core.resample(planes, *along_y, *along_x)


def sum_boxes(planes: Planes, window: int) -> Planes:
    """Sum planes ``(C, H, W)`` over a window around each pixel, an odd number of pixels wide; beyond the rim is 0."""
    along_y, along_x = (_place_windows(size, window) for size in planes.shape[1:])
    return _core.resample(np.ascontiguousarray(planes, np.float32), *along_y, *along_x)


def average_boxes(planes: Planes, window: int) -> Planes:
    """Average planes ``(C, H, W)`` over a window around each pixel, an odd number of pixels wide; the rim repeats."""
    along_y, along_x = (_place_windows(size, window, average=True) for size in planes.shape[1:])
    return _core.resample(planes, *along_y, *along_x)


@lru_cache(maxsize=128)
def _place_windows(size: int, window: int, *, average: bool = False) -> Taps:
    """Return the taps that sum a window around each pixel of a line, or average it; beyond the line is 0 in a sum."""
    first = np.arange(size, dtype=np.int32) - np.int32(window // 2)
    if average:
        return first, np.full((size, window), 1 / window, np.float32)
    positions = first[:, None] + np.arange(window)
    return first, ((positions >= 0) & (positions < size)).astype(np.float32)


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


def find_reach(sigma: float) -> int:
    """Return how many pixels away `smooth` looks."""
    return max(0, math.ceil(_CUT_OFF * sigma) - 1)


def find_source(part: Part, whole: tuple[int, int], *, kernel: str, blur: float = _ANTI_ALIAS) -> Part:
    """Return what `resample` looks at where it makes a part of a frame from the frame at another size."""
    (first_y, weights_y), (first_x, weights_x) = _make_taps_of_axes(Part.all(whole), part, blur, kernel)
    after = first_y[-1] + weights_y.shape[1], first_x[-1] + weights_x.shape[1]
    return Part(Window(int(first_y[0]), int(first_x[0]), *map(int, after)).intersect(whole), whole)


def _find_parts(plane: Planes, of: Part | None, to: tuple[int, int] | Part) -> tuple[Part, Part]:
    """Return which part of a frame a plane is, and which one is wanted; all of it unless they say otherwise."""
    height, width = plane.shape
    return of or Part.all((height, width)), to if isinstance(to, Part) else Part.all(to)


@lru_cache(maxsize=128)
def _make_taps_of_axes(old: Part, new: Part, blur: float, kernel: str) -> tuple[Taps, ...]:
    """Return the taps along y and along x from one part of a frame to one at another size."""
    (top, left, *_), wanted = old.window, new.window.within(Window(0, 0, 0, 0))
    taps = []
    for size, new_size, begins, pixels in zip(old.whole, new.whole, (top, left), wanted, strict=True):
        first, weights = _make_taps(size, new_size, _find_added_blur(size, new_size, blur), kernel)
        taps.append((first[pixels] - np.int32(begins), weights[pixels]))
    return tuple(taps)


def _find_added_blur(size: int, new_size: int, blur: float) -> float:
    return blur * math.sqrt((size / new_size) ** 2 - 1) if new_size < size else 0.0


@lru_cache(maxsize=256)
def _make_taps(size: int, new_size: int, sigma: float, kernel: str) -> Taps:
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
        radius = find_reach(sigma)
        gaussian = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        gaussian /= gaussian.sum()
        taps = weights.shape[1]
        convolved = np.zeros((new_size, taps + 2 * radius))
        for tap in range(taps):
            convolved[:, tap : tap + gaussian.size] += weights[:, tap, None] * gaussian
        first, weights = first - radius, convolved
    return first.astype(np.int32), weights.astype(np.float32)
