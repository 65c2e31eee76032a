"""Validating a flow: how many planted outliers are found, how many good vectors are rejected, and how long it takes.

    VARIFLOW_DATA=... python benchmarks/validation.py [--rounds 5] [--output FOLDER]

On the two pairs of particles, squares of wrong vectors, off by 2 to 6 pixels in any direction, are planted into the
estimate of `smooth` until they cover 5 % of it, at random places. The normalised median test is run with several
distances of its neighbours; `validate` looks at the frames, too. Errors are mean end-point errors over the wrong
vectors. On the grid, vectors are means over 8 x 8 pixels, and single ones are wrong. Times are for 640 x 480 vectors of
noise, of which the test finds many, the least of the rounds, with two threads.
"""

import argparse
import os
import time
from pathlib import Path

import machine

THREADS = 2
machine.limit(THREADS)

import numpy as np  # noqa: E402
from report import table  # noqa: E402

import variflow  # noqa: E402
from variflow import flowops  # noqa: E402

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "piv"
NAMES = ("DNS_turbulence_00001", "SQG_00001")
SHARE, SIZES, STEPS = 0.05, (1, 5, 9), (1, 4, 8)
WAYS = [*(f"find_outliers, step {step}" for step in STEPS), "validate", "on a grid"]


def read(name):
    frames = [variflow.read_image(DATA / f"{name}_img{number}.tif") for number in (1, 2)]
    return *frames, variflow.read_flow(DATA / f"{name}_flow.flo")


def plant(flow, size, random):
    """Return a flow with wrong squares in it, and where they are."""
    flow, wrong = flow.copy(), np.zeros(flow.shape[:2], bool)
    while wrong.mean() < SHARE:
        top, left = random.integers(0, np.array(wrong.shape) - size + 1)
        angle, length = random.uniform(0, 2 * np.pi), random.uniform(2, 6)
        square = (slice(top, top + size), slice(left, left + size))
        flow[square] += np.float32(length * np.array([np.cos(angle), np.sin(angle)]))
        wrong[square] = True
    return flow, wrong


def share(found, wrong):
    return f"{100 * found[wrong].mean():.1f} / {100 * found[~wrong].mean():.2f}"


def measure(name):
    """Return cells by way, one for each size of the squares, and rows of errors."""
    frame0, frame1, truth = read(name)
    good = variflow.estimate(frame0, frame1, "smooth").flow
    found, errors = {way: [] for way in WAYS}, []
    for size in SIZES:
        random = np.random.default_rng(0)
        flow, wrong = plant(good, size, random)
        for step in STEPS:
            found[f"find_outliers, step {step}"].append(share(flowops.find_outliers(flow, step=step), wrong))
        valid, flags = flowops.validate(flow, frame0, frame1)
        found["validate"].append(share(flags > 0, wrong))
        error = [np.linalg.norm(field - truth, axis=2)[wrong].mean() for field in (flow, valid, good)]
        errors.append([f"{name}, {size} x {size}", *(f"{value:.2f}" for value in error)])
        if size == 1:
            height, width = (length // 8 for length in good.shape[:2])
            grid = good.reshape(height, 8, width, 8, 2).mean(axis=(1, 3))
            flow, wrong = plant(grid, 1, random)
            found["on a grid"].append(share(flowops.find_outliers(flow), wrong))
        else:
            found["on a grid"].append("")
    return found, errors


def least(make, rounds):
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        make()
        seconds.append(time.perf_counter() - start)
    return f"{1000 * min(seconds):.0f}"


def time_all(rounds):
    random = np.random.default_rng(0)
    noise = random.normal(size=(480, 640, 2)).astype(np.float32)
    frame = random.integers(0, 256, (480, 640)).astype(np.uint8)
    smooth = noise / 100
    smooth[100:110, 100:110] = 5
    ways = {
        "find_outliers": lambda: flowops.find_outliers(noise),
        "find_outliers, window 5": lambda: flowops.find_outliers(noise, window=5),
        "correlation": lambda: flowops.correlation(frame, frame, noise),
        "precision": lambda: flowops.precision(frame),
        "validate, without frames": lambda: flowops.validate(smooth),
        "validate": lambda: flowops.validate(smooth, frame, frame),
    }
    return [[way, least(make, rounds)] for way, make in ways.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="folder for validation.md")
    arguments = parser.parse_args()
    words = machine.describe("variflow", "numpy", "scipy")
    rows, errors = [], []
    for name in NAMES:
        found, more = measure(name)
        rows += [[f"{name}, {way}", *cells] for way, cells in found.items()]
        errors += more
    text = f"{', '.join(f'{key} {value}' for key, value in words.items())}.\n\n"
    text += table(["% found / % of the others", *(f"{size} x {size} wrong" for size in SIZES)], rows) + "\n"
    text += table(["error at wrong vectors, px", "planted", "validated", "before"], errors) + "\n"
    text += table(["640 x 480", "ms"], time_all(arguments.rounds))
    print(text)
    if arguments.output:
        (arguments.output / "validation.md").write_text(text)


if __name__ == "__main__":
    main()
