"""Flows and errors as colours."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from variflow import _core
from variflow.base.arrays import as_flow, find_known
from variflow.base.choices import check_number, check_whole
from variflow.base.types import Numbers
from variflow.metrics import endpoint_error_map

# The wheel passes through six pure colours. Its 55 steps are spread over the intervals between them as below.
_CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1))

_STEPS = (15, 6, 4, 11, 13, 6)

# Speeds at full colour that single precision can divide by.
_SPEEDS = (1e-30, 1e30)

# Speeds are outliers where they are those of at most one pixel in so many, and the largest is above so many times the
# others.
_RARE, _FAR = 1000, 2.0

# Of the key beside a picture: its size as a part of the longer side of the picture, at least and at most so many px;
# and the colours of its text, which is not the black of unknown pixels, and of the border.
_KEY_SHARE, _KEY_SIZES, _KEY_INK, _KEY_BORDER = 6, (51, 301), "#303030", "#b0b0b0"

# The colours in which KITTI shows errors, from blue to red (ColorBrewer's RdYlBu).
_ERROR_COLORS = ("313695", "4575b4", "74add1", "abd9e9", "e0f3f8", "fee090", "fdae61", "f46d43", "d73027", "a50026")


def color(flow: npt.ArrayLike, scale: float | None = None, *, key: bool = False) -> npt.NDArray[np.uint8]:
    """Show a flow as colours: the hue is the direction, the saturation the speed.

    Red points right, yellow down, cyan left, violet up (see :func:`wheel`). No motion is white. Speeds above `scale`
    are darkened. Unknown pixels are black.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels; NaN where it is unknown.
    scale : float, optional
        The speed, px, at full colour. Default: the largest known speed of this flow, without that of one pixel in a
        thousand if it is more than twice the others. A fixed scale makes the colours of several flows comparable.
    key : bool
        Whether to add the key: a small wheel with the speed at full colour, on white at the right of the flow. It hides
        nothing of the flow, whose pixels stay where they are.

    Returns
    -------
    picture : uint8 (H, W, 3)
        RGB; wider with a key, and higher if the flow is lower than that.

    Raises
    ------
    TypeError, ValueError
        If `flow` is not a flow, or `scale` is not above 0.

    Examples
    --------
    >>> color([[[2.0, 0.0], [0.0, 0.0]]]).tolist()
    [[[255, 0, 0], [255, 255, 255]]]
    """
    field = as_flow(flow, "flow", shared=True)
    speed = choose_scale(field, scale)
    largest = min(max(speed, _SPEEDS[0]), _SPEEDS[1])
    picture = _core.paint_flow(np.ascontiguousarray(field), largest, _make_hues())
    return add_key(picture, speed) if key else picture


def add_key(picture: npt.NDArray[np.uint8], speed: float) -> npt.NDArray[np.uint8]:
    """Return a picture (H, W, 3) with a small wheel at its right, and below that the speed at its rim, in px.

    Examples
    --------
    >>> from variflow.view.colors import add_key
    >>> add_key(np.zeros((200, 300, 3), np.uint8), 2.5).shape
    (200, 363, 3)
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = picture.shape[:2]
    size = min(max(max(height, width) // _KEY_SHARE, _KEY_SIZES[0]), _KEY_SIZES[1])
    gap, text, font = size // 8, f"{speed:.3g} px", ImageFont.load_default(size / 4)
    left, top, right, bottom = font.getbbox(text)
    inner = max(size, round(right - left))
    wide, high = width + inner + 2 * gap, max(height, size + round(bottom - top) + 3 * gap)
    drawn = Image.new("RGB", (wide, high), "white")
    drawn.paste(Image.fromarray(wheel(size)), (width + gap + (inner - size) // 2, gap))
    pen, middle = ImageDraw.Draw(drawn), width + gap + inner / 2
    pen.text((middle - (left + right) / 2, size + 2 * gap - top), text, _KEY_INK, font)
    pen.rectangle((0, 0, width, height), _KEY_BORDER)  # of which a line is left, that shows where a white flow ends
    drawn.paste(Image.fromarray(picture), (0, 0))
    return np.asarray(drawn)


@functools.cache
def _make_hues() -> npt.NDArray[np.float32]:
    """Return the hues of the wheel, clockwise from the right, as RGB from 0 to 1: (3, number)."""
    steps = np.repeat(np.arange(6), _STEPS)
    start, end = np.asarray(_CORNERS, float)[steps], np.roll(_CORNERS, -1, axis=0)[steps]
    fraction = np.concatenate([np.arange(count) / count for count in _STEPS])
    return np.ascontiguousarray((start + fraction[:, None] * (end - start)).T, np.float32)


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


def choose_scale(field: Numbers, scale: float | None) -> float:
    """Return the speed at full colour: `scale` if it is given, or else the largest that is no outlier."""
    if scale is not None:
        return check_number("scale", scale, above=0, what="a finite speed in px")
    known = field[find_known(field)].astype(np.float64)
    speeds = np.hypot(known[:, 0], known[:, 1])
    largest = float(speeds.max(initial=0.0))
    if largest > 0:
        rank = len(speeds) - 1 - len(speeds) // _RARE
        usual = float(np.partition(speeds, rank)[rank])
        if 0 < _FAR * usual < largest:
            return usual
    return largest or 1.0
