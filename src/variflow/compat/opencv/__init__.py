"""The dense flow objects of OpenCV, computed by variflow.

Change ``cv2.DISOpticalFlow_create`` to ``variflow.compat.opencv.DISOpticalFlow_create``, and
``cv2.optflow.DualTVL1OpticalFlow_create`` to ``variflow.compat.opencv.DualTVL1OpticalFlow_create``; OpenCV itself need
not be installed. ``calc(I0, I1, flow)`` works as there, with the flow as float32 ``(H, W, 2)``. A setting that means
something here has an effect; any other raises NotImplementedError. None is ignored.
"""

from variflow.compat.opencv.dis import (
    DISOpticalFlow,
    DISOpticalFlow_create,
    DISOpticalFlow_PRESET_FAST,
    DISOpticalFlow_PRESET_MEDIUM,
    DISOpticalFlow_PRESET_ULTRAFAST,
)
from variflow.compat.opencv.tvl1 import DualTVL1OpticalFlow, DualTVL1OpticalFlow_create, createOptFlow_DualTVL1

__all__ = [
    "DISOpticalFlow",
    "DISOpticalFlow_PRESET_FAST",
    "DISOpticalFlow_PRESET_MEDIUM",
    "DISOpticalFlow_PRESET_ULTRAFAST",
    "DISOpticalFlow_create",
    "DualTVL1OpticalFlow",
    "DualTVL1OpticalFlow_create",
    "createOptFlow_DualTVL1",
]


def __dir__() -> list[str]:
    return sorted(__all__)
