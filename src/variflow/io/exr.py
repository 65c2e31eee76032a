"""OpenEXR: the channels ``u`` and ``v``, or ``R`` and ``G``, of 16 or 32 bits; NaN where the flow is unknown.

As everywhere here, v points down, like the rows of the file; the motion vectors of some renderers point up.

References
----------
https://openexr.com/
"""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from variflow.base.kinds import is_float
from variflow.io import claims, extras
from variflow.io.atomic import atomic
from variflow.io.errors import FlowFileError
from variflow.io.opening import get_size, open_steady

EXTENSIONS = (".exr",)
MAGICS = (b"v/1\x01",)
EXTRA = "OpenEXR"

_PAIRS = (("u", "v"), ("R", "G"))


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a flow from two channels of an OpenEXR file.

    Raises
    ------
    FlowFileError
        If there are no such channels, several parts, or the file is damaged.
    """
    return _read(path, trusted=False)


def _read(path: Path, trusted: bool) -> npt.NDArray[np.float32]:
    """Read a flow; a trusted file may be compressed by any factor."""
    openexr = extras.load("OpenEXR")
    with open_steady(path, FlowFileError, by_name=True) as stored:
        # Without threads, so that none is left behind in a process that forks.
        with openexr.File(str(path), separate_channels=True, header_only=True, num_threads=0) as file:
            if len(file.parts) != 1:
                raise FlowFileError(path, f"has {len(file.parts)} parts, a flow has one")
            header = file.header()
            (left, top), (right, bottom) = header["dataWindow"]
            names = {channel.name for channel in header["channels"]}
        width, height = int(right) - int(left) + 1, int(bottom) - int(top) + 1
        if width < 1 or height < 1:
            raise FlowFileError(path, f"its header says {width} x {height} pixels, wanted at least 1 x 1")
        pair = next((pair for pair in _PAIRS if names.issuperset(pair)), None)
        if pair is None:
            raise FlowFileError(path, f"has the channels {', '.join(sorted(names))}; a flow has u and v, or R and G")
        needed = width * height * 4 * len(names)
        # The densest codec in use for such data reduces 32 bits to 24 and then deflates.
        if not trusted:
            claims.check_expansion(
                path, FlowFileError, (width, height), needed, get_size(stored), claims.DEFLATE * 4 // 3
            )
        with openexr.File(str(path), separate_channels=True, num_threads=0) as file:
            if not file.parts:  # the library says why only on standard error
                raise FlowFileError(path, "truncated, or its pixels are damaged")
            channels = file.channels()
            u, v = (np.array(channels[name].pixels) for name in pair)
    if u.shape != (height, width) or v.shape != u.shape or not (is_float(u.dtype) and is_float(v.dtype)):
        raise FlowFileError(path, f"its channels are {u.shape} {u.dtype} and {v.shape} {v.dtype}, no flow")
    return claims.as_flow(path, np.stack([u, v], axis=-1))


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow as the channels ``u`` and ``v`` of 32 bits, compressed unless it is large and constant."""
    openexr = extras.load("OpenEXR")
    channels = {name: np.ascontiguousarray(flow[..., index]) for index, name in enumerate("uv")}

    def pack(compress: bool) -> bytes:
        kind = openexr.ZIP_COMPRESSION if compress else openexr.NO_COMPRESSION
        header = {"compression": kind, "type": openexr.scanlineimage}
        # The library writes only to a name. Of a full disk it says nothing at times, or raises what is no OSError.
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder) / "flow.exr"
            try:
                with openexr.File(header, channels, num_threads=0) as drawn:
                    drawn.write(str(scratch))
                whole = np.array_equal(_read(scratch, trusted=True), flow, equal_nan=True)
            except (RuntimeError, FlowFileError) as error:
                raise OSError(errno.EIO, f"could not be made in {folder}: {error}", str(path)) from error
            if not whole:
                raise OSError(errno.EIO, f"could not be made in {folder}: is its disk full?", str(path))
            return scratch.read_bytes()

    content = claims.pack_plausibly(flow.nbytes, pack)
    with atomic(path) as file:
        file.write(content)
