"""The interface of OpenCV's DeepFlow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import Image
from variflow.compat.opencv.dense import DenseOpticalFlow
from variflow.driver import estimate


class DeepFlow(DenseOpticalFlow):
    """Flow with the interface of what ``cv2.optflow.createOptFlow_DeepFlow`` returns: the preset `accurate`.

    Like DeepFlow, it starts from matches where things move far, and has no settings. A flow that is passed to `calc` is
    only written into.

    Examples
    --------
    >>> from variflow.compat.opencv import optflow
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((64, 80), shift=(1.5, -0.5))
    >>> flow = optflow.createOptFlow_DeepFlow().calc(pair.frame0, pair.frame1, None)
    >>> bool(abs(flow[8:-8, 8:-8] - (1.5, -0.5)).mean() < 0.05)
    True
    """

    def _starts_from_flow(self) -> bool:
        return False

    def _estimate(self, frame0: Image, frame1: Image, start: NDArray[np.float32] | None) -> NDArray[np.float32]:
        return estimate(frame0, frame1, "accurate").flow


def createOptFlow_DeepFlow() -> DeepFlow:
    """Return a `DeepFlow`, as ``cv2.optflow.createOptFlow_DeepFlow`` does.

    Examples
    --------
    >>> from variflow.compat.opencv import optflow
    >>> optflow.createOptFlow_DeepFlow().collectGarbage()
    """
    return DeepFlow()
