"""Prepare the frames: any dtype, range and layout, with missing pixels, become float32 planes in a common unit.

Both frames are mapped together to [0, 1] by their joint robust range, so the unit of intensity never matters. A
pixel that is masked out or not finite in any channel is missing: it is filled in smoothly, so that filters near it see
nothing strange, and marked, so that it exerts no force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.arrays import as_image, both_masks, both_weights
from variflow.brief import Brief
from variflow.caching import cached_property
from variflow.errors import warn
from variflow.intensity import in_one_unit
from variflow.light import Light
from variflow.resampling import Planes, resample, smooth

# The normalised intensities are rounded to this grid, a sixteenth of a 16-bit step. Then frames that differ only by
# the rounding of a change of unit become the same frames, bit for bit, and so do their flows.
_GRID = 2.0**20

# Missing pixels are filled by the average over a Gaussian of so many pixels; a larger one counts as so much of it.
_BESIDE, _SHARE_AROUND = 0.8, 0.01

# The luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


# What happens to the intensities of a channel before they are normalised.
_Tone = Callable[[Any, int], NDArray[np.float64]]


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
        Of what each pixel of a coarse level covers, the share that is known.
    """

    planes: Planes
    valid: NDArray[np.bool_]
    weights: NDArray[np.float32]
    share: Planes | None = None

    @classmethod
    def whole(cls, planes: Planes) -> Frame:
        """Return a frame of which every pixel is usable and counts 1."""
        height, width = planes.shape[1:]
        frame = cls(planes, *_everywhere(height, width))
        frame.__dict__["complete"] = True
        return frame

    @property
    def known(self) -> Planes:
        """The share of each pixel that is known, (H, W)."""
        return self.valid.astype(np.float32) if self.share is None else self.share

    @cached_property
    def complete(self) -> bool:
        """Whether every pixel is usable and counts 1."""
        return bool(self.valid.all() and (self.weights == 1).all())


