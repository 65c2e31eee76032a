"""What an energy of one's own costs beside `brox`, and how good its flow is.

    python benchmarks/any_energy.py [--output FOLDER]     the table
    python benchmarks/any_energy.py --check               and the targets: does each hold?

Measured are the time, after compilation, and the mean end-point error on a Middlebury pair of 640 x 480 (Grove2), two
threads. The energies take turns; a ratio is that of the medians. Each is written as a user writes it.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import machine

THREADS = 2
machine.limit(THREADS)

import jax.numpy as jnp  # noqa: E402
from report import table  # noqa: E402

import variflow  # noqa: E402
from variflow import datasets, metrics, models  # noqa: E402
from variflow.energy import (  # noqa: E402
    BrightnessConstancy,
    Charbonnier,
    CrossCorrelation,
    DataTerm,
    EpipolarLine,
    FlowTerm,
    GradientConstancy,
    NonLocalSmoothness,
    Penalty,
    Smoothness,
    SparseMatches,
)
from variflow.models import Model  # noqa: E402
from variflow.unknowns import FlowAndPlanes, StreamFunction  # noqa: E402

ROUNDS = 9
DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PAIR = "Grove2"


@dataclass(frozen=True)
class GemanMcClure(Penalty):
    sigma: float

    def of_squared(self, squared):
        return squared / (squared + self.sigma**2)


def brox_of_penalties(of_data, of_flow):
    """Return `brox` with other penalties."""
    brox = models.brox()
    brightness, gradient, smoothness = brox.energy.terms
    energy = (
        BrightnessConstancy(of_data, brightness.weight, brightness.normalisation)
        + GradientConstancy(of_data, gradient.weight, gradient.normalisation)
        + Smoothness(of_flow or smoothness.penalty, smoothness.weight)
    )
    return replace(brox, energy=energy)


class DifferenceAlongX(FlowTerm):
    def residuals(self, flow, at):
        return [plane[:, 1:] - plane[:, :-1] for plane in flow]


class DifferenceAlongY(FlowTerm):
    def residuals(self, flow, at):
        return [plane[1:] - plane[:-1] for plane in flow]


class Bending(FlowTerm):
    """The second derivatives of both components."""

    def residuals(self, flow, at):
        return [second for plane in flow for second in second_differences(plane)]


class WeightedBending(FlowTerm):
    """The same, less where the first frame changes."""

    def residuals(self, flow, at):
        luminance = at.guide[0]
        change = abs(luminance[1:-1, 2:] - luminance[1:-1, :-2]) + abs(luminance[2:, 1:-1] - luminance[:-2, 1:-1])
        return [jnp.exp(-change / 20) * second for plane in flow for second in second_differences(plane)]


class DivergenceAndCurl(FlowTerm):
    def residuals(self, flow, at):
        u, v = flow
        divergence = u[:-1, 1:] - u[:-1, :-1] + v[1:, :-1] - v[:-1, :-1]
        curl = v[:-1, 1:] - v[:-1, :-1] - u[1:, :-1] + u[:-1, :-1]
        return [divergence, curl]


def second_differences(plane):
    middle = plane[1:-1, 1:-1]
    along_x = plane[1:-1, 2:] - 2 * middle + plane[1:-1, :-2]
    along_y = plane[2:, 1:-1] - 2 * middle + plane[:-2, 1:-1]
    mixed = plane[2:, 2:] - plane[2:, 1:-1] - plane[1:-1, 2:] + middle
    return along_x, along_y, 2**0.5 * mixed


def brox_of_flow(*terms):
    """Return `brox` with other terms in place of its smoothness."""
    brox = models.brox()
    brightness, gradient, _ = brox.energy.terms
    return replace(brox, energy=sum((brightness, gradient, *terms)), solver=None)


class BrightnessWithGain(DataTerm):
    """Brightness times a gain of each pixel is constant."""

    def residuals(self, d, at):
        u, v, gain = d
        return [at.Ix[0] * u + at.Iy[0] * v + at.It[0] - (at.planes[2] + gain) * at.frame0[0]]


class SmoothGain(FlowTerm):
    def residuals(self, flow, at):
        gain = flow[2]
        return [gain[:-1, 1:] - gain[:-1, :-1], gain[1:, :-1] - gain[:-1, :-1]]


def brox_with_gain():
    brox = models.brox()
    brightness, gradient, smoothness = brox.energy.terms
    data = BrightnessWithGain(brightness.penalty, brightness.weight, brightness.normalisation)
    return replace(brox, energy=data + gradient + smoothness + 30.0 * SmoothGain(), unknowns=FlowAndPlanes("gain"))


def brox_of_stream_function():
    return replace(models.brox(), unknowns=StreamFunction(), filter=None)


def brox_by_hand():
    smoothness = models.brox().energy.terms[2]
    kinds = DifferenceAlongX, DifferenceAlongY
    return brox_of_flow(*(kind(smoothness.penalty, smoothness.weight) for kind in kinds))


class Correlation(DataTerm):
    """How far the patches of 5 x 5 around a pixel and around its target are from equal up to light."""

    def residuals(self, d, at):
        first = at.frame0[0]
        second = variflow.warp(at.second, (at.flow[0] + d[0], at.flow[1] + d[1]))[0]
        covariance = mean_around(first * second) - mean_around(first) * mean_around(second)
        variances = [jnp.maximum(mean_around(plane**2) - mean_around(plane) ** 2, 0) for plane in (first, second)]
        return [1 - covariance / jnp.sqrt((variances[0] + 1e-4) * (variances[1] + 1e-4))]


def mean_around(plane):
    """Return the mean of the 5 x 5 pixels around each."""
    height, width = plane.shape
    padded = jnp.pad(plane, 2, mode="edge")
    rows = sum(padded[k : k + height] for k in range(5))
    return sum(rows[:, k : k + width] for k in range(5)) / 25


def of_data(term):
    """Return `brox` with another data term."""
    return replace(models.brox(), energy=term + 0.1 * Smoothness(Charbonnier(0.05)), solver=None)


@cache
def find_pair():
    return next(sample for sample in datasets.middlebury(DATA / "middlebury") if sample.name == PAIR)


def brox_with(term):
    """Return `brox` with a further term."""
    brox = models.brox()
    return replace(brox, energy=brox.energy + term, solver=None)


def brox_with_matches():
    pair = find_pair()
    return brox_with(SparseMatches(Charbonnier(0.5), 0.1, matches=variflow.match(pair.frame0, pair.frame1)))


def robust_energy(d, at):
    """The energy of the README, a plain function."""
    u, v = d
    residual = at.Ix * u + at.Iy * v + at.It
    data = (at.weights * jnp.log1p(residual**2 / (2 * 0.03**2))).sum()
    u, v = at.flow[0] + u, at.flow[1] + v
    divergence = jnp.diff(u, axis=1)[1:] + jnp.diff(v, axis=0)[:, 1:]
    roughness = (jnp.diff(u, axis=0) ** 2).sum() + (jnp.diff(v, axis=1) ** 2).sum()
    return data + 20.0 * (divergence**2).sum() + 5.0 * roughness


def little_divergence(d, at):
    u, v = at.flow[0] + d[0], at.flow[1] + d[1]
    divergence = u[:-1, 1:] - u[:-1, :-1] + v[1:, :-1] - v[:-1, :-1]
    return 0.5 * (divergence**2).sum()


@dataclass(frozen=True)
class Energy:
    """An energy, and how many times as long as `brox` it may take."""

    name: str
    model: Callable[[], Model]
    wanted: float


ENERGIES = [
    Energy("brox", models.brox, 1.0),
    Energy("a penalty of one's own for the data", lambda: brox_of_penalties(GemanMcClure(0.05), None), 1.6),
    Energy(
        "a penalty of one's own for data and smoothness",
        lambda: brox_of_penalties(GemanMcClure(0.05), GemanMcClure(0.3)),
        1.6,
    ),
    Energy("the smoothness of brox by hand", brox_by_hand, 2.0),
    Energy("second order", lambda: brox_of_flow(Bending(Charbonnier(0.01), 2.0)), 4.0),
    Energy("second order, weighted by the image", lambda: brox_of_flow(WeightedBending(Charbonnier(0.01), 3.0)), 4.0),
    Energy("divergence and curl", lambda: brox_of_flow(DivergenceAndCurl(Charbonnier(0.01), 0.75)), 4.0),
    Energy("a gain as an additional plane", brox_with_gain, 8.0),
    Energy("a stream function in place of the flow", brox_of_stream_function, 8.0),
    Energy(
        "a non-local window of 5 x 5",
        lambda: brox_of_flow(NonLocalSmoothness(Charbonnier(0.01), 0.05, window="5x5")),
        8.0,
    ),
    Energy("sparse matches", brox_with_matches, 8.0),
    Energy(
        "the epipolar line",
        lambda: brox_with(EpipolarLine(Charbonnier(0.5), 0.01, fundamental=[[0, 0, 0.1], [0, 0, -1], [-0.1, 1, 0]])),
        8.0,
    ),
    Energy("correlation of 5 x 5 by hand", lambda: of_data(Correlation(Charbonnier(0.1))), 25.0),
    Energy("the energy of the README, a plain function", lambda: models.get(robust_energy), 15.0),
    Energy(
        "terms and a plain function",
        lambda: Model(BrightnessConstancy(Charbonnier(0.01)) + 0.1 * Smoothness() + little_divergence),
        15.0,
    ),
    Energy("correlation of 5 x 5 of the library", lambda: of_data(CrossCorrelation(Charbonnier(0.1))), 25.0),
]


def measure(models, pair):
    """Return the median seconds and the last result of each model."""
    estimates = {name: partial(variflow.estimate, pair.frame0, pair.frame1, model) for name, model in models}
    results = {name: estimate() for name, estimate in estimates.items()}
    times = {name: [] for name in estimates}
    for _ in range(ROUNDS):
        for name, estimate in estimates.items():
            start = time.perf_counter()
            results[name] = estimate()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}, results


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, help="folder for any_energy.md")
    parser.add_argument("--check", action="store_true", help="exit with 1 if an energy takes longer than is wanted")
    arguments = parser.parse_args()
    variflow.set_threads(THREADS)
    pair = find_pair()
    seconds, results = measure([(energy.name, energy.model()) for energy in ENERGIES], pair)
    rows, missed = [], []
    for energy in ENERGIES:
        ratio = seconds[energy.name] / seconds["brox"]
        error = metrics.endpoint_error(results[energy.name].flow, pair.flow)
        rows.append(
            [energy.name, f"{1000 * seconds[energy.name]:.0f}", f"{ratio:.2f}", f"{energy.wanted:g}", f"{error:.3f}"]
        )
        missed += [energy.name] if ratio > energy.wanted else []
    about = ", ".join(f"{key} {value}" for key, value in machine.describe("variflow", "jax").items())
    text = f"{about}.\n\n{table(['energy', 'ms', 'of brox', 'wanted', 'error, px'], rows)}"
    print(text)
    if arguments.output:
        (arguments.output / "any_energy.md").write_text(text)
    if arguments.check and missed:
        sys.exit(f"longer than wanted: {', '.join(missed)}")


if __name__ == "__main__":
    main()
