"""What constancy terms of one's own, written in JAX, cost in place of the built-in ones.

    VARIFLOW_DATA=... python benchmarks/own_term.py [--output FOLDER]

Measured is `brox` on a Middlebury pair of 640 x 480 (Urban2), two threads: the first call with both terms of one's own,
in new processes, compilation included, and once more from JAX's persistent cache; then the median time of the model
with the built-in terms, with one of them or both replaced, in turns. With both replaced the flow is the same to the
last bit; with one the terms may be added in another order, and rounding decides otherwise in a few occluded pixels.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import machine
import numpy as np
from report import table

import variflow
from variflow import models
from variflow.energy import BrightnessConstancy, DataTerm, GradientConstancy
from variflow.energy.term import Sum

ROUNDS = 15
DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@dataclass(frozen=True)
class OwnBrightness(DataTerm):
    def residuals(self, d, at):
        u, v = d
        return [at.Ix[0] * u + at.Iy[0] * v + at.It[0]]


@dataclass(frozen=True)
class OwnGradient(DataTerm):
    def residuals(self, d, at):
        u, v = d
        return [at.Ixx[0] * u + at.Ixy[0] * v + at.Ixt[0], at.Ixy[0] * u + at.Iyy[0] * v + at.Iyt[0]]


OWN = {BrightnessConstancy: OwnBrightness, GradientConstancy: OwnGradient}


def with_own(model, kinds):
    """Return the model with its data terms of these kinds replaced by those above."""
    terms = [
        OWN[type(term)](term.penalty, term.weight, term.normalisation) if type(term) in kinds else term
        for term in model.energy.terms
    ]
    return replace(model, energy=Sum(tuple(terms)))


def seconds(frames, model):
    start = time.perf_counter()
    flow = variflow.estimate(*frames, model).flow
    return time.perf_counter() - start, flow


def first_calls():
    """Return the seconds of a first call with both terms of one's own: cold, and from the persistent cache."""
    with tempfile.TemporaryDirectory() as cache:
        kept = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        command = [sys.executable, __file__, "--first-call"]
        return [float(subprocess.check_output(command, env=os.environ | kept, text=True)) for _ in range(2)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, help="folder for own_term.md")
    parser.add_argument("--first-call", action="store_true", help="print the seconds of one call in this process, only")
    arguments = parser.parse_args()
    variflow.set_threads(2)
    frames = [variflow.read_image(DATA / "middlebury" / "Urban2" / f"frame{number}.png") for number in (10, 11)]
    built_in = models.brox()
    variants = {
        "built-in": built_in,
        "own brightness": with_own(built_in, {BrightnessConstancy}),
        "own gradient": with_own(built_in, {GradientConstancy}),
        "both own": with_own(built_in, set(OWN)),
    }
    if arguments.first_call:
        print(seconds(frames, variants["both own"])[0])
        return
    cold, cached = first_calls()
    flows = {name: seconds(frames, model)[1] for name, model in variants.items()}
    times = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, model in variants.items():
            times[name].append(seconds(frames, model)[0])
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    rows = []
    for name, median in medians.items():
        difference = float(np.abs(flows[name] - flows["built-in"]).mean())
        rows.append([name, f"{1000 * median:.1f}", f"{median / medians['built-in']:.2f}", f"{difference:.2g}"])
    text = "\n".join(
        [
            ", ".join(f"{key} {value}" for key, value in machine.describe("variflow", "jax").items()) + ".\n",
            f"First call with both terms own: {cold:.2f} s, from the persistent cache {cached:.2f} s.\n",
            table(["data terms", "ms", "of the built-in", "mean difference, px"], rows),
        ]
    )
    print(text)
    if arguments.output:
        (arguments.output / "own_term.md").write_text(text)


if __name__ == "__main__":
    main()
