"""Classes derived from built-in ones: what they override is what runs, in native solvers too."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import pytest

import variflow
from variflow import models
from variflow.datasets import synthetic
from variflow.energy import (
    L1,
    BrightnessConstancy,
    CensusConstancy,
    Charbonnier,
    GradientConstancy,
    Huber,
    ImageEdges,
    Penalty,
    Smoothness,
    TotalGeneralisedVariation,
)
from variflow.filters import WeightedMedian
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve import choose_solver
from variflow.solve.lucas_kanade import LucasKanade
from variflow.solve.primal_dual import PrimalDual
from variflow.solve.relaxation import Relaxation

SHAPE = (21, 26)
SMOOTH = 0.05 * Smoothness(Charbonnier(0.1))


@pytest.fixture(scope="module")
def at():
    pair = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)
    level = pyramid(prepare(pair.frame0, pair.frame1), factor=0.5, coarsest=64)[0]
    flow = tuple(np.zeros((2, *SHAPE), np.float32))
    return linearise(level, flow, derivative="average", interpolation="bicubic")


def twice(cls):
    """Return a class whose residuals are twice those of another."""

    class Twice(cls):
        def residuals(self, d, at):
            return [2 * residual for residual in super().residuals(d, at)]

    return Twice


def twice_linearised(cls):
    class Twice(cls):
        def linearised(self, at):
            return [(2 * jx, 2 * jy, 2 * r) for jx, jy, r in super().linearised(at)]

    return Twice


class SameBrightness(BrightnessConstancy):
    """Overrides nothing."""


class Four(Charbonnier):
    """Four times the penalty."""

    def of_squared(self, squared):
        return 4 * super().of_squared(squared)

    def weight_of_squared(self, squared):
        return 4 * super().weight_of_squared(squared)


@dataclass(frozen=True)
class FourWith(Charbonnier):
    """The same, with the number as a field; derived constants must not be taken for the built-in's."""

    factor: float = 4.0

    def of_squared(self, squared):
        return self.factor * super().of_squared(squared)


class Rounder(Charbonnier):
    """Overrides nothing."""


class FourTimesSmooth(Smoothness):
    def __call__(self, d, at):
        return 4 * super().__call__(d, at)


class FourTimesBrightness(BrightnessConstancy):
    def __call__(self, d, at):
        return 4 * super().__call__(d, at)


class FourTimesVariation(TotalGeneralisedVariation):
    def __call__(self, d, at):
        return 4 * super().__call__(d, at)


class NoEdges(ImageEdges):
    """Weights of 1/4, wherever the picture has edges."""

    def __call__(self, at):
        return tuple(0.25 + 0 * plane for plane in super().__call__(at))


def quarter(at):
    """The same as a function, written for JAX."""
    height, width = at.flow[0].shape
    return jnp.full((height, width - 1), 0.25), jnp.full((height - 1, width), 0.25)


@pytest.mark.parametrize("make", [twice, twice_linearised])
@pytest.mark.parametrize(
    ("kind", "normalisation"), [(BrightnessConstancy, 0.02), (GradientConstancy, None), (CensusConstancy, 0.02)]
)
def test_residuals_of_a_derived_class_run(at, make, kind, normalisation):
    """Twice the residual is half the constants and twice the Jacobian."""
    own = make(kind)(Charbonnier(0.2), normalisation=normalisation)
    same = kind(Charbonnier(0.1 if normalisation is None else 0.2), 2.0 if normalisation is None else 1.0)
    if normalisation is not None:
        same = replace(same, normalisation=normalisation / 2)
    for solver in (Relaxation(10), LucasKanade()):
        smooth = () if isinstance(solver, LucasKanade) else (SMOOTH,)
        solver.check(sum(smooth, own), at)
        found, expected = (solver.minimise(sum(smooth, term), at) for term in (own, same))
        np.testing.assert_allclose(found.flow, expected.flow, atol=2e-3)
        np.testing.assert_allclose(found.energies(), expected.energies(), rtol=1e-3)


