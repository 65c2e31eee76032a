"""TIFF: two planes of floating point, u and v; NaN where the flow is unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

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
    with opened(path, FlowFileError) as file:
        series = checked_series(path, file, FlowFileError)
        shape, axes = series.shape, series.axes
        last = axes.endswith("S")
        if len(shape) != 3 or shape[2 if last else 0] != 2 or axes.strip("S")[-2:] != "YX" or series.dtype.kind != "f":
            said = " x ".join(map(str, shape))
            raise FlowFileError(path, f"holds {said} of {series.dtype} (axes {axes}); a flow is two planes of float")
        check_data(path, series, series.pages, FlowFileError)
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


def opened(path: Path, error: type[FileFormatError]) -> Any:
    """Open a TIFF with tifffile, once it is known that the chain of its pages ends: tifffile may follow it for ever.

    Parameters
    ----------
    path : Path
        An existing file that begins as a TIFF.
    error : type
        The error to raise.

    Returns
    -------
    file : tifffile.TiffFile
        Open.

    Raises
    ------
    FileFormatError
        Of that kind, if its pages go in a circle; tifffile raises its own errors for what it cannot open.
    """
    import tifffile

    with path.open("rb") as file:
        start = file.read(16)
        order: Literal["little", "big"] = "little" if start.startswith(b"II") else "big"
        big = start[2:4] in (b"+\0", b"\0+")
        # The bytes of an offset, of the count of a page's tags, and of a tag.
        offset_size, count_size, tag_size = (8, 8, 20) if big else (4, 2, 12)
        offset = int.from_bytes(start[8:16] if big else start[4:8], order)
        seen = set()
        while 0 < offset < path.stat().st_size:
            if offset in seen:
                raise error(path, "a TIFF whose pages go in a circle")
            seen.add(offset)
            file.seek(offset)
            tags = int.from_bytes(file.read(count_size), order)
            file.seek(min(offset + count_size + tags * tag_size, path.stat().st_size))
            offset = int.from_bytes(file.read(offset_size), order)
    return tifffile.TiffFile(path)


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
    size = path.stat().st_size
    if series.dataoffset is not None and series.dataoffset + series.nbytes > size:
        raise error(path, f"truncated: {size} bytes, its pages need {series.dataoffset + series.nbytes}")
    plain = int(keyframe.compression) == 1 and keyframe.bitspersample >= 8
    # The tiles are whole, so that the last ones reach beyond the image and a page may need more than its pixels.
    tile = max(1, keyframe.tilewidth) * max(1, keyframe.tilelength) * max(1, keyframe.tiledepth)
    needed = max(series.nbytes, tile * series.dtype.itemsize)
    factor = 1 if plain else claims.ANY_CODEC
    claims.check_expansion(path, error, series.shape, needed, size, factor)
    return series


def check_data(path: Path, series: Any, pages: Iterable[Any], error: type[FileFormatError]) -> None:
    """Raise `error` unless all data of these pages are in the file: tifffile would put zeros for what is missing."""
    size = path.stat().st_size
    wanted = math.prod(series.keyframe.chunked)
    for page in pages:
        offsets, counts = page.dataoffsets, page.databytecounts
        if len(offsets) != wanted or len(counts) != wanted or 0 in counts:
            raise error(path, f"a page has {min(len(offsets), len(counts))} parts with data, its size needs {wanted}")
        if any(offset + count > size for offset, count in zip(offsets, counts, strict=True)):
            raise error(path, f"truncated: its pages need more than its {size} bytes")
