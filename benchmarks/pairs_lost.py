"""What models make of particles that leave the light sheet between the frames, beside OpenPIV.

    pip install ".[piv]"
    python benchmarks/pairs_lost.py [--models NAME ...] [--check] [--output FOLDER]

A vortex (Lamb and Oseen) whose largest speed is 6 px turns particles, 0.04 for each pixel and 3 px wide, in 256 x 256
frames. Both frames get Gaussian noise of 4 grey levels. Of the particles 0, 10 and 30 % are elsewhere in the second
frame. Printed are mean end-point errors (px) over three seeds, a border of 8 px left out, and of the vectors that are
off by more than 0.5 px with 30 % lost those (%) with a confidence below 1/2. OpenPIV passes windows of 64, 32 and 16 px
that overlap by half, and a cubic spline interpolates its vectors between the windows' middles. Where it is not
installed it is left out.
"""

import argparse
import contextlib
import io
import statistics
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from particles import draw_particles
from report import close, table
from scipy.interpolate import RectBivariateSpline

import variflow
from variflow import metrics

SHAPE, DENSITY, DIAMETER, BRIGHTNESS, GROUND, NOISE = (256, 256), 0.04, 3.0, 200, 10, 4
SPEED, CORE, OUTSIDE = 6.0, 0.15 * 256, 12  # px, the radius at which the vortex is fastest, and around the frame
LOST, SEEDS, WRONG, BORDER = (0.0, 0.1, 0.3), range(3), 0.5, 8
# The most that the mean errors (px) may be, for each share that is lost; and how many wrong vectors to doubt (%).
TARGETS = {"smooth": ((0.06, 0.10, 0.20), 70)}


def turn(x, y):
    """Return the motion at points, along x and y: the vortex of Lamb and Oseen around the middle of the frame."""
    away_x, away_y = x - (SHAPE[1] - 1) / 2, y - (SHAPE[0] - 1) / 2
    squared = np.maximum(away_x**2 + away_y**2, 1e-12)
    rise = 1.25643  # where the speed is largest, the radius is the core
    along = SPEED * (1 + 0.5 / rise) * CORE / squared * (1 - np.exp(-rise * squared / CORE**2))
    return -along * away_y, along * away_x


def make_pair(lost, seed):
    """Return two frames and the flow between them; a share of the particles is `lost`."""
    draw = np.random.default_rng(seed)
    height, width = SHAPE
    low, high = (-OUTSIDE, -OUTSIDE), (width + OUTSIDE, height + OUTSIDE)
    count = int(DENSITY * (height + 2 * OUTSIDE) * (width + 2 * OUTSIDE))
    x, y = draw.uniform(low, high, (count, 2)).T
    brightness = BRIGHTNESS * np.exp(-(draw.uniform(-1.4, 1.4, count) ** 2))  # the light sheet is Gaussian across
    gone = draw.random(count) < lost
    u, v = turn(x, y)
    elsewhere = draw.uniform(low, high, (count, 2))
    moved = np.where(gone[:, None], elsewhere, np.stack([x + u, y + v], axis=1)).T
    frames = [
        np.clip(
            np.rint(draw_particles(*points, brightness, DIAMETER, SHAPE) + GROUND + draw.normal(0, NOISE, SHAPE)),
            0,
            255,
        )
        for points in ((x, y), moved)
    ]
    rows, columns = np.indices(SHAPE)
    return *(frame.astype(np.uint8) for frame in frames), np.stack(turn(columns, rows), axis=2)


def run_openpiv(first, second):
    """Return the flow of OpenPIV at every pixel."""
    from openpiv import settings, windef

    options = settings.PIVSettings(windowsizes=(64, 32, 16), overlap=(32, 16, 8), num_iterations=3)
    with contextlib.redirect_stdout(io.StringIO()):
        x, y, u, v, _ = windef.simple_multipass(first.astype(float), second.astype(float), options)
    # Its y points up: the rows are in the order of the frame, their coordinates and v are turned over.
    middles_x, middles_y = x[0], np.sort(y[:, 0])
    rows, columns = np.arange(SHAPE[0]), np.arange(SHAPE[1])
    planes = (np.asarray(u), -np.asarray(v))
    return np.stack([RectBivariateSpline(middles_y, middles_x, plane)(rows, columns) for plane in planes], axis=2)


def measure(estimate):
    """Return the mean error for each share of `LOST`, and of wrong vectors with 30 % lost those not trusted (%).

    `estimate` returns a flow and a confidence, or None, of two frames.
    """
    inside = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    means, doubted = [], []
    for lost in LOST:
        errors = []
        for seed in SEEDS:
            first, second, truth = make_pair(lost, seed)
            flow, confidence = estimate(first, second)
            error = metrics.endpoint_error_map(flow, truth)[inside]
            errors.append(error.mean())
            if confidence is not None and lost == LOST[-1]:
                doubted.append(confidence[inside][error > WRONG] < 0.5)
        means.append(statistics.fmean(errors))
    return means, 100 * float(np.concatenate(doubted).mean()) if doubted else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=["smooth", "balanced", "lucas-kanade"])
    parser.add_argument("--check", action="store_true", help="fail where a target is missed")
    parser.add_argument("--output", type=Path, help="folder for pairs_lost.md")
    arguments = parser.parse_args()

    def estimate_by(model):
        def estimate(first, second):
            result = variflow.estimate(first, second, model)
            return result.flow, result.confidence

        return estimate

    methods = {model: estimate_by(model) for model in arguments.models}
    if find_spec("openpiv"):
        methods["OpenPIV"] = lambda first, second: (run_openpiv(first, second), None)
    rows, held = [], True
    for name, estimate in methods.items():
        means, doubted = measure(estimate)
        row = [name, *(f"{mean:.3f}" for mean in means), "" if doubted is None else f"{doubted:.0f}", ""]
        if name in TARGETS:
            most, least = TARGETS[name]
            holds = all(mean <= limit for mean, limit in zip(means, most, strict=True)) and doubted >= least
            row[-1] = f"wanted {', '.join(map(str, most))}; {least} %: {'holds' if holds else '**fails**'}"
            held &= holds
        rows.append(row)
    text = table(["method", *(f"{100 * lost:.0f} % lost" for lost in LOST), "doubted, %", ""], rows)
    return close(text, "pairs_lost.md", arguments, held)


if __name__ == "__main__":
    raise SystemExit(main())
