"""Where the time of each preset goes, and how far its kernels are from the limits of the machine.

    python benchmarks/profile_presets.py [--presets NAME ...] [--rounds 7] [--data FOLDER] [--output FOLDER]

Three pairs: one of Middlebury, 640 x 480, whose motion is small; the same mirrored on to 1920 x 1080; and one of KITTI
2015, whose motion calls for matches. The package's own functions are timed from outside, and a step's share is that of
the fastest of the rounds. A step that another one calls counts for itself, except within light, matching and occlusion,
which are timed whole.

The kernels are then timed in the same way, within an estimate. A kernel can hardly be faster than reading its inputs
and writing its outputs once, nor than its operations take at the peak. `scaling.py` measures both limits, here in the
same run with two threads; the fraction is the larger of the two times over the measured one, of all calls together.
Operations are those of the textbook form: additions, multiplications and comparisons. Where nothing is said of them
(a search has no fixed number), the fraction is that of the memory alone; where neighbours share operations, as in the
plain median, it can exceed 100 %.
"""

import argparse
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

from scaling import DESCRIPTION, THREADS, bandwidth, frames_of, peak, table, volume

# isort: split
# The above comes first: it limits the threads before anything else is imported.
import numpy as np
from peers import DATA

import variflow
from variflow import _core, datasets, driver, filters, models, problem, solve, state
from variflow.frames.checking import Images
from variflow.frames.pyramid import Level
from variflow.start.from_model import FromModel
from variflow.start.start import Start

PRESETS = ("realtime", "fast", "balanced", "accurate", "smooth")
REST = "rest"
# Each step, and the functions that are it: an object and the name of its attribute.
STEPS = {
    "prepare": ((problem, "check_frames"), (Images, "prepare")),
    "pyramid": ((problem, "pyramid"),),
    "light": ((driver, "match_light"), (driver, "watch_light")),
    "matching": ((FromModel, "start"), (Start, "continue_outside")),
    "guide, edges": ((vars(Level)["guide"], "function"), (Level, "compute_image_edges")),
    "spline": ((vars(Level)["spline"], "function"),),
    "robust steps": ((solve, "minimise"),),
    "filter": ((filters.Median, "__call__"), (filters.WeightedMedian, "__call__")),
    "resampling": ((problem, "resample_flow"), (state, "resample_flow")),
    "occlusion": ((driver, "_estimate_occlusion"),),
}
WHOLE = ("light", "matching", "occlusion")
LEAST_SHARE = 0.04  # kernels that take less are not shown
SMALLEST_VOLUME = 2**20  # bytes: adding smaller arrays measures the calls, not the caches


class Clock:
    """Seconds of each step; what runs within a step that is not whole counts for the innermost."""

    def __init__(self):
        self.seconds = defaultdict(float)
        self._step, self._since = REST, time.perf_counter()

    def timed(self, step, function):
        def wrapped(*arguments, **named):
            outer = self._step
            if outer in WHOLE:
                return function(*arguments, **named)
            self.go_on_with(step)
            try:
                return function(*arguments, **named)
            finally:
                self.go_on_with(outer)

        return wrapped

    def go_on_with(self, step):
        now = time.perf_counter()
        self.seconds[self._step] += now - self._since
        self._step, self._since = step, now


def seconds_of_steps(frames, model):
    clock = Clock()
    with ExitStack() as stack:
        for step, functions in STEPS.items():
            for owner, name in functions:
                stack.enter_context(mock.patch.object(owner, name, clock.timed(step, getattr(owner, name))))
        clock.go_on_with(REST)
        clock.seconds.clear()
        variflow.estimate(*frames, model)
        clock.go_on_with(REST)
    return clock.seconds


# Kernels


def operations_of_warp(interpolation):
    return {"bilinear": 12, "bicubic": 60, "spline": 70}[interpolation]


def operations_of_robust_step(arguments, result):
    (frames, constancies, *_), sweeps, *_ = arguments
    channels, height, width = frames[0].shape
    interpolation = frames[6]
    of_kinds = {_core.ConstancyKind.BRIGHTNESS: 20 * channels + 5, _core.ConstancyKind.GRADIENT: 70 * channels + 5}
    of_terms = sum(of_kinds[kind] for kind, *_ in constancies)
    return height * width * (channels * (operations_of_warp(interpolation) + 12) + of_terms + 20 + 30 * sweeps)


def operations_of_resample(arguments, result):
    planes, _, weights_y, _, weights_x = arguments
    return 2 * len(planes) * len(weights_y) * (planes.shape[2] * weights_y.shape[1] + weights_x.size)


