"""TIFF: two planes of floating point, u and v; NaN where the flow is unknown."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from variflow.base.kinds import is_float
from variflow.io import claims, tiff_pages
from variflow.io.atomic import atomic
from variflow.io.errors import FlowFileError

EXTENSIONS = (".tif", ".tiff")
MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a flow from a TIFF of two float planes: two pages, two separate samples, or two samples a pixel.

    Samples that the file says are missing (GDAL_NODATA) are NaN.

    Raises
    ------
    FlowFileError
        If it is a picture, or damaged.
    """
    pages = tiff_pages.Pages(path, FlowFileError, "a flow is two planes of float")
    planes = [pages.read_stored(index) for index in range(min(len(pages), 3))]
    if len(planes) == 2 and planes[0].ndim == 2:
        planes = [np.stack(planes, axis=-1)]
    if len(planes) != 1 or planes[0].shape[2:] != (2,) or not is_float(pages.stored_type):
        said = " x ".join(map(str, planes[0].shape))
        raise FlowFileError(path, f"holds {len(pages)} x {said} of {pages.stored_type}; a flow is two planes of float")
    return claims.as_flow(path, planes[0])


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow as two pages of float32, first u, then v, uncompressed."""
    import tifffile

    planes = np.ascontiguousarray(np.moveaxis(flow, -1, 0))
    memory = io.BytesIO()
    tifffile.imwrite(memory, planes, photometric="minisblack", metadata={"axes": "CYX"}, byteorder="<")
    with atomic(path) as file:
        file.write(memory.getbuffer())
