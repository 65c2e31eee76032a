"""A field of one number a pixel, such as a vorticity or a speed, in colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_pixels
from variflow.base.choices import check_number
from variflow.view.panels import add_bar, find_figure, make_figure, make_map, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Beyond the limits is this percentage of the pixels, at each end. A figure of its own is so many inches wide.
_BEYOND, _WIDE = 1.0, 5.0


def scalar(
    field: npt.ArrayLike,
    *,
    name: str | None = None,
    unit: str | None = None,
    signed: bool | None = None,
    limit: float | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw a field of numbers in colours, with a bar that says what they stand for.

    A field with a sign, such as a vorticity or a divergence, is blue below 0, white at 0 and red above. Others, such as
    a speed, go from dark to bright, from 0 on. Unknown pixels are gray. The bar has a point at an end beyond which
    there are values.

    Parameters
    ----------
    field : array_like (H, W)
        The numbers; NaN where they are unknown.
    name : str, optional
        What they are, for the title. Default: the name that an array of xarray has, or else none.
    unit : str, optional
        Their unit, for the bar. Default: the unit that an array of xarray has, or else none.
    signed : bool, optional
        Whether the sign matters. Default: whether any value is below 0.
    limit : float, optional
        The value at full colour, above 0; a fixed one makes several pictures comparable. Default: that which 99 of 100
        values stay below, without their sign.
    axes : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Pass it to :func:`save`.

    Raises
    ------
    TypeError, ValueError
        If `field` is not (H, W), or `limit` is not above 0.

    Examples
    --------
    >>> from variflow import flowops, view
    >>> flow = np.random.default_rng(0).normal(size=(20, 30, 2))
    >>> drawn = view.scalar(flowops.vorticity(flow) / 2e-4, name="vorticity", unit="1/s")
    """
    said = getattr(field, "attrs", {})
    title = name if name is not None else said.get("long_name", getattr(field, "name", None))
    label = unit if unit is not None else said.get("units")
    values = as_pixels(field, "field").astype(np.float64)
    if values.ndim != 2:
        raise ValueError(f"field has shape {values.shape}, wanted (H, W)")
    known = values[np.isfinite(values)]
    if signed is None:
        signed = bool((known < 0).any())
    if limit is None:
        limit = float(np.percentile(np.abs(known), 100 - _BEYOND)) if known.size else 0.0
        limit = limit or float(np.abs(known).max(initial=0.0)) or 1.0
    else:
        limit = check_number("limit", limit, above=0, what="a finite number")
    least = -limit if signed else 0.0
    if axes is None:
        axes = make_figure(1, 1, values.shape[0] / values.shape[1], _WIDE).add_subplot()
    shown = make_map("RdBu_r" if signed else "viridis")
    show(axes, values, str(title) if title else None, cmap=shown, vmin=least, vmax=limit)
    high, low = bool((known > limit).any()), bool((known < least).any())
    add_bar(axes, str(label) if label else "", high=high, low=low)
    return find_figure(axes)