def test_what_overrides_nothing_is_taken_by_the_core(at):
    own = SameBrightness(Rounder(0.1)) + SMOOTH
    assert choose_solver(own, Relaxation(), at)[1] == ""
    expected = Relaxation(10).minimise(BrightnessConstancy(Charbonnier(0.1)) + SMOOTH, at)
    np.testing.assert_array_equal(Relaxation(10).minimise(own, at).flow, expected.flow)


@pytest.mark.parametrize(
    ("energy", "solver", "named"),
    [
        (BrightnessConstancy() + FourTimesSmooth(), Relaxation(), "FourTimesSmooth has a __call__ of its own"),
        (FourTimesBrightness() + SMOOTH, Relaxation(), "FourTimesBrightness has a __call__ of its own"),
        (FourTimesBrightness(L1()) + Smoothness(L1(), per="pixel"), PrimalDual(), "FourTimesBrightness"),
        (BrightnessConstancy(L1()) + FourTimesVariation(), PrimalDual(), "FourTimesVariation has a __call__"),
    ],
)
def test_what_the_core_cannot_do_is_left_to_the_general_minimiser(at, energy, solver, named):
    found, reason = choose_solver(energy, solver, at)
    assert found is None
    assert named in reason
    assert f"so the general minimiser took the place of {type(solver).__name__}" in reason


@pytest.mark.parametrize("penalty", [Four(0.1), FourWith(0.1)], ids=str)
@pytest.mark.parametrize("of_flow", [False, True])
def test_a_derived_penalty_runs(at, penalty, of_flow):
    """Four times the penalty is four times the weight."""
    own = SMOOTH + BrightnessConstancy(penalty), BrightnessConstancy() + Smoothness(penalty)
    same = SMOOTH + 4 * BrightnessConstancy(Charbonnier(0.1)), BrightnessConstancy() + 4 * Smoothness(Charbonnier(0.1))
    Relaxation(10).check(own[of_flow], at)
    found, expected = (Relaxation(10).minimise(energies[of_flow], at) for energies in (own, same))
    np.testing.assert_allclose(found.flow, expected.flow, atol=1e-4)
    np.testing.assert_allclose(found.energies(), expected.energies(), rtol=1e-5)


class FiveTimesValue(Charbonnier):
    def value(self, s):
        return 5 * super().value(s)


class FiveTimesWeight(Charbonnier):
    def weight(self, s):
        return 5 * super().weight(s)


class WeightBesideValue(Penalty):
    def of_squared(self, squared):
        return squared

    def weight(self, s):
        return 0 * s + 5


class ValueOfSquared(Four):
    """Whose value is the one that follows from its of_squared anyway."""

    def of_squared(self, squared):
        return 2 * super().of_squared(squared)

    def value(self, s):
        return self.of_squared(s**2)


@pytest.mark.parametrize(
    ("kind", "overridden", "wanted"),
    [
        (FiveTimesValue, "value", "of_squared"),
        (FiveTimesWeight, "weight", "weight_of_squared"),
        (WeightBesideValue, "weight", "weight_of_squared"),
    ],
)
def test_a_penalty_that_overrides_what_no_energy_asks_for_is_refused(kind, overridden, wanted):
    message = rf"is {kind.__name__}, which overrides {overridden}, .* wanted one that overrides {wanted}\(s\^2\)"
    for term in (BrightnessConstancy, Smoothness):
        with pytest.raises(TypeError, match=message):
            term(kind())
    assert BrightnessConstancy(ValueOfSquared()).penalty == ValueOfSquared()


def test_without_smoothness_nothing_stands_in(at):
    with pytest.raises(ValueError, match=r"Four.* for LucasKanade"):
        LucasKanade().check(FourTimesBrightness(), at)


def test_a_variation_wants_the_penalties_themselves():
    class Own(Huber):
        def of_squared(self, squared):
            return 2 * super().of_squared(squared)

    with pytest.raises(TypeError, match=r"penalty of TotalGeneralisedVariation is .*Own"):
        TotalGeneralisedVariation(Own())