def operations_of_weighted_median(arguments, result):
    flow, _, mask, guide, _, window, step = arguments[:7]
    taps = (-(-window // step)) ** 2
    of_tap = 3 * len(guide) + 12 + 2 * len(flow) * np.log2(taps)  # its weight, and a share of ordering each component
    return np.count_nonzero(mask) * taps * of_tap


def operations_of_smoothing(arguments, result):
    taps = 2 * np.ceil(3 * arguments[2]) + 1
    return result[0].size * taps * (5 + 3 * 1.5)  # down a column both components and the weight, along a row in pairs


# By kernel, the operations of a call given its arguments and result; of others only the memory is known.
OPERATIONS = {
    "robust_step": operations_of_robust_step,
    "resample": operations_of_resample,
    "weighted_median": operations_of_weighted_median,
    "median": lambda arguments, result: result.size * 2 * {3: 19, 5: 99}[arguments[1]],
    "motion_edges": lambda arguments, result: result.size * 25,
    "visibility": lambda arguments, result: result.size * 32,
    "smooth_apart": operations_of_smoothing,
    "image_edges": lambda arguments, result: result[0].size * 2 * (3 * len(arguments[0]) + 10),
    "lab": lambda arguments, result: result.size * 35,
    "spline_coefficients": lambda arguments, result: result.size * 16,
    "warp": lambda arguments, result: result.size * operations_of_warp(arguments[3]),
}


def calls_of_kernels(frames, model):
    """Return the seconds of an estimate, and of each call of a kernel: its name, seconds, bytes and operations."""
    calls = []
    made = {}  # what objects of the core were made of
    counting = 0.0

    def taken_apart(given):
        if isinstance(given, tuple | list):
            return tuple(map(taken_apart, given))
        return taken_apart(made[id(given)][1]) if id(given) in made else given

    def noted(kind):
        def wrapped(*arguments, **named):
            result = kind(*arguments, **named)
            made[id(result)] = result, (*arguments, *named.values())
            return result

        return wrapped

    def timed(name, kernel):
        def wrapped(*arguments, **named):
            nonlocal counting
            start = time.perf_counter()
            result = kernel(*arguments, **named)
            done = time.perf_counter()
            given = taken_apart((*arguments, *named.values()))  # in the kernel's order
            operations = OPERATIONS[name](given, result) if name in OPERATIONS else 0
            calls.append((name, done - start, volume((given, result)), operations))
            counting += time.perf_counter() - done
            return result

        return wrapped

    with ExitStack() as stack:
        for name in dir(_core):
            kernel = getattr(_core, name)
            if name.startswith("_") or "threads" in name or not callable(kernel) or name.endswith("Kind"):
                continue
            wrapped = noted(kernel) if isinstance(kernel, type) else timed(name, kernel)
            stack.enter_context(mock.patch.object(_core, name, wrapped))
        start = time.perf_counter()
        variflow.estimate(*frames, model)
        return time.perf_counter() - start - counting, calls


def kernel_rows(total, calls, fastest):
    by_name = defaultdict(list)
    for name, *measured in calls:
        by_name[name].append(measured)
    for name in sorted(by_name, key=lambda name: -sum(seconds for seconds, *_ in by_name[name])):
        seconds, moved, operations = map(sum, zip(*by_name[name], strict=True))
        if seconds < LEAST_SHARE * total:
            return
        by_memory = sum(
            size / bandwidth(max(2 ** round(np.log2(size)), SMALLEST_VOLUME)) for _, size, _ in by_name[name]
        )
        by_arithmetic = operations / fastest
        limit = "arithmetic" if by_arithmetic > by_memory else "memory"
        known = [f"{operations / seconds / 1e9:.3g}", limit, f"{max(by_memory, by_arithmetic) / seconds:.0%}"]
        cells = [f"{seconds / total:.0%}", f"{len(by_name[name])}", f"{seconds * 1e3:.3g}"]
        yield [
            name,
            *cells,
            f"{moved / seconds / 1e9:.3g}",
            *(known if name in OPERATIONS else ["", "memory", f"{by_memory / seconds:.0%}"]),
        ]


def pairs(data):
    """Yield a label and two frames."""
    small = next(sample for sample in datasets.middlebury(data / "middlebury") if sample.name == "Grove2")
    for size in ("640x480", "1920x1080"):
        yield size, frames_of(size, small)
    large = datasets.kitti2015(data / "kitti2015")[0]
    height, width = large.frame0.shape[:2]
    yield f"{width}x{height}, large motion", [large.frame0, large.frame1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of middlebury and kitti2015")
    parser.add_argument("--output", type=Path, help="folder for profile.md (default: nothing is written)")
    arguments = parser.parse_args()
    variflow.set_threads(THREADS)
    fastest = peak()
    steps, kernels = defaultdict(list), defaultdict(list)
    for label, frames in pairs(arguments.data):
        print(label, flush=True)
        for count in range(arguments.rounds + 1):  # in turns, so that what disturbs the machine spoils no preset
            for preset in arguments.presets:
                model = models.get(preset)
                measured = seconds_of_steps(frames, model), calls_of_kernels(frames, model)
                if count > 0:  # what a first call of a size loads is not timed
                    steps[preset, label].append(measured[0])
                    kernels[preset, label].append(measured[1])
    step_rows, of_kernels = [], []
    for case in steps:
        seconds = min(steps[case], key=lambda seconds: sum(seconds.values()))
        total = sum(seconds.values())
        shares = (f"{seconds[step] / total:.0%}" if seconds[step] > 0.005 * total else "" for step in (*STEPS, REST))
        step_rows.append([*case, f"{total * 1e3:.3g}", *shares])
        for index, row in enumerate(kernel_rows(*min(kernels[case]), fastest)):
            of_kernels.append([*(case if index == 0 else ("", "")), *row])
    header = ["preset", "pair", "kernel", "of the time", "calls", "ms", "GB/s", "GFLOP/s", "nearest limit"]
    rates = ", ".join(f"{bandwidth(2**power) / 1e9:.0f} GB/s over {2 ** (power - 20)} MiB" for power in (20, 24, 28))
    text = "\n".join(
        [
            ", ".join(f"{key} {value}" for key, value in DESCRIPTION.items()) + ".\n",
            f"Limits with {THREADS} threads: {fastest / 1e9:.0f} GFLOP/s (float32); {rates}.\n",
            table(["preset", "pair", "ms", *STEPS, REST], step_rows),
            table([*header, "of the limit"], of_kernels),
        ]
    )
    print(text)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "profile.md").write_text(text)


if __name__ == "__main__":
    main()
