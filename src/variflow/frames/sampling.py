"""Samples of intensities: percentiles of frames of any size in next to no time, which no pattern deceives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief

Valid = NDArray[np.bool_] | None
Range = tuple[float, float]

# A percentile needs no more pixels than this, and fewer than this say little of it.
_PIXELS_FOR_RANGE, _FEWEST = 25_000, 1_000

# What lies farther from the others than this many times their range is no intensity: not even the stars of a night sky
# do, where the range is that of the noise. In single precision the others still differ, and squares are finite.
FAR = 5_000
# Where no other is below zero, so many times their range below it is enough: fill values are like that.
FAR_BELOW_ZERO = 10
# Nearer to the others, a value marks what is missing where a picture has none like it, and many pixels have just that
# one: below zero, where no other is, if the others would be left with a third of the contrast; above them, if it is one
# that is used so, at the end of a type or all nines, and the gap wider than any that a picture of bytes may have.
_MARK_BELOW_ZERO, _MARK_ABOVE = 2, 16
_MARKS_ABOVE = (999, 9_999, 99_999, 999_999, 32_767, 65_504, 65_535)
_MOST_MARKS_BELOW, _VALUES_OF_A_PICTURE = 3, 16
# Intensities as far apart as this are noise, or rounding errors, and usual intensities above them are what there is to
# see.
_DUST, _USUAL = 1e-2, (0.0, 65_535.0)


@dataclass(frozen=True, eq=False, repr=False)
class Sample(Brief):
    """Some intensities of a frame, or of both.

    Attributes
    ----------
    values : (N,) float64
        In ascending order.
    upto : (N,) int64
        How many there are up to each of them.
    """

    values: NDArray[np.float64]
    upto: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Sample:
        """Return a sample of these values."""
        with np.errstate(over="ignore"):
            return cls(np.sort(values.astype(np.float64), axis=None), np.arange(1, values.size + 1))

    @classmethod
    def of_bytes(cls, counts: NDArray[np.int64]) -> Sample:
        """Return a sample of bytes of which each occurs so often."""
        (values,) = np.nonzero(counts)
        return cls(values.astype(np.float64), np.cumsum(counts[values]))

    def joined(self, other: Sample) -> Sample:
        """Return the sample that holds this one and another."""
        values = np.concatenate([self.values, other.values])
        if values.size == self.upto[-1] + other.upto[-1]:  # each is there once
            return Sample.of(values)
        order = np.argsort(values)
        return Sample(values[order], np.cumsum(np.concatenate([self._counts, other._counts])[order]))

    @property
    def _counts(self) -> NDArray[np.int64]:
        return np.diff(self.upto, prepend=0)

    def between(self, outside: float) -> Range:
        """Return the values that this part lies below, and above; taken outwards, so that both occur."""
        (low, high), *_ = self.ends((outside,))
        return float(low), float(high)

    def ends(self, outside: tuple[float, ...]) -> NDArray[np.float64]:
        """Return the values that each of these parts lies below, and above, (N, 2)."""
        last = self.upto[-1] - 1
        below = [int(part * last) for part in outside]
        ranks = [(number, last - number) for number in below]
        return self.values[np.searchsorted(self.upto, ranks, side="right")]

    def bulk(self) -> Sample:
        """Return the sample without what lies too far from the others to be an intensity.

        From the shortest range that holds half of the different values, all are taken in, one after the other, that no
        gap parts from those before which is so much wider than all of these.
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
        if not others.size or seen_above_dust((values[first], values[last]), others):
            return self
        kept = (self.values >= values[first]) & (self.values <= values[last])
        return Sample(self.values[kept], np.cumsum(self._counts[kept]))

    def marks(self, outside: float) -> NDArray[np.float64]:
        """Return the values that seem to mark what is missing; those above the others if that part has them."""
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
        if not values.size:
            return self
        kept = ~np.isin(self.values, values)
        return Sample(self.values[kept], np.cumsum(self._counts[kept]))


def marks_missing(values: NDArray[np.float64], others: Range) -> NDArray[np.bool_]:
    """Return which values lie far enough from the range of the others to mark what is missing."""
    low, high = others
    with np.errstate(over="ignore"):
        far_below = values < low - _MARK_BELOW_ZERO * (np.float64(high) - low)
        far_above = values > high + _MARK_ABOVE * (np.float64(high) - low)
    marks: NDArray[np.bool_] = ((low >= 0) & (values < 0) & far_below) | far_above
    return marks


def seen_above_dust(bulk: Range, others: NDArray[Any]) -> bool:
    """Return whether the bulk of the values are noise or rounding errors beside the others."""
    return bulk[1] - bulk[0] < _DUST and others.min() >= _USUAL[0] and others.max() <= _USUAL[1]


class Samples(NamedTuple):
    """Samples of two frames.

    Attributes
    ----------
    rows : Sample
        Of both frames, every so many rows; of small frames all.
    scattered : two Sample
        Of each frame, scattered pixels.
    all_told : bool
        Whether both hold every usable pixel.
    """

    rows: Sample
    scattered: list[Sample]
    all_told: bool

    @classmethod
    def of(cls, images: list[NDArray[Any]], valids: list[Valid]) -> Samples:
        """Take samples of the usable pixels of two frames."""
        height, width, channels = images[0].shape
        step = max(1, height * width // _PIXELS_FOR_RANGE)
        places = _scattered(height, width, 1 if step == 1 else step * channels)
        if all(image.dtype == np.uint8 for image in images) and all(valid is None for valid in valids):
            # By far the most common, and counting is faster than ordering.
            first, second = map(np.ascontiguousarray, images)
            counts = np.array(_core.byte_counts(first, second, step, places))
            return cls(
                Sample.of_bytes(counts[0] + counts[1]), [Sample.of_bytes(each) for each in counts[2:]], step == 1
            )
        parts = [
            image[np.divmod(places if valid is None else places[valid.reshape(-1)[places]], width)]
            for image, valid in zip(images, valids, strict=True)
        ]
        rows = [used(image[::step], valid, step) for image, valid in zip(images, valids, strict=True)]
        # The usable pixels may be few, or lie between the rows.
        all_told = step == 1 or any(len(part) < _FEWEST for part in parts) or not all(part.size for part in rows)
        if all_told:
            rows = parts = [used(image, valid) for image, valid in zip(images, valids, strict=True)]
        return cls(Sample.of(np.concatenate(rows)), [Sample.of(part) for part in parts], all_told)


@lru_cache(maxsize=16)
def _scattered(height: int, width: int, every: int) -> NDArray[np.int32]:
    """Return one of `every` so many pixels, counted row by row.

    It is drawn from among them, so that every part of the frame is seen, and no pattern of rows or columns hides.
    """
    starts = np.arange(0, height * width, every)
    draws = np.random.default_rng(0).integers(0, np.minimum(every, height * width - starts))
    return (starts + draws).astype(np.int32)


def used(image: NDArray[Any], valid: Valid, step: int = 1) -> NDArray[Any]:
    """Return the usable intensities of every so many rows."""
    return image.ravel() if valid is None else image[valid[::step]].ravel()


def extremes(image: NDArray[Any], valid: Valid) -> Range:
    """Return the smallest and the largest usable intensity."""
    values = image if valid is None else image[valid]
    return float(values.min()), float(values.max())
