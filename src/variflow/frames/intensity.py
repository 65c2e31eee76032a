"""Find the unit of intensity: which values count, which become 0 and 1, and whether both frames have one unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.arrays import mark_where_any
from variflow.base.kinds import is_float
from variflow.base.types import Numbers
from variflow.frames.sampling import (
    FAR,
    FAR_BELOW_ZERO,
    Range,
    Sample,
    Samples,
    Valid,
    find_extremes,
    is_dust,
    marks_missing,
    take_usable,
)
from variflow.frames.stuck import find_stuck

# This share of the intensities may lie below the range, and as many above it.
_OUTSIDE = 0.001
# The range of sampled rows is used if its ends differ from those of scattered pixels by at most this share of the
# range.
_FAIR = 0.1

# A narrower range than this is beyond double precision.
_FINEST = 1e-300
# A given range may be narrower than that of the frames by at most this factor.
_NARROW = 1e6
# The spread of intensities is measured three times, without these shares on either side.
_SPREADS = (_OUTSIDE, 0.05, 0.25)
# A frame with a smaller share of the common spread than this has another unit, or light so different that no model can
# follow it: models follow a factor of two or three at most.
_PART = 1 / 3
# A frame shows nothing if more than this share of its spread is noise.
_NOISE = 0.5

# Intensities are multiples of a step if a sample of about this many pixels of each frame has at most `_MOST_STEPS`
# different values, and no value is off a multiple by more than `_OFF_STEP` of the step.
_VALUES_FOR_STEPS = 30_000
_MOST_STEPS = 4096
_OFF_STEP = 0.01
# So many values are turned into whole numbers at once: the caches hold them.
_AT_ONCE = 16_384
# Whole numbers beyond this are not exact in double precision.
_MOST_WHOLE = 2.0**53


def bring_to_one_unit(
    images: list[Numbers], valids: list[Valid], wanted: Range | None, names: tuple[str, str], *, alone: bool = False
) -> tuple[list[Numbers], list[Valid], Range, list[str]]:
    """Return the frames in one unit, their usable pixels, what becomes 0 and 1, and remarks on what was wrong.

    Of two frames that show nothing it is remarked only where they are `alone`, no part of a film.
    """
    samples = Samples.of(images, valids)
    valids, remarks = drop_outliers(images, valids, samples, names)
    if remarks:
        samples = Samples.of(images, valids)
    as_they_came = images
    constants = list(map(find_constant, images, valids))
    empty = [number for number in (0, 1) if constants[number] is not None]
    if not empty:
        images, empty, said = bring_together(images, valids, samples, wanted, names)
        remarks += said
    if len(empty) == 1:
        bare, other = names[empty[0]], names[1 - empty[0]]
        remarks.append(f"{bare} shows nothing that {other} could be compared with: it is the same everywhere, or noise")
    elif empty and (np.all(constants[0] == constants[1]) or images[0].size == images[0].shape[2]):
        empty = []  # nothing has changed, or there is one pixel, which never shows anything by itself
    elif empty and alone:
        remarks.append(f"{' and '.join(names)} have no texture, each is the same everywhere: no motion can be seen")
    if wanted is not None:
        remarks += check_fits(wanted, images, valids)
    images, unit = round_to_whole_steps(images, valids, wanted)
    if unit is None:
        unit = find_robust_range(images, valids, samples if images is as_they_came else None)
    low, high = unit
    if not (low == high or _FINEST < high - low < np.inf):
        raise ValueError(f"{names[0]} and {names[1]} hold intensities from {low:g} to {high:g}, wanted a usable range")
    if empty:
        valids[empty[0]] = np.zeros(images[0].shape[:2], bool)
    return images, valids, unit, remarks


def find_robust_range(images: list[Numbers], valids: list[Valid], samples: Samples | None = None) -> Range:
    """Return the 0.1 and 99.9 percentiles of all valid intensities of both frames, rounded outwards.

    Each end is an intensity that occurs, the next one outwards, so small frames use their minimum and maximum. Large
    frames are sampled: every so many rows, about 25000 pixels of each frame in all, or as many scattered pixels if
    those rows differ from the rest. Give `samples` if they have been taken already.
    """
    samples = samples or Samples.of(images, valids)
    low, high = samples.rows.find_range(_OUTSIDE)
    if not samples.all_told:
        fair = samples.together.find_range(_OUTSIDE)
        if max(abs(low - fair[0]), abs(high - fair[1])) > _FAIR * (fair[1] - fair[0]):
            low, high = fair
    all_bytes = all(image.dtype == np.uint8 for image in images)
    if low == high or not all_bytes:
        ends = [find_extremes(*each) for each in zip(images, valids, strict=True)]
        least, most = min(end[0] for end in ends), max(end[1] for end in ends)
        if most - least > FAR * (high - low):
            # Nearly all intensities are the same: the few others are all there is to see.
            low, high = least, most
    return low, high


def drop_outliers(
    images: list[Numbers], valids: list[Valid], samples: Samples, names: tuple[str, str]
) -> tuple[list[Valid], list[str]]:
    """Return the usable pixels, without those of an impossible value, and remarks on these.

    Fill values (1e20, -9999 and so on), and values from a computation that went wrong, lie so far from all other values
    that they can be told apart. Fill values that lie nearer are found if no picture has such a value (see
    `Sample.marks`), or if nothing drawn by a lens is so (see `find_stuck`).
    """
    kept, remarks = list(valids), list[str]()
    if all(image.dtype.itemsize == 1 for image in images):
        return kept, remarks
    bulks = [sample.find_bulk() for sample in samples.scattered]
    found = [bulk.marks(_OUTSIDE) for bulk in bulks]
    pictures = [bulk.without(marks) for bulk, marks in zip(bulks, found, strict=True)]
    ranges = [_find_range_of_bulk(*each) for each in zip(images, valids, pictures, strict=True)]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    with np.errstate(over="ignore"):
        extent = np.float64(high) - np.float64(low)
        least, most = low - (FAR_BELOW_ZERO if low >= 0 else FAR) * extent, high + FAR * extent
    marks = np.concatenate(found)
    marks = marks[marks_missing(marks, (low, high))]
    for number, (image, valid, name) in enumerate(zip(images, valids, names, strict=True)):
        ends = find_extremes(image, valid)
        if ends[0] >= least and ends[1] <= most and not marks.size:
            continue
        outlying: NDArray[np.bool_] = np.asarray((image < least) | (image > most))
        if marks.size:
            outlying |= np.isin(image, marks)
        far: NDArray[np.bool_] = mark_where_any(outlying)
        if valid is not None:
            far &= valid
        values = image[outlying & far[:, :, None]]
        if not far.any() or is_dust((low, high), values):
            continue
        kept[number] = ~far if valid is None else valid & ~far
        count = f"{np.count_nonzero(far)} pixels" if np.count_nonzero(far) > 1 else "a pixel"
        remarks.append(
            f"{name} has {count} far outside the range of the others, {low:g} to {high:g} (such as {values[0]:g}): "
            f"taken as missing; mask= says which pixels are usable"
        )
    near = samples.together.between(least, most).without(marks)
    kept, said = _drop_stuck(images, kept, near, names)
    return kept, remarks + said


def _drop_stuck(
    images: list[Numbers], valids: list[Valid], sample: Sample, names: tuple[str, str]
) -> tuple[list[Valid], list[str]]:
    (low, high), stuck = find_stuck(images, valids, sample)
    if not stuck:
        return valids, []
    kept: list[Valid] = [~far if valid is None else valid & ~far for valid, far in zip(valids, stuck, strict=True)]
    first, second = (
        np.where(far[:, :, None], np.roll(image, 1, axis=1), image).clip(low, high).astype(np.float64)
        for image, far in zip(images, stuck, strict=True)
    )
    usable = [valid for valid in valids if valid is not None]
    if _is_noise(second - first, np.logical_and.reduce(usable) if usable else None, (0, high - low)):
        return valids, []  # nothing has moved: what stays where it is may well be real, as stars and printed dots are
    values = images[0][stuck[0] & stuck[1]]
    value = values[(values < low) | (values > high)][0]
    return kept, [
        f"{names[0]} and {names[1]} have single pixels far outside the range of the others, {low:g} to {high:g} (such "
        f"as {value:g}), at the same places: taken as missing; mask= says which pixels are usable"
    ]


def _find_range_of_bulk(image: Numbers, valid: Valid, bulk: Sample) -> Range:
    low, high = bulk.find_range(_OUTSIDE)
    if low == high:  # the sample may have missed the few other values
        values = take_usable(image, valid)
        values = Sample.of(np.append(values[values != low], low)).find_bulk().values
        low, high = float(values[0]), float(values[-1])
    return low, high


def bring_together(
    images: list[Numbers], valids: list[Valid], samples: Samples, wanted: Range | None, names: tuple[str, str]
) -> tuple[list[Numbers], list[int], list[str]]:
    """Return the frames in one unit, which of them show nothing, and remarks if they were in two units.

    If one frame has little contrast in the range of both, the second frame is brought to the range of the first. If the
    user gave an intensity range, both stay as they are.
    """
    if _spread_alike(samples):  # true of most frames, and fast
        return images, [], []
    with np.errstate(over="ignore", invalid="ignore"):  # a range that is not finite is refused later
        together = _measure_spreads(samples.together)
        if not together.any():
            return images, [], []
        some = together > 0
        parts = [(_measure_spreads(sample)[some] / together[some]).max() for sample in samples.scattered]
    if not min(parts) < _PART:
        return images, [], []
    ends = [_find_own_range(*each) for each in zip(images, valids, samples.scattered, strict=True)]
    weaker = int(np.argmin(parts))
    if _is_noise(images[weaker], valids[weaker], ends[weaker]):
        return images, [weaker], []
    (low0, high0), (low1, high1) = ends
    remark = (
        f"{names[0]} ({images[0].dtype}) has intensities from {low0:g} to {high0:g} and {names[1]} "
        f"({images[1].dtype}) from {low1:g} to {high1:g}, so that in a common range one of them has little contrast"
    )
    if wanted is not None:
        return images, [], [f"{remark}; give both in one unit"]
    brought = _map_to_range(images[1], ends[1]) * (high0 - low0) + low0
    return [images[0], brought], [], [f"{remark}: each was brought to its own range; give both in one unit"]


def _spread_alike(samples: Samples) -> bool:
    """Return whether nearly all intensities of each frame spread over a good part of the range of both."""
    (low, high), *others = (sample.find_range(_OUTSIDE) for sample in (samples.together, *samples.scattered))
    return high > low and all(most - least >= _PART * (high - low) for least, most in others)


def _is_noise(image: Numbers, valid: Valid, ends: Range) -> bool:
    """Return whether a frame, whose range is known, shows hardly more than noise."""
    planes = np.moveaxis(_map_to_range(image, ends), 2, 0).astype(np.float32)
    if valid is not None:
        planes[:, ~valid] = np.nan
    return bool(_core.noise(np.ascontiguousarray(planes)) > _NOISE * np.nanstd(planes))


def _map_to_range(image: Numbers, ends: Range) -> NDArray[np.float64]:
    """Return intensities relative to a range, 0 at its low and 1 at its high end; those far outside become 0."""
    low, high = ends
    with np.errstate(invalid="ignore", over="ignore"):  # missing pixels
        parts = (image.astype(np.float64) - low) / (high - low)
    return np.where(np.abs(parts) < _NARROW, parts, 0)


def _measure_spreads(sample: Sample) -> NDArray[np.float64]:
    ends = sample.find_ends(_SPREADS)
    spreads: NDArray[np.float64] = ends[:, 1] - ends[:, 0]
    return spreads


def _find_own_range(image: Numbers, valid: Valid, sample: Sample) -> Range:
    low, high = sample.find_range(_OUTSIDE)
    least, most = find_extremes(image, valid)
    return (least, most) if most - least > FAR * (high - low) else (low, high)


def find_constant(image: Numbers, valid: Valid) -> Numbers | None:
    """Return the intensity of each channel of a frame that has the same everywhere; None of others."""
    pixels = image.reshape(-1, image.shape[2])
    if valid is not None:
        usable = np.flatnonzero(valid)
        pixels = pixels[usable] if (pixels[usable[0]] == pixels[usable[-1]]).all() else pixels[usable[[0, -1]]]
    if (pixels[0] != pixels[-1]).any():  # true of most frames, and fast
        return None
    return pixels[0] if (pixels == pixels[0]).all() else None


def check_fits(wanted: Range, images: list[Numbers], valids: list[Valid]) -> list[str]:
    """Raise ValueError if a given range is far too narrow for what the frames hold; return a remark if too wide."""
    low, high = wanted
    ends = [find_extremes(*each) for each in zip(images, valids, strict=True)]
    least, most = min(end[0] for end in ends), max(end[1] for end in ends)
    with np.errstate(over="ignore"):
        beyond = np.float64(max(most - high, low - least)) / (high - low)
    held = f"the frames hold intensities from {least:g} to {most:g}"
    if not beyond <= _NARROW:
        raise ValueError(f"intensity_range is ({low:g}, {high:g}), but {held}: wanted a wider range")
    if least < most and most - least < (high - low) / FAR:
        return [f"intensity_range is ({low:g}, {high:g}), but {held}: they have hardly any contrast in that range"]
    return []


def round_to_whole_steps(
    images: list[Numbers], valids: list[Valid], unit: Range | None
) -> tuple[list[Numbers], Range | None]:
    """Turn float images whose intensities are multiples of a step, such as scaled bytes, into whole numbers of steps.

    This removes the rounding errors of a change of unit; nothing else could tell them from what the camera saw. The
    range becomes one in steps as well. Other images, and their range, are returned as they are.
    """
    if not any(is_float(image.dtype) for image in images):
        return images, unit
    every = max(1, images[0].size // _VALUES_FOR_STEPS)
    channels = images[0].shape[2]
    some = []
    for image, valid in zip(images, valids, strict=True):
        values = image.reshape(-1)[::every]
        some.append(values if valid is None else values[valid.reshape(-1)[np.arange(0, image.size, every) // channels]])
    values = np.unique(np.concatenate(some).astype(np.float64))
    if not 2 <= values.size <= _MOST_STEPS:
        return images, unit
    first = values[0]
    with np.errstate(over="ignore"):
        extent = values[-1] - first
        number = np.rint(extent / np.diff(values).min())
    if not number < _MOST_WHOLE:
        return images, unit
    step = extent / number
    whole = []
    for image, valid in zip(images, valids, strict=True):
        with np.errstate(invalid="ignore", over="ignore"):
            counts = _count_steps(image, valid, first, step)
        if counts is None:
            return images, unit
        whole.append(counts)
    return whole, None if unit is None else ((unit[0] - first) / step, (unit[1] - first) / step)


def _count_steps(image: Numbers, valid: Valid, first: np.float64, step: np.float64) -> Numbers | None:
    """Return how many steps each intensity lies above the first, 0 where missing; None if one is no whole number."""
    least, most = (float(np.rint((end - first) / step)) for end in find_extremes(image, valid))
    counts = np.empty(image.shape, np.uint8 if least >= 0 and most <= 255 else np.float64)
    rows = max(1, _AT_ONCE // image[0].size)
    for begin in range(0, len(image), rows):
        part = slice(begin, begin + rows)
        off = image[part].astype(np.float64)
        off -= first
        off /= step
        if valid is not None:
            off[~valid[part]] = 0
        rounded = np.rint(off)
        off -= rounded
        if not (np.abs(off) <= _OFF_STEP).all():
            return None
        counts[part] = rounded
    return counts
