"""Errors of presets and peers on every sample of every data set that is at hand, pair by pair.

    pip install ".[benchmark]"
    python benchmarks/samples.py                                    balanced, smooth on particle images, and four peers
    python benchmarks/samples.py --models accurate --peers          one model, and no peers
    python benchmarks/samples.py --check                            and the targets: does each hold?

Looked for in the data folder are middlebury, sintel, kitti2012, kitti2015, flyingchairs and piv, laid out as their
authors publish them. End-point errors are means over the pixels whose truth is known (px); Fl is the share of those off
by more than 3 px and 5 % (KITTI).
"""

import argparse
import statistics
import sys
from pathlib import Path

import peers

import variflow
from variflow import datasets, metrics

SETS = {
    "middlebury": "middlebury",
    "sintel": "sintel",
    "sintel-final": "sintel",
    "kitti2012": "kitti2012",
    "kitti2015": "kitti2015",
    "flyingchairs": "flyingchairs",
    "piv": "piv",
}
PEERS = ["OpenCV DIS medium", "OpenCV DeepFlow", "OpenCV SparseToDense", "OpenCV PCAFlow"]
# The most that the mean error of a model on a data set may be (px), and that of Fl (%).
TARGETS = {
    ("balanced", "kitti2015"): (5.0, 13.0),
    ("balanced", "kitti2012"): (1.0, None),
    ("balanced", "sintel"): (2.2, None),
    ("balanced", "sintel-final"): (1.5, None),
    ("balanced", "flyingchairs"): (1.25, None),
    ("smooth", "piv"): (0.115, None),
}
MOST_BEHIND = 1.05  # on no pair may balanced have a larger error than the best peer, but for this factor


def samples(data):
    for name, folder in SETS.items():
        if (data / folder).is_dir():
            yield name, [pair for pair in datasets.load(name, data / folder) if pair.flow is not None]


def errors(flow, sample):
    error = metrics.endpoint_error(flow, sample.flow, sample.valid)
    return error, metrics.outliers(flow, sample.flow, sample.valid)


def gray_to_rgb(frame):
    return frame if frame.ndim == 3 else frame[:, :, None].repeat(3, axis=2)


def measure(methods, data):
    """Return {data set: {pair: {method: (error, Fl)}}}."""
    built = {name: peers.build(name) for name in methods}
    measured = {}
    for name, pairs in samples(data):
        for sample in pairs:
            row = measured.setdefault(name, {}).setdefault(sample.name, {})
            for method, flow_of in built.items():
                peers.progress(f"{name} {sample.name}: {method}")
                frames = (sample.frame0, sample.frame1)
                if method in peers.PEERS:
                    frames = map(gray_to_rgb, frames)
                row[method] = errors(flow_of(*frames), sample)
    peers.progress()
    return measured


def table(measured, methods):
    lines = [f"| data set, pair | {' | '.join(methods)} |", "| --- |" + " ---: |" * len(methods)]

    def cells(values, with_fl):
        return " | ".join(f"{error:.3f} ({fl:.1f} %)" if with_fl else f"{error:.3f}" for error, fl in values)

    for name, pairs in measured.items():
        with_fl = name.startswith("kitti")
        for pair, row in pairs.items():
            lines.append(f"| {name} {pair} | {cells([row[method] for method in methods], with_fl)} |")
        if len(pairs) > 1:
            means = [
                tuple(map(statistics.fmean, zip(*(row[m] for row in pairs.values()), strict=True))) for m in methods
            ]
            lines.append(f"| **{name}, mean** | {cells(means, with_fl)} |")
    return "\n".join(lines)


def check(measured, methods):
    """Print each target and whether it holds; return whether all do."""
    held = []

    def say(holds, text):
        held.append(holds)
        print(f"{'holds' if holds else 'FAILS'}: {text}")

    for (model, name), (most, most_fl) in TARGETS.items():
        if model in methods and name in measured:
            error, fl = map(statistics.fmean, zip(*(row[model] for row in measured[name].values()), strict=True))
            say(error <= most, f"{model} on {name}: {error:.3f} px, wanted at most {most}")
            if most_fl is not None:
                say(fl <= most_fl, f"{model} on {name}: Fl {fl:.1f} %, wanted at most {most_fl}")
    others = [method for method in methods if method in peers.PEERS]
    if "balanced" in methods and others:
        for name, pairs in measured.items():
            for pair, row in pairs.items():
                best = min(row[method][0] for method in others)
                error = row["balanced"][0]
                if error > MOST_BEHIND * best:
                    say(False, f"balanced on {name} {pair}: {error:.3f} px, the best peer {best:.3f}")
    return all(held)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=["balanced", "smooth"])
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--data", type=Path, default=peers.DATA)
    parser.add_argument("--output", type=Path, help="file for the table (default: it is printed)")
    parser.add_argument("--check", action="store_true", help="print the targets; exit with 1 unless all hold")
    arguments = parser.parse_args()
    methods = [*arguments.models, *arguments.peers]
    measured = measure(methods, arguments.data)
    if not measured:
        sys.exit(f"no data set in {arguments.data}")
    text = f"variflow {variflow.__version__}; mean end-point errors in pixels.\n\n{table(measured, methods)}\n"
    if arguments.output:
        arguments.output.write_text(text)
    else:
        print(text)
    if arguments.check and not check(measured, methods):
        sys.exit(1)


if __name__ == "__main__":
    main()
