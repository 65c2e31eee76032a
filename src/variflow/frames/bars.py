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
# The picture begins with a row of which at least this share differs from the bar: things on flat ground do not reach
# it. So many rows between may be both, as films blur them.
_DIFFERS, _BLURRED = 0.9, 2


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

    A bar is a strip along a whole side, of one value, and as wide in both frames. The picture begins beside it with a
    row that differs nearly everywhere.
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
    begins = [_find_beginning(image, value, alike) for image in images]
    last = max(begins)
    if min(begins) < _LEAST or last - min(begins) > _BLURRED or last == len(images[0]):
        return 0
    shares = [_differ(image[last : last + _BLURRED + 1], value, alike).mean(axis=1) for image in images]
    begun = np.flatnonzero(np.minimum(*shares) >= _DIFFERS)
    return last + int(begun[0]) if begun.size else 0


def _find_beginning(image: Numbers, value: Numbers, alike: float) -> int:
    """Return the number of the first row in which a pixel differs from a value, or how many rows there are."""
    sampled = np.flatnonzero(_differ(image[:, ::_SAMPLED], value, alike).any(axis=1))
    if not sampled.size:
        return len(image)
    rows = np.flatnonzero(_differ(image[: sampled[0]], value, alike).any(axis=1))
    return int(rows[0] if rows.size else sampled[0])


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
