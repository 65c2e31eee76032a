"""Make frames between two frames, for slow motion or another frame rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.arrays import as_pixels, check_same_shape
from variflow.base.brief import Brief
from variflow.base.choices import check_number
from variflow.base.kinds import is_float
from variflow.base.types import ArrayLike, Numbers
from variflow.flowops.fields import Flow, check_flows, find_targets
from variflow.frames.bars import find_bars
from variflow.images.filling import fill_missing
from variflow.images.resampling import Planes
from variflow.images.warping import prepare, warp_planes, warp_prepared

# Frames that differ by this share of their range along a motion make it doubtful: 10 of 255 gray levels. From 5 to 15,
# the error on Middlebury changes by at most a hundredth or two.
_DOUBTFUL = 10 / 255
# The range of intensities is that without this share on either side, of about so many pixels of each frame.
_OUTSIDE, _PIXELS_FOR_RANGE = 0.001, 25_000


@overload
def interpolate(
    frame0: ArrayLike, frame1: ArrayLike, flow: ArrayLike, backward: ArrayLike, times: float = 0.5
) -> Numbers: ...
@overload
def interpolate(
    frame0: ArrayLike, frame1: ArrayLike, flow: ArrayLike, backward: ArrayLike, times: Iterable[float]
) -> Iterator[Numbers]: ...
def interpolate(
    frame0: ArrayLike, frame1: ArrayLike, flow: ArrayLike, backward: ArrayLike, times: float | Iterable[float] = 0.5
) -> Numbers | Iterator[Numbers]:
    """Make the frames at some times between two frames.

    The points of both frames are carried to the time, each along its flow. The motions that arrive at a pixel or close
    to it compete. One is likely if the flow back confirms it, and if both frames have the same colour along it; the
    pixel is then a blend of the two. A point that the flow back does not confirm is one that only its own frame shows.
    It counts where nothing better arrives. The pixel is the mean over all that compete, weighted by how likely they
    are. Bars at the rim of both frames, as films have them, stay as they are.

    Parameters
    ----------
    frame0, frame1 : (H, W) or (H, W, C) array
        The frames, of any real type and range, NaN where missing. What one frame misses is taken from the other.
    flow, backward : (H, W, 2) array
        The flow from the first frame to the second and that from the second to the first, such as `Result.flow` and
        `Result.backward`: ``(u, v)`` in pixels, NaN where unknown. Where nothing arrives, the motion around is taken.
    times : float or iterable of float
        From 0, the first frame, to 1, the second. These two are the frames themselves.

    Returns
    -------
    array, or iterator of arrays
        For one time its frame; for several an iterator over their frames in order, each made when it is asked for. A
        frame has the shape and the type of the two given, so that it can be shown among them. Integers are rounded. No
        intensity is below or above all those of the two frames. NaN where both frames are missing.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or times do not fit, or if both flows are unknown everywhere.

    References
    ----------
    S. Baker et al., A Database and Evaluation Methodology for Optical Flow, IJCV 92, 2011, section 3.3.2 (occlusion by
    the flow back); S. Niklaus and F. Liu, Softmax splatting for video frame interpolation, CVPR 2020 (weights by how
    well the frames match).

    See Also
    --------
    variflow.metrics.in_between : What Middlebury uses to judge flows.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> frame0, frame1 = np.zeros((2, 5, 8), np.uint8)
    >>> frame0[:, 2] = frame1[:, 4] = 100
    >>> flow = np.full((5, 8, 2), [2.0, 0.0])
    >>> flowops.interpolate(frame0, frame1, flow, -flow)[2]
    array([  0,   0,   0, 100,   0,   0,   0,   0], dtype=uint8)
    >>> len(list(flowops.interpolate(frame0, frame1, flow, -flow, [0.25, 0.5, 0.75])))
    3
    """
    given = as_pixels(frame0, "frame0"), as_pixels(frame1, "frame1")
    check_same_shape("frame1", given[1].shape, "frame0", given[0].shape)
    flows = check_flows(flow, backward, ("flow", "backward"))
    height, width = given[0].shape[:2]
    if flows[0].shape[:2] != (height, width):
        raise ValueError(f"flow has shape {flows[0].shape}, wanted {(height, width, 2)}, for the frames' size")
    if all(np.isnan(each).all() for each in flows):
        raise ValueError("flow and backward are unknown everywhere, wanted at least one known pixel")
    if isinstance(times, Iterable) and not isinstance(times, str) and getattr(times, "ndim", 1) > 0:
        wanted = [check_number("times", time, least=0, most=1) for time in times]
        return _make_frames(given, flows, wanted)
    return next(_make_frames(given, flows, [check_number("times", times, least=0, most=1)]))


def _make_frames(given: tuple[Numbers, Numbers], flows: tuple[Flow, Flow], times: list[float]) -> Iterator[Numbers]:
    """Yield the frames at some times; bars at the rim of both frames stay as they are."""
    bars = find_bars([np.atleast_3d(frame) for frame in given])
    first, second, there, back = map(bars.crop, (*given, *flows))
    pair = _Pair.of((first, second), (there, back))
    for time in times:
        made = pair.make_frame(time)
        if bars:
            whole = given[0 if time < 0.5 else 1].astype(made.dtype)
            bars.crop(whole)[...] = made
            made = whole
        yield made


@dataclass(frozen=True, eq=False, repr=False)
class _Pair(Brief):
    """Two frames, prepared for frames between them.

    Attributes
    ----------
    frames : two (H, W) or (H, W, C) arrays
        As given.
    known : two (H, W) uint8 arrays
        0 where a frame is missing.
    coefficients : two (C, H, W) arrays
        Of splines through the frames, whose range of intensities is 0 to 1.
    flows : two (2, H, W) arrays
        Forward and backward.
    unit : (float, float)
        The intensities that are 0 and 1.
    bounds : (float, float)
        The least and the largest intensity of both frames.
    """

    frames: tuple[Numbers, Numbers]
    known: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    coefficients: tuple[Planes, Planes]
    flows: tuple[Planes, Planes]
    unit: tuple[float, float]
    bounds: tuple[float, float]

    @classmethod
    def of(cls, frames: tuple[Numbers, Numbers], flows: tuple[Flow, Flow]) -> _Pair:
        first, second = (np.ascontiguousarray(np.moveaxis(np.atleast_3d(frame), 2, 0)) for frame in frames)
        known0, known1 = _find_known(first), _find_known(second)
        values = [planes if known.all() else planes[:, known] for planes, known in ((first, known0), (second, known1))]
        unit, bounds = _find_unit([value for value in values if value.size])
        ready0, ready1 = (_prepare(planes, known, unit) for planes, known in ((first, known0), (second, known1)))
        there, back = (np.ascontiguousarray(np.moveaxis(flow, 2, 0)) for flow in flows)
        return cls(
            frames, (known0.view(np.uint8), known1.view(np.uint8)), (ready0, ready1), (there, back), unit, bounds
        )

    def make_frame(self, time: float) -> Numbers:
        """Return the frame at a time."""
        first, second = self.frames
        dtype = np.result_type(first, second)
        if time in (0, 1):
            return (second if time else first).astype(dtype)
        planes = _core.render_between(*self.coefficients, *self.known, *self.flows, time, _DOUBTFUL)
        made, motion = planes[:-2], planes[-2:]
        if np.isnan(motion).any():
            self._fill(made, motion, time)
        return _to_type(made, self.unit, self.bounds, dtype).reshape(first.shape)

    def _fill(self, made: Planes, motion: Planes, time: float) -> None:
        """Fill where no motion arrives, in place: blend the frames along the motion around."""
        empty = np.isnan(motion[0])
        motion = np.where(empty, np.float32(0), motion) if empty.all() else fill_missing(motion, ~empty)
        total = np.zeros(empty.shape, np.float32)
        mixed = np.zeros_like(made)
        for coefficients, known, way, share in zip(
            self.coefficients, self.known, (-time, 1 - time), (1 - time, time), strict=True
        ):
            u, v = np.float32(way) * motion
            x, y = find_targets(np.stack([u, v], axis=2))
            height, width = empty.shape
            inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
            seen = warp_planes(known[None].astype(np.float32), (u, v), "bilinear")[0] >= 0.5
            # What neither frame shows is taken from their borders.
            weight = np.where(seen, np.where(inside, np.float32(share), np.float32(1e-6 * share)), np.float32(0))
            mixed += weight * warp_prepared(coefficients, (u, v), "spline")
            total += weight
        with np.errstate(invalid="ignore"):
            made[:, empty] = mixed[:, empty] / np.where(total > 0, total, np.float32(np.nan))[empty]


def _find_known(planes: Numbers) -> NDArray[np.bool_]:
    """Return where all channels are finite, (H, W)."""
    if not is_float(planes.dtype):
        return np.ones(planes.shape[1:], bool)
    return np.asarray(np.isfinite(planes).all(axis=0))


def _find_unit(values: list[Numbers]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the range of most intensities, and that of all."""
    if not values:
        return (0.0, 1.0), (0.0, 1.0)
    least, most = float(min(value.min() for value in values)), float(max(value.max() for value in values))
    # An odd step meets all columns.
    some = np.concatenate([value.ravel()[:: value.size // _PIXELS_FOR_RANGE | 1] for value in values]).astype(float)
    low = float(np.quantile(some, _OUTSIDE, method="lower"))
    high = float(np.quantile(some, 1 - _OUTSIDE, method="higher"))
    if not low < high:
        low, high = least, most
    return (low, high if low < high else low + 1.0), (least, most)


def _prepare(planes: Numbers, known: NDArray[np.bool_], unit: tuple[float, float]) -> Planes:
    """Return the coefficients of splines through planes, whose missing pixels are filled from those around them."""
    low, high = unit
    # Single precision holds all integers of 16 bits.
    exact: type[np.floating[Any]] = np.float32 if planes.dtype in (np.uint8, np.uint16) else np.float64
    values: Numbers = planes.astype(exact)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = ((values - low) * (1 / (high - low))).astype(np.float32)
    if not known.all():
        scaled = fill_missing(np.where(known, scaled, np.float32(0)), known)
    ready: Planes = prepare(scaled, "spline")
    return ready


def _to_type(
    planes: Planes, unit: tuple[float, float], bounds: tuple[float, float], dtype: np.dtype[np.generic]
) -> Numbers:
    """Return planes as ``(H, W, C)`` in the unit of the frames, within their bounds, of a type."""
    low, high = unit
    image: Numbers = planes if dtype in (np.uint8, np.uint16) else planes.astype(np.float64)
    image *= high - low
    image += low
    np.clip(image, *bounds, out=image)
    if not is_float(dtype):
        np.rint(image, out=image)
    return np.ascontiguousarray(np.moveaxis(image.astype(dtype), 0, 2))
