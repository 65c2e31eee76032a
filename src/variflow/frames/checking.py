"""Check two frames as given, and bring both to a common unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import as_image, as_mask_pair, as_weight_pair, mark_where_all
from variflow.base.brief import Brief
from variflow.base.errors import warn
from variflow.base.kinds import is_float
from variflow.base.types import ArrayLike, Numbers
from variflow.frames.bars import NO_BARS, Bars, find_bars
from variflow.frames.frame import Frame, Frames, Tone, make_frame, normalise
from variflow.frames.intensity import bring_to_one_unit
from variflow.frames.light import Light
from variflow.images.resampling import Planes


@dataclass(frozen=True, eq=False, repr=False)
class Images(Brief):
    """Two frames as given, checked.

    Attributes
    ----------
    images : two (H, W, C) arrays
    valids : two (H, W) bool arrays
        Where a pixel is usable; None where all are.
    weights : two (H, W) float32 arrays
        How much each pixel counts; None where all count 1.
    intensity_range : (low, high)
        The intensities that become 0 and 1.
    chosen : bool
        Whether the user gave that range.
    remarks : list of str
        What was wrong with the frames, and what was done about it. Each was also a warning.
    names : pair of str
        What errors and warnings call the frames.
    bars : Bars
        What both frames have at their rim that is no picture. It is not usable, or was cut off.
    whole : two (H, W, C) arrays, optional
        The frames as they came, if their bars were cut off: all else here is that of the picture between them.
    """

    images: list[Numbers]
    valids: list[NDArray[np.bool_] | None]
    weights: list[NDArray[np.float32] | None]
    intensity_range: tuple[float, float]
    chosen: bool
    remarks: list[str]
    names: tuple[str, str]
    bars: Bars = NO_BARS
    whole: list[Numbers] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.images[0].shape[:2]
        return height, width

    @property
    def cut(self) -> Bars:
        """The bars that were cut off."""
        return NO_BARS if self.whole is None else self.bars

    @property
    def kept(self) -> Bars:
        """The bars that were not cut off."""
        return self.bars if self.whole is None else NO_BARS

    @property
    def frames(self) -> list[Numbers]:
        """The frames with their bars, (H, W, C)."""
        return self.images if self.whole is None else self.whole

    @property
    def usable(self) -> list[NDArray[np.bool_] | None]:
        """Where a pixel of the frames with their bars is usable, (H, W); None where all are."""
        if self.whole is None:
            return self.valids
        height, width = self.whole[0].shape[:2]
        picture = self.cut.find_picture((height, width))
        return [picture if valid is None else picture & self.cut.surround(valid) for valid in self.valids]

    def swap(self) -> Images:
        """Return the same with the second frame first."""
        return replace(
            self,
            images=self.images[::-1],
            valids=self.valids[::-1],
            weights=self.weights[::-1],
            whole=None if self.whole is None else self.whole[::-1],
            names=self.names[::-1],
        )

    def prepare(
        self, channels: Literal["all", "gray"] = "all", light: Light | None = None, first: Frame | None = None
    ) -> Frames:
        """Bring the frames to a common unit, and to the light of the first frame where `light` is given.

        `first` is the first frame in that unit, if it is known already.
        """
        low, high = self.intensity_range
        tones: list[Tone | None] = [None, None]
        if light is not None:
            tones = [light.on_first, light.on_second]
            least, most = float(light.low.min()), float(light.high.max())
            if not self.chosen and max(low, least) < min(high, most):
                low, high = max(low, least), min(high, most)
        to_gray = channels == "gray"

        def frame(index: int) -> Frame:
            planes = normalise(self.images[index], (low, high), to_gray, tones[index])
            return make_frame(planes, self.valids[index], self.weights[index])

        first, second = first or frame(0), frame(1)

        same = not to_gray and light is None
        return Frames(first, second, partial(np.asarray, first.planes) if same else self._find_colors)

    def _find_colors(self) -> Planes:
        """Return the first frame with all its channels, in its own light."""
        return make_frame(normalise(self.images[0], self.intensity_range), self.valids[0], None).planes


def prepare(
    frame0: ArrayLike,
    frame1: ArrayLike,
    mask: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    intensity_range: tuple[float, float] | None = None,
    channels: Literal["all", "gray"] = "all",
) -> Frames:
    """Check both frames and bring them to a common unit: `check_frames` and `Images.prepare` in one."""
    return check_frames(frame0, frame1, mask, weights, intensity_range).prepare(channels)


def check_frames(
    frame0: ArrayLike,
    frame1: ArrayLike,
    mask: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    intensity_range: tuple[float, float] | None = None,
    *,
    alone: bool = False,
    cut: Callable[[], bool] | None = None,
    seen: Sequence[Bars] = (),
) -> Images:
    """Check both frames, their masks and their weights.

    Parameters
    ----------
    frame0, frame1 : array
        ``(H, W)`` or ``(H, W, C)`` with at most 16 channels, any real type, NaN or infinite where missing.
    mask : array or pair of arrays, optional
        ``(H, W)``, True where a pixel is usable; one for both frames, or one for each.
    weights : array or pair of arrays, optional
        ``(H, W)``, from 0 to a million; one for the first frame, or one for each.
    intensity_range : (low, high), optional
        The intensities that become 0 and 1; by default the joint robust range (see `find_robust_range`).
    alone : bool
        Whether they are no part of a film. Then there is a warning if neither frame shows anything and they differ: a
        film that fades would give it again and again.
    cut : callable, optional
        Asked, if there are bars, whether they may be cut off. Else they are missing pixels.
    seen : sequence of Bars
        Those of earlier pairs, if the frames are part of a film.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is wanted.
    """
    first, second = as_image(frame0, "frame0"), as_image(frame1, "frame1")
    names = first.name, second.name
    check_order([first.axes, second.axes], names)
    if first.pixels.shape != second.pixels.shape:
        raise ValueError(f"{names[1]} has shape {second.shape}, wanted that of {names[0]}, {first.shape}")
    shape = first.shape[:2]
    images = [first.pixels, second.pixels]
    usable = list(map(_intersect, as_mask_pair(mask, shape), (first.known, second.known)))
    valids = [_find_valid(*arguments) for arguments in zip(images, usable, names, strict=True)]
    wanted = None if intensity_range is None else check_range(intensity_range)
    counts = list(as_weight_pair(weights, shape))
    bars, whole = _find_bars_beside_picture(images, valids, seen), None
    if bars and cut is not None and cut():
        whole, images = images, list(map(bars.crop, images))
        valids = [None if valid is None else _spare(bars.crop(valid)) for valid in valids]
        counts = [None if count is None else bars.crop(count) for count in counts]
    elif bars:
        height, width = shape
        valids = [_intersect(valid, bars.find_picture((height, width))) for valid in valids]
    images, valids, unit, remarks = bring_to_one_unit(images, valids, wanted, names, alone=alone)
    for remark in remarks:
        warn(remark)
    singles = [None if array is None else array.astype(np.float32) for array in counts]
    return Images(images, valids, singles, unit, wanted is not None, remarks, names, bars, whole)


def _find_bars_beside_picture(
    images: list[Numbers], valids: list[NDArray[np.bool_] | None], seen: Sequence[Bars]
) -> Bars:
    """Return the bars of both frames; none if nothing else is usable."""
    bars = find_bars(images, seen)
    return bars if all(valid is None or bars.crop(valid).any() for valid in valids) else NO_BARS


def _intersect(first: NDArray[np.bool_] | None, second: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def check_order(axes: list[tuple[str, ...]], names: tuple[str, str]) -> None:
    """Raise ValueError if two frames have axes of the same names in another order."""
    first, second = axes
    if first != second and sorted(first) == sorted(second):
        raise ValueError(
            f"{names[1]} has the dimensions ({', '.join(second)}), wanted the order of {names[0]}, "
            f"({', '.join(first)}); its method transpose brings them into that"
        )


def _find_valid(image: Numbers, usable: Numbers | None, name: str) -> NDArray[np.bool_] | None:
    """Return which pixels can be used, (H, W), or None if all can."""
    valid = None if usable is None else usable.astype(bool)
    if is_float(image.dtype):
        finite = np.isfinite(image)
        if not finite.all():
            known = mark_where_all(finite)
            valid = known if valid is None else valid & known
    if valid is not None and not valid.any():
        raise ValueError(f"{name} has no usable pixel: all are NaN, infinite or masked out")
    return None if valid is None else _spare(valid)


def _spare(valid: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return which pixels are usable, or None if all are."""
    return None if valid.all() else valid


def check_range(intensity_range: tuple[float, float]) -> tuple[float, float]:
    """Return an intensity range as two floats; raise ValueError if it is not a range."""
    try:
        low, high = (float(bound) for bound in intensity_range)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"intensity_range is {intensity_range!r:.200}, wanted a pair (low, high)") from None
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"intensity_range is ({low}, {high}), wanted finite numbers with low < high")
    return low, high
