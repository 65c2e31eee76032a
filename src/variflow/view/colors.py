"""Flows and errors as colours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_flow
from variflow.base.choices import check_number, check_whole
from variflow.metrics import endpoint_error_map

# The wheel passes through six pure colours. Its 55 steps are spread over the intervals between them as below.
_CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1))

_STEPS = (15, 6, 4, 11, 13, 6)

# The colours in which KITTI shows errors, from blue to red (ColorBrewer's RdYlBu).
_ERROR_COLORS = ("313695", "4575b4", "74add1", "abd9e9", "e0f3f8", "fee090", "fdae61", "f46d43", "d73027", "a50026")


def color(flow: npt.ArrayLike, scale: float | None = None) -> npt.NDArray[np.uint8]:
    """Show a flow as colours: the hue is the direction, the saturation the speed.

    Red points right, yellow down, cyan left, violet up (see :func:`wheel`). No motion is white. Speeds above `scale`
    are darkened. Unknown pixels are black.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels; NaN where it is unknown.
    scale : float, optional
        The speed, px, at full colour. Default: the largest known speed of this flow. A fixed scale makes the
        colours of several flows comparable.

    Returns
    -------
    picture : uint8 (H, W, 3)
        RGB.

    Raises
    ------
    TypeError, ValueError
        If `flow` is not a flow, or `scale` is not above 0.

    Examples
    --------
    >>> color([[[2.0, 0.0], [0.0, 0.0]]]).tolist()
    [[[255, 0, 0], [255, 255, 255]]]
    """
    field = as_flow(flow, "flow", np.float64)
    unknown = ~np.isfinite(field).all(axis=-1)
    largest = choose_scale(field, scale)
    field[unknown] = 0
    u, v = field[..., 0], field[..., 1]
    radius = np.hypot(u, v)[..., None] / largest

    steps = np.repeat(np.arange(6), _STEPS)
    start, end = np.asarray(_CORNERS, float)[steps], np.roll(_CORNERS, -1, axis=0)[steps]
    fraction = np.concatenate([np.arange(count) / count for count in _STEPS])
    hues = start + fraction[:, None] * (end - start)

    # A full turn has exactly as many steps as the wheel has colours, so the last colour blends into the first.
    position = np.arctan2(v, u) / (2 * np.pi) % 1 * len(hues)
    before = position.astype(int)
    share = (position - before)[..., None]
    hue = (1 - share) * hues[before % len(hues)] + share * hues[(before + 1) % len(hues)]

    picture: npt.NDArray[np.float64] = np.where(radius <= 1, 1 - radius * (1 - hue), 0.75 * hue)
    picture[unknown] = 0
    return np.rint(255 * picture).astype(np.uint8)


def wheel(size: int = 151) -> npt.NDArray[np.uint8]:
    """Draw the key to :func:`color`: every pixel of a disk has the colour of the flow that points to it.

    Parameters
    ----------
    size : int
        Height and width, px; an odd number has a centre.

    Returns
    -------
    picture : uint8 (size, size, 3)
        RGB, white around the disk.

    Examples
    --------
    >>> wheel(3)[1].tolist()  # left, rest, right
    [[0, 197, 255], [255, 255, 255], [255, 0, 0]]
    """
    check_whole("size", size, 1)
    along = np.linspace(-1, 1, size) if size > 1 else np.zeros(1)
    flow = np.stack(np.meshgrid(along, along), axis=-1)
    flow[np.hypot(flow[..., 0], flow[..., 1]) > 1 + 1e-9] = 0
    return color(flow, scale=1.0)


def error_map(flow: npt.ArrayLike, truth: npt.ArrayLike, limit: float = 3.0) -> npt.NDArray[np.uint8]:
    """Show the end-point error of a flow as colours; each stands for twice the error of the one before.

    Errors below `limit` are blue, the darkest a sixteenth of it and less. Errors above are yellow to dark red, the
    darkest sixteen times `limit` and more. Unknown truth is black. If only the estimate is unknown, that is the largest
    error.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        The estimate (u, v), in pixels.
    truth : array_like (H, W, 2)
        The true flow; NaN where it is unknown.
    limit : float
        The error, px, at which blue turns to yellow. KITTI uses 3; 0.5 shows small errors.

    Returns
    -------
    picture : uint8 (H, W, 3)
        RGB.

    Raises
    ------
    TypeError, ValueError
        If the flows do not fit, or `limit` is not above 0.

    References
    ----------
    M. Menze, A. Geiger, "Object Scene Flow for Autonomous Vehicles", CVPR 2015.

    Examples
    --------
    >>> error_map([[[2.9, 0.0], [3.1, 0.0]]], np.zeros((1, 2, 2))).tolist()
    [[[224, 243, 248], [254, 224, 144]]]
    """
    check_number("limit", limit, above=0, what="a finite error in px")
    error = endpoint_error_map(flow, truth)
    colors = np.array([[*bytes.fromhex(color)] for color in (*_ERROR_COLORS, "000000")], np.uint8)
    steps = np.digitize(error, limit * 2.0 ** np.arange(-4, 5), right=True)
    steps[np.isnan(error)] = len(_ERROR_COLORS)
    return np.asarray(colors[steps])


def choose_scale(field: npt.NDArray[np.float64], scale: float | None) -> float:
    """Return the speed at full colour: `scale` if it is given, or else the largest known speed."""
    if scale is not None:
        return check_number("scale", scale, above=0, what="a finite speed in px")
    known = field[np.isfinite(field).all(axis=-1)]
    largest = float(np.hypot(known[:, 0], known[:, 1]).max(initial=0.0))
    return largest or 1.0
