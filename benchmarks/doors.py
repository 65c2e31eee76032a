"""How good and how fast the methods are that `variflow.compat` has in place of those of OpenCV and scikit-image.

    VARIFLOW_DATA=... python benchmarks/doors.py [--threads 2] [--rounds 40] [--output FOLDER]

Measured is the mean end-point error on four Middlebury pairs, made gray by OpenCV, with the defaults of each, and for
OpenCV the time of the pair Grove2, 640 x 480: the best of so many rounds, in which all take turns. Other work on the
machine lengthens times. Then the error on RubberWhale where the light of the second frame is changed. Needs `opencv-
contrib-python`, as `benchmarks/peers.py` does.
"""

import argparse
import os
import time
from pathlib import Path

import machine

parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=40)
parser.add_argument("--output", type=Path, help="folder for doors.md")
arguments = parser.parse_args()
machine.limit(arguments.threads)

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from report import table  # noqa: E402
from skimage import registration  # noqa: E402

from variflow import datasets, metrics  # noqa: E402
from variflow.compat import opencv, skimage  # noqa: E402

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PAIRS = "RubberWhale", "Venus", "Grove2", "Urban2"
TIMED = "Grove2"
IN_OTHER_LIGHT = "RubberWhale"
# A gain and an offset of the second frame, in grey levels.
LIGHTS = (1, 0), (1, 1), (1, 2), (1, 4), (1, 8), (0.8, -10)
# Of Farneback's method, as in OpenCV's own samples.
USUAL = 0.5, 3, 15, 3, 5, 1.2, 0


def swap(flow):
    """Return a flow ``(H, W, 2)`` of x and y from one of rows and columns, ``(2, H, W)``."""
    return np.stack([flow[1], flow[0]], axis=-1)


def refine(library, a, b):
    """Refine the flow of OpenCV's DIS, fast."""
    return library.VariationalRefinement_create().calc(a, b, start(a, b))


def start(a, b):
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(a, b, None)


def dis(preset):
    return lambda library, a, b: library.DISOpticalFlow_create(preset).calc(a, b, None)


# Of a library and two gray frames, whose intensities are 0 to 255.
OF_SKIMAGE = {
    "`optical_flow_tvl1`": lambda library, a, b: swap(library.optical_flow_tvl1(a / 255, b / 255)),
    "`optical_flow_ilk`": lambda library, a, b: swap(library.optical_flow_ilk(a / 255, b / 255)),
}
OF_OPENCV = {
    "`DISOpticalFlow`, ultrafast": dis(0),
    "`DISOpticalFlow`, fast": dis(1),
    "`DISOpticalFlow`, medium": dis(2),
    "`calcOpticalFlowFarneback`": lambda library, a, b: library.calcOpticalFlowFarneback(a, b, None, *USUAL),
    "`VariationalRefinement`": refine,
    "`DualTVL1OpticalFlow`": lambda library, a, b: library.optflow.DualTVL1OpticalFlow_create().calc(a, b, None),
    "`createOptFlow_DeepFlow`": lambda library, a, b: library.optflow.createOptFlow_DeepFlow().calc(a, b, None),
}
# These take seconds, and two rounds tell enough.
SLOW = "`DualTVL1OpticalFlow`", "`createOptFlow_DeepFlow`"
DOORS = ("scikit-image", registration, skimage, OF_SKIMAGE), ("OpenCV", cv2, opencv, OF_OPENCV)
# These weigh brightness most.
LED_BY_BRIGHTNESS = "`calcOpticalFlowFarneback`", "`DualTVL1OpticalFlow`", "`optical_flow_tvl1`"


def main():
    samples = {sample.name: sample for sample in datasets.middlebury(DATA / "middlebury")}
    gray = {
        name: [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (samples[name].frame0, samples[name].frame1)]
        for name in PAIRS
    }
    rows = []
    for name, theirs, ours, methods in DOORS:
        for method, estimate in methods.items():
            for who, library in ((f"{name} {method}", theirs), ("ours", ours)):
                errors = (metrics.endpoint_error(estimate(library, *gray[pair]), samples[pair].flow) for pair in PAIRS)
                rows.append([who, *(f"{error:.3f}" for error in errors)])
    words = machine.describe("variflow", "scikit-image") | {"OpenCV": cv2.__version__}
    said = "; ".join(f"{key} {value}" for key, value in words.items())
    in_light = measure_in_light(gray[IN_OTHER_LIGHT], samples[IN_OTHER_LIGHT].flow)
    text = f"{said}\n\n{table(['method', *PAIRS], rows)}\n{measure_times(gray[TIMED])}\n{in_light}"
    print(text)
    if arguments.output:
        (arguments.output / "doors.md").write_text(text)


def measure_times(frames):
    """Return a table of the best time of each method of OpenCV and of ours, in milliseconds."""
    cv2.setNumThreads(arguments.threads)
    begin = start(*frames)

    def run(method, library):
        if method == "`VariationalRefinement`":  # without the time of what it refines
            flow, made = begin.copy(), library.VariationalRefinement_create()
            return lambda: made.calc(*frames, flow)
        return lambda: OF_OPENCV[method](library, *frames)

    best = {}
    for number in range(arguments.rounds):
        for method in OF_OPENCV:
            if method in SLOW and number >= 2:
                continue
            for library in (cv2, opencv):
                call = run(method, library)
                begun = time.perf_counter()
                call()
                taken = 1000 * (time.perf_counter() - begun)
                best[method, library] = min(best.get((method, library), taken), taken)
    rows = [[method, *(f"{best[method, library]:.1f}" for library in (cv2, opencv))] for method in OF_OPENCV]
    return table([f"{TIMED}, ms", "OpenCV", "ours"], rows)


def measure_in_light(frames, truth):
    """Return a table of the errors of what weighs brightness most, if the light of the second frame is changed."""
    first, second = frames
    rows = []
    for gain, offset in LIGHTS:
        changed = np.clip(np.rint(gain * second.astype(float) + offset), 0, 255).astype(np.uint8)
        row = [f"x {gain} {offset:+}" if gain != 1 else f"{offset:+}"]
        for method in LED_BY_BRIGHTNESS:
            for _, theirs, ours, methods in DOORS:
                for library in (theirs, ours) if method in methods else ():
                    row.append(f"{metrics.endpoint_error(methods[method](library, first, changed), truth):.3f}")
        rows.append(row)
    header = [f"{IN_OTHER_LIGHT}, second frame"]
    for method in LED_BY_BRIGHTNESS:
        header += [method, "ours"]
    return table(header, rows)


if __name__ == "__main__":
    main()
