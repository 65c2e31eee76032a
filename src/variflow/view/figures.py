"""Figures of flows: arrows, panels, and what warping does; and saving them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_flow, as_pixels
from variflow.base.choices import check_number, check_whole
from variflow.base.kinds import name_kind
from variflow.base.types import Numbers
from variflow.io.atomic import atomic
from variflow.io.errors import ImageFileError
from variflow.io.images import write_image
from variflow.metrics import endpoint_error_map
from variflow.view.colors import choose_scale, color, wheel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from variflow.state import EnergyRecord


class HasEnergies(Protocol):
    """A `Result`."""

    @property
    def energies(self) -> list[EnergyRecord]:
        """The energy at each warp."""
        ...


def arrows(
    image: npt.ArrayLike,
    flow: npt.ArrayLike,
    *,
    step: int | None = None,
    magnify: float = 1.0,
    axes: Axes | None = None,
) -> Figure:
    """Draw a flow as arrows over an image, at true length: each arrow ends where its pixel goes.

    Parameters
    ----------
    image : array_like (H, W) or (H, W, C)
        The image to draw on, usually the first frame.
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels; unknown pixels get no arrow.
    step : int, optional
        Distance between arrows, px. Default: about 30 arrows along the longer side.
    magnify : float
        Length of the arrows relative to the displacement, above 0; more than 1 shows small motion in a large frame.
    axes : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure that holds the arrows.

    Examples
    --------
    >>> drawn = arrows(np.zeros((20, 30)), np.full((20, 30, 2), 1.5))
    """
    field = as_flow(flow, "flow", np.float64)
    below = _normalise_frames(field.shape[:2], image=image)[0]
    height, width = field.shape[:2]
    if step is None:
        step = max(1, round(max(height, width) / 30))
    check_whole("step", step, 1)
    check_number("magnify", magnify, above=0, what="a finite number")
    if axes is None:
        axes = _make_figure(1, 1, height / width, panel=6).add_subplot()
    _show(axes, below)
    y, x = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    sparse = field[y, x]
    known = np.isfinite(sparse).all(axis=-1)
    u, v = sparse[known].T
    unit: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1 / magnify}
    axes.quiver(x[known], y[known], u, v, color="#ff2d12", edgecolor="white", linewidth=0.4, width=0.004, **unit)
    return _find_figure(axes)


def figure(
    frame0: npt.ArrayLike,
    frame1: npt.ArrayLike,
    flow: npt.ArrayLike,
    truth: npt.ArrayLike | None = None,
    scale: float | None = None,
) -> Figure:
    """Draw the frames, the flow in colours and its key side by side; with a truth, also that and the error.

    Parameters
    ----------
    frame0, frame1 : array_like (H, W) or (H, W, C)
        The frames.
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels.
    truth : array_like (H, W, 2), optional
        The true flow; NaN where it is unknown. Flow and truth are coloured at the same scale.
    scale : float, optional
        The speed, px, at full colour. Default: the largest known speed of the truth, or else of the flow.

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
    first, second = _normalise_frames((height, width), frame0=frame0, frame1=frame1)
    if truth is None:
        speed = choose_scale(field, scale)
        drawn = _make_figure(1, 4, height / width)
        panels = drawn.subplots(1, 4, width_ratios=(1, 1, 1, 0.45), squeeze=False)
        (of_first, of_second, of_flow, of_key) = panels[0]
    else:
        error = endpoint_error_map(field, truth)
        speed = choose_scale(as_flow(truth, "truth", np.float64), scale)
        drawn = _make_figure(2, 3, height / width)
        (of_first, of_second, of_key), (of_flow, of_truth, of_error) = drawn.subplots(2, 3)
        _show(of_truth, color(truth, speed), "true flow")
        _show(of_error, error, cmap="magma", vmin=0)
        known = np.isfinite(error)
        mean = f"{error[known].mean():.3f} px" if known.any() else "unknown"
        of_error.set_title(f"end-point error, mean {mean}")
        drawn.colorbar(of_error.images[0], ax=of_error, label="px")
    _show(of_first, first, "first frame")
    _show(of_second, second, "second frame")
    _show(of_flow, color(field, speed), "flow")
    _show(of_key, wheel(), f"rim: {speed:.3g} px")
    of_key.axis("off")
    return drawn


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
    first, second = _normalise_frames((height, width), frame0=frame0, frame1=frame1)
    x, y = _find_fastest(field) if point is None else point
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"point is {point}, wanted (x, y) within {width} x {height} pixels")
    u, v = field[y, x]
    if not np.isfinite([u, v]).all():
        raise ValueError(f"flow is unknown at the point ({x}, {y}), wanted known there")
    back = np.clip(np.nan_to_num(np.asarray(warp(second, field.astype(np.float32)))), 0, 1)

    drawn = _make_figure(1, 3, 1.0)
    of_first, of_second, of_back = drawn.subplots(1, 3)
    _show(of_first, first, "first frame: a point at x")
    _show(of_second, second, "second frame: it is at x + flow(x)")
    _show(of_back, back, "second frame warped back: like the first,\nexcept what is hidden")
    half = max(6.0, 5.0 * float(np.hypot(u, v)))
    for axes in (of_first, of_second, of_back):
        axes.set_xlim(x + u / 2 - half, x + u / 2 + half)
        axes.set_ylim(y + v / 2 + half, y + v / 2 - half)
        axes.plot(x, y, "o", markersize=9, markerfacecolor="none", markeredgecolor="white", markeredgewidth=2.5)
        axes.plot(x, y, "o", markersize=9, markerfacecolor="none", markeredgecolor="black", markeredgewidth=1)
    for ink, thickness in (("white", 5.0), ("#d81e05", 2.5)):  # a light rim keeps the arrow visible on any background
        arrow = {"arrowstyle": "-|>", "color": ink, "linewidth": thickness, "shrinkA": 0, "shrinkB": 0}
        of_second.annotate("", (x + u, y + v), (x, y), arrowprops=arrow | {"mutation_scale": 16})
    return drawn


