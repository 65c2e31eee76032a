"""What it saves to estimate a video as such, and not each pair by itself: time and error.

    VARIFLOW_DATA=... python benchmarks/video.py [--models NAME ...] [--rounds 5] [--output FOLDER]

Sequences are those of the published pairs that have more than two frames: RubberWhale and Urban2 of Middlebury (frames
7 to 14, truth from 10 to 11) and alley_1 of Sintel (four frames, three truths); and a rendered texture that pans. Each
is estimated in both ways in turns, two threads; times are medians over rounds and pairs, without the first pair, for
which there is nothing to go on from. The error is the mean end-point error over the pairs after the first that have a
truth.
"""

import argparse
import os
import statistics
import time
from itertools import pairwise
from pathlib import Path

import machine

THREADS = 2
machine.limit(THREADS)

import numpy as np  # noqa: E402
from report import table  # noqa: E402

import variflow  # noqa: E402
from variflow import metrics, models  # noqa: E402
from variflow.datasets import synthetic  # noqa: E402

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def sequences():
    """Yield (name, frames, truths by the number of their first frame)."""
    for name in ("RubberWhale", "Urban2"):
        folder = DATA / "middlebury" / name
        frames = [variflow.read_image(path) for path in sorted(folder.glob("frame??.png"))]
        yield name, frames, {3: variflow.read_flow(folder / "flow10.flo")}
    folder = DATA / "sintel" / "training"
    frames = [variflow.read_image(path) for path in sorted((folder / "clean" / "alley_1").glob("*.png"))]
    flows = sorted((folder / "flow" / "alley_1").glob("*.flo"))
    yield "alley_1", frames, {number: variflow.read_flow(path) for number, path in enumerate(flows)}
    step = (4.5, -1.5)
    frames = [synthetic.translation((480, 640), shift=(step[0] * t, step[1] * t)).frame1 for t in range(6)]
    truth = np.broadcast_to(np.float32(step), (480, 640, 2))
    yield "panning texture", frames, dict.fromkeys(range(5), truth)


def one_by_one(frames, model):
    for frame0, frame1 in pairwise(frames):
        yield variflow.estimate(frame0, frame1, model)


def run(results):
    """Return the flows of all pairs and the seconds of each."""
    flows, seconds = [], []
    while True:
        start = time.perf_counter()
        result = next(results, None)
        if result is None:
            return flows, seconds
        seconds.append(time.perf_counter() - start)
        flows.append(result.flow)


def measure(frames, truths, model, rounds):
    """Return error and milliseconds of each way."""
    ways = {"pairs": one_by_one, "video": variflow.estimate_video}
    seconds, errors = {way: [] for way in ways}, {}
    for _ in range(rounds):
        for way, function in ways.items():
            flows, times = run(function(frames, model))
            seconds[way] += times[1:]
            later = [number for number in truths if number > 0]
            errors[way] = statistics.fmean(metrics.endpoint_error(flows[n], truths[n]) for n in later)
    return errors, {way: 1000 * statistics.median(times) for way, times in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=["realtime", "fast", "balanced"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="folder for video.md")
    arguments = parser.parse_args()
    variflow.set_threads(THREADS)
    rows = []
    for name, frames, truths in sequences():
        for model in arguments.models:
            errors, times = measure(frames, truths, models.get(model), arguments.rounds)
            cells = [f"{errors[way]:.3f}" for way in errors] + [f"{times[way]:.3g}" for way in times]
            rows.append([name, model, *cells, f"{times['pairs'] / times['video']:.2f}"])
            print(*rows[-1], flush=True)
    header = ["sequence", "model", "error of pairs, px", "of the video", "ms a pair", "in the video", "times faster"]
    words = machine.describe("variflow", "numpy")
    text = ", ".join(f"{key} {value}" for key, value in words.items()) + ".\n\n" + table(header, rows)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "video.md").write_text(text)


if __name__ == "__main__":
    main()
