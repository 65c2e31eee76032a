"""Motion correction of a stack that drifts, deforms and bleaches: the error of the correction, and its time.

    python benchmarks/registration.py
    python benchmarks/registration.py --output benchmarks/results --check

Forty 16-bit frames of 256 x 256 pixels are drawn: Gaussian spots, wide ones for cells and narrow ones for vesicles. The
sample drifts by several pixels on a random path, and deforms smoothly by up to 2 px, otherwise at each moment. It
bleaches to 60 % of its light. The brightest spots send a few hundred photons to a pixel; the camera counts them, with a
background of 20 photons, and adds Gaussian noise of 3 counts.

Printed are the end-point error of the correction (px), from the first frame to each other one, its mean and that of the
worst frame; the mean correlation of the frames with the first frame as it is without noise; and the milliseconds of CPU
that a frame takes on one thread. Errors are means over three stacks, times those of the fastest. A border of 12 px of
both frames is left out. pystackreg (`pip install ".[registration]"`) knows global motions only: what of the error is
deformation, it has to leave.
"""

import argparse
import math
import statistics
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import machine

machine.limit(1)  # also what NumPy uses, whose idle threads would count as busy

import numpy as np  # noqa: E402
from report import close, table  # noqa: E402

import variflow  # noqa: E402
from variflow import flowops  # noqa: E402

SHAPE, FRAMES, SEEDS, BORDER = (256, 256), 40, range(3), 12
CELLS, VESICLES, OUTSIDE = 180, 640, 12
BRIGHTEST, GROUND, NOISE, BLEACHED = 500, 20, 3, 0.6
DRIFT, DEFORMED, PERIODS, WAVES = 6.0, 1.5, (90, 200), 4
# The most that the mean error (px) may be.
TARGETS = {"register(frames)": 0.1, "passes=2": 0.1}


def make_stack(seed=0, shape=SHAPE, count=FRAMES, drift=DRIFT):
    """Return frames, the flow from the first frame to each, and the first frame without noise."""
    from scipy.ndimage import gaussian_filter1d, map_coordinates, spline_filter

    draw = np.random.default_rng(seed)
    fine = 2  # the sample is drawn at twice the size, so that a spline hardly errs
    outside = OUTSIDE + round(drift)
    sample = spline_filter(draw_sample(draw, shape, outside, fine))
    rows, columns = np.indices(shape).astype(float)
    still = np.stack([columns, rows], axis=2)
    # A path whose farthest point is `drift` away.
    path = gaussian_filter1d(np.cumsum(draw.normal(size=(count, 2)), axis=0), 1, axis=0)
    path -= path[0]
    path *= drift / np.linalg.norm(path, axis=1).max()
    waves = [make_waves(draw, still) for _ in range(2)]

    def move(points, number):
        turn = 2 * np.pi * number / count
        deformed = np.sin(turn) * waves[0](points) + (1 - np.cos(turn)) / 2 * waves[1](points)
        return path[number] + DEFORMED * deformed

    frames, flows, clean = [], [], None
    for number in range(count):
        origin = still
        for _ in range(30):
            origin = still - move(origin, number)
        place = [(origin[..., axis] + outside) * fine for axis in (1, 0)]
        seen = map_coordinates(sample, place, order=3, prefilter=False, mode="nearest")
        bright = BRIGHTEST * np.maximum(seen, 0) * BLEACHED ** (number / (count - 1)) + GROUND
        clean = bright if clean is None else clean
        counted = draw.poisson(bright) + draw.normal(0, NOISE, shape)
        frames.append(np.rint(np.maximum(counted, 0)).astype(np.uint16))
        flows.append(move(still, number))
    return np.stack(frames), np.stack(flows), clean


def draw_sample(draw, shape, outside, fine):
    """Return the sample, larger than the frame on all sides; its brightest thousandth is above 1."""
    size = np.array(shape) + 2 * outside
    share = size.prod() / np.prod(SHAPE)
    cells, vesicles = round(CELLS * share), round(VESICLES * share)
    centers = draw.uniform(0, size, (cells + vesicles, 2)) * fine
    wide = fine * np.concatenate([draw.uniform(4, 10, cells), draw.uniform(1, 2, vesicles)])
    light = np.concatenate([draw.uniform(0.2, 1, cells), draw.uniform(0.3, 2, vesicles)])
    sample = np.zeros(size * fine)
    for center, deviation, brightness in zip(centers, wide, light, strict=True):
        reach = int(5 * deviation) + 1
        low = np.maximum(center.astype(int) - reach, 0)
        high = np.minimum(center.astype(int) + reach + 1, sample.shape)
        y, x = (
            np.exp(-((np.arange(a, b) - c) ** 2) / (2 * deviation**2))
            for a, b, c in zip(low, high, center, strict=True)
        )
        sample[low[0] : high[0], low[1] : high[1]] += brightness * np.outer(y, x)
    return sample / np.quantile(sample, 0.999)


