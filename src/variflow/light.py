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

from variflow import flowops

if TYPE_CHECKING:
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
# Levels with more pixels than this keep the light that was found.
_LARGEST_LEVEL = 20_000


@dataclass(frozen=True)
class Light:
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

    Attributes
    ----------
    light : Light or None
        What was found so far.
    """

    def __init__(
        self,
        images: Sequence[NDArray[Any]],
        valids: Sequence[NDArray[np.bool_] | None],
        rebuild: Callable[[Light], list[Level]],
    ) -> None:
        self.light: Light | None = None
        self._images, self._valids, self._rebuild = images, valids, rebuild

    def matched(self, levels: list[Level], index: int, flow: tuple[Planes, Planes], *, begins: bool) -> list[Level]:
        """Return the levels for going on at one of them with this flow: as they are, or in matched light.

        The light is looked at where the estimate `begins` and on small levels, until it is found to differ; then it is
        measured, and once more with the better flow of the largest of the small levels.
        """
        small = math.prod(levels[index].shape) <= _LARGEST_LEVEL
        largest = index == 0 or math.prod(levels[index - 1].shape) > _LARGEST_LEVEL
        if self.light is None and not ((small or begins) and light_differs(levels[index], flow)):
            return levels
        if self.light is not None and not (small and largest):
            return levels
        self.light = measure_light(self._images, self._valids, flow)
        return self._rebuild(self.light)


def light_differs(level: Level, flow: tuple[Planes, Planes]) -> bool:
    """Return whether, around a flow, a gain and an offset explain most of the difference of the frames of a level."""
    height, width = level.shape
    every = math.ceil(math.sqrt(height * width / _TO_JUDGE))
    warped = flowops.warp_planes(level.frame1.planes, flow, "bilinear")[:, ::every, ::every]
    first = level.frame0.planes[:, ::every, ::every]
    u, v = (component[::every, ::every] for component in flow)
    x, y = np.arange(0, width, every) + u, np.arange(0, height, every)[:, None] + v
    usable = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1) & level.frame0.valid[::every, ::every]
    if not level.frame1.complete:
        usable &= (
            flowops.warp_planes(level.frame1.valid[None].astype(np.float32), flow, "bilinear")[0, ::every, ::every]
            > 0.999
        )
    change = before = after = 0.0
    for target, values in zip(first, warped, strict=True):
        among = usable & _unsaturated(target, _MARGIN_IN_LEVEL) & _unsaturated(values, _MARGIN_IN_LEVEL)
        if np.count_nonzero(among) < _FEWEST:
            continue
        target, values = target[among], values[among]
        gain, offset, kept = fit_light(target, values, rounds=3)
        target, values = target[kept], values[kept]
        before += float(np.abs(target - values).sum()) / target.size
        after += float(np.abs(target - gain * values - offset).sum()) / target.size
        middle, spread = _mean_and_spread(values)
        change = max(change, *(abs((gain - 1) * (middle + side * spread) + offset) for side in (-2, 2)))
    return change > _NOTICED and after < _UNEXPLAINED * before


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
    unit = max(float((high - low).max()) for low, high in extremes) or 1.0  # so that no square overflows
    first, second = _pairs(images, valids, flow)
    channels = images[0].shape[2]
    gain, offset = np.full(channels, np.nan), np.full(channels, np.nan)
    for channel in range(channels):
        among = np.ones(len(first), bool)
        for values, (low, high) in zip((first, second), extremes, strict=True):
            margin = _MARGIN * (high[channel] - low[channel])
            among &= (values[:, channel] > low[channel] + margin) & (values[:, channel] < high[channel] - margin)
        if np.count_nonzero(among) >= _FEWEST:
            gain[channel], offset[channel], _ = fit_light(first[among, channel] / unit, second[among, channel] / unit)
    offset *= unit
    known = np.isfinite(gain)
    gain[~known], offset[~known] = (gain[known].mean(), offset[known].mean()) if known.any() else (1.0, 0.0)
    (low, high), (low_of_second, high_of_second) = extremes
    low, high = np.maximum(low, gain * low_of_second + offset), np.minimum(high, gain * high_of_second + offset)
    return Light(gain, offset, low, high)


def fit_light(target: NDArray[Any], values: NDArray[Any], rounds: int = 5) -> tuple[float, float, NDArray[np.bool_]]:
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
    kept = np.ones(target.shape, bool)
    gain, offset = 1.0, 0.0
    tolerated = 0.01 * _mean_and_spread(target)[1]
    for _ in range(rounds):
        middle_target, spread_target = _mean_and_spread(target[kept])
        middle, spread = _mean_and_spread(values[kept])
        gain = min(max(spread_target / spread, _GAINS[0]), _GAINS[1]) if spread > 0 else 1.0
        offset = middle_target - gain * middle
        residual = np.abs(gain * values + (offset - target))
        kept = residual <= 2 * float(residual.sum()) / residual.size + tolerated
    return gain, offset, kept


def _mean_and_spread(values: NDArray[Any]) -> tuple[float, float]:
    """Return the mean and the standard deviation; for a thousand values much faster than NumPy's own."""
    mean = float(values.sum()) / values.size
    centred = values - mean
    return mean, math.sqrt(float((centred * centred).sum()) / values.size)


def _unsaturated(values: NDArray[Any], margin: float) -> NDArray[np.bool_]:
    inner: NDArray[np.bool_] = (values > values.min() + margin) & (values < values.max() - margin)
    return inner


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