@pytest.mark.parametrize("edges", [NoEdges(5.0), quarter], ids=["class", "function"])
@pytest.mark.parametrize(
    ("solver", "data", "smooth"),
    [
        (Relaxation(10), BrightnessConstancy(), Smoothness(weight=0.4)),
        (Relaxation(10), BrightnessConstancy(), Smoothness(weight=0.4, per="pixel")),
        (PrimalDual(1000), BrightnessConstancy(L1()), Smoothness(L1(), 0.4, per="pixel")),
        (PrimalDual(10), BrightnessConstancy(L1()), TotalGeneralisedVariation(weight=0.4)),
    ],
    ids=["edge", "pixel", "variation", "second"],
)
def test_edges_of_ones_own_run(at, edges, solver, data, smooth):
    """Weights of 1/4 count as a quarter of the quadratic smoothness, and as half of the norm."""
    own = data + replace(smooth, edges=edges)
    solver.check(own, at)
    found = solver.minimise(own, at)
    if not isinstance(smooth, TotalGeneralisedVariation):
        share = 0.25 if isinstance(solver, Relaxation) else 0.5
        expected = solver.minimise(data + share * smooth, at)
        np.testing.assert_allclose(found.flow, expected.flow, atol=1e-2)
    zero = np.zeros((2, *SHAPE), np.float32)
    assert found.energies()[0] == pytest.approx(float(own(tuple(zero), at)), rel=1e-3)
    assert np.abs(np.subtract(found.flow, solver.minimise(data + smooth, at).flow)).max() > 1e-3


def test_edges_that_look_at_the_flow_are_made_at_every_warp():
    seen = []

    class Watching(ImageEdges):
        def __call__(self, at):
            seen.append(at.flow)
            return super().__call__(at)

    pair = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)
    energy = BrightnessConstancy() + replace(SMOOTH, edges=Watching())
    variflow.estimate(pair.frame0, pair.frame1, variflow.Model(energy, Relaxation(), warps=3, coarsest=20))
    assert len(seen) == 3


def test_edges_of_a_wrong_size_are_refused(at):
    energy = BrightnessConstancy() + Smoothness(edges=lambda at: (at.valid, at.valid))
    with pytest.raises(ValueError, match=r"edges of Smoothness returned weights of shape \(21, 26\), wanted"):
        Relaxation().minimise(energy, at)


def test_solvers_and_filters_of_ones_own_run():
    class NoMedian(WeightedMedian):
        def __call__(self, flow, at):
            return tuple(0 * plane for plane in flow)

    class Still(Relaxation):
        def minimise(self, energy, at, state=None):
            return replace(super().minimise(energy, at, state), flow=at.flow)

    pair = synthetic.translation((40, 50), shift=(0.8, -0.4), seed=4)
    for changed in ({"filter": NoMedian()}, {"solver": Still(), "filter": None}):
        flow = variflow.estimate(pair.frame0, pair.frame1, replace(models.classic_nl(), **changed)).flow
        assert (flow == 0).all()


def test_operators():
    data, smooth = BrightnessConstancy(), Smoothness()
    assert sum([data, smooth]).terms == (data, smooth)
    assert (smooth / 4).weight == 0.25
    assert (np.float64(2) * smooth).weight == (np.float32(2) * smooth).weight == (smooth * np.int64(2)).weight == 2
    assert isinstance(2 * SameBrightness(), variflow.energy.Sum)
    assert (3 * SameBrightness()).weight == 3
    for wrong in (lambda: data * smooth, lambda: data / smooth, lambda: data + 1, lambda: "2" * data):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ValueError, match="weight of Smoothness"):
        -smooth  # noqa: B018
    for wrong in (lambda: data - smooth, lambda: data - 1, lambda: variflow.metrics.endpoint_error - data):
        with pytest.raises(TypeError, match=r"has no -, wanted \+, as in data \+ 0.1 \* smooth"):
            wrong()
    for wrong in (lambda: "2" * smooth, lambda: smooth * "2"):
        with pytest.raises(TypeError, match="Smoothness is multiplied by '2', wanted a number"):
            wrong()
