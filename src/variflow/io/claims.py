"""Check what a header claims, before memory is allocated for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import find_known
from variflow.base.kinds import is_number
from variflow.base.types import Numbers
from variflow.io.errors import FileFormatError, FlowFileError

DEFLATE = 1032
"""No deflate stream expands by more than this factor."""

ANY_CODEC = 1 << 15
"""Zstandard, the densest codec met here, expands a constant block of 128 KiB from 4 bytes."""

_HARMLESS = 1 << 26  # 64 MiB: a smaller claim does no harm
_LARGE = 1 << 28  # 256 MiB, a flow of 8192 x 4096 pixels: a larger claim must be plausible
_PLAUSIBLE = 100  # the most that a large claim may exceed its file: real flows and frames seldom reach 20


def check_expansion(
    path: Path, kind: type[FileFormatError], size: tuple[int, ...], needed: int, stored: int, factor: int
) -> None:
    """Refuse a header that asks for more memory than its file can fill, or than any flow or frame would need.

    Above 256 MiB, at most a hundred times the size of the file is believed, although a file of zeros could hold more.

    Parameters
    ----------
    path : Path
        The file.
    kind : type
        The error to raise.
    size : tuple of int
        What the header says, for the message.
    needed, stored : int
        Bytes in memory, and bytes in the file.
    factor : int
        The most by which the compression of the file can expand it.

    Raises
    ------
    FileFormatError
        Of that kind.
    """
    if needed > _HARMLESS and (needed > factor * stored or _is_too_dense(needed, stored)):
        said = " x ".join(map(str, size))
        raise kind(path, f"its header says {said}, {needed} bytes in memory, too much for {stored} bytes of file")


def pack_plausibly(needed: int, pack: Callable[[bool], bytes | bytearray]) -> bytes | bytearray:
    """Return what `pack` makes with compression, or without it if no reader would believe the size, as for zeros alone.

    Parameters
    ----------
    needed : int
        Bytes in memory.
    pack : callable
        Makes the content of a file; its argument says whether to compress.
    """
    content = pack(True)
    around = 1 << 13  # a header and other additions of a format, which a reader may or may not count
    return pack(False) if _is_too_dense(needed + around, max(0, len(content) - around)) else content


def _is_too_dense(needed: int, stored: int) -> bool:
    return needed > max(_PLAUSIBLE * stored, _LARGE)


def check_flow_shape(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
    """Raise `FlowFileError` unless an array of this shape and type is a flow: real and (H, W, 2)."""
    if not is_number(dtype):
        raise FlowFileError(path, f"holds {dtype}, a flow is made of real numbers")
    if len(shape) != 3 or shape[2] != 2 or 0 in shape:
        hint = "; np.moveaxis(array, 0, -1) puts its axes in order" if len(shape) == 3 and shape[0] == 2 else ""
        raise FlowFileError(path, f"holds an array of shape {shape}, a flow is (H, W, 2) with at least one pixel{hint}")


def as_flow(path: Path, values: Numbers) -> npt.NDArray[np.float32]:
    """Turn what a file holds into a flow in memory.

    Parameters
    ----------
    path : Path
        The file.
    values : (H, W, 2)
        Displacements of any real type and byte order; the memory may be reused.

    Returns
    -------
    flow : float32 (H, W, 2)
        In the same memory if possible, NaN in both components where either is NaN or infinite.

    Raises
    ------
    FlowFileError
        If the array is no flow, or a displacement is finite but beyond float32.
    """
    check_flow_shape(path, values.shape, values.dtype)
    with np.errstate(over="ignore"):
        flow = np.require(values, np.float32, ("C", "W"))
    unknown = ~find_known(flow)
    if values.dtype.itemsize > 4 and find_known(values[unknown]).any():
        raise FlowFileError(path, "holds displacements beyond 3.4e38, which float32 cannot hold")
    flow[unknown] = np.nan
    return flow
