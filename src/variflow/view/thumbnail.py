"""The small picture by which a notebook shows a flow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from variflow import flowops
from variflow.view.colors import add_key, choose_scale, color

# The most pixels along the longer side of the flow.
_LARGEST = 480


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
    share = min(1, _LARGEST / size.max())
    height, width = np.maximum(np.rint(size * share), 1).astype(int).tolist()
    small = flowops.resize(flow, (height, width))
    speed = choose_scale(small, None)
    picture = add_key(color(small, speed), speed / share)  # which is in pixels of the flow
    return bytes(imagecodecs.png_encode(picture))
