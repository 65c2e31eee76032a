"""Prepare the frames: any dtype, range and layout, with missing pixels, become float32 planes in a common unit.

Both frames are mapped together to [0, 1] by their joint robust range, so the unit of intensity never matters. A
pixel that is masked out or not finite in any channel is missing: it is filled in smoothly, so that filters near it see
nothing strange, and marked, so that it exerts no force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.resampling import Planes, resample

MOST_CHANNELS = 16

# The normalised intensities are rounded to this grid, a sixteenth of a 16-bit step. Then frames that differ only by
# the rounding of a change of unit become the same frames, bit for bit, and so do their flows.
_GRID = 2.0**20

# A percentile needs no more than this.
_PIXELS_FOR_RANGE = 100_000

# The luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Frame:
    """One prepared frame.

    Attributes
    ----------
    planes : (C, H, W) float32
        Normalised intensities, mostly in [0, 1], finite everywhere.
    valid : (H, W) bool
        False where the pixel is masked out or missing.
    weights : (H, W) float32
        How much each pixel counts in the data term, at least 0.
    """

    planes: Planes
    valid: NDArray[np.bool_]
    weights: NDArray[np.float32]

    @classmethod
    def whole(cls, planes: Planes) -> Frame:
        """Return a frame of which every pixel is usable and counts 1."""
        shape = planes.shape[1:]
        frame = cls(planes, np.broadcast_to(np.True_, shape), np.broadcast_to(np.float32(1), shape))
        frame.__dict__["complete"] = True
        return frame

    @cached_property
    def complete(self) -> bool:
        """Whether every pixel is usable and counts 1."""
        return bool(self.valid.all() and (self.weights == 1).all())


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


def prepare(
    frame0: Any,
    frame1: Any,
    mask: Any = None,
    weights: Any = None,
    intensity_range: tuple[float, float] | None = None,
    channels: Literal["all", "gray"] = "all",
) -> Frames:
    """Check both frames and bring them to a common unit.

    Parameters
    ----------
    frame0, frame1 : array
        ``(H, W)`` or ``(H, W, C)`` with at most 16 channels, any real type, NaN or infinite where missing.
    mask : array or pair of arrays, optional
        ``(H, W)``, True where a pixel is usable; for the first frame, or a pair for both.
    weights : array or pair of arrays, optional
        ``(H, W)``, finite and at least 0; for the first frame, or a pair for both.
    intensity_range : (low, high), optional
        The intensities that become 0 and 1; by default the joint robust range (see `robust_range`).
    channels : {"all", "gray"}
        What data terms see.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is wanted.
    """
    images = [_image(frame0, "frame0"), _image(frame1, "frame1")]
    if images[0].shape != images[1].shape:
        raise ValueError(f"frame1 has shape {np.shape(frame1)}, wanted that of frame0, {np.shape(frame0)}")
    shape = images[0].shape[:2]
    valids = []
    for name, image, usable in zip(("frame0", "frame1"), images, _pair(mask, "mask", shape), strict=True):
        valid = np.isfinite(image).all(axis=2) if image.dtype.kind == "f" else np.ones(shape, bool)
        if usable is not None:
            if usable.dtype.kind not in "bui":
                raise TypeError(f"mask has dtype {usable.dtype}, wanted bool: True where a pixel is usable")
            valid &= usable.astype(bool)
        if not valid.any():
            raise ValueError(f"{name} has no usable pixel: all are NaN, infinite or masked out")
        valids.append(valid)
    low, high = _checked_range(intensity_range) if intensity_range is not None else robust_range(images, valids)
    to_gray = channels == "gray"
    first, second = (
        Frame(fill_missing(_normalised(image, low, high, to_gray), valid), valid, weight)
        for image, valid, weight in zip(images, valids, _weights(weights, shape), strict=True)
    )

    def colors() -> Planes:
        return fill_missing(_normalised(images[0], low, high), valids[0]) if to_gray else first.planes

    return Frames(first, second, colors)


def robust_range(images: list[NDArray[Any]], valids: list[NDArray[np.bool_]]) -> tuple[float, float]:
    """Return the 0.1 and 99.9 percentile of all valid intensities of both frames, taken outwards.

    Outwards means that each is an intensity that occurs, the next one out, so small frames use minimum and maximum.
    Of large frames every so many rows are looked at, all told about 100000 pixels of each.
    """
    step = max(1, valids[0].size // _PIXELS_FOR_RANGE)
    used = [
        (image[::step] if valid.all() else image[::step][valid[::step]]).ravel()
        for image, valid in zip(images, valids, strict=True)
    ]
    if not all(part.size for part in used):  # the usable pixels lie between the rows
        used = [image[valid].ravel() for image, valid in zip(images, valids, strict=True)]
    below = int(np.floor(0.001 * (sum(part.size for part in used) - 1)))
    if all(part.dtype == np.uint8 for part in used):  # by far the most common, and counting is faster than ordering
        counts = np.cumsum(sum(np.array(_core.histogram(part)) for part in used))
        low, high = np.searchsorted(counts, (below, counts[-1] - below - 1), side="right").astype(float)
    else:
        intensities = np.concatenate(used)
        above = intensities.size - 1 - below
        ordered = np.partition(intensities, (below, above))
        low, high = float(ordered[below]), float(ordered[above])
    if low == high:  # nearly everything is the same: whatever stands out is all there is to see
        low, high = float(min(part.min() for part in used)), float(max(part.max() for part in used))
    if not high - low < np.inf:
        raise ValueError(f"frame0 and frame1 hold intensities from {low:g} to {high:g}, wanted a range that is finite")
    return low, high


def fill_missing(planes: Planes, valid: NDArray[np.bool_]) -> Planes:
    """Fill the missing pixels of planes ``(C, H, W)`` smoothly from the valid ones around them.

    Averages over ever larger blocks, weighted by validity, are built until none is empty; each missing pixel takes the
    finest average that knows it, interpolated bilinearly (the pull-push of Gortler et al., The Lumigraph, 1996).
    """
    if valid.all():
        return planes
    known = np.where(valid, planes, np.float32(0))
    height, width = valid.shape
    rows, columns = np.arange(0, height, 2), np.arange(0, width, 2)
    count = np.add.reduceat(np.add.reduceat(valid.astype(np.float32), rows, 0), columns, 1)
    total = np.add.reduceat(np.add.reduceat(known, rows, 1), columns, 2)
    average = (total / np.maximum(count, 1)).astype(np.float32, copy=False)
    coarse = fill_missing(average, count > 0)
    return np.where(valid, planes, resample(coarse, (height, width), kernel="linear"))


def _image(frame: Any, name: str) -> NDArray[Any]:
    """Return the frame as a real array (H, W, C)."""
    try:
        only_dlpack = hasattr(frame, "__dlpack__") and not hasattr(frame, "__array__")
        image = np.from_dlpack(frame) if only_dlpack else np.asarray(frame)
    except Exception as error:
        raise TypeError(f"{name} is a {type(frame).__name__} that NumPy cannot read as an array: {error}") from error
    if image.dtype.kind not in "buif":
        raise TypeError(f"{name} has dtype {image.dtype}, wanted real numbers (bool, integer or float)")
    if image.size == 0:
        raise ValueError(f"{name} is empty: its shape is {image.shape}")
    if image.ndim == 2:
        return image[:, :, None]
    if image.ndim == 3 and image.shape[2] <= MOST_CHANNELS:
        return image
    wanted = f"wanted (H, W), or (H, W, C) with at most {MOST_CHANNELS} channels"
    if image.ndim in (3, 4):
        raise ValueError(f"{name} has shape {image.shape}, {wanted}; volumes are not supported")
    raise ValueError(f"{name} has shape {image.shape}, {wanted}")


def _pair(value: Any, name: str, shape: tuple[int, ...]) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Return one array (for the first frame) or a pair of arrays (for both) as a checked pair."""
    values = tuple(value) if isinstance(value, tuple | list) and len(value) == 2 else (value, None)
    arrays = []
    for item in values:
        array = None if item is None else np.asarray(item)
        if array is not None and array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, wanted {shape}, the frames' size, or a pair of such")
        arrays.append(array)
    return arrays[0], arrays[1]