def make_waves(draw, still):
    """Return a smooth motion of points (..., 2), 1 px at most where the frame is."""
    directions, phases = draw.normal(0, 1, (WAVES, 2)), draw.uniform(0, 2 * np.pi, WAVES)
    turned, periods = draw.uniform(0, 2 * np.pi, WAVES), draw.uniform(*PERIODS, WAVES)
    numbers = 2 * np.pi / periods * np.stack([np.cos(turned), np.sin(turned)])

    def move(points):
        return np.sin(points @ numbers + phases) @ directions

    farthest = np.linalg.norm(move(still), axis=2).max()
    return lambda points: move(points) / farthest


def measure(truth, clean, flows, corrected):
    """Return the mean error, that of the worst frame, and the mean correlation with the first frame without noise."""
    insides = [find_inside(true) for true in truth]
    together = zip(corrected, insides, strict=True)
    agree = statistics.fmean(np.corrcoef(frame[inside], clean[inside])[0, 1] for frame, inside in together)
    each = zip(flows, truth, insides, strict=True)
    errors = [np.linalg.norm(found - true, axis=2)[inside].mean() for found, true, inside in each]
    return statistics.fmean(errors[1:]), max(errors[1:]), agree


def find_inside(flow):
    """Return what of the first frame is not in its border, nor in that of the other frame."""
    still = np.moveaxis(np.indices(SHAPE)[::-1], 0, 2)
    far = np.array(SHAPE[::-1]) - 1 - BORDER
    return np.all([(place >= BORDER) & (place <= far) for place in (still, still + flow)], axis=(0, 3))


def register(frames, **options):
    """Return corrected frames and flows."""
    registered = list(variflow.register(frames, **options))
    return [each.frame for each in registered], [each.flow for each in registered]


def register_with_starts(frames):
    """Return the same, each estimate started from the flow of the frame before."""
    flows = [np.zeros((*SHAPE, 2), np.float32)]
    for frame in frames[1:]:
        flows.append(variflow.estimate(frames[0], frame, "smooth", init=flows[-1]).flow)
    return [variflow.warp(frame, flow) for frame, flow in zip(frames, flows, strict=True)], flows


def register_with_stackreg(frames, kind):
    """Return corrected frames and flows of pystackreg."""
    from pystackreg import StackReg

    register = StackReg(getattr(StackReg, kind))
    matrices = register.register_stack(frames, reference="first")
    return register.transform_stack(frames), [flowops.from_matrix(matrix, SHAPE) for matrix in matrices]


def list_methods():
    """Return functions from frames to corrected frames and flows, by name."""
    methods = {
        "register(frames)": register,
        "reference=5": partial(register, reference=5),
        "reference='running'": partial(register, reference="running"),
        "passes=2": partial(register, passes=2),
        "model='balanced'": partial(register, model="balanced"),
        "model='fast'": partial(register, model="fast"),
        "motion='translation'": partial(register, motion="translation"),
        "motion='affine'": partial(register, motion="affine"),
        "each from the flow before": register_with_starts,
    }
    if find_spec("pystackreg"):
        for kind in ("TRANSLATION", "RIGID_BODY", "AFFINE"):
            methods[f"pystackreg {kind.lower()}"] = partial(register_with_stackreg, kind=kind)
    return methods


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--drift", type=float, default=DRIFT, help="how far the sample drifts, px")
    parser.add_argument("--check", action="store_true", help="fail where a target is missed")
    parser.add_argument("--output", type=Path, help="folder for registration.md")
    arguments = parser.parse_args()
    stacks = [make_stack(seed, drift=arguments.drift) for seed in SEEDS]
    still = [measure(truth, clean, np.zeros_like(truth), frames) for frames, truth, clean in stacks]
    mean, worst, agree = np.mean(still, axis=0)
    rows, held = [["no correction", f"{mean:.3f}", f"{worst:.3f}", f"{agree:.4f}", "", ""]], True
    for name, method in list_methods().items():
        measured, seconds = [], math.inf
        for frames, truth, clean in stacks:
            begun = time.process_time()
            corrected, flows = method(frames)
            seconds = min(seconds, time.process_time() - begun)
            measured.append(measure(truth, clean, flows, corrected))
        mean, worst, agree = np.mean(measured, axis=0)
        target = ""
        if name in TARGETS:
            holds = bool(mean <= TARGETS[name])
            target = f"wanted {TARGETS[name]}: {'holds' if holds else '**fails**'}"
            held &= holds
        rows.append([name, f"{mean:.3f}", f"{worst:.3f}", f"{agree:.4f}", f"{1e3 * seconds / FRAMES:.0f}", target])
        print(*rows[-1], flush=True)
    header = ["method", "mean error, px", "worst frame, px", "correlation with the truth", "ms of CPU a frame", ""]
    return close(table(header, rows), "registration.md", arguments, held)


if __name__ == "__main__":
    raise SystemExit(main())
