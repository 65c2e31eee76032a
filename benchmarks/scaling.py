"""How the time of the models grows with the frames and falls with threads, and how far the kernels are from the limits.

    python benchmarks/scaling.py [--models NAME ...] [--sizes 640x480 ...] [--rounds 3] [--output FOLDER]

The frames are those of `variflow.datasets.demo`, cut or mirrored on until they have the size, so that texture, motion
and motion edges are equally dense in all of them. What runs in JAX takes two threads in any case. Two presets are
measured beside OpenCV's DIS as well.

Limits of the machine, measured in the same run with two threads: bytes per second of adding arrays that together are as
large as what a kernel reads and writes, and floating point operations per second of a product of matrices, the fastest
of several each. A kernel can hardly be faster than reading its inputs and writing its outputs once, nor than its
operations take at that peak (comparisons, as in the medians, can be cheaper); the fraction is the larger of the two
times over the measured one. Outputs are new arrays, whose pages the system clears: that is part of a kernel's time.
"""

import argparse
import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import machine

THREADS = 2
machine.limit(THREADS)
DESCRIPTION = machine.describe("variflow", "numpy", "jax")
if "avx512f" in DESCRIPTION["processor"]:
    # On processors that it does not know, OpenBLAS falls back to narrower vectors than there are.
    os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")

import numpy as np  # noqa: E402
from peers import build, different_models  # noqa: E402
from report import table  # noqa: E402

import variflow  # noqa: E402
from variflow import _core, datasets, models  # noqa: E402

SIZES = ("320x240", "640x480", "1280x720", "1920x1080", "4096x2160")
REFERENCE = "640x480"
KERNEL_SIZES = ("640x480", "1920x1080", "4096x2160")
VOLUMES = (2**22, 2**25, 2**28)  # bytes for which the limit of memory is printed
BESIDE = {"realtime": "OpenCV DIS fast", "fast": "OpenCV DIS medium"}
ENOUGH = 15.0  # seconds: no further round of a call that has taken as much in all


def seconds_of(function, rounds):
    """Return the seconds of each call, without the first one unless it alone takes enough."""
    times = []
    while len(times) <= rounds and sum(times) < ENOUGH:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times[1:] or times


def extent(size):
    width, height = map(int, size.split("x"))
    return height, width


# Models


def frames_of(size, pair):
    """Return the frames of a pair, cut or mirrored on to a size."""
    height, width = extent(size)
    rows, columns, _ = pair.frame0.shape
    beyond = ((0, max(height - rows, 0)), (0, max(width - columns, 0)), (0, 0))
    return [np.pad(frame, beyond, "symmetric")[:height, :width].copy() for frame in (pair.frame0, pair.frame1)]


def in_turns(calls, rounds):
    """Return the median seconds of named functions, called in turns, so that the machine's moods meet them all alike.

    What a first call compiles, and the memory it asks for, is not timed; who took long enough in all rests.
    """
    times = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            if sum(times[name]) < ENOUGH:
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds[1:] or seconds) for name, seconds in times.items()}


def measure_models(names, sizes, rounds):
    times = {}
    frames = {size: frames_of(size, datasets.demo()) for size in sizes}

    def estimate(model, size, threads):
        variflow.set_threads(threads)
        variflow.estimate(*frames[size], model)

    for name in names:
        model = models.get(name)
        settings = [(size, threads) for size in sizes for threads in (1, THREADS)]
        seconds = in_turns({setting: partial(estimate, model, *setting) for setting in settings}, rounds)
        times[name] = {size: {threads: seconds[size, threads] for threads in (1, THREADS)} for size in sizes}
        print(f"{name:<16}" + " ".join(f"{size} {times[name][size][THREADS]:.3g} s " for size in sizes), flush=True)
    return times


def measure_beside(sizes, rounds):
    """Return the median seconds of presets and of the peers they are measured against, by size."""
    functions = {name: build(name) for pair in BESIDE.items() for name in pair}
    variflow.set_threads(THREADS)
    frames = {size: frames_of(size, datasets.demo()) for size in sizes}
    calls = {(name, size): partial(functions[name], *frames[size]) for size in sizes for name in functions}
    seconds = in_turns(calls, 3 * rounds)
    return {size: {name: seconds[name, size] for name in functions} for size in sizes}


