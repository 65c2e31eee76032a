"""Find stuck pixels: hot and dead ones of a camera, and fill values scattered over both frames at the same places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import mark_where_any
from variflow.base.types import Numbers
from variflow.frames.sampling import Range, Sample, Valid

# At most these shares of the pixels are stuck. Dark things that are so small are rare, bright ones are not: stars,
# particles.
_MOST_BELOW, _MOST_ABOVE = 0.1, 0.01
# Fewer do no harm, nearly all lie outside the common range of intensities anyway.
_FEWEST = 0.0005
# They lie more than this many times the range of all other values away from it.
_AWAY = 3
# For each this many that are alone there may be one that has a neighbour.
_ALONE = 4


def find_stuck(images: list[Numbers], valids: list[Valid], sample: Sample) -> tuple[Range, list[NDArray[np.bool_]]]:
    """Return the range of all values but those of stuck pixels, and where these are in each frame; [] if none are.

    They lie far outside that range, at the same places in both frames, and nearly each is alone: what moves is at two
    places, and what a lens has drawn covers several pixels.
    """
    ends = sample.find_ends((_MOST_BELOW, _MOST_ABOVE))
    low, high = float(ends[0, 0]), float(ends[1, 1])
    least, most = _widen((low, high))
    if low == high or (sample.values[0] >= least and sample.values[-1] <= most):
        return (low, high), []
    far = _mark_far(images, valids, (low, high))
    alone = far[0] & far[1] & ~_has_neighbour(far[0] | far[1])
    if not alone.any():
        return (low, high), []
    near = sample.values[(sample.values >= least) & (sample.values <= most)]
    others = np.concatenate([image[each & ~alone].ravel() for image, each in zip(images, far, strict=True)])
    others = np.sort(others[(others < least) | (others > most)])
    spare = 2 * np.count_nonzero(alone) // _ALONE
    values = np.append(near, others[spare : others.size - spare])
    low, high = float(values.min()), float(values.max())
    stuck = _mark_far(images, valids, (low, high))
    found = np.count_nonzero(stuck[0] & stuck[1])
    return (low, high), stuck if found > _FEWEST * stuck[0].size else []


def _widen(values: Range) -> tuple[np.float64, np.float64]:
    low, high = map(np.float64, values)
    with np.errstate(over="ignore"):
        return low - _AWAY * (high - low), high + _AWAY * (high - low)


def _mark_far(images: list[Numbers], valids: list[Valid], values: Range) -> list[NDArray[np.bool_]]:
    """Return where each frame has a usable value far outside a range."""
    least, most = _widen(values)
    far = [mark_where_any((image < least) | (image > most)) for image in images]
    return [marks if valid is None else marks & valid for marks, valid in zip(far, valids, strict=True)]


def _has_neighbour(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where the pixel above, below, on the left or on the right is marked."""
    beside = np.zeros_like(marks)
    beside[1:] |= marks[:-1]
    beside[:-1] |= marks[1:]
    beside[:, 1:] |= marks[:, :-1]
    beside[:, :-1] |= marks[:, 1:]
    return beside
