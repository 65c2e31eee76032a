"""Undo a motion: look a frame up along a flow, in the type of the frame."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import Image
from variflow.base.choices import check_number
from variflow.base.kinds import is_float, is_integer
from variflow.base.types import Numbers
from variflow.flowops.fields import Flow, find_inside
from variflow.images.warping import warp

Fill: TypeAlias = float | Literal["nearest"]


def check_fill(fill: object) -> None:
    """Raise ValueError if a value cannot fill pixels that come from outside the frame."""
    if isinstance(fill, str) and fill == "nearest":
        return
    if not (isinstance(fill, float | np.floating) and math.isnan(fill)):
        check_number("fill", fill, what="a number or 'nearest'", infinite=True)


def correct(image: Image, flow: Flow, fill: Fill) -> Numbers:
    """Return a frame looked up bicubically along a flow, in its own type and shape.

    Integers are rounded, and cut off at the ends of their range. Where integers were masked, the result is masked too.

    Parameters
    ----------
    image : Image
        The frame.
    flow : (H, W, 2) float32
        Where each pixel of the result comes from; known everywhere.
    fill : float or "nearest"
        What pixels show that come from outside the frame; "nearest" is the pixel at the border.

    Raises
    ------
    ValueError
        If the type of the frame does not hold `fill`.
    """
    pixels = image.pixels
    if image.known is not None:
        pixels = np.where(image.known[..., None], pixels, np.nan)
    dtype = image.pixels.dtype
    outside = ~find_inside(flow)
    if fill != "nearest" and not is_float(dtype):
        _check_holds(dtype, fill)
    warped: NDArray[np.float64] = warp(pixels, flow).astype(np.float64)
    if fill != "nearest":
        warped[outside] = fill
    missing = np.isnan(warped)
    if image.known is None or not missing.any():
        return _round_to(dtype, warped).reshape(image.shape)
    rounded = _round_to(dtype, np.where(missing, 0, warped))
    return np.ma.array(rounded, mask=missing).reshape(image.shape)


def _check_holds(dtype: np.dtype[np.generic], fill: float) -> None:
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if is_integer(dtype) else (0, 1)
    if not (math.isfinite(fill) and fill == int(fill) and low <= fill <= high):
        raise ValueError(
            f"fill is {fill!r}, wanted a whole number from {low} to {high} for frames of {dtype}, or 'nearest'"
        )


def _round_to(dtype: np.dtype[np.generic], values: NDArray[np.float64]) -> Numbers:
    """Return numbers in another type: integers are the nearest ones that it holds."""
    if is_float(dtype):
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    if not is_integer(dtype):  # bool
        return values >= 0.5
    ends = np.iinfo(dtype)
    # The largest integers of 64 bits become a larger float, which they do not hold.
    high = float(ends.max) if int(float(ends.max)) <= ends.max else np.nextafter(float(ends.max), 0)
    return np.clip(np.rint(values), float(ends.min), high).astype(dtype)
