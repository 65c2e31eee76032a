"""Changing light: find by what gain and offset the second frame differs, and show both frames as if lit alike.

Whether the light differs is judged on the frames of a level and the flow that the level starts with; by how much, on
the frames as they came, each channel by itself, because there it is known which values are saturated. What one frame
shows saturated is cut off in the other too: beyond that, they cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.brief import Brief

if TYPE_CHECKING:
    from variflow.linearisation import Linearisation
    from variflow.pyramid import Level

Planes = NDArray[np.float32]
Numbers = NDArray[np.float64]

# A smaller change than this is left as it is, where the frames' range is [0, 1].
_NOTICED = 4 / 255
# A gain and an offset must leave at most this share of the differences. Where the motion is still unknown, or the light
# changes from place to place, they leave more, and the flow was no better for them.
_UNEXPLAINED = 0.25
# The smallest and the largest gain that is believed.
_GAINS = (0.5, 2.0)
# What lies this close to the end of a channel's values may be saturated, relative to their range.
_MARGIN = 0.005
# The same in a level, whose pixels are averages.
_MARGIN_IN_LEVEL = 3 / 255
# Fewer pixels than this say nothing.
_FEWEST = 100
# About as many pixels are enough to judge whether the light differs, and to measure by how much.
_TO_JUDGE, _TO_MEASURE = 3_000, 20_000
# How often a gain and an offset are fitted; after each, what fits badly is left out.
_ROUNDS_TO_JUDGE, _ROUNDS_TO_MEASURE = 3, 5
# Levels with more pixels than this keep the light that was found.
_LARGEST_LEVEL = 20_000


@dataclass(frozen=True, eq=False, repr=False)
class Light(Brief):
    """How the light of two frames differs, and what both of them can show.

    The first frame corresponds to ``gain * second + offset`` in each channel, and both are cut off to what lies
    between `low` and `high`, in the unit of the first frame.

    Attributes
    ----------
    gain : (C,) float64
        Factor of each channel of the second frame, from 0.5 to 2.
    offset : (C,) float64
        What is added after that, in the unit of the first frame.
    low, high : (C,) float64
        The least and the largest intensity that both frames show unsaturated, in the unit of the first frame.
    """

    gain: Numbers
    offset: Numbers
    low: Numbers
    high: Numbers

    def on_first(self, values: Any, channel: int) -> Numbers:
        """Return values of a channel of the first frame, cut off to what the second one can show."""
        shown: Numbers = np.clip(np.asarray(values, np.float64), self.low[channel], self.high[channel])
        return shown

    def on_second(self, values: Any, channel: int) -> Numbers:
        """Return values of a channel of the second frame as they would be in the light of the first one."""
        return self.on_first(np.asarray(values, np.float64) * self.gain[channel] + self.offset[channel], channel)


class LightMatching:
    """Watches the light while an estimate goes from coarse to fine, and rebuilds the levels where it differs.

    Parameters
    ----------
    images : two (H, W, C) arrays
        The frames as they came.
    valids : two (H, W) bool arrays
        Where their pixels are usable; None where all are.
    rebuild : callable
        ``rebuild(light)`` returns the levels of the frames as that light shows them.
    linearise : callable
        ``linearise(level, flow)`` returns what the frames of a level show around a flow.

    Attributes
    ----------
    light : Light or None
        What was found so far.
    remarks : list of str
        Empty: what is matched needs no word.
    """

    def __init__(
        self,
        images: Sequence[NDArray[Any]],
        valids: Sequence[NDArray[np.bool_] | None],
        rebuild: Callable[[Light], list[Level]],
        linearise: Callable[[Level, tuple[Planes, Planes]], Linearisation],
    ) -> None:
        self.light: Light | None = None
        self.remarks: list[str] = []
        self._images, self._valids, self._rebuild, self._linearise = images, valids, rebuild, linearise

    def matched(self, levels: list[Level], index: int, flow: tuple[Planes, Planes], *, begins: bool) -> list[Level]:
        """Return the levels for going on at one of them with this flow: as they are, or in matched light.

        The light is looked at where the estimate `begins` and on small levels, until it is found to differ; then it is
        measured, and once more with the better flow of the largest of the small levels.
        """
        small = math.prod(levels[index].shape) <= _LARGEST_LEVEL
        largest = index == 0 or math.prod(levels[index - 1].shape) > _LARGEST_LEVEL
        if self.light is None and not ((small or begins) and light_differs(self._linearise(levels[index], flow))):
            return levels
        if self.light is not None and not (small and largest):
            return levels
        self.light = measure_light(self._images, self._valids, flow)
        return self._rebuild(self.light)


def light_differs(at: Linearisation) -> bool:
    """Return whether a gain and an offset explain most of the difference of the frames around the flow so far."""
    change, before, after = light_change(at)
    return change > _NOTICED and after < _UNEXPLAINED * before


def light_change(at: Linearisation, gains: tuple[float, float] = _GAINS) -> tuple[float, float, float]:
    """Return by how much a gain and an offset change intensities, and the mean difference before and after that."""
    usable = at.valid.astype(np.float32)[None]
    every = math.ceil(math.sqrt(usable.size / _TO_JUDGE))
    return _core.light_change(at.frame0, at.frame1, usable, every, _MARGIN_IN_LEVEL, _FEWEST, _ROUNDS_TO_JUDGE, *gains)


def measure_light(
    images: Sequence[NDArray[Any]], valids: Sequence[NDArray[np.bool_] | None], flow: tuple[Planes, Planes]
) -> Light:
    """Measure how the light of two frames differs, around a flow that may be smaller than they are.

    Parameters
    ----------
    images : two (H, W, C) arrays
        The frames as they came.
    valids : two (H, W) bool arrays
        Where their pixels are usable; None where all are.
    flow : pair of (h, w) float32
        From the first frame to the second, in pixels of its own size.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.light import measure_light
    >>> first = np.arange(400.0).reshape(20, 20, 1)
    >>> still = np.zeros((20, 20), np.float32)
    >>> light = measure_light([first, (first - 30) / 0.8], [None, None], (still, still))
    >>> [round(float(value), 3) for value in (*light.gain, *light.offset)]
    [0.8, 30.0]
    """
    extremes = [_extremes(image, valid) for image, valid in zip(images, valids, strict=True)]
    (low, high), (low_of_second, high_of_second) = extremes
    unit = max(float((high - low).max()) for low, high in extremes) or 1.0
    first, second = _pairs(images, valids, flow)
    channels = images[0].shape[2]
    gain, offset = np.full(channels, np.nan), np.full(channels, np.nan)
    for channel in range(channels):
        among = np.ones(len(first), bool)
        for values, (least, most) in zip((first, second), extremes, strict=True):
            margin = _MARGIN * (most[channel] - least[channel])
            among &= (values[:, channel] > least[channel] + margin) & (values[:, channel] < most[channel] - margin)
        if np.count_nonzero(among) >= _FEWEST:
            # In a unit, and from a zero, in which single precision loses nothing.
            target = (first[among, channel] - low[channel]) / unit
            values = (second[among, channel] - low_of_second[channel]) / unit
            gain[channel], offset[channel], _ = fit_light(target, values)
    offset = offset * unit + low - gain * low_of_second
    known = np.isfinite(gain)
    gain[~known], offset[~known] = (gain[known].mean(), offset[known].mean()) if known.any() else (1.0, 0.0)
    low, high = np.maximum(low, gain * low_of_second + offset), np.minimum(high, gain * high_of_second + offset)
    return Light(gain, offset, low, high)


def fit_light(
    target: NDArray[Any], values: NDArray[Any], rounds: int = _ROUNDS_TO_MEASURE
) -> tuple[float, float, NDArray[np.bool_]]:
    """Find the gain and offset by which values become a target, and which of them these fit.

    They give both the same mean and spread. Least squares would not do: wherever the flow is wrong, they find a gain
    that is too small.

    Parameters
    ----------
    target, values : (N,) array
    rounds : int
        How often they are fitted; after each, what fits badly is left out.

    Returns
    -------
    gain, offset : float
        The gain is between 0.5 and 2.
    kept : (N,) bool array

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.light import fit_light
    >>> values = np.linspace(0, 1, 100)
    >>> gain, offset, kept = fit_light(1.25 * values - 0.5, values)
    >>> round(gain, 3), round(offset, 3)
    (1.25, -0.5)
    """
    target, values = (np.ascontiguousarray(part, np.float32) for part in (target, values))
    gain, offset, kept = _core.fit_light(target, values, rounds, *_GAINS)
    return gain, offset, np.array(kept)


def _extremes(image: NDArray[Any], valid: NDArray[np.bool_] | None) -> tuple[Numbers, Numbers]:
    """Return the smallest and the largest usable value of each channel."""
    if valid is not None:
        image = np.where(valid[:, :, None], image, image[valid][0])
    return tuple(extreme(extreme(image, axis=0), axis=0).astype(np.float64) for extreme in (np.min, np.max))


def _pairs(
    images: Sequence[NDArray[Any]], valids: Sequence[NDArray[np.bool_] | None], flow: tuple[Planes, Planes]
) -> tuple[Numbers, Numbers]:
    """Return usable pixels of the first frame and those of the second where a flow leads, nearest, both (N, C)."""
    (height, width), shape = images[0].shape[:2], flow[0].shape
    every = math.ceil(math.sqrt(shape[0] * shape[1] / _TO_MEASURE))
    u, v = (component[::every, ::every] for component in flow)
    rows, columns = ((np.arange(0, size, every) + 0.5) / size for size in shape)
    y, x = np.broadcast_arrays(rows[:, None] * height - 0.5, columns * width - 0.5)
    target = np.rint((y + v * (height / shape[0]), x + u * (width / shape[1])))
    inside = (target >= 0).all(axis=0) & (target[0] < height) & (target[1] < width)
    y0, x0 = np.rint((y, x))[:, inside].astype(np.intp)
    y1, x1 = target[:, inside].astype(np.intp)
    usable = np.ones(y0.shape, bool)
    for valid, where in zip(valids, ((y0, x0), (y1, x1)), strict=True):
        if valid is not None:
            usable &= valid[where]
    first, second = images[0][y0, x0][usable], images[1][y1, x1][usable]
    return first.astype(np.float64), second.astype(np.float64)
