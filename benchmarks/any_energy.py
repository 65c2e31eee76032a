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
from functools import partial
from pathlib import Path

import machine

THREADS = 2
machine.limit(THREADS)

from report import table  # noqa: E402

import variflow  # noqa: E402
from variflow import datasets, metrics, models  # noqa: E402
from variflow.energy import BrightnessConstancy, GradientConstancy, Penalty, Smoothness  # noqa: E402
from variflow.models import Model  # noqa: E402

ROUNDS = 9
DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PAIR = "Grove2"


@dataclass(frozen=True)
class GemanMcClure(Penalty):
    sigma: float

    def of_squared(self, squared):
        return squared / (squared + self.sigma**2)


def brox_with(of_data, of_flow):
    """Return `brox` with other penalties."""
    brox = models.brox()
    brightness, gradient, smoothness = brox.energy.terms
    energy = (
        BrightnessConstancy(of_data, brightness.weight, brightness.normalisation)
        + GradientConstancy(of_data, gradient.weight, gradient.normalisation)
        + Smoothness(of_flow or smoothness.penalty, smoothness.weight)
    )
    return replace(brox, energy=energy)


@dataclass(frozen=True)
class Energy:
    """An energy, and how many times as long as `brox` it may take."""

    name: str
    model: Callable[[], Model]
    wanted: float


ENERGIES = [
    Energy("brox", models.brox, 1.0),
    Energy("a penalty of one's own for the data", lambda: brox_with(GemanMcClure(0.05), None), 1.6),
    Energy(
        "a penalty of one's own for data and smoothness", lambda: brox_with(GemanMcClure(0.05), GemanMcClure(0.3)), 1.6
    ),
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
    pair = next(sample for sample in datasets.middlebury(DATA / "middlebury") if sample.name == PAIR)
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
