"""What it helps to reckon with noise: the error on noisy frames, with the noise estimated and ignored.

    VARIFLOW_DATA=... python benchmarks/noise.py [--models NAME ...] [--output FOLDER]

Both frames of the eight Middlebury pairs get Gaussian noise of several standard deviations, of 255, on every channel,
cut off and rounded as a camera would.
"""

import argparse
import os
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
from report import table

import variflow
from variflow import datasets, metrics, models

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DEVIATIONS = (0, 3, 5, 10, 20, 50)


def noisy(frame, deviation, rng):
    return np.clip(np.rint(frame + rng.normal(0, deviation, frame.shape)), 0, 255).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=["fast", "balanced", "accurate"])
    parser.add_argument("--output", type=Path, help="folder for noise.md")
    arguments = parser.parse_args()
    samples = [sample for sample in datasets.middlebury(DATA / "middlebury") if sample.flow is not None]
    errors = {(name, noise): [] for name in arguments.models for noise in ("ignored", "estimated")}
    for deviation in DEVIATIONS:
        rng = np.random.default_rng(deviation)
        pairs = [(noisy(s.frame0, deviation, rng), noisy(s.frame1, deviation, rng), s.flow) for s in samples]
        for (name, noise), means in errors.items():
            model = replace(models.get(name), noise=noise)
            means.append(
                statistics.fmean(
                    metrics.endpoint_error(variflow.estimate(frame0, frame1, model).flow, truth)
                    for frame0, frame1, truth in pairs
                )
            )
    rows = [[name, noise, *(f"{error:.3f}" for error in means)] for (name, noise), means in errors.items()]
    text = table(["model", "noise", *(f"deviation {deviation}" for deviation in DEVIATIONS)], rows)
    print(text)
    if arguments.output:
        (arguments.output / "noise.md").write_text(text)


if __name__ == "__main__":
    main()
