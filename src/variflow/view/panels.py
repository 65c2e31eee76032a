"""What all figures share: a figure of panels, and a picture in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_pixels
from variflow.base.types import Numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure, SubFigure

# The colour of arrows, and of the rim that shows them on any image.
INK, RIM = "#ff2d12", "white"
# The colour of what is unknown in a picture of numbers; no map has it.
_UNKNOWN = "#8c8c8c"


def make_figure(rows: int, columns: float, aspect: float, panel: float = 2.6) -> Figure:
    """Return a figure for panels so many inches wide, of that height by width (within bounds).

    Panels are small so that their titles can be read where the figure is shown small.
    """
    from matplotlib.figure import Figure

    height = panel * min(max(aspect, 0.3), 3.0)
    return Figure(figsize=(panel * columns, (height + 0.35) * rows), layout="constrained")


def show(axes: Axes, picture: Numbers, title: str | None = None, **how: Any) -> None:
    """Show a picture in axes that have its pixels as coordinates and no ticks."""
    if picture.ndim == 2 and "cmap" not in how:
        how |= {"cmap": "gray", "vmin": 0, "vmax": 1}
    axes.imshow(picture, interpolation="nearest", **how)
    axes.set_xticks([])
    axes.set_yticks([])
    if title:
        axes.set_title(title)


def add_bar(axes: Axes, label: str, *, high: bool, low: bool = False) -> None:
    """Add a bar of the colours of the picture in axes, as high as these, outside of them.

    `high` and `low` say whether values lie beyond the limits. The axes keep their size.
    """
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[low, high]
    beside = axes.inset_axes((1.03, 0.0, 0.045, 1.0))
    numbers = ScalarFormatter(useMathText=True)
    numbers.set_powerlimits((-3, 4))
    ticks = MaxNLocator(nbins=5, steps=(1, 2, 5, 10))
    find_figure(axes).colorbar(axes.images[0], cax=beside, extend=extend, label=label, ticks=ticks, format=numbers)


def make_map(name: str) -> Colormap:
    """Return a map of colours of matplotlib that is gray where a value is unknown."""
    from matplotlib import colormaps

    return colormaps[name].with_extremes(bad=_UNKNOWN)


def draw_arrows(axes: Axes, corners: npt.NDArray[np.float64], inks: list[str]) -> None:
    """Draw outlines (N, 7, 2) of arrows in axes, each in its ink; their rims lie below all of them."""
    from matplotlib.collections import PolyCollection

    shapes = list(corners)
    axes.add_collection(
        PolyCollection(shapes, facecolors=RIM, edgecolors=RIM, linewidths=1.0, joinstyle="round", zorder=2.5)
    )
    axes.add_collection(PolyCollection(shapes, facecolors=inks, linewidths=0, zorder=2.5))


def find_figure(axes: Axes) -> Figure:
    """Return the figure at the root of any nested sub-figures."""
    owner: Figure | SubFigure = axes.figure
    while owner.figure is not owner:
        owner = owner.figure
    found: Figure = owner
    return found


def normalise_frames(shape: tuple[int, ...], **frames: npt.ArrayLike) -> list[npt.NDArray[np.float64]]:
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
