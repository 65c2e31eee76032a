"""What constancy terms of one's own, written in JAX, cost in place of the built-in ones.

    VARIFLOW_DATA=... python benchmarks/own_term.py

Measured is `brox` on a Middlebury pair of 640 x 480 (Urban2), two threads: the first call with both terms of one's own,
compilation included, and then the median time of the model with the built-in terms, with one of them or both replaced,
in turns. With both replaced the flow is the same to the last bit; with one the terms are added in another order.
"""

import os
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import variflow
from variflow import models
from variflow.energy import BrightnessConstancy, DataTerm, GradientConstancy
from variflow.energy.terms import Sum

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


def main():
    variflow.set_threads(2)
    frames = [variflow.read_image(DATA / "middlebury" / "Urban2" / f"frame{number}.png") for number in (10, 11)]
    built_in = models.brox()
    variants = {
        "built-in": built_in,
        "own brightness": with_own(built_in, {BrightnessConstancy}),
        "own gradient": with_own(built_in, {GradientConstancy}),
        "both own": with_own(built_in, set(OWN)),
    }
    print(f"first call, both own: {seconds(frames, variants['both own'])[0]:.2f} s")
    flows = {name: seconds(frames, model)[1] for name, model in variants.items()}
    times = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, model in variants.items():
            times[name].append(seconds(frames, model)[0])
    reference = statistics.median(times["built-in"])
    for name in variants:
        median = statistics.median(times[name])
        difference = float(np.abs(flows[name] - flows["built-in"]).max())
        ratio = median / reference
        print(f"{name}: {1000 * median:.1f} ms, {ratio:.2f} of the built-in; largest difference {difference:g} px")


if __name__ == "__main__":
    main()
