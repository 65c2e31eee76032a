"""What a page shows: pairs of frames with their flow, checked and packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow import flowops
from variflow.base.arrays import as_mask, as_pixels, as_single, check_same_shape
from variflow.base.brief import Brief
from variflow.base.types import ArrayLike, Numbers
from variflow.flowops.fields import check_flow
from variflow.flowops.labelled import check_flags
from variflow.page.packing import Plane, pack_codes, pack_colors, pack_values

# A browser holds a picture of so many pixels, and a page of more is too slow to be of use.
MOST_PIXELS = 2**25
# Frames of more pixels keep colours, not brightness, at half the size: at 1080p that is a third of a page.
_WHOLE_COLORS = 2**20
# Below full colour are so many of the values. A few that are far off would leave the others pale: of derivatives, those
# at motion edges.
_SHARES = {"speed": 0.99, "vorticity": 0.95, "divergence": 0.95}
# The dimmest and the brightest thousandth of a frame may be without detail.
_DIM, _BRIGHT = 0.001, 0.999


@dataclass(frozen=True, eq=False, repr=False)
class Pair(Brief):
    """Two frames and the flow between them, as a page shows them.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels from the first frame to the second, NaN where unknown.
    frame0, frame1 : (H, W) or (H, W, C) array, optional
        The frames, of any real type and range. Three channels are RGB, of other numbers the mean is shown. Gray values
        are kept in 8 bits (uint8) or 16, colours in 8, and in frames of more than a million pixels at half the size.
    confidence : (H, W) array, optional
        How likely the flow is right, from 0 to 1; kept in 8 bits.
    occlusion : (H, W) array, optional
        True where the second frame does not show the point.
    flags : (H, W) array, optional
        What became of each vector, as `variflow.flowops.validate` returns it: 0 measured, 1 masked, 2 replaced, 3
        rejected.
    label : str
        Which pair this is, for a page of several.
    note : str
        What else there is to say of it.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit, or the flow has more than 33 million pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.page import Pair
    >>> Pair(np.zeros((20, 30, 2)), np.zeros((20, 30)), np.zeros((20, 31)))
    Traceback (most recent call last):
        ...
    ValueError: frame1 has shape (20, 31), wanted (H, W) or (H, W, C) with (H, W) = (20, 30)
    """

    flow: ArrayLike
    frame0: ArrayLike = None
    frame1: ArrayLike = None
    confidence: ArrayLike = None
    occlusion: ArrayLike = None
    flags: ArrayLike = None
    label: str = ""
    note: str = ""
    _frames: list[Numbers | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        flow = check_flow(self.flow)
        height, width = shape = flow.shape[:2]
        if height * width > MOST_PIXELS:
            raise ValueError(
                f"flow has shape {flow.shape}, wanted at most {MOST_PIXELS} pixels for a page: crop it, or resize it"
            )
        checked: dict[str, Any] = {"flow": flow, "_frames": []}
        for name, frame in (("frame0", self.frame0), ("frame1", self.frame1)):
            checked["_frames"].append(None if frame is None else _reduce_channels(as_pixels(frame, name, shape)))
        if len({frame.ndim for frame in checked["_frames"] if frame is not None}) == 2:
            raise ValueError(f"frame1 has shape {np.shape(self.frame1)}, wanted as many channels as frame0")
        if self.confidence is not None:
            checked["confidence"] = as_single(self.confidence, "confidence")
            check_same_shape("confidence", checked["confidence"].shape, "the flow", shape)
        if self.occlusion is not None:
            checked["occlusion"] = as_mask(self.occlusion, "occlusion", shape, "where the second frame lacks a point")
        if self.flags is not None:
            checked["flags"] = check_flags(self.flags, shape)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.flow.shape[:2]
        return height, width

    def pack(self) -> Iterator[tuple[str, Plane | list[Plane]]]:
        """Yield the packed planes by their names on the page; a frame is a list of one plane or three."""
        for name, component in zip("uv", np.moveaxis(self.flow, 2, 0), strict=True):
            yield name, pack_values(component, 16)
        low, high = self.find_range()
        known = [frame[np.isfinite(frame)] for frame in self._frames if frame is not None]
        least = min((float(values.min()) for values in known if values.size), default=0.0)
        largest = max((float(values.max()) for values in known if values.size), default=0.0)
        for name, frame in zip(("first", "second"), self._frames, strict=True):
            if frame is None:
                continue
            if frame.ndim == 3:
                yield name, pack_colors(_to_bytes(frame, low, high), halved=self.flow[..., 0].size > _WHOLE_COLORS)
            elif frame.dtype == np.uint8:
                yield name, [pack_codes(frame)]
            else:
                yield name, [pack_values(frame, 16, (least, largest))]
        if self.confidence is not None:
            yield "confidence", pack_values(self.confidence, 8, (0.0, 1.0))
        if self.occlusion is not None:
            yield "occlusion", pack_codes(np.asarray(self.occlusion, np.uint8))
        if self.flags is not None:
            yield "flags", pack_codes(np.asarray(self.flags, np.uint8))

    def find_range(self) -> tuple[float, float]:
        """Return the intensities that are black and white."""
        frames = [frame for frame in self._frames if frame is not None]
        if all(frame.dtype == np.uint8 for frame in frames):
            return 0.0, 255.0
        values = np.concatenate([np.ravel(frame[np.isfinite(frame)]) for frame in frames])
        low, high = np.quantile(values.astype(np.float64), [_DIM, _BRIGHT]).tolist() if values.size else (0.0, 1.0)
        return low, high if high > low else low + 1.0

    def show_range(self) -> tuple[float, float]:
        """Return the values of the packed frames that are black and white."""
        in_bytes = any(frame is not None and frame.ndim == 3 for frame in self._frames)
        return (0.0, 255.0) if in_bytes else self.find_range()

    def find_scales(self) -> dict[str, float]:
        """Return the magnitude of speed, vorticity and divergence below which nearly all of the known values are."""
        planes = {
            "speed": np.hypot(self.flow[..., 0], self.flow[..., 1]),
            "vorticity": flowops.vorticity(self.flow),
            "divergence": flowops.divergence(self.flow),
        }
        return {name: _find_scale(plane, _SHARES[name]) for name, plane in planes.items()}


def join_scales(pairs: Sequence[Pair]) -> dict[str, float]:
    """Return the largest scale of each quantity over pairs, so that their colours can be compared; 1 for none."""
    found = [pair.find_scales() for pair in pairs]
    return {name: max(scales[name] for scales in found) or 1.0 for name in found[0]}


def _find_scale(plane: NDArray[np.float32], share: float) -> float:
    known = np.abs(plane[np.isfinite(plane)])
    return float(f"{np.quantile(known, share):.6g}") if known.size else 0.0


def _reduce_channels(frame: Numbers) -> Numbers:
    """Return a frame of one channel as (H, W), one of three as it is, and the mean of any other number."""
    if frame.ndim == 2 or frame.shape[2] == 3:
        return frame
    return frame[..., 0] if frame.shape[2] == 1 else np.asarray(frame.mean(axis=2, dtype=np.float64))


def _to_bytes(frame: Numbers, low: float, high: float) -> NDArray[np.uint8]:
    if frame.dtype == np.uint8:
        return np.ascontiguousarray(frame)
    shares = np.clip((frame.astype(np.float64) - low) / (high - low), 0, 1)
    return np.rint(255 * np.nan_to_num(shares)).astype(np.uint8)