def _weights(weights: Any, shape: tuple[int, ...]) -> list[NDArray[np.float32]]:
    checked = []
    for array in _pair(weights, "weights", shape):
        if array is None:
            checked.append(np.ones(shape, np.float32))
            continue
        if array.dtype.kind not in "buif":
            raise TypeError(f"weights has dtype {array.dtype}, wanted real numbers")
        if not np.isfinite(array).all() or array.min() < 0:
            raise ValueError("weights has values that are negative, NaN or infinite, wanted finite ones of at least 0")
        checked.append(array.astype(np.float32))
    return checked


def _checked_range(intensity_range: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in intensity_range)
    except (TypeError, ValueError):
        raise ValueError(f"intensity_range is {intensity_range!r}, wanted a pair (low, high)") from None
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"intensity_range is ({low}, {high}), wanted finite numbers with low < high")
    return low, high


def _normalised(image: NDArray[Any], low: float, high: float, to_gray: bool = False) -> Planes:
    """Map [low, high] to [0, 1] in double precision and round to the grid; a constant image becomes zero.

    In gray, three channels (RGB) become their luma, others their mean.
    """
    channels = image.shape[2]
    scale = _GRID / (high - low) if high > low else 0.0
    shares = np.array((_LUMA if channels == 3 else (1 / channels,) * channels) if to_gray else (1.0,) * channels)

    def normalised(values: NDArray[Any], share: float) -> NDArray[np.float32]:
        with np.errstate(invalid="ignore", over="ignore"):  # missing pixels; they are filled in afterwards
            value = np.rint((values.astype(np.float64) - low) * scale) / _GRID
        return value.astype(np.float32) * np.float32(share)

    if image.dtype == np.uint8:
        tables = np.stack([normalised(np.arange(256), share) for share in shares])
        return _core.look_up(np.ascontiguousarray(image), tables, to_gray)
    planes = np.stack([normalised(image[:, :, channel], share) for channel, share in enumerate(shares)])
    if not to_gray:
        return planes
    gray = planes[:1]
    for channel in range(1, channels):  # in the order of the core
        gray = gray + planes[channel]
    return gray
