"""What presets make of pictures that no data set shows, and how steady they are.

    VARIFLOW_DATA=... python benchmarks/robustness.py [--models NAME ...] [--check] [--output FOLDER]

On the eight Middlebury pairs: the error (px) as they are, and with the second frame 1.2 times as bright plus 25, of
255, and cut off there; by how much (%) the error rises, of the pixels more than 10 px outside, if 40 x 40 pixels of
the first frame are missing, for each of three places. On two frames, smoothed (sigma 1) and shifted exactly by their
Fourier transform: the median error (px) of the flow, a 16 px border left out. On frames most of which have one value
(see flat_ground.py): how many pixels (%) are wrong by more than 1 px, over six seeds, and the largest error (px). On
parts of the eight first frames that lie up to 104 px apart, as if the whole frame had moved: of how many the mean error
is above 1 px, and the largest mean confidence of one of those, over its pixels that are wrong by more than 1 px. On
the eight first frames turned and grown, beside OpenCV's DIS medium (see turned.py): the mean error (px). On
particles under a sheet of light that moves (see light_sheet.py): the mean error (px), and the mean confidence of the
pixels wrong by more than 1 px.

On every pair of every data set that is at hand (see samples.py): by how much (%) the error rises if the estimate starts
from the truth, and from its own result; how many pixels (%) change by more than 0.1 px, and by how much (%) the error
does, if 0.1 grey levels of noise are added, if one corner of the first frame is missing, and if the intensities are
those of float32 with another range; and whether each slower preset has the smaller error, on the mean of each data set
and where a texture grows, turns and is sheared.
"""

import argparse
import itertools
import os
import statistics
from pathlib import Path

import every_pair
import flat_ground
import light_sheet
import numpy as np
import turned
from report import table
from scipy.ndimage import gaussian_filter

import variflow
from variflow import datasets, metrics

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PLACES = ((0.3, 0.3), (0.5, 0.6), (0.7, 0.4))  # of the middle of the hole: rows and columns, of the frame's size
HOLE, MARGIN = 40, 10
SHIFTED, SHIFTS, BORDER = ("RubberWhale", "Grove2"), (0.1, 0.25, 0.5, 0.75), 16
# By how much the mean error may rise in other light (px), by how much around a hole (%), and the largest bias (px).
TARGETS = {"balanced": (0.01, 1.0, 0.008), "smooth": (None, None, 0.003)}
SEEDS = range(6)
# On flat ground, for every preset: how many pixels may be off by over 1 px (%), and the largest error (px).
WRONG, FARTHEST = 0.1, 4.0
# How far whole frames move, along x and y; and the models that must follow all of them.
FAR = ((20, 0), (0, 30), (-32, 32), (42, 42), (-80, 0), (104, 0), (0, -104))
FOLLOWING = ("balanced", "accurate")
SURE = 0.3  # the most that a model may be sure of a frame that it lost, on average over the wrong pixels
TURNED = 1.0  # the largest mean error (px) where frames turn or grow no more than DIS follows, with as small an error
LIT = 0.1  # the largest mean error under moving light (px)
# By how much (%) the error may rise from a start; how many pixels (%) a change that is nothing may move, and by how
# much (%) it may change the error.
STARTED, STEADY_PIXELS, STEADY_ERROR = 0.5, 0.3, 0.5
# Each has at most this much (%) more error than the one before.
ORDER, DISORDER = ("realtime", "fast", "balanced", "accurate"), 3


def brightened(frame):
    return np.clip(np.rint(1.2 * frame.astype(float) + 25), 0, 255).astype(np.uint8)


def error(sample, model, second=None):
    second = sample.frame1 if second is None else second
    return metrics.endpoint_error(variflow.estimate(sample.frame0, second, model).flow, sample.flow)


