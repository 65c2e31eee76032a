"""The error of models on the eight Middlebury training pairs, pair by pair.

    python benchmarks/middlebury.py [--data FOLDER] [MODEL ...]

FOLDER holds middlebury/NAME/frame10.png, frame11.png and flow10.flo; by default $VARIFLOW_DATA or ../shared/data beside
the repository. Seconds are those of a second call on the same pair: the first one of a size also compiles.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

import variflow
from variflow import metrics

NAMES = ("Dimetrodon", "Grove2", "Grove3", "Hydrangea", "RubberWhale", "Urban2", "Urban3", "Venus")
DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["horn-schunck"], help="names of models")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    for model in arguments.models:
        rows = []
        print(f"{model:<14} {'end-point error, px':>20} {'angular error, deg':>20} {'seconds':>9}")
        for name in NAMES:
            folder = arguments.data / "middlebury" / name
            frames = [variflow.read_image(folder / f"frame{number}.png") for number in (10, 11)]
            truth = variflow.read_flow(folder / "flow10.flo")
            variflow.estimate(*frames, model)
            start = time.perf_counter()
            flow = variflow.estimate(*frames, model).flow
            seconds = time.perf_counter() - start
            rows.append((metrics.endpoint_error(flow, truth), metrics.angular_error(flow, truth), seconds))
            print("{:<14} {:20.3f} {:20.2f} {:9.2f}".format(name, *rows[-1]))
        print("{:<14} {:20.3f} {:20.2f} {:9.2f}\n".format("mean", *np.mean(rows, axis=0)))


if __name__ == "__main__":
    main()
