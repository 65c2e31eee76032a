"""Penalties and terms from outside the package, in the native solvers."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import variflow
from variflow import _core, metrics, models
from variflow.datasets import synthetic
from variflow.energy import (
    BrightnessConstancy,
    CensusConstancy,
    Charbonnier,
    DataTerm,
    GradientConstancy,
    ImageEdges,
    Penalty,
    Quadratic,
    Smoothness,
    Sum,
    Tukey,
    Welsch,
)
from variflow.energy.autodiff import programs
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve import choose_solver
from variflow.solve.lucas_kanade import LucasKanade
from variflow.solve.native_penalties import native_penalty
from variflow.solve.relaxation import Relaxation
from variflow.solve.taking_apart import flat, motion_tensor, native_smoothness

SHAPE = (24, 31)
SOLVED_BY_OTHERS = "general minimiser"


@dataclass(frozen=True)
class GemanMcClure(Penalty):
    sigma: float = 0.5

    def of_squared(self, squared):
        return squared / (squared + self.sigma**2)


@dataclass(frozen=True)
class GemanMcClureWithWeight(GemanMcClure):
    def weight_of_squared(self, squared):
        return 2 * self.sigma**2 / (squared + self.sigma**2) ** 2


@dataclass(frozen=True)
class OwnCharbonnier(Penalty):
    epsilon: float = 0.001

    def of_squared(self, squared):
        return (squared + self.epsilon**2) ** 0.5 - self.epsilon


@dataclass(frozen=True)
class OwnNorm(Penalty):
    """Whose weight at 0 is infinite."""

    def of_squared(self, squared):
        return squared**0.5


@dataclass(frozen=True)
class Quartic(Penalty):
    def of_squared(self, squared):
        return squared**2


@dataclass(frozen=True)
class Exploding(Penalty):
    """Whose values no float can hold."""

    def of_squared(self, squared):
        return squared.__array_namespace__().exp(squared) - 1

    def weight_of_squared(self, squared):
        return 2 + 0 * squared


@dataclass(frozen=True)
class Falling(Penalty):
    """No penalty: it falls as the residual grows."""

    def of_squared(self, squared):
        return squared * (1 - squared)


@dataclass(frozen=True)
class Doubled(Charbonnier):
    """Whose inherited weight would be that of another penalty."""

    def of_squared(self, squared):
        return 2 * super().of_squared(squared)


@dataclass(frozen=True)
class LogBrightness(DataTerm):
    """A term with residuals of its own."""

    def residuals(self, d, at):
        u, v = d
        return [20 * (at.Ix[0] * u + at.Iy[0] * v + at.It[0])]


def level_and_flow(seed=3):
    pair = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)
    weights = np.random.default_rng(seed).uniform(0.5, 1, SHAPE)
    level = pyramid(prepare(pair.frame0, pair.frame1, weights=weights), factor=0.5, coarsest=64)[0]
    flow = tuple(np.random.default_rng(seed).normal(0, 0.5, (2, *SHAPE)).astype(np.float32))
    return level, flow


@pytest.fixture(scope="module")
def at():
    level, flow = level_and_flow()
    return linearise(level, flow, derivative="average", interpolation="bicubic")


def with_penalties(model, of_data, of_flow):
    """Return a model with other penalties in its energy."""
    terms = [
        factor * replace(term, penalty=of_flow if isinstance(term, Smoothness) else of_data)
        for term, factor in flat(model.energy, 1.0)
    ]
    return replace(model, energy=Sum(tuple(terms)))


def test_brox_with_geman_mcclure_runs_natively_and_finds_the_flow():
    pair = synthetic.translation((60, 80), shift=(1.7, -0.9), seed=2)
    model = with_penalties(models.brox(smoothness=0.5), GemanMcClure(0.5), GemanMcClure(0.3))
    result = variflow.estimate(pair.frame0, pair.frame1, model)
    assert SOLVED_BY_OTHERS not in result.reason
    assert metrics.endpoint_error(result.flow, pair.flow) < 0.1


def test_a_penalty_written_again_gives_the_flow_of_the_built_in_one():
    pair = synthetic.translation((48, 64), shift=(1.7, -0.9), seed=2)
    model = models.brox()
    own = with_penalties(model, OwnCharbonnier(0.3), OwnCharbonnier(0.01))
    found, expected = (variflow.estimate(pair.frame0, pair.frame1, one) for one in (own, model))
    assert SOLVED_BY_OTHERS not in found.reason
    np.testing.assert_allclose(found.flow, expected.flow, atol=1e-3)


@pytest.mark.parametrize(
    "data",
    [
        BrightnessConstancy(weight=2.0),
        BrightnessConstancy(normalisation=0.02) + 2.0 * GradientConstancy(normalisation=0.02),
        CensusConstancy(normalisation=0.02),
        LogBrightness(normalisation=0.05) + GradientConstancy(),
    ],
    ids=["brightness", "both", "census", "own"],
)
@pytest.mark.parametrize("per", ["edge", "pixel"])
@pytest.mark.parametrize("guided", [True, False])
def test_a_step_is_that_of_the_built_in_penalty(at, data, per, guided):
    smooth = Smoothness(Charbonnier(0.05), 0.3, per=per, edges=ImageEdges(5.0) if guided else None)
    known = with_penalties(models.Model(data + smooth, Relaxation(8)), Charbonnier(0.1), Charbonnier(0.05)).energy
    own = with_penalties(models.Model(data + smooth, Relaxation(8)), OwnCharbonnier(0.1), OwnCharbonnier(0.05)).energy
    assert choose_solver(own, Relaxation(8), at)[1] == ""
    found, expected = (Relaxation(8).minimise(energy, at) for energy in (own, known))
    np.testing.assert_allclose(found.flow, expected.flow, atol=1e-3)
    np.testing.assert_allclose(found.energies(), expected.energies(), rtol=1e-4)


@pytest.mark.parametrize("penalty", [GemanMcClure(0.3), GemanMcClureWithWeight(0.3), OwnNorm()], ids=str)
@pytest.mark.parametrize("per", ["edge", "pixel"])
def test_energies_and_weights_are_those_of_the_energy(at, penalty, per):
    """Half the gradient of the quadratic that stands in is half that of the energy, by differences."""
    data = BrightnessConstancy(penalty, 0.7, normalisation=0.05)
    smooth = Smoothness(penalty, 0.2, per=per, edges=ImageEdges(5.0))
    rng = np.random.default_rng(1)
    direction = rng.normal(size=(2, *SHAPE))
    plain = at.plain()
    flow = tuple(plane.astype(float) for plane in at.flow)
    wide = replace(plain, **{name: getattr(plain, name).astype(float) for name in ("frame0", "frame1")}, flow=flow)
    energy = data + smooth

    def value(step):
        # In NumPy: the data term in JAX works in single precision.
        residual = wide.Ix * step * direction[0] + wide.Iy * step * direction[1] + wide.It
        squared = (residual**2 / (wide.Ix**2 + wide.Iy**2 + 0.05**2)).mean(axis=0)
        of_data = 0.7 * (plain.weights * penalty.of_squared(squared)).sum()
        return of_data + smooth(tuple(step * direction), wide)

    minimum = Relaxation(5).minimise(energy, at)
    assert minimum.energies()[0] == pytest.approx(value(0.0), rel=1e-4)
    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    tensor = motion_tensor([(data, 1.0)], at)
    native = native_smoothness(smooth, 1.0, at)
    edges = variflow._core.edge_weights(*at.flow, native)
    missing = variflow._core.residual(tensor, edges, *at.flow, *at.flow)
    assert -2 * float((missing * direction).sum()) == pytest.approx(slope, rel=5e-3, abs=5e-3)


@pytest.mark.parametrize("kind", [GemanMcClure, Welsch, Tukey])
def test_a_reweighted_step_lowers_the_energy(at, kind):
    energy = BrightnessConstancy(kind(0.3), normalisation=0.05) + 0.05 * Smoothness(kind(0.5))
    before, after = Relaxation(50).minimise(energy, at).energies()
    assert after < before


def test_a_local_fit_takes_any_penalty(at):
    own, known = (
        BrightnessConstancy(penalty, normalisation=0.05) for penalty in (OwnCharbonnier(0.1), Charbonnier(0.1))
    )
    LucasKanade().check(own, at)
    found, expected = (LucasKanade().minimise(term, at) for term in (own, known))
    np.testing.assert_allclose(found.flow, expected.flow, atol=1e-4)
    np.testing.assert_allclose(found.energies(), expected.energies(), rtol=1e-4)


@pytest.mark.parametrize("penalty", [GemanMcClure(0.3), OwnCharbonnier(0.1), Doubled(0.1)], ids=str)
def test_the_weight_follows_from_the_value(penalty):
    squared = np.linspace(0.01, 4, 50)
    step = 1e-4
    slope = (penalty.of_squared(squared + step) - penalty.of_squared(squared - step)) / (2 * step)
    half = _core.half_weights(native_penalty(penalty), squared.astype(np.float32).reshape(5, 10))
    np.testing.assert_allclose(half.ravel(), slope, rtol=1e-3)


def test_the_public_weight_follows_from_the_value():
    penalty, given = GemanMcClure(0.5), GemanMcClureWithWeight(0.5)
    s = np.linspace(0, 2, 9)
    np.testing.assert_allclose(penalty.weight(s), given.weight(s), rtol=1e-5)
    np.testing.assert_allclose(penalty.derivative(s), given.derivative(s), rtol=1e-5)
    assert float(penalty.weight(0.5)) == pytest.approx(float(given.weight(0.5)), rel=1e-5)


@pytest.mark.parametrize(
    ("penalty", "weight"),
    [
        (GemanMcClure(0.3), lambda s: 2 * 0.09 / (s**2 + 0.09) ** 2),
        (OwnCharbonnier(0.001), Charbonnier(0.001).weight),
        (OwnNorm(), lambda s: 1 / s),
        (Quartic(), lambda s: 4 * s**2),
    ],
    ids=["Geman-McClure", "Charbonnier", "norm", "quartic"],
)
def test_a_table_is_that_of_the_penalty(penalty, weight):
    s = np.geomspace(1e-5, 900, 3001)
    half = _core.half_weights(native_penalty(penalty), (s**2).astype(np.float32)[None])[0, 0]
    np.testing.assert_allclose(2 * half, weight(s), rtol=6e-5)


def test_a_table_is_the_same_beyond_its_ends():
    beyond = np.array([[0, 1e-30, 2.0**-40, 2.0**20, 1e20, np.inf]], np.float32)
    half = _core.half_weights(native_penalty(OwnCharbonnier(0.1)), beyond)[0, 0]
    np.testing.assert_allclose(half[:3], half[0])
    np.testing.assert_allclose(half[3:], half[-1])


def test_a_penalty_is_compiled_once():
    def look(sigma):
        native_penalty(GemanMcClure(sigma))
        return set(programs._programs)

    assert look(0.41) == look(0.37)  # a number is an input


def test_a_table_is_made_once_for_a_penalty_and_anew_for_another():
    once, twice = Plain(1.0), Plain(2.0)
    assert native_penalty(once) is native_penalty(once)
    assert [half_weight_of(one) for one in (once, twice)] == [1, 2]


class Plain(Penalty):
    """No dataclass: all its objects are equal."""

    def __init__(self, factor):
        self.factor = factor

    def of_squared(self, squared):
        return self.factor * squared


def half_weight_of(penalty):
    return _core.half_weights(native_penalty(penalty), np.ones((1, 1), np.float32)).item()


FACTOR = 1.0


class OfClass(Penalty):
    factor = 1.0

    def of_squared(self, squared):
        return self.factor * squared


class OfGlobal(Penalty):
    def of_squared(self, squared):
        return FACTOR * squared


@dataclass(frozen=True)
class Frozen(Penalty):
    factor: float = 1.0

    def of_squared(self, squared):
        return self.factor * squared


@pytest.mark.parametrize(
    ("penalty", "change"),
    [
        (Plain(1.0), lambda penalty, patch: setattr(penalty, "factor", 0.25)),
        (Plain(np.array(1.0)), lambda penalty, patch: penalty.factor.fill(0.25)),
        (OfClass(), lambda penalty, patch: patch.setattr(OfClass, "factor", 0.25)),
        (OfGlobal(), lambda penalty, patch: patch.setitem(globals(), "FACTOR", 0.25)),
        (Frozen(), lambda penalty, patch: object.__setattr__(penalty, "factor", 0.25)),
        (Plain(1.0), lambda penalty, patch: patch.setattr(Plain, "of_squared", lambda self, squared: squared / 4)),
    ],
    ids=["attribute", "array in place", "class", "global", "frozen", "method"],
)
def test_a_table_follows_what_a_penalty_computes_with(penalty, change, monkeypatch):
    assert half_weight_of(penalty) == 1
    change(penalty, monkeypatch)
    assert half_weight_of(penalty) == 0.25


def test_a_changed_penalty_gives_the_flow_of_a_new_one():
    pair = synthetic.translation((32, 40), shift=(1.0, 0.5))

    def flow_with(penalty):
        return variflow.estimate(pair.frame0, pair.frame1, BrightnessConstancy(penalty) + 0.03 * Smoothness()).flow

    penalty = Plain(1.0)
    before = flow_with(penalty)
    penalty.factor = 0.01
    changed = flow_with(penalty)
    assert np.abs(changed - before).max() > 0.01
    np.testing.assert_array_equal(changed, flow_with(Plain(0.01)))


def test_a_penalty_that_counts_its_calls_is_tabulated_once():
    class Counting(Plain):
        calls = 0

        def of_squared(self, squared):
            self.calls += 1
            return super().of_squared(squared)

    penalty = Counting(1.0)
    tables = [native_penalty(penalty) for _ in range(3)]
    assert tables[0] is tables[1] is tables[2]


def test_a_penalty_that_falls_leaves_the_energy_to_the_general_minimiser(at):
    energy = BrightnessConstancy(Falling()) + Smoothness()
    solver, reason = choose_solver(energy, Relaxation(), at)
    assert solver is None
    assert "Falling" in reason
    assert "never falls as the residual grows" in reason
    with pytest.raises(ValueError, match=r"Falling.*for LucasKanade"):
        LucasKanade().check(BrightnessConstancy(Falling()), at)


@pytest.mark.parametrize("penalty", [Charbonnier(np.full(SHAPE, 0.1)), GemanMcClure(np.full(SHAPE, 0.1))])
def test_constants_that_are_planes_leave_the_energy_to_the_general_minimiser(at, penalty):
    solver, reason = choose_solver(BrightnessConstancy(penalty) + Smoothness(Quadratic()), Relaxation(5), at)
    assert solver is None
    assert f"of {type(penalty).__name__} has shape (24, 31), wanted one number" in reason


def test_a_penalty_without_values_leaves_the_energy_to_the_general_minimiser(at):
    solver, reason = choose_solver(BrightnessConstancy(Exploding()) + Smoothness(), Relaxation(), at)
    assert solver is None
    assert "not finite, first at s = " in reason


def test_a_penalty_that_is_infinite_at_zero_is_not_taken(at):
    class Logarithm(Penalty):
        def of_squared(self, squared):
            return squared.__array_namespace__().log(squared)

    solver, reason = choose_solver(BrightnessConstancy(Logarithm()) + Smoothness(), Relaxation(), at)
    assert solver is None
    assert "values rho(s) of the penalty" in reason
    assert "not finite, first at s = 0," in reason


def test_a_penalty_whose_weights_overflow_is_left_without_a_warning_of_numpy(at):
    class Exponential(Penalty):
        def of_squared(self, squared):
            return squared.__array_namespace__().exp(squared) - 1

    solver, reason = choose_solver(BrightnessConstancy(Exponential()) + Smoothness(), Relaxation(), at)
    assert solver is None
    assert "weights rho'(s) / s of the penalty" in reason


def test_a_term_without_residuals_says_so(at):
    class Nothing(DataTerm):
        pass

    class Nested(Nothing):
        pass

    for term in (Nothing(), Nested(Charbonnier(0.1)), DataTerm()):
        wanted = f"{type(term).__name__} defines neither residuals"
        with pytest.raises(TypeError, match=wanted):
            choose_solver(term + Smoothness(), Relaxation(), at)
        with pytest.raises(TypeError, match=wanted):
            term.residuals(at.flow, at)
        with pytest.raises(TypeError, match=wanted):
            term.linearised(at)
