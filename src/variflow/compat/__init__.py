"""Drop-in replacements: the functions and objects of other libraries, computed by variflow.

- `variflow.compat.skimage`: ``optical_flow_tvl1`` and ``optical_flow_ilk`` of scikit-image;
- `variflow.compat.opencv`: the dense flows of OpenCV, such as ``calcOpticalFlowFarneback`` and ``DISOpticalFlow``.

Neither library needs to be installed.
"""

from __future__ import annotations

from variflow.compat import opencv, skimage

__all__ = ["opencv", "skimage"]


def __dir__() -> list[str]:
    return sorted(__all__)
