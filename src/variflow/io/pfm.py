"""The portable float map ``.pfm``, in which FlyingThings3D and others publish flows.

Three lines of text (``PF``, width and height, a scale whose sign is negative for little-endian), then float32 (u, v, 0)
of every pixel, row by row from the bottom up. Unknown pixels hold infinity, as in the disparities of Middlebury.

References
----------
N. Mayer et al., "A Large Dataset to Train Convolutional Networks for Disparity, Optical Flow, and Scene Flow
Estimation", CVPR 2016; https://www.pauldebevec.com/Research/HDR/PFM/
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from variflow.io import claims
from variflow.io.atomic import atomic
from variflow.io.errors import FlowFileError
from variflow.io.opening import get_size, open_steady

EXTENSIONS = (".pfm",)
MAGICS = (b"PF", b"Pf")

_HEADER = re.compile(rb"PF\s+(\d{1,10})\s+(\d{1,10})\s+([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)[ \t\r]*\n")
_LONGEST_HEADER = 200


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a ``.pfm`` file of three channels; the third is ignored.

    Raises
    ------
    FlowFileError
        If it has one channel, its scale is neither 1 nor -1, or its length is not what its header says.
    """
    with open_steady(path, FlowFileError) as file:
        start = file.read(_LONGEST_HEADER)
        if start[:2] == b"Pf":
            raise FlowFileError(path, "a .pfm of one channel; a flow has three, (u, v, 0)")
        header = _HEADER.match(start)
        if header is None:
            raise FlowFileError(path, f"not a .pfm file: it begins with {start[:16]!r}, not with PF, size and scale")
        width, height, scale = int(header[1]), int(header[2]), float(header[3])
        if width < 1 or height < 1:
            raise FlowFileError(path, f"its header says {width} x {height} pixels, wanted at least 1 x 1")
        if abs(scale) != 1:
            raise FlowFileError(path, f"its scale is {scale:g}; a flow in pixels has 1 (big-endian) or -1")
        size, wanted = get_size(file), header.end() + 12 * width * height
        if size != wanted:
            fault = "truncated" if size < wanted else "trailing data"
            raise FlowFileError(path, f"{fault}: {size} bytes, {width} x {height} pixels need {wanted}")
        file.seek(header.end())
        values = np.fromfile(file, "<f4" if scale < 0 else ">f4", 3 * width * height)
    if values.size != 3 * width * height:
        raise FlowFileError(path, "truncated while it was read")
    return claims.as_flow(path, values.reshape(height, width, 3)[::-1, :, :2])


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow as ``.pfm``, little-endian."""
    height, width = flow.shape[:2]
    values = np.zeros((height, width, 3), "<f4")
    values[..., :2] = np.where(np.isnan(flow), np.inf, flow)[::-1]
    with atomic(path) as file:
        file.write(f"PF\n{width} {height}\n-1.0\n".encode())
        file.write(values.data)
