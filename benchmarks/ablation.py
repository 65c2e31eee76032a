"""What each piece of the preset `balanced` buys: its error and time with one thing changed at a time.

    python benchmarks/ablation.py [--data FOLDER] [--output FOLDER] [--changes NAME ...]

One change at a time, and nothing else is tuned again. But where one constancy is left out, the other has the weight of
both; without normalisation, the penalties have the unit of intensities; and without image edges, the smoothness has the
weight that suits it best on Middlebury.

Errors are mean end-point errors in pixels where the truth is known, averaged over the pairs of a data set that the
folder holds. `brighter` are the Middlebury pairs again, the second frame's intensities times 1.2 plus 25, cut off at
255. The time is that of the processor on the Middlebury pairs, with one thread, relative to `balanced` in the same run.
"""

import argparse
import os
import statistics
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest import mock

import machine

machine.limit(1)

import numpy as np  # noqa: E402
from report import table  # noqa: E402

import variflow  # noqa: E402
from variflow import datasets, filters, metrics, models  # noqa: E402
from variflow.energy import BrightnessConstancy, DataTerm, GradientConstancy, Smoothness, Sum  # noqa: E402
from variflow.matching import rigid  # noqa: E402

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MIDDLEBURY, BRIGHTER = "Middlebury", "brighter"
SETS = {  # the name and the folder of each data set
    MIDDLEBURY: ("middlebury", "middlebury"),
    BRIGHTER: ("middlebury", "middlebury"),
    "Sintel clean": ("sintel", "sintel"),
    "Sintel final": ("sintel-final", "sintel"),
    "KITTI 2015": ("kitti2015", "kitti2015"),
    "KITTI 2012": ("kitti2012", "kitti2012"),
    "Chairs": ("flyingchairs", "flyingchairs"),
    "PIV": ("piv", "piv"),
}
BASELINE = "balanced"
NO_LINES = "no search along lines"
# Best on Middlebury: how much intensity is to count as a residual of a pixel, without normalisation; and the share of
# the smoothness that is left without image edges, which relax it in places.
STEEPNESS = 0.01
UNRELAXED = 0.6
# The deviation of a weight that is to be 1 everywhere.
NEVER = 1e6


def terms(model, kind, change):
    """Return the model with each term of a kind changed, or left out where the change returns None."""
    kept = [change(term) if isinstance(term, kind) else term for term in model.energy.terms]
    return replace(model, energy=Sum(tuple(term for term in kept if term is not None)))


def smoothness_per_pixel(model):
    return terms(model, Smoothness, lambda term: replace(term, per="pixel"))


def no_normalisation(model):
    def in_intensities(term):
        penalty = replace(term.penalty, epsilon=term.penalty.epsilon * STEEPNESS)
        return replace(term, penalty=penalty, normalisation=None, weight=term.weight / STEEPNESS)

    return terms(model, DataTerm, in_intensities)


def leave_out(model, kind):
    weight = sum(term.weight for term in model.energy.terms if isinstance(term, DataTerm))
    model = terms(model, kind, lambda term: None)
    return terms(model, DataTerm, lambda term: replace(term, weight=weight))


def no_image_edges(model):
    return terms(model, Smoothness, lambda term: replace(term, edges=None, weight=UNRELAXED * term.weight))


def median(model, **changed):
    return replace(model, filter=replace(model.filter, **changed))


def sweeps(model, factor):
    return replace(model, solver=replace(model.solver, sweeps=int(model.solver.sweeps * factor)))


