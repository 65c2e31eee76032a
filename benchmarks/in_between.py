"""Frames between two frames: how far from the true ones, and how long they take.

    VARIFLOW_DATA=... python benchmarks/in_between.py [--rounds 7] [--output FOLDER]

On the four Middlebury pairs that come with the true frame at half the time: the root mean square difference over all
pixels and channels, in gray levels of 255. `flowops.interpolate` is given bytes and gives bytes, or floats and gives
floats (rounding alone makes 0.29). Flows are those of `balanced` and `accurate`, forward and backward; or the true one,
with the flow back estimated from its inverse. Beside it, `metrics.in_between`, which takes the forward flow alone, and
the mean of both frames. Times are for one frame, bytes to bytes, without the flow, with two threads: the least of the
rounds; and how long the processors worked for it, both together, which others on the machine hardly change.
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
from variflow import flowops, metrics  # noqa: E402

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
NAMES = ("Grove3", "RubberWhale", "Urban2", "Urban3")


def read(name):
    folder = DATA / "middlebury" / name
    frames = [variflow.read_image(folder / f"frame{label}.png") for label in ("10", "11", "10i11")]
    return *frames, variflow.read_flow(folder / "flow10.flo")


def flows_of(frame0, frame1, truth):
    """Yield the names of flows, the flows and those back."""
    for model in ("balanced", "accurate"):
        result = variflow.estimate(frame0, frame1, model)
        yield model, result.flow, result.backward
    yield "the true flow", truth, variflow.estimate(frame1, frame0, init=flowops.invert(truth)).flow


def rms(made, true):
    return float(np.sqrt(np.mean((made.astype(np.float64) - true) ** 2)))


def measure(name, rounds):
    """Return the errors by row, and the least seconds by way."""
    frame0, frame1, true, truth = read(name)
    single = frame0.astype(np.float32), frame1.astype(np.float32)
    errors, seconds = {}, {}
    for label, flow, backward in flows_of(frame0, frame1, truth):
        errors[f"interpolate, {label}"] = rms(flowops.interpolate(*single, flow, backward), true)
        errors[f"interpolate, {label}, bytes"] = rms(flowops.interpolate(frame0, frame1, flow, backward), true)
        known = metrics.complete(flow) if np.isnan(flow).any() else flow
        errors[f"metrics.in_between, {label}"] = rms(metrics.in_between(frame0, frame1, known), true)
        if label == "balanced":
            ways = {
                "interpolate": lambda: flowops.interpolate(frame0, frame1, flow, backward),  # noqa: B023
                "interpolate, each of three": lambda: list(
                    flowops.interpolate(frame0, frame1, flow, backward, (0.25, 0.5, 0.75))  # noqa: B023
                ),
                "metrics.in_between": lambda: metrics.in_between(frame0, frame1, known),  # noqa: B023
            }
            for way, make in ways.items():
                taken = least(make, rounds)
                seconds[way] = [each / (3 if "three" in way else 1) for each in taken]
    errors["the mean of both frames"] = rms((single[0] + single[1]) / 2, true)
    return errors, seconds


def least(make, rounds):
    """Return the least seconds that pass, and those that processors work."""
    taken = []
    for _ in range(rounds):
        start, worked = time.perf_counter(), time.process_time()
        make()
        taken.append((time.perf_counter() - start, time.process_time() - worked))
    return np.min(taken, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="of the times")
    parser.add_argument("--output", type=Path, help="folder for in_between.md")
    arguments = parser.parse_args()
    about = ", ".join(f"{key} {value}" for key, value in machine.describe("variflow", "numpy").items())
    found = {name: measure(name, arguments.rounds) for name in NAMES}
    errors = {name: each for name, (each, _) in found.items()}
    rows = [
        [label, *(f"{errors[name][label]:.2f}" for name in NAMES), f"{np.mean([errors[n][label] for n in NAMES]):.2f}"]
        for label in sorted(errors["Grove3"], key=lambda row: np.mean([errors[name][row] for name in NAMES]))
    ]
    ways = next(iter(found.values()))[1]
    times = [
        [way, *(" / ".join(f"{1e3 * each:.3g}" for each in found[name][1][way]) for name in NAMES)] for way in ways
    ]
    parts = [
        f"{about}.\n",
        table(["root mean square error, gray levels", *NAMES, "mean"], rows),
        table(["ms a frame / of the processors", *NAMES], times),
    ]
    text = "\n".join(parts)
    print(text)
    if arguments.output:
        (arguments.output / "in_between.md").write_text(text)


if __name__ == "__main__":
    main()
