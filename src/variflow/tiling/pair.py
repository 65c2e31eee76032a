"""Two frames that are read window by window, and what all windows have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import find_known, mark_where_all
from variflow.base.brief import Brief
from variflow.base.errors import warn
from variflow.base.kinds import is_float
from variflow.base.types import ArrayLike, Numbers
from variflow.frames.checking import Images, check_order, check_range
from variflow.frames.intensity import (
    bring_together,
    check_fits,
    drop_outliers,
    find_constant,
    find_robust_range,
)
from variflow.frames.sampling import Sample, Samples, Valid, choose_step, take_usable
from variflow.images.windows import Window
from variflow.tiling.sources import Source, open_frame, open_mask

# A sample of a large frame is taken from so many patches in each direction, each of so many pixels in each direction.
# Frames of at most as many pixels are their own sample.
_PATCHES, _PATCH = 8, 128
# A frame is read through in windows of this many pixels in each direction.
_BLOCK = 1024

Ends = tuple[float, float]


class Unit(NamedTuple):
    """The common unit of intensity of all windows.

    Attributes
    ----------
    intensity_range : (low, high)
        The intensities that become 0 and 1.
    chosen : bool
        Whether the user gave that range.
    usable : two (least, most)
        Values of each frame that lie outside mark missing pixels.
    """

    intensity_range: Ends
    chosen: bool
    usable: tuple[Ends, Ends]


@dataclass(frozen=True, eq=False, repr=False)
class Pair(Brief):
    """Two frames that are read window by window.

    Attributes
    ----------
    sources : two Source
        The frames.
    masks : two Source
        Where their pixels are usable; None where all are.
    """

    sources: tuple[Source, Source]
    masks: tuple[Source | None, Source | None]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.sources[0].size

    @property
    def names(self) -> tuple[str, str]:
        """What errors and warnings call the frames."""
        return self.sources[0].name, self.sources[1].name

    def read(self, windows: tuple[Window, Window]) -> tuple[list[Numbers], list[Valid]]:
        """Return the pixels of a window of each frame, and which are usable; None where all are."""
        images: list[Numbers] = []
        valids: list[Valid] = []
        for source, mask, window in zip(self.sources, self.masks, windows, strict=True):
            pixels, valid = source.read(window)
            if mask is not None:
                marks = mask.read_marks(window)
                valid = marks if valid is None else valid & marks
            if is_float(pixels.dtype):
                valid = _restrict(valid, find_known(pixels))
            images.append(pixels)
            valids.append(None if valid is None or valid.all() else valid)
        return images, valids

    def read_images(self, windows: tuple[Window, Window], unit: Unit) -> Images:
        """Return a window of each frame, checked, in the common unit."""
        return self.make_images(*self.read(windows), unit)

    def make_images(self, images: list[Numbers], valids: list[Valid], unit: Unit) -> Images:
        """Return pixels of both frames, checked, in the common unit."""
        near = [_leave_out_far(*each) for each in zip(images, valids, unit.usable, strict=True)]
        return Images(images, near, [None, None], unit.intensity_range, unit.chosen, [], self.names)

    def read_sample(self) -> tuple[list[Numbers], list[Valid]]:
        """Return patches from all over both frames, one below the other, and which of their pixels are usable."""
        patches = [self.read((window, window)) for window in _list_patches(self.size)]
        images = [np.concatenate([images[number] for images, _ in patches]) for number in (0, 1)]
        valids: list[Valid] = []
        for number in (0, 1):
            parts = [_mark_usable(images[number], valids[number]) for images, valids in patches]
            joined: NDArray[np.bool_] = np.concatenate(parts)
            valids.append(None if joined.all() else joined)
        return images, valids

    def find_extremes(self, unit: Unit) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return the smallest and the largest usable value of each channel of each frame, from all windows."""
        channels = self.sources[0].channels
        found = [(np.full(channels, np.inf), np.full(channels, -np.inf)) for _ in self.sources]
        for window in self.list_blocks():
            images = self.read_images((window, window), unit)
            for (low, high), image, valid in zip(found, images.images, images.valids, strict=True):
                values = image.reshape(-1, channels) if valid is None else image[valid]
                if values.size:
                    np.minimum(low, values.min(axis=0), out=low)
                    np.maximum(high, values.max(axis=0), out=high)
        return found

    def list_blocks(self, side: int = _BLOCK) -> Iterator[Window]:
        """Return windows that cover the frames without overlap."""
        yield from list_tiles(self.size, side)


def list_tiles(shape: tuple[int, int], side: int) -> list[Window]:
    """Return the tiles of a frame, row by row: squares of that side, smaller at the right and at the bottom."""
    height, width = shape
    return [
        Window(top, left, min(top + side, height), min(left + side, width))
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]


