"""The small picture by which a notebook shows a flow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from variflow import flowops, view

# The most pixels along the longer side of the flow, and along the side of the key beside it.
_LARGEST, _KEY = 480, 101


def draw_thumbnail(flow: npt.NDArray[np.float32]) -> bytes:
    """Return a PNG of the flow in the colours of `variflow.view.color` with their key; a large flow is shrunk.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.view.thumbnail import draw_thumbnail
    >>> draw_thumbnail(np.zeros((20, 30, 2), np.float32))[1:4]
    b'PNG'
    """
    import imagecodecs

    size = np.array(flow.shape[:2])
    height, width = np.maximum(np.rint(size * min(1, _LARGEST / size.max())), 1).astype(int).tolist()
    colors, key = view.color(flowops.resize(flow, (height, width))), view.wheel(min(_KEY, max(height, _KEY // 3)))
    picture = np.full((max(height, len(key)), width + len(key) + 4, 3), 255, np.uint8)
    picture[:height, :width] = colors
    picture[: len(key), -len(key) :] = key
    return bytes(imagecodecs.png_encode(picture))
