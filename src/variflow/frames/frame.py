"""A prepared frame: float32 planes in a common unit, finite everywhere, and which pixels are usable.

Both frames are mapped together to [0, 1] by their joint robust range, so the unit of intensity never matters. A pixel
is missing if it is masked out, or not finite in any channel. It is filled in smoothly, so that filters near it see
nothing strange, and it is marked, so that it does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.caching import cached_property
from variflow.base.types import Numbers
from variflow.images.filling import fill_missing
from variflow.images.resampling import Planes, smooth

# The normalised intensities are rounded to this grid, a sixteenth of a 16-bit step. Two pairs that differ only by the
# rounding of a change of unit then become the same to the last bit, and so do their flows.
_GRID = 2.0**20

# Beside valid pixels, a missing pixel takes their average under a Gaussian of `_BESIDE` pixels. The fill from farther
# away counts with the weight `_SHARE_AROUND`.
_BESIDE, _SHARE_AROUND = 0.8, 0.01

# The luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)

# A function of the intensities of a channel that is applied before they are normalised.
Tone = Callable[[Numbers, int], NDArray[np.float64]]


@dataclass(frozen=True, eq=False, repr=False)
class Frame(Brief):
    """One prepared frame.

    Attributes
    ----------
    planes : (C, H, W) float32
        Normalised intensities, mostly in [0, 1], finite everywhere.
    valid : (H, W) bool
        False where the pixel is masked out or missing.
    weights : (H, W) float32
        How much each pixel counts in the data term, at least 0.
    share : (H, W) float32, optional
        The known share of the area that each pixel of a coarse level covers.
    is_whole : bool
        True if every pixel is known to be usable and to count 1; False if that has not been checked.
    """

    planes: Planes
    valid: NDArray[np.bool_]
    weights: NDArray[np.float32]
    share: Planes | None = None
    is_whole: bool = False

    @classmethod
    def whole(cls, planes: Planes) -> Frame:
        """Return a frame whose pixels are all usable and count 1."""
        height, width = planes.shape[1:]
        return cls(planes, *_make_ones(height, width), is_whole=True)

    @property
    def known(self) -> Planes:
        """The share of each pixel that is known, (H, W)."""
        return self.valid.astype(np.float32) if self.share is None else self.share

    @cached_property
    def complete(self) -> bool:
        """Whether every pixel is usable and counts 1."""
        return self.is_whole or bool(self.valid.all() and (self.weights == 1).all())

    @cached_property
    def usable(self) -> Planes | None:
        """1 where the pixel is usable, else 0, (H, W); None if all are."""
        return None if self.is_whole or self.valid.all() else self.valid.astype(np.float32)

    @cached_property
    def counts(self) -> Planes | None:
        """How much the pixel counts, 0 where it is not usable, (H, W); None if all count 1."""
        return None if self.complete else self.weights * self.valid


@lru_cache(maxsize=64)
def _make_ones(height: int, width: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return a mask of True and weights of 1; each stores a single value for all pixels."""
    return np.broadcast_to(np.True_, (height, width)), np.broadcast_to(np.float32(1), (height, width))


class Frames(NamedTuple):
    """Both prepared frames.

    Attributes
    ----------
    first, second : Frame
        What data terms see.
    colors : callable
        ``colors()`` is the first frame with all its channels, (C', H, W).
    """

    first: Frame
    second: Frame
    colors: Callable[[], Planes]


def make_frame(planes: Planes, valid: NDArray[np.bool_] | None, weights: NDArray[np.float32] | None) -> Frame:
    """Return a frame with its missing pixels filled."""
    if valid is None and weights is None:
        return Frame.whole(planes)
    valid = np.ones(planes.shape[1:], bool) if valid is None else valid
    weights = np.ones(planes.shape[1:], np.float32) if weights is None else weights
    return Frame(fill_frame(planes, valid), valid, weights)


def fill_frame(planes: Planes, valid: NDArray[np.bool_]) -> Planes:
    """Fill the missing pixels of a frame as `fill_missing` does, but beside valid pixels with their average.

    `fill_missing` averages over blocks, whose valid pixels may lie on one side only. If every second row were filled
    that way, the frame would seem to have moved.
    """
    filled = fill_missing(planes, valid)
    if filled is planes:
        return planes
    filled *= np.float32(_SHARE_AROUND)  # from here on in place, as frames are large
    filled += smooth(np.where(valid, planes, np.float32(0)), _BESIDE)
    filled /= smooth(valid[None].astype(np.float32), _BESIDE) + np.float32(_SHARE_AROUND)
    np.copyto(filled, planes, where=valid)
    return filled


def normalise(image: Numbers, unit: tuple[float, float], to_gray: bool = False, tone: Tone | None = None) -> Planes:
    """Map the unit, (low, high), to [0, 1] in double precision and round to the grid; a constant image becomes zero.

    A `tone` is applied to the intensities of each channel first. With `to_gray`, three channels (RGB) become their
    luma, and any other number of channels their mean.
    """
    channels = image.shape[2]
    if image.dtype == np.uint8:
        tables = (
            _make_byte_tables(unit, channels, to_gray, tone)
            if tone
            else _make_plain_byte_tables(unit, channels, to_gray)
        )
        return _core.look_up(np.ascontiguousarray(image), tables, to_gray)
    shares = _weigh_channels(channels, to_gray)
    planes = np.stack(
        [_bring_to_unit(image[:, :, channel], unit, channel, shares, tone) for channel in range(channels)]
    )
    if not to_gray:
        return planes
    gray = planes[:1]
    for channel in range(1, channels):  # in the same order as in the core, so that the rounding is the same
        gray = gray + planes[channel]
    return gray


def _weigh_channels(channels: int, to_gray: bool) -> tuple[float, ...]:
    if not to_gray:
        return (1.0,) * channels
    return _LUMA if channels == 3 else (1 / channels,) * channels


def _bring_to_unit(
    values: Numbers, unit: tuple[float, float], channel: int, shares: tuple[float, ...], tone: Tone | None
) -> NDArray[np.float32]:
    low, high = unit
    scale = _GRID / (high - low) if high > low else 0.0
    with np.errstate(invalid="ignore", over="ignore"):  # from missing pixels, which are filled in later
        intensities = values.astype(np.float64) if tone is None else tone(values, channel)
        value = np.rint((intensities - low) * scale) / _GRID
        return value.astype(np.float32) * np.float32(shares[channel])


def _make_byte_tables(unit: tuple[float, float], channels: int, to_gray: bool, tone: Tone | None = None) -> Planes:
    """Return what each byte becomes in each channel, (C, 256)."""
    shares = _weigh_channels(channels, to_gray)
    return np.stack([_bring_to_unit(np.arange(256), unit, channel, shares, tone) for channel in range(channels)])


_make_plain_byte_tables = lru_cache(maxsize=16)(_make_byte_tables)