def energies(result: HasEnergies, *, axes: Axes | None = None) -> Figure:
    """Draw how the energy falls: within each warp, and from warp to warp, level by level.

    A level has fewer pixels than the next, so that energies can be compared within a level only. They jump between
    warps, because the frames are linearised anew.

    Parameters
    ----------
    result : Result
        What `estimate` returned; see `Result.energies`.
    axes : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure that holds the drawing. A line leads from the energy before each warp to that after it, through its
        steps if the solver knows them; the scale is logarithmic if all are above 0.

    Examples
    --------
    >>> import variflow
    >>> frames = np.random.default_rng(0).random((2, 20, 30))
    >>> drawn = energies(variflow.estimate(*frames, "horn-schunck"))
    """
    records = getattr(result, "energies", None)
    if not isinstance(records, list):
        raise TypeError(f"result is {name_kind(result)}, wanted the Result of an estimate")
    if axes is None:
        axes = _make_figure(1, 1, 0.5, panel=8).add_subplot()
    levels = [record.level for record in records]
    for begin, record in enumerate(records):
        falling = np.array([record.before, *record.steps, record.after])
        axes.plot(np.linspace(begin, begin + 1, len(falling)), falling, color="#1f4e79", linewidth=1.5)
        axes.plot([begin, begin + 1], falling[[0, -1]], "o", color="#1f4e79", markersize=3)
    if all(np.min([record.before, record.after, *record.steps]) > 0 for record in records):
        axes.set_yscale("log")
    for number, level in enumerate(dict.fromkeys(levels)):
        begin, end = levels.index(level), len(levels) - levels[::-1].index(level)
        axes.axvspan(begin, end, color="#e8e8e8" if number % 2 else "#f8f8f8", zorder=0)
        axes.text((begin + end) / 2, 1.01, str(level), ha="center", va="bottom", transform=axes.get_xaxis_transform())
    axes.set_xlim(0, len(levels))
    axes.locator_params("x", integer=True)
    axes.set_title("level", pad=20, size="medium")
    axes.set_xlabel("warps, coarse to fine")
    axes.set_ylabel("energy")
    return _find_figure(axes)


def save(path: str | os.PathLike[str], picture: npt.ArrayLike | Figure, *, dpi: float = 150.0) -> None:
    """Write a picture or a figure; the file appears complete or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its extension says the format: .png, .tif, .jpg, and for a figure also .pdf and .svg.
    picture : uint8 array (H, W) or (H, W, 3), or matplotlib.figure.Figure
        As the functions here return them.
    dpi : float
        Dots per inch of a figure.

    Raises
    ------
    ImageFileError
        If the extension is unknown.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/wheel.png", wheel(31))
    ...     Path(f"{folder}/wheel.png").is_file()
    True
    """
    if not hasattr(picture, "savefig"):
        write_image(path, picture)
        return
    drawn = cast("Figure", picture)
    kind = Path(path).suffix.lower().removeprefix(".")
    supported = sorted(drawn.canvas.get_supported_filetypes())
    if kind not in supported:
        raise ImageFileError(path, f"the name of a figure ends with one of .{', .'.join(supported)}")
    memory = io.BytesIO()
    drawn.savefig(memory, format=kind, dpi=dpi, bbox_inches="tight", pad_inches=0.05)
    with atomic(path) as file:
        file.write(memory.getbuffer())


def _normalise_frames(shape: tuple[int, ...], **frames: npt.ArrayLike) -> list[npt.NDArray[np.float64]]:
    """Map frames to [0, 1] by their common range, gray (H, W) or RGB (H, W, 3); missing pixels become 0."""
    arrays, bytes_only = [], True
    for name, frame in frames.items():
        array = as_pixels(frame, name, tuple(shape))
        bytes_only = bytes_only and array.dtype == np.uint8
        values = array.astype(np.float64)
        if values.ndim == 3 and values.shape[2] != 3:
            values = values.mean(axis=-1)
        values[~np.isfinite(values)] = np.nan
        arrays.append(values)
    if bytes_only:
        low, high = 0.0, 255.0
    else:
        known = np.concatenate([array[np.isfinite(array)] for array in arrays])
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    span = high - low or 1.0
    return [np.nan_to_num((array - low) / span) for array in arrays]


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


def _make_figure(rows: int, columns: int, aspect: float, panel: float = 4.0) -> Figure:
    from matplotlib.figure import Figure

    height = panel * min(max(aspect, 0.3), 3.0)
    return Figure(figsize=(panel * columns, (height + 0.6) * rows), layout="constrained")


def _show(axes: Axes, picture: Numbers, title: str | None = None, **how: Any) -> None:
    if picture.ndim == 2 and "cmap" not in how:
        how |= {"cmap": "gray", "vmin": 0, "vmax": 1}
    axes.imshow(picture, interpolation="nearest", **how)
    axes.set_xticks([])
    axes.set_yticks([])
    if title:
        axes.set_title(title)


def _find_figure(axes: Axes) -> Figure:
    """Return the figure at the root of any nested sub-figures."""
    owner: Figure | SubFigure = axes.figure
    while owner.figure is not owner:
        owner = owner.figure
    found: Figure = owner
    return found