def rises(sample, model):
    """Return by how much (%) the error outside rises for each hole."""
    whole = metrics.endpoint_error_map(variflow.estimate(sample.frame0, sample.frame1, model).flow, sample.flow)
    found = []
    for place in PLACES:
        top, left = (int(part * size) - HOLE // 2 for part, size in zip(place, whole.shape, strict=True))
        holed = sample.frame0.astype(float)
        holed[top : top + HOLE, left : left + HOLE] = np.nan
        errors = metrics.endpoint_error_map(variflow.estimate(holed, sample.frame1, model).flow, sample.flow)
        outside = np.isfinite(whole)
        rows, columns = (slice(max(start - MARGIN, 0), start + HOLE + MARGIN) for start in (top, left))
        outside[rows, columns] = False
        found.append(100 * (errors[outside].mean() / whole[outside].mean() - 1))
    return found


def shifted(frame, shift):
    frequency = np.fft.fftfreq(frame.shape[1])
    return np.fft.ifft(np.fft.fft(frame, axis=1) * np.exp(-2j * np.pi * frequency * shift), axis=1).real


def bias(sample, model, shift):
    """Return the median error along the axis where it is larger."""
    frame = gaussian_filter(sample.frame0 @ np.array([0.299, 0.587, 0.114]), 1.0)
    flow = variflow.estimate(frame, shifted(frame, shift), model).flow[BORDER:-BORDER, BORDER:-BORDER]
    errors = np.median(flow, axis=(0, 1)) - (shift, 0)
    return float(errors[np.abs(errors).argmax()])


def flat_errors(model, kind):
    """Return how many pixels (%) are off by more than 1 px, and the largest error (px)."""
    errors = []
    for seed in SEEDS:
        flow = variflow.estimate(*flat_ground.make_pair(kind, seed), model).flow
        errors.append(np.hypot(*np.moveaxis(flow - np.array(flat_ground.MOTION), 2, 0)))
    known = np.concatenate([error[np.isfinite(error)] for error in errors])
    return 100 * float((known > 1).mean()), float(known.max())


def moved_apart(frame, motion):
    """Return two parts of a frame of which the second shows what the first one does, moved."""
    x, y = motion
    height, width = frame.shape[0] - abs(y), frame.shape[1] - abs(x)
    top, left = max(y, 0), max(x, 0)
    return frame[top:, left:][:height, :width], frame[top - y :, left - x :][:height, :width]


def follow_far(model, samples):
    """Return of how many frames that move as a whole the mean error is above 1 px, and how sure the model is of those.

    The second is the largest mean confidence of one frame, over the pixels that are wrong by more than 1 px.
    """
    lost, sure = 0, [0.0]
    for sample, motion in itertools.product(samples, FAR):
        result = variflow.estimate(*moved_apart(sample.frame0, motion), model)
        off = np.hypot(*np.moveaxis(result.flow - np.array(motion), 2, 0))
        if off.mean() > 1:
            lost += 1
            sure.append(float(result.confidence[off > 1].mean()))
    return lost, max(sure)


def report_turned(models, samples):
    """Return a table of the errors where frames turn and grow, and the verdicts: as far as DIS, with less than 1 px."""
    frames = [sample.frame0 for sample in samples]
    of_dis = turned.find_errors(turned.run_dis, frames)
    rows, verdicts = [["OpenCV DIS medium", *(f"{e:.3f}" for e in of_dis.values())]], []
    for model in models:
        errors = turned.find_errors(
            lambda first, second, model=model: variflow.estimate(first, second, model).flow, frames
        )
        rows.append([model, *(f"{e:.3f}" for e in errors.values())])
        most = max(errors[name] for name, e in of_dis.items() if e < TURNED)
        verdicts.append(verdict(model, "turned and grown as far as DIS follows: error", most, TURNED, "px"))
    text = "Turned and grown: mean end-point error, px."
    return [text, table(["model", *of_dis], rows)], verdicts


def follow_under_light(model):
    """Return the mean error (px), and how sure the model is of the pixels wrong by more than 1 px; 0 if none is."""
    result = variflow.estimate(*light_sheet.make_pair(), model)
    off = np.hypot(*np.moveaxis(result.flow - np.array(light_sheet.MOTION), 2, 0))
    return float(off.mean()), float(result.confidence[off > 1].mean()) if (off > 1).any() else 0.0


def report_every_pair(models):
    """Return tables of starts, steadiness and order, and their verdicts."""
    measured = {model: every_pair.measure(model, DATA) for model in models}
    starts, steady, order, verdicts = [], [], [], []
    for model, found in measured.items():
        cells = []
        for start, rises in found.rises.items():
            most, pair = every_pair.find_worst(rises)
            cells += [f"{statistics.fmean(rises.values()):+.2f}", f"{most:+.2f} ({pair})"]
            verdicts.append(verdict(model, f"started from {start}: rise of the error", most, STARTED, "%"))
        starts.append([model, *cells])
        cells = []
        for change, pairs in found.moved.items():
            pixels = {pair: share for pair, (share, _) in pairs.items()}
            by = {pair: abs(rise) for pair, (_, rise) in pairs.items()}
            most, pair = every_pair.find_worst(pixels)
            error, _ = every_pair.find_worst(by)
            cells += [f"{statistics.fmean(pixels.values()):.2f}, {most:.2f} ({pair})", f"{error:.2f}"]
            verdicts.append(verdict(model, f"{change}: pixels that move", most, STEADY_PIXELS, "%"))
            verdicts.append(verdict(model, f"{change}: change of the error", error, STEADY_ERROR, "%"))
        steady.append([model, *cells])
        order.append([model, *(f"{statistics.fmean(errors):.3f}" for errors in found.errors.values())])
    for faster, slower in itertools.pairwise(model for model in ORDER if model in measured):
        most, where = every_pair.find_disorder(measured[faster], measured[slower])
        verdicts.append(verdict(slower, f"more error than {faster} ({where})", most, DISORDER, "%"))
    sets = next(iter(measured.values())).errors
    tables = [
        "Starts: rise of the error, %, mean and largest.",
        table(["model", *(f"{start}, {of}" for start in every_pair.STARTS for of in ("mean", "largest"))], starts),
        "Steady: pixels that move by more than 0.1 px, %, mean and most; and the largest change of the error, %.",
        table(["model", *(cell for change in every_pair.CHANGES for cell in (change, "error"))], steady),
        "Order: mean end-point error, px.",
        table(["model", *sets], order),
    ]
    return tables, verdicts


def verdict(model, what, value, limit, unit):
    return [model, what, f"< {limit} {unit}", f"{value:.4g} {unit}", "holds" if value < limit else "**fails**"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=["realtime", "fast", "balanced", "accurate", "smooth"])
    parser.add_argument("--check", action="store_true", help="print the targets; exit with 1 unless all hold")
    parser.add_argument("--output", type=Path, help="folder for robustness.md")
    arguments = parser.parse_args()
    samples = {s.name: s for s in datasets.middlebury(DATA / "middlebury") if s.flow is not None}
    light, holes, biases, flat, far, lit, verdicts = [], [], [], [], [], [], []
    for model in arguments.models:
        steady = [error(sample, model) for sample in samples.values()]
        changed = [error(sample, model, brightened(sample.frame1)) for sample in samples.values()]
        for name, errors in (("as it is", steady), ("changed", changed)):
            light.append([model, name, *(f"{e:.3f}" for e in errors), f"{statistics.fmean(errors):.4f}"])
        around = [rises(sample, model) for sample in samples.values()]
        means = [statistics.fmean(rise) for rise in around]
        cells = [" ".join(f"{rise:+.1f}" for rise in pair) for pair in around]
        holes.append([model, *cells, f"{statistics.fmean(means):+.2f}"])
        found = {(name, shift): bias(samples[name], model, shift) for name in SHIFTED for shift in SHIFTS}
        biases.append([model, *(f"{b:+.4f}" for b in found.values())])
        on_flat = [flat_errors(model, kind) for kind in flat_ground.KINDS]
        flat.append([model, *(f"{wrong:.3f} %, {farthest:.2f}" for wrong, farthest in on_flat)])
        verdicts.append(verdict(model, "flat ground: off by over 1 px", max(wrong for wrong, _ in on_flat), WRONG, "%"))
        verdicts.append(verdict(model, "flat ground: largest error", max(most for _, most in on_flat), FARTHEST, "px"))
        lost, sure = follow_far(model, samples.values())
        far.append([model, f"{lost} of {len(samples) * len(FAR)}", f"{sure:.3f}"])
        verdicts.append(verdict(model, "whole frames that move far: confidence where lost", sure, SURE, ""))
        if model in FOLLOWING:
            verdicts.append(verdict(model, "whole frames that move far: lost", lost, 1, ""))
        off, sure = follow_under_light(model)
        lit.append([model, f"{off:.3f}", f"{sure:.3f}"])
        verdicts.append(verdict(model, "moving light: mean error", off, LIT, "px"))
        verdicts.append(verdict(model, "moving light: confidence where wrong", sure, SURE, ""))
        of_light, of_holes, of_bias = TARGETS.get(model, (None, None, None))
        if of_light is not None:
            rise = statistics.fmean(changed) - statistics.fmean(steady)
            verdicts.append(verdict(model, "rise of the mean error in other light", rise, of_light, "px"))
        if of_holes is not None:
            verdicts.append(verdict(model, "rise around a hole, mean", statistics.fmean(means), of_holes, "%"))
            verdicts.append(verdict(model, "rise around a hole, mean of the worst pair", max(means), of_holes, "%"))
        if of_bias is not None:
            verdicts.append(verdict(model, "largest bias", max(map(abs, found.values())), of_bias, "px"))
    shifts = [f"{name} {shift}" for name in SHIFTED for shift in SHIFTS]
    tables, further = report_turned(arguments.models, samples.values())
    more, of_pairs = report_every_pair(arguments.models)
    tables, further = tables + more, further + of_pairs
    text = "\n".join(
        [
            "Light: mean end-point error, px.",
            table(["model", "second frame", *samples, "mean"], light),
            "Holes: rise of the error more than 10 px outside, %, for three places.",
            table(["model", *samples, "mean"], holes),
            "Between whole pixels: median error of the flow, px.",
            table(["model", *shifts], biases),
            "Flat ground: pixels off by more than 1 px, and the largest error, px.",
            table(["model", *flat_ground.KINDS], flat),
            "Whole frames that move far: those whose mean error is above 1 px, and the largest confidence in one.",
            table(["model", "lost", "confidence"], far),
            "Moving light: mean end-point error, px, and the confidence of the pixels wrong by more than 1 px.",
            table(["model", "error", "confidence"], lit),
            *tables,
            "Targets:",
            table(["model", "of", "wanted", "measured", ""], verdicts + further),
        ]
    )
    print(text)
    if arguments.output:
        (arguments.output / "robustness.md").write_text(text)
    return 0 if not arguments.check or all(row[-1] == "holds" for row in verdicts + further) else 1


if __name__ == "__main__":
    raise SystemExit(main())
