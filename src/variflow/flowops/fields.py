"""What all operations on flows share: checking a flow, its targets, and sampling it between pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import as_flow, check_same_shape, mark_unknown
from variflow.base.choices import check_number
from variflow.base.types import ArrayLike
from variflow.images.warping import warp_planes

Flow = NDArray[np.float32]

# Positions up to this many pixels outside the frame count as inside: rounding put them there.
_SLACK = 1e-3


def check_flow(flow: ArrayLike, name: str = "flow") -> Flow:
    """Return a flow as float32 ``(H, W, 2)`` in its own memory, both components NaN where it is unknown.

    Raises
    ------
    TypeError, ValueError
        If its type or shape does not fit, naming the argument.
    """
    return mark_unknown(as_flow(flow, name))


def check_flows(first: ArrayLike, second: ArrayLike, names: tuple[str, str]) -> tuple[Flow, Flow]:
    """Return two checked flows of one size."""
    flows = check_flow(first, names[0]), check_flow(second, names[1])
    check_same_shape(names[1], flows[1].shape, names[0], flows[0].shape)
    return flows


def check_known(flow: Flow, name: str = "flow") -> Flow:
    """Return a flow that is known everywhere, for libraries that have no mark for unknown pixels.

    Raises
    ------
    ValueError
        If it is unknown anywhere.
    """
    unknown = int(np.isnan(flow[..., 0]).sum())
    if unknown:
        raise ValueError(f"{name} is unknown at {unknown} pixels, wanted none: fill them in first (flowops.fill)")
    return flow


def check_finite(name: str, value: object, *, least: float = -math.inf, above: float = -math.inf) -> float:
    """Return a finite number of at least `least` and above `above`; raise ValueError, naming it, if it is none."""
    return check_number(name, value, least=least, above=above, what="a finite number")


def find_targets(flow: Flow) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where each pixel goes: x and y, each ``(H, W)``."""
    height, width = flow.shape[:2]
    return np.arange(width) + flow[..., 0].astype(float), np.arange(height)[:, None] + flow[..., 1].astype(float)


def find_inside(flow: Flow) -> NDArray[np.bool_]:
    """Return which pixels go to a place inside the frame; those whose flow is unknown do not."""
    return _is_inside(*find_targets(flow), flow.shape)


def look_up(flow: Flow, along: Flow) -> Flow:
    """Look a flow up bilinearly at the targets of another flow of its size: `sample`, but in the core."""
    holes = np.isnan(flow[..., 0])
    planes = np.concatenate([np.moveaxis(np.where(holes[..., None], 0, flow), 2, 0), ~holes[None]])
    *values, share = warp_planes(planes, (along[..., 0], along[..., 1]), "bilinear")
    out: Flow = np.stack(values, axis=2)
    out[~(_is_inside(*find_targets(along), flow.shape) & (share > 1 - _SLACK))] = np.nan
    return out


def sample(flow: Flow, x: NDArray[np.float64], y: NDArray[np.float64]) -> Flow:
    """Look a flow up bilinearly at positions of any shape ``(...)``; return ``(..., 2)``.

    NaN where a position is NaN or outside the frame, or where a pixel that has weight is unknown.
    """
    from scipy.ndimage import map_coordinates

    inside = _is_inside(x, y, flow.shape)
    position = np.stack([np.where(inside, y, 0), np.where(inside, x, 0)])
    holes = np.isnan(flow[..., 0])
    values = np.empty((*np.shape(x), 2), np.float32)
    for component in range(2):
        plane = np.where(holes, np.float32(0), flow[..., component]) if holes.any() else flow[..., component]
        values[..., component] = map_coordinates(plane, position, np.float64, order=1, mode="nearest")
    if holes.any():
        share = map_coordinates((~holes).astype(np.float32), position, np.float64, order=1, mode="nearest")
        inside = inside & (share > 1 - _SLACK)
    values[~inside] = np.nan
    return values


def _is_inside(x: NDArray[np.float64], y: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    height, width = shape[:2]
    inside: NDArray[np.bool_] = (x >= -_SLACK) & (x <= width - 1 + _SLACK) & (y >= -_SLACK) & (y <= height - 1 + _SLACK)
    return inside
