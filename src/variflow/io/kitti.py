"""The flow of KITTI, HD1K and others: a PNG of three channels with sixteen bits.

Red holds ``64 u + 32768``, green ``64 v + 32768``, blue whether the flow is known (1, or 0 and then all three are 0).
So it holds displacements from -512 to 511.98 px in steps of 1/64.

References
----------
M. Menze and A. Geiger, "Object Scene Flow for Autonomous Vehicles", CVPR 2015;
https://www.cvlibs.net/datasets/kitti/eval_scene_flow.php?benchmark=flow
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import mark_where_any
from variflow.io import claims, png
from variflow.io.atomic import atomic
from variflow.io.errors import FlowFileError
from variflow.io.opening import open_steady

EXTENSIONS = (".png",)
MAGICS = (png.MAGIC,)

_STEPS = 64
_ZERO = 32768


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a PNG that holds a flow.

    Raises
    ------
    FlowFileError
        If the PNG does not have three channels of sixteen bits, its third channel has more than two values beside 0, or
        data follow its end.
    """
    with open_steady(path, FlowFileError) as file:
        data = file.read()
    header, pixels = png.decode(path, data, FlowFileError)
    if header.bits != 16 or header.kind != 2 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise FlowFileError(path, f"a picture ({_describe(header)}), no flow: that has three channels of 16 bits")
    known = pixels[..., 2] > 0
    marks = pixels[known, 2]
    if marks.size and ((marks != marks.min()) & (marks != marks.max())).any():
        wanted = "no flow: the third channel of that is 0 or 1, whether a pixel is known"
        raise FlowFileError(path, f"a picture ({_describe(header)}), {wanted}")
    if png.find_end(data) < len(data):
        raise FlowFileError(path, f"trailing data: {len(data)} bytes, the PNG ends after {png.find_end(data)}")
    flow = pixels[..., :2].astype(np.float32)
    flow -= _ZERO
    flow /= _STEPS
    flow[~known] = np.nan
    return flow


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow as KITTI does, rounded to 1/64 px.

    Raises
    ------
    ValueError
        If a displacement is outside -512 to 511.98 px.
    """
    import imagecodecs

    known = ~np.isnan(flow[..., 0])
    steps = np.rint(flow[known].astype(np.float64) * _STEPS) + _ZERO
    outside = mark_where_any((steps < 0) | (steps > np.iinfo(np.uint16).max))
    if outside.any():
        count = int(outside.sum())
        raise ValueError(
            f"flow has {count} pixels that move by less than -512 or more than 511.98 px, too much for a PNG"
        )
    pixels = np.zeros((*flow.shape[:2], 3), np.uint16)
    pixels[known, :2] = steps
    pixels[known, 2] = 1
    content = claims.pack_plausibly(
        pixels.nbytes, lambda compress: imagecodecs.png_encode(pixels, None if compress else 0)
    )
    with atomic(path) as file:
        file.write(content)


def _describe(header: png.Header) -> str:
    kinds = {0: "gray", 2: "RGB", 3: "a palette", 4: "gray and alpha", 6: "RGB and alpha"}
    return f"{kinds[header.kind]} of {header.bits} bits"
