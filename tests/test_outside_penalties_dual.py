"""Penalties other than L1 and Huber in the primal-dual solver, and the proximal steps of those that have one."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import variflow
from variflow import metrics, models
from variflow.datasets import synthetic
from variflow.energy import (
    L1,
    BrightnessConstancy,
    CensusConstancy,
    Charbonnier,
    GeneralisedCharbonnier,
    GradientConstancy,
    Huber,
    ImageEdges,
    Lorentzian,
    Penalty,
    Quadratic,
    Smoothness,
    Sum,
)
from variflow.energy.penalties import huber_of
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve import choose_solver
from variflow.solve.primal_dual import PrimalDual
from variflow.solve.relaxation import Relaxation
from variflow.solve.taking_apart import flat

SHAPE = (24, 31)


@dataclass(frozen=True)
class GemanMcClure(Penalty):
    sigma: float = 0.5

    def of_squared(self, squared):
        return squared / (squared + self.sigma**2)


@dataclass(frozen=True)
class OwnHuber(Penalty):
    threshold: float = 0.01

    def of_squared(self, squared):
        return Huber(self.threshold).of_squared(squared)


@dataclass(frozen=True)
class Doubled(L1):
    """Which is no longer the norm that it derives from."""

    def of_squared(self, squared):
        return 2 * super().of_squared(squared)


@dataclass(frozen=True)
class Falling(Penalty):
    """No penalty: it falls as the residual grows."""

    def of_squared(self, squared):
        return squared * (1 - squared)


@pytest.fixture(scope="module")
def at():
    pair = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)
    weights = np.random.default_rng(3).uniform(0.5, 1, SHAPE)
    level = pyramid(prepare(pair.frame0, pair.frame1, weights=weights), factor=0.5, coarsest=64)[0]
    flow = tuple(np.random.default_rng(3).normal(0, 0.5, (2, *SHAPE)).astype(np.float32))
    return linearise(level, flow, derivative="average", interpolation="bicubic")


def with_penalties(model, of_data=None, of_flow=None):
    """Return a model with other penalties in its energy."""
    terms = []
    for term, factor in flat(model.energy, 1.0):
        penalty = of_flow if isinstance(term, Smoothness) else of_data
        terms.append(factor * (term if penalty is None else replace(term, penalty=penalty)))
    return replace(model, energy=Sum(tuple(terms)))


@pytest.mark.parametrize("of_flow", [None, GemanMcClure(0.3)], ids=["L1", "both"])
def test_tv_l1_with_geman_mcclure_runs_natively_and_finds_the_flow(of_flow):
    pair = synthetic.translation((60, 80), shift=(1.7, -0.9), seed=2)
    result = variflow.estimate(
        pair.frame0, pair.frame1, with_penalties(models.tv_l1(), GemanMcClure(), of_flow), verbose=False
    )
    assert "general minimiser" not in result.reason
    assert metrics.endpoint_error(result.flow, pair.flow) < 0.03


@pytest.mark.parametrize(("of_data", "of_flow"), [(0.02, None), (None, 0.05), (0.02, 0.05)])
def test_huber_written_again_gives_nearly_the_flow_of_the_built_in_one(of_data, of_flow):
    pair = synthetic.translation((48, 64), shift=(1.7, -0.9), seed=2)
    model = replace(models.huber_l1(), solver=PrimalDual(60))
    own, known = (
        with_penalties(model, of_data and kind(of_data), of_flow and kind(of_flow)) for kind in (OwnHuber, Huber)
    )
    found, expected = (variflow.estimate(pair.frame0, pair.frame1, one) for one in (own, known))
    assert "general minimiser" not in found.reason
    assert metrics.endpoint_error(found.flow, expected.flow) < 0.02


@pytest.mark.parametrize(
    "data",
    [
        BrightnessConstancy(Quadratic(), 2.0),
        BrightnessConstancy(Quadratic(), normalisation=0.3) + 2.0 * GradientConstancy(Quadratic()),
        CensusConstancy(Quadratic(), 0.1),
    ],
    ids=["brightness", "both", "census"],
)
@pytest.mark.parametrize("penalty", [Quadratic(), Charbonnier(0.3), GemanMcClure(1.0)], ids=str)
@pytest.mark.parametrize("guided", [True, False])
def test_it_goes_to_the_minimum_of_the_reweighted_energy(at, data, penalty, guided):
    """That which relaxation goes to: the quadratic penalty itself, or least squares with the same weights."""
    smooth = Smoothness(penalty, 0.3, per="pixel", edges=ImageEdges(5.0) if guided else None)
    energy = with_penalties(models.Model(data + smooth, PrimalDual()), penalty).energy
    assert choose_solver(energy, PrimalDual(), at)[1] == ""
    found, expected = PrimalDual(1500).minimise(energy, at), Relaxation(500).minimise(energy, at)
    np.testing.assert_allclose(found.flow, expected.flow, atol=5e-3)
    np.testing.assert_allclose(found.energies(), expected.energies(), rtol=1e-3)


@pytest.mark.parametrize(
    "penalty", [GeneralisedCharbonnier(0.45, 0.1), Lorentzian(0.3), OwnHuber(0.3), Doubled()], ids=str
)
def test_a_warp_lowers_the_energy(at, penalty):
    energy = BrightnessConstancy(penalty, normalisation=0.05) + 0.1 * Smoothness(penalty, per="pixel")
    before, after = PrimalDual(200).minimise(energy, at).energies()
    assert after < before


def test_only_what_a_penalty_says_of_itself_counts():
    assert huber_of(L1()) == (1.0, 0.0)
    assert huber_of(Huber(0.2)) == (1.0, 0.2)
    assert huber_of(Doubled()) is None
    assert huber_of(Huber(np.full(SHAPE, 0.2))) is None
    assert huber_of(Charbonnier(0.2)) is None


def test_twice_a_norm_is_twice_the_weight(at):
    smooth = Smoothness(L1(), 0.3, per="pixel")
    found, expected = (
        PrimalDual(400).minimise(factor * BrightnessConstancy(penalty, normalisation=0.05) + smooth, at)
        for factor, penalty in ((1.0, Doubled(0.05)), (2.0, Charbonnier(0.05)))
    )
    assert np.mean(np.hypot(*np.subtract(found.flow, expected.flow))) < 0.1


def test_a_penalty_that_falls_leaves_the_energy_to_the_general_minimiser(at):
    solver, reason = choose_solver(BrightnessConstancy(Falling()) + Smoothness(L1(), per="pixel"), PrimalDual(), at)
    assert solver is None
    assert "Falling" in reason
    assert "never falls as the residual grows" in reason


@pytest.mark.parametrize("penalty", [L1(), Huber(0.3), Huber(2.0), Quadratic()], ids=str)
@pytest.mark.parametrize("step", [0.01, 0.5, 3.0])
def test_the_proximal_step_is_that_of_brute_force(penalty, step):
    s = np.linspace(-4, 4, 80_001)
    values = np.linspace(-3, 3, 25)
    found = penalty.prox(values, step)
    for value, one in zip(values, found, strict=True):
        cost = penalty.value(s) + (s - value) ** 2 / (2 * step)
        assert one == pytest.approx(s[np.argmin(cost)], abs=1e-3)
    assert float(penalty.prox(0.0, step)) == 0


def test_a_penalty_without_a_formula_has_no_proximal_step():
    with pytest.raises(TypeError, match="Lorentzian does not define prox"):
        Lorentzian().prox(1.0, 0.5)
