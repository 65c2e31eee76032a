"""Planes of numbers as text: 8 or 16 bits a pixel, as differences where that pays, by bytes, deflated, in base64."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from variflow.base.types import Numbers

Bits: TypeAlias = Literal[8, 16]
Codes: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

# What is stored of each pixel: its code, what it differs by from the pixel to its left, or by how much that difference
# differs from the one above. The one that takes the fewest bytes in so many rows is taken.
_DIFFERENCES = ("none", "along", "both")
_ROWS = 96
# Of a plane that is the same everywhere, which is exact: the page shows as many digits as steps allow.
_STEP_OF_ONE_VALUE = 1e-4
_LEVEL = 6


@dataclass(frozen=True)
class Plane:
    """A packed plane.

    Attributes
    ----------
    text : str
        What the page unpacks.
    facts : dict
        How: bits, kind of differences, and what the codes mean (``low + code * step``; the largest is unknown).
    """

    text: str
    facts: dict[str, Any]


def pack_values(values: Numbers, bits: Bits, limits: tuple[float, float] | None = None) -> Plane:
    """Pack real numbers in equal steps from the least to the largest, or between given limits.

    Parameters
    ----------
    values : (H, W) array
        NaN or infinite where unknown.
    bits : {8, 16}
        Of each pixel. A value changes by at most half a step, 1/508 or 1/131068 of the range.
    limits : (low, high), optional
        The values of the first and the last step; values outside are brought to them. Default: the least and the
        largest known value.

    Returns
    -------
    Plane
        Its last code, all bits set, is that of unknown values.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.page.packing import pack_values
    >>> pack_values(np.array([[0.0, 1.0, np.nan]]), 8).facts["step"] * 254
    1.0
    """
    known = np.isfinite(values)
    unknown = 2**bits - 1
    if limits is not None:
        low, high = limits
    else:
        low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 0.0)
    step = (high / (unknown - 1) - low / (unknown - 1)) or _STEP_OF_ONE_VALUE
    codes = np.full(values.shape, unknown, np.uint16 if bits == 16 else np.uint8)
    steps = (np.clip(values[known].astype(np.float64), low, high) - low) / step
    codes[known] = np.rint(np.clip(steps, 0, unknown - 1))
    plane = pack_codes(codes)
    return Plane(plane.text, plane.facts | {"low": low, "step": step, "unknown": bool((~known).any())})


def pack_codes(codes: Codes) -> Plane:
    """Pack whole numbers as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.page.packing import pack_codes
    >>> pack_codes(np.arange(6, dtype=np.uint8).reshape(2, 3)).facts["differences"]
    'none'
    """
    middle = max(0, (len(codes) - _ROWS) // 2)
    part = codes[middle : middle + _ROWS]
    sizes = {kind: len(zlib.compress(_split_bytes(_differ(part, kind)), 1)) for kind in _DIFFERENCES}
    kind = min(_DIFFERENCES, key=lambda name: sizes[name])
    packed = zlib.compress(_split_bytes(_differ(codes, kind)), _LEVEL)
    facts = {"bits": 8 * codes.itemsize, "shape": codes.shape, "differences": kind}
    facts |= {"low": 0.0, "step": 1.0, "unknown": False}
    return Plane(base64.b64encode(packed).decode("ascii"), facts)


def pack_colors(frame: NDArray[np.uint8], *, halved: bool) -> list[Plane]:
    """Pack a colour frame as one plane of brightness and two of colour.

    Parameters
    ----------
    frame : uint8 (H, W, 3)
        RGB.
    halved : bool
        Whether the planes of colour are kept at half the size, as films keep them; else nothing is lost.

    Returns
    -------
    list of Plane
        Green, and what red and blue differ by from it, which varies less. If `halved`, ``(R + 2 G + B) / 4``, and
        ``(R - G) / 2 + 128`` and ``(B - G) / 2 + 128`` over squares of two pixels by two.
    """
    if not halved:
        red, green, blue = np.moveaxis(frame, 2, 0)
        return [pack_codes(np.ascontiguousarray(plane)) for plane in (green, red - green, blue - green)]
    red, green, blue = np.moveaxis(frame, 2, 0).astype(np.int32)
    half = [_halve(plane - green + 256) for plane in (red, blue)]
    return [pack_codes(codes.astype(np.uint8)) for codes in ((red + 2 * green + blue + 2) // 4, *half)]


def _halve(plane: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return half the mean over squares of two pixels by two; the last row and column are repeated where one is odd."""
    even = np.pad(plane, [(0, size % 2) for size in plane.shape], mode="edge")
    halved: NDArray[np.int32] = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2] + 4) // 8
    return halved


def _differ(codes: Codes, kind: str) -> Codes:
    """Return differences, folded so that small ones of both signs are small: 0, -1, 1, -2 become 0, 1, 2, 3."""
    if kind == "none":
        return codes
    differences = codes.copy()
    if kind == "both":
        differences[1:] -= codes[:-1]
    differences[:, 1:] -= differences[:, :-1].copy()
    signed: Numbers = differences.view(np.int16 if codes.itemsize == 2 else np.int8)
    folded: Codes = ((signed << 1) ^ (signed >> (8 * codes.itemsize - 1))).view(codes.dtype)
    return folded


def _split_bytes(codes: Codes) -> bytes:
    """Return the high bytes of all pixels, then the low ones: the high ones repeat themselves."""
    if codes.itemsize == 1:
        return codes.tobytes()
    return (codes >> 8).astype(np.uint8).tobytes() + (codes & 255).astype(np.uint8).tobytes()