CHANGES = {
    BASELINE: lambda model: model,
    "no brightness constancy": lambda model: leave_out(model, BrightnessConstancy),
    "no gradient constancy": lambda model: leave_out(model, GradientConstancy),
    "no normalisation": no_normalisation,
    "no image edges": no_image_edges,
    "smoothness per pixel": smoothness_per_pixel,
    "median without visibility": lambda model: median(
        model, divergence=NEVER, steepness=NEVER, difference=NEVER, mismatch=NEVER, widening=1
    ),
    "visibility without gradients": lambda model: median(model, difference=10 / 255, mismatch=NEVER),
    "visibility without steepness": lambda model: median(model, steepness=NEVER),
    "no wider window": lambda model: median(model, widening=1),
    "small things outvoted": lambda model: median(model, worse=float("inf")),
    "lightness like colour": lambda model: median(model, color=3.0, lightness=3.0),
    "no smoothing of the flow": lambda model: median(model, smoothing=0.0),
    "plain median": lambda model: replace(model, filter=filters.Median(5)),
    "no median": lambda model: replace(model, filter=None),
    "bicubic": lambda model: replace(model, interpolation="bicubic"),
    "bilinear": lambda model: replace(model, interpolation="bilinear"),
    "derivatives of the first frame": lambda model: replace(model, derivative="first"),
    "derivatives of the warped frame": lambda model: replace(model, derivative="warped"),
    "no presmoothing": lambda model: replace(model, presmoothing=0.0),
    "all channels": lambda model: replace(model, channels="all"),
    "factor 0.5": lambda model: replace(model, factor=0.5),
    "factor 0.9": lambda model: replace(model, factor=0.9),
    "one warp per level": lambda model: replace(model, warps=1),
    "five warps on every level": lambda model: replace(model, warps=5),
    "half the sweeps": lambda model: sweeps(model, 0.5),
    "twice the sweeps": lambda model: sweeps(model, 2),
    "no start from matches": lambda model: replace(model, start="zero"),
    NO_LINES: lambda model: model,  # no field of a model says so
    "no light matching": lambda model: replace(model, light="same"),
    "occlusion estimated": lambda model: replace(model, occlusion="estimated"),
}


def find_no_scene():
    """Let no matches show a rigid scene."""
    return mock.patch.object(rigid, "_find_scene", return_value=None)


def samples(of, data):
    """Yield the pairs of a data set with truth: name, frames, and the truth where it counts."""
    name, folder = SETS[of]
    for sample in datasets.load(name, data / folder):
        if sample.flow is None:
            continue
        truth = sample.flow if sample.valid is None else np.where(sample.valid[:, :, None], sample.flow, np.nan)
        frame1 = sample.frame1
        if of == BRIGHTER:
            frame1 = np.clip(np.rint(1.2 * frame1 + 25), 0, 255).astype(np.uint8)
        yield sample.name, sample.frame0, frame1, truth


def measure(changed, data):
    """Return the errors, by change and data set, and the seconds of each change on Middlebury."""
    errors = {change: defaultdict(list) for change in changed}
    seconds = dict.fromkeys(changed, 0.0)
    for of in SETS:
        if not (data / SETS[of][1]).is_dir():
            print(f"left out: {of}, no folder {data / SETS[of][1]}")
            continue
        for name, frame0, frame1, truth in samples(of, data):
            variflow.estimate(frame0, frame1, changed[BASELINE])  # what a first call of a size loads is not timed
            for change, model in changed.items():
                start = time.process_time()
                with find_no_scene() if change == NO_LINES else nullcontext():
                    flow = variflow.estimate(frame0, frame1, model).flow
                if of == MIDDLEBURY:
                    seconds[change] += time.process_time() - start
                errors[change][of].append(metrics.endpoint_error(flow, truth))
            worst = max(changed, key=lambda change: errors[change][of][-1])
            print(f"{of} {name}: {errors[BASELINE][of][-1]:.3f}, at most {errors[worst][of][-1]:.3f} with {worst}")
    return errors, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--changes", nargs="+", choices=list(CHANGES), default=list(CHANGES), metavar="NAME")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of middlebury, sintel, ...")
    parser.add_argument("--output", type=Path, help="folder for ablation.md (default: nothing is written)")
    arguments = parser.parse_args()
    variflow.set_threads(1)
    balanced = models.balanced()
    changed = {name: CHANGES[name](balanced) for name in dict.fromkeys([BASELINE, *arguments.changes])}
    errors, seconds = measure(changed, arguments.data)

    sets = list(errors[BASELINE])
    rows = []
    for name, by_set in errors.items():
        means = (statistics.fmean(by_set[of]) for of in sets)
        relative = f"{seconds[name] / seconds[BASELINE]:.2f}" if seconds[BASELINE] else ""
        rows.append([f"**{name}**" if name == BASELINE else name, *(f"{mean:.3f}" for mean in means), relative])
    counts = (f"{of}, {len(errors[BASELINE][of])}" for of in sets)
    text = table(["", *counts, "time"], rows)
    print(text)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "ablation.md").write_text(text)


if __name__ == "__main__":
    main()
