"""The names of ``cv2.optflow``, computed by variflow.

``createOptFlow_DIS`` is the name that versions of OpenCV before 4 have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from variflow.compat.opencv.deepflow import DeepFlow, createOptFlow_DeepFlow
from variflow.compat.opencv.dis import DISOpticalFlow_create as createOptFlow_DIS
from variflow.compat.opencv.elsewhere import explain_missing
from variflow.compat.opencv.farneback import FarnebackOpticalFlow_create as createOptFlow_Farneback
from variflow.compat.opencv.tvl1 import DualTVL1OpticalFlow, DualTVL1OpticalFlow_create, createOptFlow_DualTVL1

__all__ = [
    "DeepFlow",
    "DualTVL1OpticalFlow",
    "DualTVL1OpticalFlow_create",
    "createOptFlow_DIS",
    "createOptFlow_DeepFlow",
    "createOptFlow_DualTVL1",
    "createOptFlow_Farneback",
]


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # or type checkers would take every name for one that is here

    def __getattr__(name: str) -> NoReturn:
        raise explain_missing(__name__, name, __all__)
