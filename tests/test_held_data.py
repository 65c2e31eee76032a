"""Terms that hold data: arrays, numbers, texts and functions are traced once."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import variflow
from variflow import models
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, DataTerm, FlowTerm, Smoothness
from variflow.matching.matches import Matches

SHAPE = (32, 40)
PAIR = synthetic.translation(SHAPE, shift=(1.2, -0.4), seed=2)
PLANE = np.random.default_rng(0).random(SHAPE).astype(np.float32)
calls = []


@dataclass(frozen=True)
class Near(DataTerm):
    """The flow is near one known before."""

    held: Any = None

    def residuals(self, d, at):
        calls.append("data")
        return [at.flow[k] + d[k] - self.held[..., k] for k in (0, 1)]


@dataclass(frozen=True)
class Mixed(FlowTerm):
    """Differences times what is held in many ways."""

    held: Any = None
    mode: str = "x"
    count: int = 2

    def residuals(self, flow, at):
        calls.append("flow")
        plane = self.held["plane"] if isinstance(self.held, dict) else self.held
        plane = plane(1.0) * PLANE if callable(plane) else getattr(plane, "plane", plane)
        weight = plane[0] if isinstance(plane, list) else plane
        weight = jnp.asarray(weight)[:, :1].mean() * self.count
        return [weight * (p[:, 1:] - p[:, :-1]) for p in flow]


class Holder:
    """Which JAX does not know."""

    def __init__(self, plane):
        self.plane = plane


def scaled(factor):
    return lambda x: factor.mean() * x


def estimate(term):
    """Return how often a term is traced for an estimate of several levels and warps."""
    brox = models.brox()
    calls.clear()
    result = variflow.estimate(PAIR.frame0, PAIR.frame1, replace(brox, energy=brox.energy + term, coarsest=20))
    assert "general" not in result.reason
    return len(calls)


HELD = {
    "array": lambda: Near(Charbonnier(0.5), 0.01, held=PAIR.flow.astype(np.float32).copy()),
    "double": lambda: Near(Charbonnier(0.5), 0.01, held=PAIR.flow.astype(float).copy()),
    "list": lambda: Mixed(weight=0.01, held=[PLANE.copy()]),
    "dictionary": lambda: Mixed(weight=0.01, held={"plane": PLANE.copy(), "name": "x"}),
    "object": lambda: Mixed(weight=0.01, held=Holder(PLANE.copy())),
    "closure": lambda: Mixed(weight=0.01, held=scaled(PLANE.copy())),
    "partial": lambda: Mixed(weight=0.01, held=partial(lambda factor, x: factor.mean() * x, PLANE.copy())),
}


@pytest.mark.parametrize("name", HELD)
def test_a_term_made_anew_is_not_traced_again(name):
    first = estimate(HELD[name]())
    assert first <= 12  # twice for each program and try on noise, however many warps
    assert estimate(HELD[name]()) == 0


def test_other_values_need_no_other_program(monkeypatch):
    compiled = []
    term = HELD["array"]()
    estimate(term)
    from variflow.energy.autodiff import programs

    run = programs.jax.jit
    monkeypatch.setattr(programs.jax, "jit", lambda *given, **named: compiled.append(1) or run(*given, **named))
    estimate(replace(term, held=term.held * 1.1))
    assert not compiled


@pytest.mark.parametrize("changed", [{"mode": "y"}, {"count": 3}])
def test_a_choice_is_part_of_the_program(changed):
    term = HELD["list"]()
    estimate(term)
    assert estimate(replace(term, **changed)) > 0


def test_an_array_changed_in_place_is_seen():
    term = Near(weight=100.0, held=PAIR.flow.astype(np.float32).copy())
    energy = BrightnessConstancy() + Smoothness() + term
    model = variflow.Model(energy, coarsest=32, warps=2)
    before = variflow.estimate(PAIR.frame0, PAIR.frame1, model).flow
    term.held[...] += 1
    after = variflow.estimate(PAIR.frame0, PAIR.frame1, model).flow
    np.testing.assert_allclose(after - before, 1, atol=0.05)


def test_matches_are_inputs_of_a_program():
    import jax

    from variflow.energy import SparseMatches
    from variflow.energy.autodiff.programs import apply_settings

    with apply_settings():
        leaves = jax.tree.leaves(SparseMatches(matches=Matches([(1, 2)], [(3, 4)])))
    assert sum(isinstance(leaf, np.ndarray) and leaf.ndim > 0 for leaf in leaves) == 3
