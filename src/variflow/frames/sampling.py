"""Sample intensities, so that percentiles of large frames take next to no time and no pattern misleads them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.types import Numbers

Valid = NDArray[np.bool_] | None
Range = tuple[float, float]

# A percentile needs no more pixels than the first number, and fewer than the second are not enough.
_PIXELS_FOR_RANGE, _FEWEST = 25_000, 1_000

# A value farther from the others than this many times their range is no intensity. Even the stars of a night sky lie
# nearer, where the range is that of the noise. With this number the other values still differ in single precision, and
# squares are finite.
FAR = 5_000
# Where no other value is below zero, this many times their range below zero is enough: fill values are often negative.
FAR_BELOW_ZERO = 10
# A nearer value can still mark missing pixels, if no picture has such a value and many pixels have exactly this one. It
# may lie below zero where no other value does, far enough that the others would keep only a third of the contrast. Or
# it may lie above the others, if it is a usual mark (the end of a type, or all nines) and the gap is wider than any in
# a picture of bytes.
_MARK_BELOW_ZERO, _MARK_ABOVE = 2, 16
_MARKS_ABOVE = (999, 9_999, 99_999, 999_999, 32_767, 65_504, 65_535)
_MOST_MARKS_BELOW, _VALUES_OF_A_PICTURE = 3, 16
# The values of bytes.
_BYTES = np.arange(256.0)
# Intensities no farther apart than this are noise or rounding errors, if there are others above them in the usual
# range: those are the picture.
_DUST, _USUAL = 1e-2, (0.0, 65_535.0)


@dataclass(frozen=True, eq=False, repr=False)
class Sample(Brief):
    """Some intensities of a frame, or of both.

    Attributes
    ----------
    values : (N,) float64
        In ascending order. Of bytes, some may not occur.
    upto : (N,) int64
        The number of pixels up to and including each value.
    """

    values: NDArray[np.float64]
    upto: NDArray[np.int64]

    @classmethod
    def of(cls, values: Numbers) -> Sample:
        """Return a sample of these values."""
        if values.dtype == np.uint8:
            counts = np.bincount(values.ravel())
            (occurring,) = np.nonzero(counts)
            return cls(occurring.astype(np.float64), np.cumsum(counts[occurring]))
        with np.errstate(over="ignore"):
            return cls(np.sort(values.astype(np.float64), axis=None), np.arange(1, values.size + 1))

    def join(self, other: Sample) -> Sample:
        """Return the sample that holds this one and another."""
        values = np.concatenate([self.values, other.values])
        if values.size == self.upto[-1] + other.upto[-1]:  # each occurs once
            return Sample.of(values)
        order = np.argsort(values)
        return Sample(values[order], np.cumsum(np.concatenate([self._counts, other._counts])[order]))

    @property
    def _counts(self) -> NDArray[np.int64]:
        return np.diff(self.upto, prepend=0)

    def find_range(self, outside: float) -> Range:
        """Return the values below and above which this share lies, rounded outwards so that both occur."""
        last = int(self.upto[-1]) - 1
        below = int(outside * last)
        low, high = self.values[self.upto.searchsorted((below, last - below), side="right")]
        return float(low), float(high)

    def find_ends(self, outside: tuple[float, ...]) -> NDArray[np.float64]:
        """Return, for each of these shares, the values below and above which it lies, (N, 2)."""
        last = self.upto[-1] - 1
        below = [int(part * last) for part in outside]
        ranks = [rank for number in below for rank in (number, last - number)]
        return self.values[self.upto.searchsorted(ranks, side="right")].reshape(-1, 2)

    def find_bulk(self) -> Sample:
        """Return the sample without values too far from the others to be intensities.

        It starts with the shortest range that holds half of the different values. Values are added on both sides, one
        by one, until a gap is too wide compared with the range so far (see `FAR`).
        """
        values = np.unique(self.values)
        half = values.size // 2 + 1
        if half >= values.size:
            return self
        with np.errstate(over="ignore"):
            first = int(np.argmin(values[half - 1 :] - values[: values.size - half + 1]))
            last = first + half - 1
            gaps = np.diff(values)
            to_below_zero = (values[1:] >= 0) & (values[:-1] < 0)
            while True:
                extent = values[last] - values[first]
                far = gaps > FAR * extent
                upwards, downwards = (
                    far[last:],
                    (far | (to_below_zero & (gaps > FAR_BELOW_ZERO * extent)))[:first][::-1],
                )
                more = int(upwards.argmax()) if upwards.any() else upwards.size
                fewer = int(downwards.argmax()) if downwards.any() else downwards.size
                if more == fewer == 0:
                    break
                first, last = first - fewer, last + more
        others = np.concatenate([values[:first], values[last + 1 :]])
        if not others.size or is_dust((values[first], values[last]), others):
            return self
        return self.between(values[first], values[last])

    def between(self, low: float, high: float) -> Sample:
        """Return the sample without values outside a range."""
        return self._keep((self.values >= low) & (self.values <= high))

    def marks(self, outside: float) -> NDArray[np.float64]:
        """Return the values that seem to mark missing pixels.

        A mark above all others must have more than the share `outside` of the pixels.
        """
        begins = np.flatnonzero(np.append(True, self.values[1:] != self.values[:-1]))
        values, counts = self.values[begins], np.add.reduceat(self._counts, begins)
        below = int(np.searchsorted(values, 0))
        most = values[-1] if values[-1] in _MARKS_ABOVE and counts[-1] > outside * self.upto[-1] else np.inf
        marked = np.zeros(values.size, bool)
        marked[:below] = below <= _MOST_MARKS_BELOW and (counts[:below] > 1).all()
        marked |= values == most
        others = values[~marked]
        if others.size < _VALUES_OF_A_PICTURE:
            return values[:0]
        return values[marked & marks_missing(values, (others[0], others[-1]))]

    def without(self, values: NDArray[np.float64]) -> Sample:
        """Return the sample without some values."""
        return self._keep(~np.isin(self.values, values)) if values.size else self

    def _keep(self, kept: NDArray[np.bool_]) -> Sample:
        return self if kept.all() else Sample(self.values[kept], np.cumsum(self._counts[kept]))


def marks_missing(values: NDArray[np.float64], others: Range) -> NDArray[np.bool_]:
    """Return which values lie far enough from the range of the others to mark missing pixels."""
    low, high = others
    with np.errstate(over="ignore"):
        far_below = values < low - _MARK_BELOW_ZERO * (np.float64(high) - low)
        far_above = values > high + _MARK_ABOVE * (np.float64(high) - low)
    marks: NDArray[np.bool_] = ((low >= 0) & (values < 0) & far_below) | far_above
    return marks


def is_dust(bulk: Range, others: Numbers) -> bool:
    """Return whether the bulk of the values is only noise or rounding errors, and the others are the picture."""
    return bulk[1] - bulk[0] < _DUST and others.min() >= _USUAL[0] and others.max() <= _USUAL[1]


class Samples(NamedTuple):
    """Samples of two frames.

    Attributes
    ----------
    rows : Sample
        Every so many rows of both frames; all rows of small frames.
    scattered : two Sample
        Scattered pixels of each frame.
    together : Sample
        The scattered pixels of both frames.
    all_told : bool
        Whether both hold every usable pixel.
    """

    rows: Sample
    scattered: list[Sample]
    together: Sample
    all_told: bool

    @classmethod
    def of(cls, images: list[Numbers], valids: list[Valid]) -> Samples:
        """Take samples of the usable pixels of two frames."""
        height, width, channels = images[0].shape
        step = choose_step(height, width)
        places = _scatter(height, width, 1 if step == 1 else step * channels)
        if all(image.dtype == np.uint8 for image in images) and all(valid is None for valid in valids):
            # This is by far the most common case, and counting is faster than sorting.
            first, second = map(np.ascontiguousarray, images)
            # Where the rows are all rows, no pixels need be picked.
            picked = places[:1] if step == 1 else places
            counts = _core.byte_counts(first, second, step, picked)
            all_told = step == 1
            upto = counts.cumsum(axis=1)
            of_rows, picks = upto[:2], upto[:2] if all_told else upto[2:]
            in_rows = Sample(_BYTES, of_rows[0] + of_rows[1])
            together = in_rows if all_told else Sample(_BYTES, picks[0] + picks[1])
            return cls(in_rows, [Sample(_BYTES, each) for each in picks], together, all_told)
        parts = [
            image[np.divmod(places if valid is None else places[valid.reshape(-1)[places]], width)]
            for image, valid in zip(images, valids, strict=True)
        ]
        rows = [take_usable(image[::step], valid, step) for image, valid in zip(images, valids, strict=True)]
        # The usable pixels may be few, or lie between the rows.
        all_told = step == 1 or any(len(part) < _FEWEST for part in parts) or not all(part.size for part in rows)
        if all_told:
            rows = parts = [take_usable(image, valid) for image, valid in zip(images, valids, strict=True)]
        in_rows, scattered = Sample.of(np.concatenate(rows)), [Sample.of(part) for part in parts]
        return cls(in_rows, scattered, in_rows if all_told else scattered[0].join(scattered[1]), all_told)


def choose_step(height: int, width: int) -> int:
    """Return how many rows lie between two rows of a sample."""
    return max(1, height * width // _PIXELS_FOR_RANGE)


@lru_cache(maxsize=16)
def _scatter(height: int, width: int, every: int) -> NDArray[np.int32]:
    """Return one pixel of each run of `every` pixels, as indices counted row by row.

    It is drawn at random from the run. So every part of the frame is sampled, and no pattern of rows or columns is
    missed.
    """
    starts = np.arange(0, height * width, every)
    draws = np.random.default_rng(0).integers(0, np.minimum(every, height * width - starts))
    return (starts + draws).astype(np.int32)


def take_usable(image: Numbers, valid: Valid, step: int = 1) -> Numbers:
    """Return the usable intensities of rows that were taken at this step."""
    if valid is None:
        return image.ravel()
    # `image[valid]` gives the same, five times as slowly.
    return np.compress(valid[::step].ravel(), image.reshape(-1, image.shape[2]), axis=0).ravel()


def find_extremes(image: Numbers, valid: Valid) -> Range:
    """Return the smallest and the largest usable intensity."""
    values = image if valid is None else take_usable(image, valid)
    return float(values.min()), float(values.max())
