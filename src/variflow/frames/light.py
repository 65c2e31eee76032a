"""Measure the gain and the offset by which the light of the second frame differs from that of the first.

They are measured on the frames as given, in each channel by itself, because only there it is known which values are
saturated. What one frame shows saturated is cut off in the other too, because beyond that they cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.types import ArrayLike, Numbers

Planes = NDArray[np.float32]

# The smallest and the largest gain that is accepted.
GAINS = (0.5, 2.0)

# Values this close to an end of a channel's range, as a share of it, may be saturated.
_MARGIN = 0.005

# With fewer pixels than this, the light is not measured.
FEWEST = 100

# About as many pixels are enough to measure by how much the light differs.
_TO_MEASURE = 20_000

# How often a gain and an offset are fitted; after each fit, pixels that fit badly are left out.
_ROUNDS = 5


@dataclass(frozen=True, eq=False, repr=False)
class Light(Brief):
    """How the light of two frames differs, and what both of them can show.

    The first frame corresponds to ``gain * second + offset`` in each channel. Both are cut off at `low` and `high`, in
    the unit of the first frame.

    Attributes
    ----------
    gain : (C,) float64
        Factor of each channel of the second frame, from 0.5 to 2.
    offset : (C,) float64
        What is added after that, in the unit of the first frame.
    low, high : (C,) float64
        The least and the largest intensity that both frames show unsaturated, in the unit of the first frame.
    """

    gain: NDArray[np.float64]
    offset: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def on_first(self, values: ArrayLike, channel: int) -> NDArray[np.float64]:
        """Return values of a channel of the first frame, cut off at what both frames can show."""
        clipped: NDArray[np.float64] = np.clip(np.asarray(values, np.float64), self.low[channel], self.high[channel])
        return clipped

    def on_second(self, values: ArrayLike, channel: int) -> NDArray[np.float64]:
        """Return values of a channel of the second frame as they would be in the light of the first one."""
        return self.on_first(np.asarray(values, np.float64) * self.gain[channel] + self.offset[channel], channel)


def measure_light(
    images: Sequence[Numbers], valids: Sequence[NDArray[np.bool_] | None], flow: tuple[Planes, Planes]
) -> Light:
    """Measure how the light of two frames differs along a flow, which may be of a smaller size.

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
    >>> from variflow.frames.light import measure_light
    >>> first = np.arange(400.0).reshape(20, 20, 1)
    >>> still = np.zeros((20, 20), np.float32)
    >>> light = measure_light([first, (first - 30) / 0.8], [None, None], (still, still))
    >>> [round(float(value), 3) for value in (*light.gain, *light.offset)]
    [0.8, 30.0]
    """
    extremes = [_find_extremes(image, valid) for image, valid in zip(images, valids, strict=True)]
    (low, high), (low_of_second, high_of_second) = extremes
    unit = max(float((high - low).max()) for low, high in extremes) or 1.0
    first, second = _pair_pixels(images, valids, flow)
    channels = images[0].shape[2]
    gain, offset = np.full(channels, np.nan), np.full(channels, np.nan)
    for channel in range(channels):
        among = np.ones(len(first), bool)
        for values, (least, most) in zip((first, second), extremes, strict=True):
            margin = _MARGIN * (most[channel] - least[channel])
            among &= (values[:, channel] > least[channel] + margin) & (values[:, channel] < most[channel] - margin)
        if np.count_nonzero(among) >= FEWEST:
            # Shifted and scaled first, so that single precision loses nothing.
            target = (first[among, channel] - low[channel]) / unit
            values = (second[among, channel] - low_of_second[channel]) / unit
            gain[channel], offset[channel], _ = fit_light(target, values)
    offset = offset * unit + low - gain * low_of_second
    known = np.isfinite(gain)
    gain[~known], offset[~known] = (gain[known].mean(), offset[known].mean()) if known.any() else (1.0, 0.0)
    low, high = np.maximum(low, gain * low_of_second + offset), np.minimum(high, gain * high_of_second + offset)
    return Light(gain, offset, low, high)


def fit_light(target: Numbers, values: Numbers, rounds: int = _ROUNDS) -> tuple[float, float, NDArray[np.bool_]]:
    """Find the gain and offset that turn values into a target, and the values that they fit.

    They give both the same mean and spread. Least squares would not do: wherever the flow is wrong, it finds a gain
    that is too small.

    Parameters
    ----------
    target, values : (N,) array
    rounds : int
        How often they are fitted; after each fit, values that fit badly are left out.

    Returns
    -------
    gain, offset : float
        The gain is between 0.5 and 2.
    kept : (N,) bool array

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.frames.light import fit_light
    >>> values = np.linspace(0, 1, 100)
    >>> gain, offset, kept = fit_light(1.25 * values - 0.5, values)
    >>> round(gain, 3), round(offset, 3)
    (1.25, -0.5)
    """
    target, values = (np.ascontiguousarray(part, np.float32) for part in (target, values))
    gain, offset, kept = _core.fit_light(target, values, rounds, *GAINS)
    return gain, offset, np.array(kept)


def _find_extremes(image: Numbers, valid: NDArray[np.bool_] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and the largest usable value of each channel."""
    if valid is not None:
        image = np.where(valid[:, :, None], image, image[valid][0])
    return tuple(extreme(extreme(image, axis=0), axis=0).astype(np.float64) for extreme in (np.min, np.max))


def _pair_pixels(
    images: Sequence[Numbers], valids: Sequence[NDArray[np.bool_] | None], flow: tuple[Planes, Planes]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return usable pixels of the first frame, and those of the second nearest to where the flow leads, both (N, C)."""
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
