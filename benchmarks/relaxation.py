"""Sweeps of successive over-relaxation against multigrid cycles, on the systems that real pairs give.

The error of the solution after so many sweeps or cycles, and their time, for two models at 640 x 480 and 1920 x 1080:

    python benchmarks/relaxation.py

The flow so far, around which the frames are linearised, is the true one at half the size, resampled: what a solver
finds when it comes to a new level. The error is the mean distance in pixels to the converged solution.
"""

import os
import statistics
import time
from pathlib import Path

import numpy as np

from variflow import _core, io
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.images.filling import fill_missing
from variflow.images.resampling import resample, resample_flow
from variflow.linearisation.level import linearise

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("VARIFLOW_DATA", REPOSITORY.parent / "shared" / "data")) / "middlebury"
PAIRS = ("Grove3", "RubberWhale")
SIZES = ((480, 640), (1080, 1920))
SWEEPS, OMEGAS = (5, 10, 20, 50, 100, 200), (1.8, 1.9, 1.94)
CYCLES = (1, 2, 4, 8, 16)
ROUNDS = 5
INTENSITY = 1 / 255


def linearised(name, size):
    frames = [io.read_image(DATA / name / f"frame{number}.png") for number in (10, 11)]
    frames = [
        np.moveaxis(resample(np.moveaxis(f, 2, 0).astype(np.float32), size, kernel="cubic"), 0, 2) for f in frames
    ]
    flow = np.moveaxis(io.read_flow(DATA / name / "flow10.flo"), 2, 0)
    known = np.isfinite(flow).all(axis=0)
    flow = resample_flow(tuple(fill_missing(np.where(known, flow, 0).astype(np.float32), known)), size)
    flow = resample_flow(resample_flow(flow, (size[0] // 2, size[1] // 2)), size)
    level = pyramid(prepare(*frames, channels="gray"), factor=0.5, coarsest=16, presmoothing=0.7)[0]
    return linearise(level, flow, derivative="average", interpolation="bicubic")


def quadratic(at):
    """Horn and Schunck's model, with weak smoothness."""
    tensor = np.zeros((5, *at.valid.shape), np.float32)
    penalty = _core.Penalty(_core.PenaltyKind.QUADRATIC)
    _core.add_data(tensor, _core.DataTerm(at.Ix, at.Iy, at.It, penalty, 0.0, 1.0), at.weights)
    return tensor, _core.edge_weights(*at.flow, _core.Smoothness(None, None, False, penalty, 0.001)), *at.flow


def robust(at):
    """Brightness and gradient constancy, normalised, with Charbonnier's penalty and smoothness steered by edges."""
    tensor = np.zeros((5, *at.valid.shape), np.float32)
    of_data, of_flow = (_core.Penalty(_core.PenaltyKind.CHARBONNIER, epsilon) for epsilon in (0.2, 0.002))
    _core.add_data(tensor, _core.DataTerm(at.Ix, at.Iy, at.It, of_data, INTENSITY, 0.3**0.5), at.weights)
    second = [np.concatenate(pair) for pair in ((at.Ixx, at.Ixy), (at.Ixy, at.Iyy), (at.Ixt, at.Iyt))]
    _core.add_data(tensor, _core.DataTerm(*second, of_data, INTENSITY, 2.0), at.weights)
    guides = _core.image_edges(np.ascontiguousarray(at.guide), 4.6, 0.2)
    smoothness = _core.Smoothness(*guides, False, of_flow, 1.0)
    return tensor, _core.edge_weights(*at.flow, smoothness), *at.flow


def milliseconds(function):
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def table(system):
    start = system[2:]
    exact = _core.relax(*system, *_core.relax(*system, *start, 2000, 1.97), 1000, 1.9)
    residual = np.linalg.norm(_core.residual(*system, *start))
    ways = {
        f"relaxation, omega {omega}": (SWEEPS, lambda count, omega=omega: _core.relax(*system, *start, count, omega))
        for omega in OMEGAS
    }
    ways["multigrid"] = (CYCLES, lambda count: _core.multigrid(*system, *start, count, 0.0))
    print(f"  {'':24} {'':>6} {'ms':>8} {'error, px':>11} {'residual':>10}")
    print(f"  {'start':24} {'':>6} {'':>8} {error(np.stack(start), exact):11.6f} {1.0:10.1e}")
    for way, (counts, solve) in ways.items():
        for count in counts:
            flow = solve(count)
            left = np.linalg.norm(_core.residual(*system, *flow)) / residual
            taken = milliseconds(lambda count=count, solve=solve: solve(count))
            print(f"  {way:24} {count:6} {taken:8.2f} {error(flow, exact):11.6f} {left:10.1e}")


def error(flow, exact):
    return float(np.hypot(*(flow - exact)).mean())


def main():
    print(f"{_core.get_threads()} threads, median of {ROUNDS}")
    for size in SIZES:
        for name in PAIRS:
            at = linearised(name, size)
            for model in (quadratic, robust):
                print(f"{name}, {size[1]} x {size[0]}: {model.__doc__}")
                table(model(at))


if __name__ == "__main__":
    main()
