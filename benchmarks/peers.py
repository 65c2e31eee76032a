"""Models of variflow beside what people use today, on the eight Middlebury training pairs, in one run.

    pip install ".[benchmark]"
    python benchmarks/peers.py                                      everything: table, JSON and picture
    python benchmarks/peers.py --check                              and the targets: does each hold?
    python benchmarks/peers.py --models brox --peers --rounds 1     one model, pair by pair

Measured are the mean end-point and angular error, the time from uint8 RGB arrays to a flow (the conversion to gray
that a peer needs included) and the peak memory. Everybody has two threads and two cores. The methods take turns,
in another order every time and each call on another pair than the one before; a pair's time is the median of the
rounds, a method's the mean of its pairs. Methods that take over a second a pair get two rounds at most. Memory is
measured in a process for each method, on a pair of 640 x 480: the peak over what is in use once everything is imported,
the frames are read, and a small crop of them has been through.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import machine
import report

THREADS = 2
machine.limit(THREADS)

import numpy as np  # noqa: E402

import variflow  # noqa: E402
from variflow import metrics, models  # noqa: E402

NAMES = ("Dimetrodon", "Grove2", "Grove3", "Hydrangea", "RubberWhale", "Urban2", "Urban3", "Venus")
ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("VARIFLOW_DATA", ROOT.parent / "shared" / "data"))
MEMORY_PAIR = "Grove2"  # 640 x 480
SLOW, SLOW_ROUNDS = 1.0, 2  # seconds a pair, rounds


# The methods: each is a function that imports what it needs and returns a function of two RGB frames


def model(name):
    variflow.set_threads(THREADS)
    estimate, built = variflow.estimate, models.get(name)
    return lambda frame0, frame1: estimate(frame0, frame1, built).flow


def opencv(create):
    import cv2

    cv2.setNumThreads(THREADS)
    algorithm = create(cv2)

    def flow(frame0, frame1):
        return algorithm.calc(*(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (frame0, frame1)), None)

    return flow


def opencv_farneback():
    import cv2

    cv2.setNumThreads(THREADS)

    def flow(frame0, frame1):
        gray = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (frame0, frame1))
        return cv2.calcOpticalFlowFarneback(*gray, None, 0.5, 3, 15, 3, 5, 1.2, 0)

    return flow


def opencv_rlof():
    import cv2

    cv2.setNumThreads(THREADS)
    algorithm = cv2.optflow.createOptFlow_DenseRLOF()  # its support regions need colour

    def flow(frame0, frame1):
        return algorithm.calc(*(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in (frame0, frame1)), None)

    return flow


def scikit_image(name):
    from skimage import color, registration

    algorithm = getattr(registration, f"optical_flow_{name}")

    def flow(frame0, frame1):
        rows, columns = algorithm(color.rgb2gray(frame0), color.rgb2gray(frame1))
        return np.stack([columns, rows], axis=-1)

    return flow


PEERS = {
    "OpenCV DIS ultrafast": partial(opencv, lambda cv2: cv2.DISOpticalFlow.create(0)),
    "OpenCV DIS fast": partial(opencv, lambda cv2: cv2.DISOpticalFlow.create(1)),
    "OpenCV DIS medium": partial(opencv, lambda cv2: cv2.DISOpticalFlow.create(2)),
    "OpenCV Farneback": opencv_farneback,
    "OpenCV PCAFlow": partial(opencv, lambda cv2: cv2.optflow.createOptFlow_PCAFlow()),
    "OpenCV SparseToDense": partial(opencv, lambda cv2: cv2.optflow.createOptFlow_SparseToDense()),
    "OpenCV DenseRLOF": opencv_rlof,
    "OpenCV DeepFlow": partial(opencv, lambda cv2: cv2.optflow.createOptFlow_DeepFlow()),
    "OpenCV DualTVL1": partial(opencv, lambda cv2: cv2.optflow.DualTVL1OpticalFlow.create()),
    "scikit-image ilk": partial(scikit_image, "ilk"),
    "scikit-image tvl1": partial(scikit_image, "tvl1"),
}


def build(name):
    return PEERS[name]() if name in PEERS else model(name)


def different_models(names):
    """Leave out the presets that are another model of the list by another name."""
    kept = {}
    for name in names:
        first = kept.setdefault(repr(models.get(name)), name)
        if first != name:
            print(f"{name} is {first}")
    return list(kept.values())


# Measuring


@dataclass
class Measured:
    """What one method did: per pair its errors (px, degrees) and the seconds of each round; its memory in MiB."""

    endpoint: dict = field(default_factory=dict)
    angular: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    memory: float | None = None

    def mean(self, of):
        return statistics.fmean(getattr(self, of).values())

    def time(self):
        return statistics.fmean(statistics.median(seconds) for seconds in self.seconds.values())

    def rounds(self):
        return min(len(seconds) for seconds in self.seconds.values())


def progress(text=""):
    if sys.stderr.isatty():
        print(f"\r{text:<78}", end="\r", file=sys.stderr, flush=True)


def read_pair(folder):
    frames = [variflow.read_image(folder / f"frame{number}.png") for number in (10, 11)]
    return *frames, variflow.read_flow(folder / "flow10.flo")


def turns(methods, pairs, shift):
    """Yield every method with every pair once: the methods in turns, each call on another pair than the one before."""
    left = {}
    for index, method in enumerate(methods):
        left[method] = deque(pairs)
        left[method].rotate(-index)
    previous = None
    for step in range(len(pairs)):
        start = (step + shift) % len(methods)
        for method in [*methods[start:], *methods[:start]]:
            if left[method][0] == previous:
                left[method].rotate(-1)
            previous = left[method].popleft()
            yield method, previous


def measure_errors_and_times(functions, pairs, rounds):
    """Run all methods; what a first call of a size compiles or loads is not timed."""
    shapes = {frame0.shape: (frame0, frame1) for frame0, frame1, _ in pairs.values()}
    measured = {}
    for name, function in functions.items():
        progress(f"warming up: {name}")
        for frames in shapes.values():
            start = time.perf_counter()
            function(*frames)
            if name in PEERS and time.perf_counter() - start > SLOW:
                break  # a slow peer compiles nothing: once is enough
        measured[name] = Measured(seconds={pair: [] for pair in pairs})
    for count in range(rounds):
        methods = [m for m in functions if count < SLOW_ROUNDS or measured[m].time() < SLOW]
        for name, pair in turns(methods, list(pairs), count):
            progress(f"round {count + 1} of {rounds}: {name}, {pair}")
            frame0, frame1, truth = pairs[pair]
            start = time.perf_counter()
            flow = functions[name](frame0, frame1)
            measured[name].seconds[pair].append(time.perf_counter() - start)
            if count == 0:
                measured[name].endpoint[pair] = metrics.endpoint_error(flow, truth)
                measured[name].angular[pair] = metrics.angular_error(flow, truth)
    progress()
    return measured


def measure_memory(name, folder, answers):
    frame0, frame1, _ = read_pair(folder)
    function = build(name)
    function(frame0[:120, :160], frame1[:120, :160])
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if clear.exists():
        # Unlike getrusage, this peak can be reset, and does not begin with that of the parent process.
        def kibibytes(label):
            return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(label))

        clear.write_text("5")
        before = kibibytes("VmRSS:")
        function(frame0, frame1)
        answers.put((kibibytes("VmHWM:") - before) / 2**10)
    else:
        import resource

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        function(frame0, frame1)
        answers.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)  # bytes on macOS


def peak_memory(name, folder):
    """Return the peak memory of one call in a process of its own, in MiB; None if that process failed."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=measure_memory, args=(name, folder, answers))
    process.start()
    process.join()
    return answers.get() if process.exitcode == 0 else None


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=f"peers: {', '.join(PEERS)}", allow_abbrev=False
    )
    parser.add_argument("--models", nargs="*", default=models.names(), help="default: all")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), help="default: all; nothing after it: none")
    parser.add_argument("--pairs", nargs="+", default=NAMES, choices=NAMES, help="default: all eight")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of middlebury/NAME/frame10.png ...")
    parser.add_argument("--output", type=Path, help="folder for peers.json and peers.md (default: nothing is written)")
    parser.add_argument("--picture", type=Path, help="file for the picture, for example docs/images/pareto.png")
    parser.add_argument("--check", action="store_true", help="print the targets; exit with 1 unless all hold")
    arguments = parser.parse_args()
    if unknown := set(arguments.models) - set(models.names()):
        parser.error(f"no such models: {', '.join(sorted(unknown))}; there are {', '.join(models.names())}")
    if unknown := set(arguments.peers) - set(PEERS):
        parser.error(f"no such peers: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")

    description = machine.describe("variflow", "opencv-contrib-python-headless", "scikit-image", "numpy", "jax")
    functions = {}
    for name in [*different_models(arguments.models), *arguments.peers]:
        try:
            functions[name] = build(name)
        except (ImportError, AttributeError) as missing:
            print(f'left out: {name} ({missing}); pip install ".[benchmark]"')
    folder = arguments.data / "middlebury"
    measured = measure_errors_and_times(
        functions, {name: read_pair(folder / name) for name in arguments.pairs}, arguments.rounds
    )
    for name, result in measured.items():
        progress(f"memory: {name}")
        result.memory = peak_memory(name, folder / MEMORY_PAIR)
    progress()

    words = ", ".join(f"{key} {value}" for key, value in description.items())
    parts = [
        f"Middlebury training pairs, {len(arguments.pairs)} of 8; {THREADS} threads; {words}.",
        report.summary_table(measured),
        "End-point error, px:",
        report.pair_table(measured, "endpoint", 3),
        "Angular error, degrees:",
        report.pair_table(measured, "angular", 2),
    ]
    if ratios := report.ratio_table(measured):
        parts += ["Ratios of times:", ratios]
    targets, fine = report.check(measured)
    if arguments.check:
        parts += ["Targets:", targets]
    text = "\n".join(parts)
    print(text)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "peers.md").write_text(text)
        results = {"machine": description, "threads": THREADS, "methods": {n: vars(m) for n, m in measured.items()}}
        (arguments.output / "peers.json").write_text(json.dumps(results, indent=1) + "\n")
    if arguments.picture:
        report.picture(measured, arguments.picture)
    return 0 if fine or not arguments.check else 1


if __name__ == "__main__":
    raise SystemExit(main())
