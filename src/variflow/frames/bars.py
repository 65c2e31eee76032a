"""Find bars at the rim of two frames, as films have above and below a wide picture.

Bars stand still, whatever moves beside them, and hide what leaves the picture. So they are cut off, or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import mark_where_all
from variflow.base.types import Numbers

# A bar is at least so many rows wide, and at most this share of all rows.
_LEAST, _MOST = 4, 0.25
# The picture begins with a row of which at least `_DIFFERS` is unlike the bar, and at both ends, too, at least
# `_AT_ENDS`: around a thing on flat ground, the ends are alike. It does so at most `_BLOCK` rows after the first that
# differs at all, because compressed films err in the blocks beside the picture. Values are alike within the share
# `_ALIKE` of the range of most intensities. One in `_SAMPLED` rows and columns tells that range, and each end is this
# part of a row. One in `_SOME` pixels of a row tells shares.
_DIFFERS, _AT_ENDS, _BLOCK, _ALIKE, _SAMPLED, _SOME = 0.7, 0.5, 16, 0.02, 16, 4


class Bars(NamedTuple):
    """How many rows and columns of two frames are bars."""

    top: int
    bottom: int
    left: int
    right: int

    def __bool__(self) -> bool:
        return any(self)

    def crop(self, array: Numbers) -> Numbers:
        """Return the part of an array, (H, W, ...), in which the picture is."""
        height, width = array.shape[:2]
        return array[self.top : height - self.bottom, self.left : width - self.right]

    def surround(self, picture: Numbers) -> Numbers:
        """Return an array of the picture, (H, W, ...), with bars around it, in which its rim goes on."""
        if not self:
            return picture
        around = [(self.top, self.bottom), (self.left, self.right), *[(0, 0)] * (picture.ndim - 2)]
        return np.pad(picture, around, mode="edge")

    def find_picture(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which pixels of a frame, (H, W), are not of a bar."""
        picture = np.zeros(shape, bool)
        self.crop(picture)[...] = True
        return picture


NO_BARS = Bars(0, 0, 0, 0)


def find_bars(images: list[Numbers], seen: Sequence[Bars] = ()) -> Bars:
    """Return the bars of two frames, (H, W, C).

    A bar is a strip along a whole side, of one value, and as wide in both frames. Beside it the picture begins at once
    and all along, as a thing on flat ground does not. Plain parts of a scene, such as a wall, may be taken for bars.
    Beside a dark picture no bars are found; there they are the narrowest that were `seen` in the film and are plain.
    """
    if not (seen or _ends_alike(images[0])):  # true of most frames, and fast
        return NO_BARS
    turned = [np.swapaxes(image, 0, 1) for image in images]
    return Bars(
        *_measure_bars(images, [bars[:2] for bars in seen]), *_measure_bars(turned, [bars[2:] for bars in seen])
    )


def _ends_alike(image: Numbers) -> bool:
    """Return whether both ends of a side of an image, (H, W, C), have one value."""
    height, width = image.shape[:2]
    corners = image[:: max(height - 1, 1), :: max(width - 1, 1)].tolist()  # faster than to compare them as arrays
    top, bottom = corners[0], corners[-1]
    around = top[0], top[-1], bottom[-1], bottom[0], top[0]
    return any(corner == other for corner, other in pairwise(around))


def _measure_bars(images: list[Numbers], seen: list[tuple[int, ...]]) -> tuple[int, int]:
    """Return how many of the first and of the last rows of two frames are bars."""
    first, last = (
        _measure_bar(rows) or min((widths[end] for widths in seen if _is_plain(rows, widths[end])), default=0)
        for end, rows in enumerate([image[::step] for image in images] for step in (1, -1))
    )
    return first, last


def _is_plain(images: list[Numbers], width: int) -> bool:
    """Return whether so many rows have one value in two frames, but for those near the picture, where films err."""
    strips = [image[: min(width, max(_LEAST, width - _BLOCK))] for image in images]
    return width > 0 and all((strip == strips[0][0, 0]).all() for strip in strips)


def _measure_bar(images: list[Numbers]) -> int:
    """Return how many of the first rows of two frames are a bar; 0 if there is none."""
    value = images[0][0, 0]
    if not (images[0][0, ::_SAMPLED] == value).all():
        return 0
    if not (np.isfinite(value).all() and all((image[0] == value).all() for image in images)):
        return 0
    sample = np.stack([image[::_SAMPLED, ::_SAMPLED] for image in images]).astype(np.float64)
    low, high = np.quantile(sample[np.isfinite(sample)], (0.05, 0.95))
    widths = {_find_picture(image, value, _ALIKE * float(high - low)) for image in images}
    return widths.pop() if len(widths) == 1 else 0


def _find_picture(image: Numbers, value: Numbers, alike: float) -> int:
    """Return how many rows have one value before the picture begins; 0 if they are too few or too many."""
    rows = image[: int(_MOST * len(image)) + 1]
    others = _find_others(rows[:, ::_SAMPLED])
    if not others.size:
        return 0
    first = int(_find_others(rows[: others[0] + 1])[0])
    differ = _differ(rows[first : first + _BLOCK + 1, ::_SOME], value, alike)
    length = -(-differ.shape[1] // _SAMPLED)
    begins = differ.mean(axis=1) >= _DIFFERS
    for end in (differ[:, :length], differ[:, -length:]):
        begins &= end.mean(axis=1) >= _AT_ENDS
    begun = np.flatnonzero(begins)
    return first + int(begun[0]) if begun.size and first >= _LEAST else 0


def _find_others(rows: Numbers) -> NDArray[np.intp]:
    """Return the numbers of the rows, (N, W, C), that are not the same as the first."""
    return np.flatnonzero((rows != rows[0]).reshape(len(rows), -1).any(axis=1))


def _differ(pixels: Numbers, value: Numbers, alike: float) -> NDArray[np.bool_]:
    """Return which pixels, (..., C), are unlike a value, (C,), in a channel."""
    return ~mark_where_all(np.abs(pixels - value.astype(np.float64)) <= alike)
