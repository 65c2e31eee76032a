"""Find bars at the rim of two frames, as films have above and below a wide picture.

Bars stand still, whatever moves beside them, and hide what leaves the picture. So their pixels are missing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow.base.kinds import is_float
from variflow.base.types import Numbers

# A bar is at least so many rows wide, and leaves at least this share of the rows to the picture.
_LEAST, _PICTURE = 4, 0.5
# Values are alike within this share of the range of intensities. At first one in so many rows and columns is looked at.
_ALIKE, _SAMPLED = 0.02, 16
# The picture begins with a row of which at least the first share differs from the bar, and at both ends, too, at least
# the second: around a thing on flat ground, the ends do not. It does so at most this many rows after the first that
# differs anywhere: compressed films err by more than the above in the blocks beside the picture.
_DIFFERS, _AT_ENDS, _BLOCK = 0.7, 0.5, 8


class Bars(NamedTuple):
    """How many rows and columns of two frames are bars."""

    top: int
    bottom: int
    left: int
    right: int

    def __bool__(self) -> bool:
        return any(self)

    def fill(self, array: Numbers, value: complex) -> None:
        """Give an array, (H, W, ...), a value where bars are."""
        height, width = array.shape[:2]
        array[: self.top] = array[height - self.bottom :] = value
        array[:, : self.left] = array[:, width - self.right :] = value


NO_BARS = Bars(0, 0, 0, 0)


def find_bars(images: list[Numbers]) -> Bars:
    """Return the bars of two frames, (H, W, C).

    A bar is a strip along a whole side, of one value, and as wide in both frames. Beside it the picture begins at once
    and all along, as a thing on flat ground does not.
    """
    return Bars(*_measure_bars(images), *_measure_bars([np.swapaxes(image, 0, 1) for image in images]))


def _measure_bars(images: list[Numbers]) -> tuple[int, int]:
    """Return how many of the first and of the last rows of two frames are bars."""
    most = int((1 - _PICTURE) * len(images[0]))
    first, last = (_measure_bar([image[::step][: most + 1] for image in images]) for step in (1, -1))
    return (first, last) if first + last <= most else (0, 0)


def _measure_bar(images: list[Numbers]) -> int:
    """Return how many of the first rows of two frames are a bar; 0 if there is none, or it goes on to the last row."""
    value = images[0][0, 0]
    if not (images[0][0, ::_SAMPLED] == value).all():
        return 0
    samples = [image[::_SAMPLED, ::_SAMPLED] for image in images]
    alike = _ALIKE * (max(float(each.max()) for each in samples) - min(float(each.min()) for each in samples))
    widths = {_find_picture(image, value, alike) for image in images}
    return widths.pop() if len(widths) == 1 else 0


def _find_picture(image: Numbers, value: Numbers, alike: float) -> int:
    """Return how many rows have a value before the picture begins; 0 if too few have it, or if no picture begins."""
    sampled = np.flatnonzero(_differ(image[:, ::_SAMPLED], value, alike).any(axis=1))
    if not sampled.size:
        return 0
    differ = _differ(image[: sampled[0] + _BLOCK + 1], value, alike)
    first = int(np.flatnonzero(differ.any(axis=1))[0])
    length = -(-differ.shape[1] // _SAMPLED)
    begins = differ[first:].mean(axis=1) >= _DIFFERS
    for end in (differ[first:, :length], differ[first:, -length:]):
        begins &= end.mean(axis=1) >= _AT_ENDS
    begun = np.flatnonzero(begins[: _BLOCK + 1])
    return first + int(begun[0]) if begun.size and first >= _LEAST else 0


def _differ(pixels: Numbers, value: Numbers, alike: float) -> NDArray[np.bool_]:
    """Return which pixels, (..., C), differ from a value, (C,), in a channel."""
    same = np.ones(pixels.shape[:-1], bool)
    whole = not is_float(pixels.dtype)
    for channel, wanted in zip(np.moveaxis(pixels, -1, 0), value.tolist(), strict=True):
        low, high = wanted - alike, wanted + alike
        if whole:  # whole numbers are compared faster than converted
            low, high = math.ceil(low), math.floor(high)
        same &= (channel >= low) & (channel <= high)
    return ~same