def open_pair(frame0: ArrayLike, frame1: ArrayLike, mask: ArrayLike | None = None) -> Pair:
    """Open two frames of one shape, and one mask for both or a pair of them.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is wanted.
    """
    first, second = open_frame(frame0, "frame0"), open_frame(frame1, "frame1")
    check_order([first.axes, second.axes], (first.name, second.name))
    if first.shape != second.shape:
        raise ValueError(f"frame1 has shape {second.shape}, wanted that of frame0, {first.shape}")
    given = tuple(mask) if isinstance(mask, tuple | list) and len(mask) == 2 else (mask, mask)
    masks = [None if item is None else open_mask(item, first.size) for item in given]
    return Pair((first, second), (masks[0], masks[1]))


def find_unit(
    pair: Pair, images: list[Numbers], valids: list[Valid], intensity_range: tuple[float, float] | None
) -> Unit:
    """Return the common unit of all windows, from a sample of both frames.

    Raises
    ------
    ValueError
        If a sample has no usable pixel, or the frames are in two units.
    """
    wanted = None if intensity_range is None else check_range(intensity_range)
    for name, valid in zip(pair.names, valids, strict=True):
        if valid is not None and not valid.any():
            raise ValueError(f"{name} has no usable pixel in a sample: all are NaN, infinite or masked out")
    samples = Samples.of(images, valids)
    kept, remarks = drop_outliers(images, valids, samples, pair.names)
    usable = [_find_usable(*each) for each in zip(images, valids, kept, pair.names, strict=True)]
    if remarks:
        samples = Samples.of(images, kept)
    brought, said = images, list[str]()
    if all(find_constant(*each) is None for each in zip(images, kept, strict=True)):
        brought, _, said = bring_together(images, kept, samples, wanted, pair.names)
    if brought is not images:
        raise ValueError(f"{said[0].partition(': each was')[0]}; wanted both in one unit")
    for remark in said + ([] if wanted is None else check_fits(wanted, images, kept)):
        warn(remark)
    unit = Unit(wanted or (0.0, 0.0), wanted is not None, (usable[0], usable[1]))
    if wanted is None:
        low, high = find_robust_range(images, kept, _take_rows(pair, unit, samples))
        if low == high:  # the sample has missed the few other values, if there are any
            ends = pair.find_extremes(unit)
            low, high = min(float(least.min()) for least, _ in ends), max(float(most.max()) for _, most in ends)
        unit = unit._replace(intensity_range=(low, high))
    return unit


def _take_rows(pair: Pair, unit: Unit, samples: Samples) -> Samples:
    """Return samples whose rows are those that a sample of the whole frames has; so both give the same range."""
    height, width = pair.size
    if _is_own_sample(pair.size):
        return samples
    parts = []
    for top in range(0, height, choose_step(height, width)):
        row = Window(top, 0, top + 1, width)
        images = pair.read_images((row, row), unit)
        parts += [take_usable(image, valid) for image, valid in zip(images.images, images.valids, strict=True)]
    rows = np.concatenate(parts)
    return samples._replace(rows=Sample.of(rows), all_told=False) if rows.size else samples


def _find_usable(image: Numbers, valid: Valid, kept: Valid, name: str) -> Ends:
    """Return the values between which a frame is usable, given which pixels of a sample were and which were kept."""
    if kept is valid or kept is None:
        return -np.inf, np.inf
    values = image[kept]
    low, high = float(values.min()), float(values.max())
    dropped = image[~kept if valid is None else valid & ~kept].astype(np.float64)
    below, above = dropped[dropped < low], dropped[dropped > high]
    warn(
        f"{name} has pixels far outside the range of the others, {low:g} to {high:g} "
        f"(such as {(below if below.size else above)[0]:g}): taken as missing; mask= says which pixels are usable"
    )
    with np.errstate(over="ignore"):
        least = float(low / 2 + below.max() / 2) if below.size else -np.inf
        most = float(high / 2 + above.min() / 2) if above.size else np.inf
    return least, most


def _leave_out_far(image: Numbers, valid: Valid, usable: Ends) -> Valid:
    """Return which pixels are usable, without those whose values mark missing ones."""
    least, most = usable
    if (least, most) == (-np.inf, np.inf):
        return valid
    with np.errstate(invalid="ignore"):
        near = _restrict(valid, mark_where_all((image >= least) & (image <= most)))
    return None if near is None or near.all() else near


def _mark_usable(image: Numbers, valid: Valid) -> NDArray[np.bool_]:
    return np.ones(image.shape[:2], bool) if valid is None else valid


def _restrict(valid: Valid, more: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return more if valid is None else valid & more


def _list_patches(size: tuple[int, int]) -> list[Window]:
    height, width = size
    if _is_own_sample(size):
        return [Window(0, 0, height, width)]
    rows, columns = (_place_patches(length) for length in size)
    side = min(_PATCH, height), min(_PATCH, width)
    return [Window(top, left, top + side[0], left + side[1]) for top in rows for left in columns]


def _is_own_sample(size: tuple[int, int]) -> bool:
    return math.prod(size) <= (_PATCHES * _PATCH) ** 2


def _place_patches(length: int) -> list[int]:
    """Return where patches begin along an axis, spread evenly."""
    count = min(_PATCHES, max(1, length // _PATCH))
    room = length - min(_PATCH, length)
    return [int((number + 0.5) * room / count) for number in range(count)]
