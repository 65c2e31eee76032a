"""TIFF: two planes of floating point, u and v; NaN where the flow is unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variflow.io import claims
from variflow.io.errors import FileFormatError, FlowFileError

EXTENSIONS = (".tif", ".tiff")
MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a flow from a TIFF of two float planes: two pages, two separate samples, or two samples a pixel.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    flow : float32 (H, W, 2)
        Displacement (u, v) in pixels, NaN in both components where either is NaN or infinite.

    Raises
    ------
    FlowFileError
        If it is a picture, or damaged.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = checked_series(path, file, FlowFileError)
        shape, axes = series.shape, series.axes
        last = axes.endswith("S")
        if len(shape) != 3 or shape[2 if last else 0] != 2 or axes.strip("S")[-2:] != "YX" or series.dtype.kind != "f":
            said = " x ".join(map(str, shape))
            raise FlowFileError(path, f"holds {said} of {series.dtype} (axes {axes}); a flow is two planes of float")
        values = series.asarray()
    return claims.as_flow(path, values if last else np.moveaxis(values, 0, -1))


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow as two pages of float32, first u, then v, uncompressed.

    Parameters
    ----------
    path : Path
        Where it goes.
    flow : float32 (H, W, 2)
        Displacement (u, v) in pixels, NaN where it is unknown.
    """
    import tifffile

    planes = np.ascontiguousarray(np.moveaxis(flow, -1, 0))
    tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": "CYX"}, byteorder="<")


def checked_series(path: Path, file: Any, error: type[FileFormatError]) -> Any:
    """Return the first series of images of a TIFF, whose sizes are checked against those of the file.

    Parameters
    ----------
    path : Path
        For messages.
    file : tifffile.TiffFile
        Open.
    error : type
        The error to raise.

    Returns
    -------
    series : tifffile.TiffPageSeries
        What tifffile takes for one array, with its axes by letter.

    Raises
    ------
    FileFormatError
        Of that kind.
    """
    if not file.series:
        raise error(path, "a TIFF without images")
    series = file.series[0]
    if series.dtype is None or 0 in series.shape:
        raise error(path, "a TIFF whose image has no pixels, or none of a known type")
    if series.is_multifile:
        raise error(path, "a TIFF whose pages lie in several files; join them first")
    keyframe = series.keyframe
    plain = int(keyframe.compression) == 1 and keyframe.bitspersample >= 8
    # The tiles are whole, so that the last ones reach beyond the image and a page may need more than its pixels.
    tile = max(1, keyframe.tilewidth) * max(1, keyframe.tilelength) * max(1, keyframe.tiledepth)
    needed = max(series.nbytes, tile * series.dtype.itemsize)
    size = path.stat().st_size
    factor = 1 if plain else claims.ANY_CODEC
    claims.check_expansion(path, error, series.shape, needed, size, factor)
    return series