def beside_table(times):
    rows = []
    for ours, theirs in BESIDE.items():
        for size, seconds in times.items():
            cells = [f"{1000 * seconds[name]:.3g}" for name in (ours, theirs)]
            rows.append([ours, theirs, size, *cells, f"{seconds[ours] / seconds[theirs]:.2f}"])
    return table(["model", "beside", "size", "ms", "ms of that", "ratio"], rows)


def model_table(times, sizes):
    rows = []
    for name, by_size in times.items():
        reference = by_size.get(REFERENCE, {}).get(THREADS)
        for size in sizes:
            one, two = by_size[size][1], by_size[size][THREADS]
            pixels = np.prod(extent(size))
            growth = two / pixels / (reference / np.prod(extent(REFERENCE))) if reference else None
            cells = [f"{one:.3g}", f"{two:.3g}", f"{one / two:.2f}", f"{two / pixels * 1e9:.0f}"]
            rows.append([name if size == sizes[0] else "", size, *cells, f"{growth:.2f}" if growth else ""])
    header = ["model", "size", "1 thread, s", f"{THREADS} threads, s", "speed-up", "ns per pixel"]
    return table([*header, f"per pixel, relative to {REFERENCE}"], rows)


# Kernels


@cache
def bandwidth(size):
    """Return the bytes per second of adding arrays of `size` bytes in all, again and again: in caches if they fit."""
    parts = np.ones((3, THREADS, size // (12 * THREADS)), np.float32)
    repeats = max(1, 2**27 // parts.nbytes)

    def add(thread):
        for _ in range(repeats):
            np.add(parts[0, thread], parts[1, thread], out=parts[2, thread])

    with ThreadPoolExecutor(THREADS) as pool:
        return repeats * parts.nbytes / min(seconds_of(lambda: list(pool.map(add, range(THREADS))), 15))


def peak():
    """Return the floating point operations per second of a product of matrices."""
    a = np.ones((512, 512), np.float32)
    return 2 * 512**3 / min(seconds_of(lambda: a @ a, 500))


def kernels(height, width):
    """Yield, of each kernel the core has, its name, floating point operations per pixel, function, and arguments.

    Operations are those of the textbook form, per pixel of the output: additions, multiplications and comparisons.
    """
    random = np.random.default_rng(0)

    def planes(count, low=-1.0, high=1.0):
        values = random.random((count, height, width), np.float32)
        return values * np.float32(high - low) + np.float32(low)

    def taps(size, outputs, count):
        first = (np.arange(outputs) * (size / outputs) - count / 2).astype(np.int32)
        return first, np.full((outputs, count), 1 / count, np.float32)

    image, plane, (u, v) = planes(1), planes(1)[0], planes(2, -3, 3)
    tensor, edges = planes(5, 0.1, 1), planes(2, 0.1, 1)
    tensor[1] *= 0.1
    jx, jy, r = planes(3), planes(3), planes(3)
    zero, one = np.zeros_like(plane), np.ones_like(plane)
    coarser = (*taps(height, height // 2, 6), *taps(width, width // 2, 6))
    smooth = (*taps(height, height, 5), *taps(width, width, 5))
    charbonnier = _core.Penalty(_core.PenaltyKind.CHARBONNIER, 0.01)
    data = _core.DataTerm(jx, jy, r, charbonnier, 0.1, 1.0)
    smoothness = _core.Smoothness(None, None, False, charbonnier, 1.0)
    residuals, sweeps, iterations = [_core.Residuals(r[:1], jx[:1], jy[:1])], 20, 20
    table = [
        ("warp", "bilinear", 12, (image, u, v, "bilinear")),
        ("warp", "bicubic", 60, (image, u, v, "bicubic")),
        ("warp", "spline", 70, (image, u, v, "spline")),
        ("derivative", "x", 5, (image, "x")),
        ("derivative", "y", 5, (image, "y")),
        ("resample", "to half, 6 taps", 2 * 6 * (2 + 1), (image, *coarser)),
        ("resample", "smooth, 5 taps", 2 * 5 * 2, (image, *smooth)),
        ("median", "3 x 3", 2 * 19, (image, 3)),
        ("median", "5 x 5", 2 * 99, (image, 5)),
        ("add_data", "3 channels, Charbonnier", 3 * 20 + 5, (tensor.copy(), data, one)),
        ("edge_weights", "Charbonnier", 20, (u, v, smoothness)),
        ("relax", f"{sweeps} sweeps", 30 * sweeps, (tensor, edges, u, v, u, v, sweeps, 1.9)),
        ("lucas_kanade", "", 15, (tensor, 0.01)),
        (
            *("primal_dual", f"first order, {iterations} iterations", 45 * iterations),
            (zero, zero, residuals, one, _core.Variation(0.1), iterations),
        ),
        (
            *("primal_dual", f"second order, {iterations} iterations", 130 * iterations),
            (zero, zero, residuals, one, _core.Variation(0.1, second=2.0), iterations),
        ),
    ]
    for name, variant, operations, arguments in table:
        if hasattr(_core, name):
            yield f"{name} {variant}".strip(), operations, getattr(_core, name), arguments


def volume(values):
    """Return the bytes of all arrays in `values`, each counted once."""
    arrays, todo = {}, [values]
    while todo:
        value = todo.pop()
        if isinstance(value, np.ndarray):
            arrays[value.ctypes.data] = value.nbytes
        elif isinstance(value, tuple | list):
            todo += value
    return sum(arrays.values())


def measure_kernels(sizes, rounds):
    variflow.set_threads(THREADS)
    fastest = peak()
    rows, records = [], []
    for size in sizes:
        pixels = int(np.prod(extent(size)))
        for name, operations, function, arguments in kernels(*extent(size)):
            result = function(*arguments)
            moved = volume((arguments, result))
            if isinstance(result, float):
                moved += arguments[0].nbytes  # it writes its first argument
            call = partial(function, *arguments)
            seconds = statistics.median(seconds_of(call, 3 * rounds))
            bounds = {
                "memory": moved / bandwidth(2 ** round(np.log2(moved))),
                "arithmetic": operations * pixels / fastest,
            }
            limit = max(bounds, key=bounds.get)
            record = {"kernel": name, "size": size, "seconds": seconds, "bytes": moved}
            records.append(record | {"operations": operations * pixels} | bounds)
            speeds = (moved / seconds / 1e9, operations * pixels / seconds / 1e9)
            cells = [f"{seconds * 1e3:.3g}", *(f"{speed:.3g}" for speed in speeds)]
            rows.append([name, size, *cells, limit, f"{bounds[limit] / seconds:.0%}"])
    header = ["kernel", "size", "ms", "GB/s", "GFLOP/s", "nearest limit", "of the limit"]
    return fastest, table(header, rows), records


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--models", nargs="*", default=models.names(), help="default: all; nothing after it: none")
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="of the frames for models, WIDTHxHEIGHT")
    parser.add_argument("--kernel-sizes", nargs="*", default=KERNEL_SIZES, help="of the planes for kernels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="folder for scaling.json and scaling.md")
    arguments = parser.parse_args()
    fastest, kernel_table, records = measure_kernels(arguments.kernel_sizes, arguments.rounds)
    times = measure_models(different_models(arguments.models), arguments.sizes, arguments.rounds)
    beside = measure_beside(arguments.sizes, arguments.rounds)
    rates = {size: bandwidth(size) for size in VOLUMES}
    text = "\n".join(
        [
            ", ".join(f"{key} {value}" for key, value in DESCRIPTION.items()) + ".\n",
            f"Limits with {THREADS} threads: {fastest / 1e9:.0f} GFLOP/s (float32); "
            + ", ".join(f"{rate / 1e9:.0f} GB/s over {size / 2**20:.0f} MiB" for size, rate in rates.items())
            + ".\n",
            kernel_table,
            model_table(times, arguments.sizes),
            beside_table(beside),
        ]
    )
    print(text)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "scaling.md").write_text(text)
        results = {"machine": DESCRIPTION, "bytes per second": rates, "operations per second": fastest}
        results |= {"kernels": records, "models": times, "beside": beside}
        (arguments.output / "scaling.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
