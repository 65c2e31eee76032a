"""How good the methods are that `variflow.compat` has in place of those of OpenCV and scikit-image.

    VARIFLOW_DATA=... python benchmarks/doors.py [--output FOLDER]

Measured is the mean end-point error on four Middlebury pairs, made gray by OpenCV, with the defaults of each. Needs
`opencv-contrib-python`, as `benchmarks/peers.py` does.
"""

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from report import table
from skimage import registration

from variflow import datasets, metrics
from variflow.compat import opencv, skimage

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PAIRS = "RubberWhale", "Venus", "Grove2", "Urban2"
MEDIUM = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM

# Of two gray frames, whose intensities are 0 to 255.
METHODS = {
    "scikit-image `optical_flow_tvl1`": lambda a, b: swap(registration.optical_flow_tvl1(a / 255, b / 255)),
    "ours of it": lambda a, b: swap(skimage.optical_flow_tvl1(a / 255, b / 255)),
    "scikit-image `optical_flow_ilk`": lambda a, b: swap(registration.optical_flow_ilk(a / 255, b / 255)),
    "ours of that": lambda a, b: swap(skimage.optical_flow_ilk(a / 255, b / 255)),
    "OpenCV `DISOpticalFlow`, medium": lambda a, b: cv2.DISOpticalFlow_create(MEDIUM).calc(a, b, None),
    "ours of DIS": lambda a, b: opencv.DISOpticalFlow_create(MEDIUM).calc(a, b, None),
    "OpenCV `DualTVL1OpticalFlow`": lambda a, b: cv2.optflow.DualTVL1OpticalFlow_create().calc(a, b, None),
    "ours of TV-L1": lambda a, b: opencv.DualTVL1OpticalFlow_create().calc(a, b, None),
}


def swap(flow):
    """Return a flow ``(H, W, 2)`` of x and y from one of rows and columns, ``(2, H, W)``."""
    return np.stack([flow[1], flow[0]], axis=-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, help="folder for doors.md")
    arguments = parser.parse_args()
    samples = {sample.name: sample for sample in datasets.middlebury(DATA / "middlebury")}
    rows = []
    for name, estimate in METHODS.items():
        errors = []
        for pair in PAIRS:
            frames = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (samples[pair].frame0, samples[pair].frame1))
            errors.append(metrics.endpoint_error(estimate(*frames), samples[pair].flow))
        rows.append([name, *(f"{error:.3f}" for error in errors)])
    text = table(["method", *PAIRS], rows)
    print(text)
    if arguments.output:
        (arguments.output / "doors.md").write_text(text)


if __name__ == "__main__":
    main()
