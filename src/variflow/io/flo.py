"""The Middlebury flow file ``.flo``.

A header of twelve bytes (the float32 202021.25, then width and height as int32), then u and v of every pixel, row by
row, as float32; all little-endian. A component above 1e9 in magnitude marks a pixel whose flow is unknown.

References
----------
S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 92, 2011;
https://vision.middlebury.edu/flow/submit/
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import mark_where_all
from variflow.io.atomic import atomic
from variflow.io.errors import FlowFileError
from variflow.io.opening import get_size, open_steady

EXTENSIONS = (".flo",)
MAGICS = (b"PIEH",)

_HEADER = struct.Struct("<fii")
_MAGIC = 202021.25
LARGEST_KNOWN = 1e9
_UNKNOWN = 1.6666668e9


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a ``.flo`` file.

    Raises
    ------
    FlowFileError
        If the file is not a ``.flo`` file, or is shorter or longer than its header says.
    """
    with open_steady(path, FlowFileError) as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise FlowFileError(path, f"truncated: {len(header)} bytes, the header of a .flo file alone has 12")
        magic, width, height = _HEADER.unpack(header)
        if magic != _MAGIC:
            raise FlowFileError(path, f"not a .flo file: it begins with {header[:4]!r}, not with b'PIEH'")
        if width < 1 or height < 1:
            raise FlowFileError(path, f"its header says {width} x {height} pixels, wanted at least 1 x 1")
        # Compared before memory is allocated: a header can claim any size.
        size, wanted = get_size(file), _HEADER.size + 8 * width * height
        if size != wanted:
            fault = "truncated" if size < wanted else "trailing data"
            raise FlowFileError(path, f"{fault}: {size} bytes, {width} x {height} pixels need {wanted}")
        values = np.fromfile(file, dtype="<f4", count=2 * width * height)
    if values.size != 2 * width * height:
        raise FlowFileError(path, "truncated while it was read")
    flow = values.reshape(height, width, 2).astype(np.float32, copy=False)
    known = mark_where_all(np.abs(flow) <= LARGEST_KNOWN)
    flow[~known] = np.nan
    return flow


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow in the ``.flo`` format.

    Raises
    ------
    ValueError
        If a displacement is above 1e9, which would be read back as unknown.
    """
    too_large = np.abs(flow) > LARGEST_KNOWN
    if too_large.any():
        count = int(too_large.any(axis=-1).sum())
        raise ValueError(f"flow has {count} pixels that move by more than 1e9 px, too much for .flo")
    values = np.where(np.isnan(flow), np.float32(_UNKNOWN), flow).astype("<f4", copy=False)
    height, width = values.shape[:2]
    with atomic(path) as file:
        file.write(_HEADER.pack(_MAGIC, width, height))
        file.write(values.data)
