"""Total generalised variation: its value, its derivative, and its minimum with data."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from variflow.datasets import synthetic
from variflow.energy import (
    L1,
    BrightnessConstancy,
    Charbonnier,
    GradientConstancy,
    Huber,
    ImageEdges,
    Penalty,
    Smoothness,
    TotalGeneralisedVariation,
)
from variflow.energy.autodiff.pytrees import register
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve.primal_dual import PrimalDual
from variflow.solve.relaxation import Relaxation

SHAPE = (37, 46)
PENALTIES = [L1(), Huber(0.05)]
EDGES = [None, ImageEdges(5.0)]


def around(flow):
    pair = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)
    level = pyramid(prepare(pair.frame0, pair.frame1), factor=0.5, coarsest=64)[0]
    return linearise(level, flow, derivative="average", interpolation="bicubic")


@pytest.fixture(scope="module")
def at():
    """Two slopes that meet in a jump, with some noise."""
    register()
    y, x = np.indices(SHAPE)
    rng = np.random.default_rng(1)
    flow = (np.where(x < 20, 0.03 * x, 2 - 0.02 * y), 0.01 * x + 0.02 * y)
    return around(tuple((plane + 0.01 * rng.normal(size=SHAPE)).astype(np.float32) for plane in flow))


def increment(size, seed=2):
    rng = np.random.default_rng(seed)
    return tuple((size * rng.normal(size=SHAPE)).astype(np.float32) for _ in range(2))


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("edges", EDGES, ids=str)
def test_the_core_and_jax_find_the_same_value(at, penalty, edges):
    term = TotalGeneralisedVariation(penalty, weight=0.7, second=2.0, edges=edges)
    d = increment(0.02)
    native = float(term(d, at))
    assert float(jax.jit(lambda d, at: term(d, at))(d, at.plain())) == pytest.approx(native, rel=1e-4)
    # A little above the minimum, and at most the total variation, to which no slopes at all would lead.
    assert 0.99 * native < float(replace(term, iterations=10_000)(d, at)) <= native
    assert native < 1.01 * float(0.7 * Smoothness(penalty, per="pixel", edges=edges)(d, at))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 2), (12, 17)])
@pytest.mark.parametrize("edges", EDGES, ids=str)
def test_affine_flows_cost_nothing(shape, edges):
    register()
    y, x = np.indices(shape)
    flow = ((0.5 * x - 0.2 * y + 3).astype(np.float32), (0.1 * x + 0.3 * y - 1).astype(np.float32))
    frame = np.random.default_rng(0).random((*shape, 3))
    level = pyramid(prepare(frame, frame), factor=0.5, coarsest=64)[0]
    at = linearise(level, flow, derivative="average", interpolation="bicubic")
    zero = (np.zeros(shape, np.float32),) * 2
    term = TotalGeneralisedVariation(edges=edges)
    assert float(term(zero, at)) == pytest.approx(0, abs=1e-3)
    assert float(term(tuple(map(jnp.asarray, zero)), at)) == pytest.approx(0, abs=1e-3)


def test_the_derivative_is_that_of_the_minimum(at):
    """With a smooth penalty of the gradient, and slopes close to the best."""
    term = TotalGeneralisedVariation(Huber(0.5), iterations=3000)
    d = tuple(map(jnp.asarray, increment(0.02)))
    slope = jax.jit(jax.grad(lambda d: term(d, at)))(d)
    direction = increment(1.0, seed=3)
    expected = sum(float((s * p).sum()) for s, p in zip(slope, direction, strict=True))
    there, back = (
        term(tuple(np.asarray(c) + h * p for c, p in zip(d, direction, strict=True)), at) for h in (0.01, -0.01)
    )
    assert (there - back) / 0.02 == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("edges", EDGES, ids=str)
def test_the_solver_finds_the_minimum(at, edges):
    data = BrightnessConstancy(L1(), normalisation=1 / 255) + 0.5 * GradientConstancy(L1())
    term = 0.5 * TotalGeneralisedVariation(second=2.0, edges=edges, iterations=2000)
    energy = 2.0 * (data + term)
    minimum = PrimalDual(2000).minimise(energy, at)
    before, after = minimum.energies()
    zero = (np.zeros(SHAPE, np.float32),) * 2
    assert before == pytest.approx(float(energy(zero, at)), rel=1e-4)
    assert after == pytest.approx(float(energy(minimum.increment, at)), rel=1e-4)
    assert after < before
    # Convex: no step away from the minimum goes further down, and more iterations gain nothing.
    assert PrimalDual(8000).minimise(energy, at).energies()[1] == pytest.approx(after, rel=2e-3)
    for size in (1e-3, 1e-2, 1e-1):
        step = increment(size)
        assert float(energy(tuple(c + s for c, s in zip(minimum.increment, step, strict=True)), at)) > after


def test_no_total_variation_can_do_what_it_does(at):
    """The flow that minimises TGV-L1 has a higher energy of TV-L1 than the flow that minimises that, and vice versa."""
    data = BrightnessConstancy(L1(), normalisation=1 / 255)
    first = data + Smoothness(L1(), per="pixel")
    second = data + TotalGeneralisedVariation(second=2.0, iterations=1000)
    of_first, of_second = (PrimalDual(2000).minimise(energy, at).increment for energy in (first, second))
    assert first(of_first, at) < first(of_second, at)
    assert second(of_second, at) < second(of_first, at)


def test_who_cannot_minimise_it_says_so(at):
    energy = BrightnessConstancy() + TotalGeneralisedVariation()
    with pytest.raises(TypeError, match="energy holds TotalGeneralisedVariation"):
        Relaxation().check(energy, at)
    PrimalDual().check(energy, at)


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="penalty of TotalGeneralisedVariation is Charbonnier"):
        TotalGeneralisedVariation(Charbonnier())
    with pytest.raises(ValueError, match="second of TotalGeneralisedVariation is 0"):
        TotalGeneralisedVariation(second=0)
    with pytest.raises(ValueError, match="iterations of TotalGeneralisedVariation is 0"):
        TotalGeneralisedVariation(iterations=0)


def test_a_penalty_of_ones_own_may_say_which_huber_it_is():
    @dataclass(frozen=True)
    class Own(Penalty):
        def of_squared(self, squared):
            return Huber(0.2).of_squared(squared)

        def as_huber(self):
            return 1.0, 0.2

    at = SimpleNamespace(flow=tuple(np.random.default_rng(0).normal(size=(2, 7, 9))))
    still = np.zeros((2, 7, 9))
    own, known = (TotalGeneralisedVariation(penalty)(still, at) for penalty in (Own(), Huber(0.2)))
    assert own == known
    with pytest.raises(TypeError, match=r"is Charbonnier.*wanted L1 or Huber.*as_huber"):
        TotalGeneralisedVariation(Charbonnier(0.1))
