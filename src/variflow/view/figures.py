"""Figures of flows: the panels of a pair, and what warping does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_flow
from variflow.base.types import Numbers
from variflow.metrics import endpoint_error_map
from variflow.view.colors import choose_scale, color, wheel
from variflow.view.panels import INK, add_bar, draw_arrows, make_figure, make_map, normalise_frames, show
from variflow.view.sparse import SparseFlow, outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The speed at full colour is at most so many times that of the truth.
_EXCESS = 1.25
# Above the error at full colour is this percentage of the pixels.
_WORSE = 2.0
# The key of the colours has so many pixels along a side, and is so high as a share of its panel.
_WHEEL, _KEY = 301, 0.85
# As shares of a panel: the width of that of the key beside three others, and the room for a bar of colours.
_NARROW, _BAR = 0.5, 0.25


def figure(
    frame0: npt.ArrayLike,
    frame1: npt.ArrayLike,
    flow: npt.ArrayLike,
    truth: npt.ArrayLike | None = None,
    scale: float | None = None,
) -> Figure:
    """Draw the frames, the flow in colours and its key side by side; with a truth, also that and the error.

    All panels have one size. The error at the brightest colour is that which 98 of 100 pixels stay below, so that a few
    large errors do not hide the others. Where truth or flow are unknown, the error is gray.

    Parameters
    ----------
    frame0, frame1 : array_like (H, W) or (H, W, C)
        The frames.
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels.
    truth : array_like (H, W, 2), optional
        The true flow; NaN where it is unknown. Flow and truth are coloured at the same scale.
    scale : float, optional
        The speed, px, at full colour. Default: as :func:`color` chooses it for the flow; with a truth, at least as for
        that, and at most a quarter more.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Pass it to :func:`save`.

    Examples
    --------
    >>> frames = np.zeros((2, 20, 30))
    >>> drawn = figure(*frames, np.ones((20, 30, 2)), truth=np.zeros((20, 30, 2)), scale=2.0)
    """
    field = as_flow(flow, "flow", np.float64)
    height, width = field.shape[:2]
    first, second = normalise_frames((height, width), frame0=frame0, frame1=frame1)
    if truth is None:
        speed = choose_scale(field, scale)
        drawn = make_figure(1, 3 + _NARROW, height / width)
        of_first, of_second, of_flow, of_key = drawn.subplots(1, 4, width_ratios=(1, 1, 1, _NARROW))
    else:
        error = endpoint_error_map(field, truth)
        speed = choose_scale(as_flow(truth, "truth", np.float64), scale)
        if scale is None:  # a flow a little faster than the truth is not to look unlike it
            speed = float(np.clip(choose_scale(field, None), speed, _EXCESS * speed))
        drawn = make_figure(2, 3 + _BAR, height / width)
        (of_first, of_second, of_key), (of_flow, of_truth, of_error) = drawn.subplots(2, 3)
        show(of_truth, color(truth, speed), "true flow")
        _show_error(of_error, error)
    show(of_first, first, "first frame")
    show(of_second, second, "second frame")
    show(of_flow, color(field, speed), "flow")
    _show_key(of_key, speed, height / width / (_NARROW if truth is None else 1))
    return drawn


def _show_error(axes: Axes, error: Numbers) -> None:
    """Show errors up to a high percentile; where the truth or the estimate is unknown, there is none."""
    known = error[np.isfinite(error)]
    limit = (float(np.percentile(known, 100 - _WORSE)) or float(known.max()) or 1.0) if known.size else 1.0
    show(axes, np.where(np.isfinite(error), error, np.nan), cmap=make_map("magma"), vmin=0, vmax=limit)
    axes.set_title(f"error, mean {known.mean():.3f} px" if known.size else "error unknown")
    add_bar(axes, "px", high=bool((known > limit).any()))


def _show_key(axes: Axes, speed: float, aspect: float) -> None:
    """Show the wheel in the middle of axes that are as large as those of a frame of this height by width."""
    show(axes, wheel(_WHEEL), f"rim: {speed:.3g} px")
    middle, half = (_WHEEL - 1) / 2, _WHEEL / 2 / _KEY
    wide, high = half * max(1 / aspect, 1), half * max(aspect, 1)
    axes.set(xlim=(middle - wide, middle + wide), ylim=(middle + high, middle - high))
    axes.axis("off")


def warping(
    frame0: npt.ArrayLike, frame1: npt.ArrayLike, flow: npt.ArrayLike, *, point: tuple[int, int] | None = None
) -> Figure:
    """Show which way a flow points and what warping with it does, enlarged around one pixel.

    The flow at a pixel of the first frame says where the same point is in the second. So sampling the *second* frame
    along the flow brings it back onto the first.

    Parameters
    ----------
    frame0, frame1 : array_like (H, W) or (H, W, C)
        The frames.
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels from the first frame to the second.
    point : (int, int), optional
        The pixel (x, y). Default: the fastest one that stays within the frame.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The first frame, the second frame with an arrow, and the second frame warped back.

    Raises
    ------
    ValueError
        If the flow is unknown at `point`, or everywhere.

    Examples
    --------
    >>> frames = np.zeros((2, 20, 30))
    >>> drawn = warping(*frames, np.ones((20, 30, 2)))
    """
    from variflow.flowops import warp

    field = as_flow(flow, "flow", np.float64)
    height, width = field.shape[:2]
    first, second = normalise_frames((height, width), frame0=frame0, frame1=frame1)
    x, y = _find_fastest(field) if point is None else point
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"point is {point}, wanted (x, y) within {width} x {height} pixels")
    u, v = field[y, x]
    if not np.isfinite([u, v]).all():
        raise ValueError(f"flow is unknown at the point ({x}, {y}), wanted known there")
    back = np.clip(np.nan_to_num(np.asarray(warp(second, field.astype(np.float32)))), 0, 1)

    drawn = make_figure(1, 3, 1.0)
    of_first, of_second, of_back = drawn.subplots(1, 3)
    show(of_first, first, "first frame: a point x")
    show(of_second, second, "second frame: x + flow(x)")
    show(of_back, back, "second frame, warped back")
    speed = float(np.hypot(u, v))
    half = min(max(6.0, 4.5 * speed), max(height, width) / 2)
    centre_x, centre_y = _keep_within(x + u / 2, half, width), _keep_within(y + v / 2, half, height)
    for axes in (of_first, of_second, of_back):
        axes.set_xlim(centre_x - half, centre_x + half)
        axes.set_ylim(centre_y + half, centre_y - half)
        axes.plot(x, y, "o", markersize=9, markerfacecolor="none", markeredgecolor="white", markeredgewidth=2.5)
        axes.plot(x, y, "o", markersize=9, markerfacecolor="none", markeredgecolor="black", markeredgewidth=1)
    if speed > 0:
        from_x, from_y, along_x, along_y = np.array([[x], [y], [u], [v]], np.float64)
        corners, _, _ = outline(SparseFlow(from_x, from_y, along_x, along_y, speed), 1.0, centred=False)
        draw_arrows(of_second, corners, [INK])
    return drawn


def _keep_within(centre: float, half: float, size: int) -> float:
    """Return the centre of a window moved so that the window lies within a side of the frame, or covers it evenly."""
    return (size - 1) / 2 if 2 * half >= size else float(np.clip(centre, half - 0.5, size - 0.5 - half))


def _find_fastest(field: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Return the pixel (x, y) with the largest known displacement that stays within the frame."""
    height, width = field.shape[:2]
    speed = np.hypot(field[..., 0], field[..., 1])
    y, x = np.indices((height, width)) + np.where(np.isfinite(field), field, np.inf)[..., ::-1].transpose(2, 0, 1)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    if not np.isfinite(speed).any():
        raise ValueError("flow is unknown everywhere, wanted at least one known pixel")
    candidates = np.where(np.isfinite(speed) & (inside | ~inside.any()), speed, -1.0)
    row, column = np.unravel_index(int(np.argmax(candidates)), candidates.shape)
    return int(column), int(row)
