"""Light that differs from side to side: how far its error rises.

    VARIFLOW_DATA=... python benchmarks/uneven_light.py [--models NAME ...] [--output FOLDER]

The second frames of the eight Middlebury pairs, darkened by a factor that falls evenly from 1 at the right side to a
smaller one at the left: mean end-point error (px), and in brackets that of the worst pair.
"""

import argparse
import os
import statistics
from pathlib import Path

import numpy as np
import turned
from report import table

import variflow
from variflow import datasets, metrics

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
LEAST = (1.0, 0.9, 0.8, 0.7, 0.6)  # the factor at the left side


def darken(frame, least):
    """Return a frame that is darker at its left side."""
    factors = np.linspace(least, 1, frame.shape[1])[:, None]
    return np.rint(frame * factors).astype(frame.dtype)


def measure(estimate, samples):
    """Return the cells of a row of the table."""
    cells = []
    for least in LEAST:
        flows = [estimate(sample.frame0, darken(sample.frame1, least)) for sample in samples]
        errors = [
            metrics.endpoint_error(flow, sample.flow, sample.valid) for flow, sample in zip(flows, samples, strict=True)
        ]
        cells.append(f"{statistics.fmean(errors):.3f} ({max(errors):.2f})")
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=["realtime", "fast", "balanced", "accurate", "smooth", "brox"])
    parser.add_argument("--output", type=Path, help="folder for uneven_light.md")
    arguments = parser.parse_args()
    pairs = datasets.load("middlebury", DATA / "middlebury")
    samples = [sample for sample in pairs if sample.flow is not None]
    methods = {"OpenCV DIS medium": turned.run_dis}
    for name in arguments.models:
        methods[name] = lambda first, second, name=name: variflow.estimate(first, second, name).flow
    header = ["even light", *(f"down to {least:g}" for least in LEAST[1:])]
    text = table(["model", *header], [[name, *measure(estimate, samples)] for name, estimate in methods.items()])
    print(text)
    if arguments.output:
        (arguments.output / "uneven_light.md").write_text(text)


if __name__ == "__main__":
    main()