@lru_cache(maxsize=64)
def _everywhere(height: int, width: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return that every pixel is usable, and counts 1, without memory for each."""
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


@dataclass(frozen=True, eq=False, repr=False)
class Images(Brief):
    """Two frames as they came, checked.

    Attributes
    ----------
    images : two (H, W, C) arrays
    valids : two (H, W) bool arrays
        Where a pixel is usable; None where all are.
    weights : two (H, W) float32 arrays
        How much it counts; None where all count 1.
    intensity_range : (low, high)
        The intensities that become 0 and 1.
    chosen : bool
        Whether a person said that range.
    remarks : list of str
        What was wrong with the frames, and what was done about it; a person was told.
    names : pair of str
        What errors and warnings call the frames.
    """

    images: list[NDArray[Any]]
    valids: list[NDArray[np.bool_] | None]
    weights: list[NDArray[np.float32] | None]
    intensity_range: tuple[float, float]
    chosen: bool
    remarks: list[str]
    names: tuple[str, str]

    def swapped(self) -> Images:
        """Return the same with the second frame first."""
        return replace(
            self,
            images=self.images[::-1],
            valids=self.valids[::-1],
            weights=self.weights[::-1],
            names=self.names[::-1],
        )

    def prepared(
        self, channels: Literal["all", "gray"] = "all", light: Light | None = None, first: Frame | None = None
    ) -> Frames:
        """Bring the frames to a common unit; where their light differs, as it shows them.

        `first` is the first frame in that unit, if it is known already.
        """
        low, high = self.intensity_range
        tones: list[_Tone | None] = [None, None]
        if light is not None:
            tones = [light.on_first, light.on_second]
            least, most = float(light.low.min()), float(light.high.max())
            if not self.chosen and max(low, least) < min(high, most):
                low, high = max(low, least), min(high, most)
        to_gray = channels == "gray"

        def frame(index: int) -> Frame:
            planes = _normalised(self.images[index], (low, high), to_gray, tones[index])
            return _frame(planes, self.valids[index], self.weights[index])

        first, second = first or frame(0), frame(1)

        def colors() -> Planes:
            if not to_gray and light is None:
                return first.planes
            return _frame(_normalised(self.images[0], self.intensity_range), self.valids[0], None).planes

        return Frames(first, second, colors)


def prepare(
    frame0: Any,
    frame1: Any,
    mask: Any = None,
    weights: Any = None,
    intensity_range: tuple[float, float] | None = None,
    channels: Literal["all", "gray"] = "all",
) -> Frames:
    """Check both frames and bring them to a common unit: `checked` and `Images.prepared` in one."""
    return checked(frame0, frame1, mask, weights, intensity_range).prepared(channels)


def checked(
    frame0: Any,
    frame1: Any,
    mask: Any = None,
    weights: Any = None,
    intensity_range: tuple[float, float] | None = None,
) -> Images:
    """Check both frames and what is said of their pixels.

    Parameters
    ----------
    frame0, frame1 : array
        ``(H, W)`` or ``(H, W, C)`` with at most 16 channels, any real type, NaN or infinite where missing.
    mask : array or pair of arrays, optional
        ``(H, W)``, True where a pixel is usable; one for both frames, or a pair.
    weights : array or pair of arrays, optional
        ``(H, W)``, from 0 to a million; one for the first frame, or a pair for both.
    intensity_range : (low, high), optional
        The intensities that become 0 and 1; by default the joint robust range (see `robust_range`).

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is wanted.
    """
    first, second = as_image(frame0, "frame0"), as_image(frame1, "frame1")
    names = first.name, second.name
    if first.pixels.shape != second.pixels.shape:
        raise ValueError(f"{names[1]} has shape {second.shape}, wanted that of {names[0]}, {first.shape}")
    shape = first.shape[:2]
    images = [first.pixels, second.pixels]
    usable = list(map(_and, both_masks(mask, shape), (first.known, second.known)))
    valids = [_valid(*arguments) for arguments in zip(images, usable, names, strict=True)]
    wanted = None if intensity_range is None else checked_range(intensity_range)
    images, valids, unit, remarks = in_one_unit(images, valids, wanted, names)
    for remark in remarks:
        warn(remark)
    counts = both_weights(weights, shape)
    singles = [None if array is None else array.astype(np.float32) for array in counts]
    return Images(images, valids, singles, unit, wanted is not None, remarks, names)


def _and(first: NDArray[np.bool_] | None, second: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _valid(image: NDArray[Any], usable: NDArray[Any] | None, name: str) -> NDArray[np.bool_] | None:
    """Return which pixels can be used, (H, W), or None if all can."""
    valid = None if usable is None else usable.astype(bool)
    if image.dtype.kind == "f":
        finite = np.isfinite(image)
        if not finite.all():
            valid = finite.all(axis=2) if valid is None else valid & finite.all(axis=2)
    if valid is not None and not valid.any():
        raise ValueError(f"{name} has no usable pixel: all are NaN, infinite or masked out")
    return None if valid is None or valid.all() else valid


def _frame(planes: Planes, valid: NDArray[np.bool_] | None, weights: NDArray[np.float32] | None) -> Frame:
    """Return a frame with its missing pixels filled."""
    if valid is None and weights is None:
        return Frame.whole(planes)
    valid = np.ones(planes.shape[1:], bool) if valid is None else valid
    weights = np.ones(planes.shape[1:], np.float32) if weights is None else weights
    return Frame(fill_frame(planes, valid), valid, weights)


def fill_missing(planes: Planes, valid: NDArray[np.bool_]) -> Planes:
    """Fill the missing pixels of planes ``(C, H, W)`` smoothly from the valid ones around them.

    Averages over ever larger blocks, weighted by validity, are built until none is empty; each missing pixel takes the
    finest average that knows it, interpolated bilinearly (the pull-push of Gortler et al., The Lumigraph, 1996). Where
    nothing is valid, nothing is filled.
    """
    if valid.all() or not valid.any():
        return planes
    known = np.where(valid, planes, np.float32(0))
    height, width = valid.shape
    rows, columns = np.arange(0, height, 2), np.arange(0, width, 2)
    count = np.add.reduceat(np.add.reduceat(valid.astype(np.float32), rows, 0), columns, 1)
    total = np.add.reduceat(np.add.reduceat(known, rows, 1), columns, 2)
    average = (total / np.maximum(count, 1)).astype(np.float32, copy=False)
    coarse = fill_missing(average, count > 0)
    return np.where(valid, planes, resample(coarse, (height, width), kernel="linear"))


def fill_frame(planes: Planes, valid: NDArray[np.bool_]) -> Planes:
    """Fill the missing pixels of a frame, as `fill_missing` does; but beside valid pixels by the average of these.

    Blocks may have what they know on one side, and a frame with every second row filled from them seems to have moved.
    """
    around = fill_missing(planes, valid)
    if around is planes:
        return planes
    beside, share = (
        smooth(np.where(valid, planes, np.float32(0)), _BESIDE),
        smooth(valid[None].astype(np.float32), _BESIDE),
    )
    return np.where(valid, planes, (beside + _SHARE_AROUND * around) / (share + _SHARE_AROUND))


def checked_range(intensity_range: tuple[float, float]) -> tuple[float, float]:
    """Return what is to become 0 and 1 as floats; raise ValueError if that is no range."""
    try:
        low, high = (float(bound) for bound in intensity_range)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"intensity_range is {intensity_range!r:.200}, wanted a pair (low, high)") from None
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"intensity_range is ({low}, {high}), wanted finite numbers with low < high")
    return low, high


def _normalised(
    image: NDArray[Any], unit: tuple[float, float], to_gray: bool = False, tone: _Tone | None = None
) -> Planes:
    """Map the unit, (low, high), to [0, 1] in double precision and round to the grid; a constant image becomes zero.

    A tone is applied to the intensities of each channel first.

    In gray, three channels (RGB) become their luma, others their mean.
    """
    channels = image.shape[2]
    if image.dtype == np.uint8:
        tables = _byte_tables(unit, channels, to_gray, tone) if tone else _plain_byte_tables(unit, channels, to_gray)
        return _core.look_up(np.ascontiguousarray(image), tables, to_gray)
    shares = _shares(channels, to_gray)
    planes = np.stack([_in_unit(image[:, :, channel], unit, channel, shares, tone) for channel in range(channels)])
    if not to_gray:
        return planes
    gray = planes[:1]
    for channel in range(1, channels):  # in the order of the core
        gray = gray + planes[channel]
    return gray


def _shares(channels: int, to_gray: bool) -> tuple[float, ...]:
    if not to_gray:
        return (1.0,) * channels
    return _LUMA if channels == 3 else (1 / channels,) * channels


def _in_unit(
    values: NDArray[Any], unit: tuple[float, float], channel: int, shares: tuple[float, ...], tone: _Tone | None
) -> NDArray[np.float32]:
    low, high = unit
    scale = _GRID / (high - low) if high > low else 0.0
    with np.errstate(invalid="ignore", over="ignore"):  # missing pixels; they are filled in afterwards
        intensities = values.astype(np.float64) if tone is None else tone(values, channel)
        value = np.rint((intensities - low) * scale) / _GRID
        return value.astype(np.float32) * np.float32(shares[channel])


def _byte_tables(unit: tuple[float, float], channels: int, to_gray: bool, tone: _Tone | None = None) -> Planes:
    """Return what each byte becomes in each channel, (C, 256)."""
    shares = _shares(channels, to_gray)
    return np.stack([_in_unit(np.arange(256), unit, channel, shares, tone) for channel in range(channels)])


_plain_byte_tables = lru_cache(maxsize=16)(_byte_tables)
