"""A flow as arrows over an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_flow
from variflow.base.choices import check_number, check_whole
from variflow.flowops.units import PixelSize
from variflow.view import sparse
from variflow.view.panels import INK, RIM, draw_arrows, find_figure, make_figure, normalise_frames, show
from variflow.view.units import find_unit, round_down, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches between arrows, and the width of a figure of its own.
_APART, _WIDE = 0.28, 6.0
# The colour of arrows that are cut.
_CUT = "#7a0060"
# The key is at most so many times as long as an arrow of full scale. It is this far below the image, in inches.
_KEY, _BELOW = 2.0, 0.15


def arrows(
    image: npt.ArrayLike,
    flow: npt.ArrayLike,
    *,
    step: int | None = None,
    magnify: float | None = None,
    pixel_size: PixelSize | None = None,
    dt: float | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw a flow as arrows over an image, with a key that says how long they are.

    Each arrow is the median of the flow in the square around it. It has a head, however short it is. A dot is no
    motion, or one too small to be seen beside the others; where nothing is known there is no arrow.

    Parameters
    ----------
    image : array_like (H, W) or (H, W, C)
        The image to draw on, usually the first frame.
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels; NaN where it is unknown.
    step : int, optional
        Distance between arrows, px. Default: about a third of an inch, at least a pixel.
    magnify : float, optional
        Length of the arrows relative to the displacement, above 0. They begin at their pixels: with 1, each ends where
        its pixel goes. Default: so long that they just do not overlap, with their middles at their pixels; a few that
        are much faster than the others are cut, and are violet.
    pixel_size : float or (float, str), optional
        The side of a pixel in metres, or a number with its unit as for `variflow.flowops.to_xarray`: the key is then in
        metres.
    dt : float, optional
        The time between the frames in seconds: the key is then a speed.
    axes : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure that holds the arrows. The key is below the image.

    Raises
    ------
    TypeError, ValueError
        If image and flow do not fit, or a number is not above 0.

    Examples
    --------
    >>> drawn = arrows(np.zeros((20, 30)), np.full((20, 30, 2), 1.5), pixel_size=25e-6, dt=2e-4)
    >>> drawn.axes[0].texts[0].get_text()
    '500 mm/s'
    """
    from matplotlib.collections import PolyCollection

    field = as_flow(flow, "flow", np.float64)
    height, width = field.shape[:2]
    below = normalise_frames((height, width), image=image)[0]
    per_pixel, unit = find_unit(pixel_size, dt)
    if axes is None:
        axes = make_figure(1, 1, height / width, _WIDE).add_subplot()
    show(axes, below)
    inch = _count_pixels(axes, height, width)
    if step is None:
        step = max(1, round(_APART * inch))
    thin = sparse.thin_out(field, check_whole("step", step, 1))
    if magnify is None:
        speed = sparse.choose_speed(thin)
        longer, most = sparse.LENGTH * step / speed, sparse.LONGEST * step
    else:
        longer, most = check_number("magnify", magnify, above=0, what="a finite number"), np.inf
        speed = sparse.LENGTH * step / longer

    corners, still, cut = sparse.outline(thin, longer, most=most, centred=magnify is None)
    limits = axes.get_xlim(), axes.get_ylim()
    draw_arrows(axes, corners[~still], np.where(cut, _CUT, INK)[~still].tolist())
    axes.plot(thin.x[still], thin.y[still], "o", color=INK, markersize=2.5, markeredgecolor=RIM, markeredgewidth=0.4)

    shown = round_down(_KEY * speed * per_pixel)
    x, y, u, v = np.array([[-0.5], [height - 0.5 + _BELOW * inch], [shown / per_pixel], [0.0]])
    key = list(sparse.outline(sparse.SparseFlow(x, y, u, v, step), longer, centred=False)[0])
    axes.add_collection(PolyCollection(key, facecolors="black", linewidths=0, clip_on=False))
    axes.annotate(
        say(shown, unit),
        (key[0][:, 0].max(), y[0]),
        xytext=(5, 0),
        textcoords="offset points",
        verticalalignment="center",
        annotation_clip=False,
    )
    axes.set(xlim=limits[0], ylim=limits[1])
    return find_figure(axes)


def _count_pixels(axes: Axes, height: int, width: int) -> float:
    """Return how many pixels of an image there are to an inch of axes that show it."""
    box, owner = axes.get_window_extent(), find_figure(axes)
    return owner.dpi / min(box.width / width, box.height / height)
