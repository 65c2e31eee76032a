"""Data terms whose residuals look at a neighbourhood, in the native core."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

import variflow
from variflow import metrics
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, DataTerm, Quadratic, Smoothness
from variflow.energy.autodiff import neighbourhood
from variflow.energy.autodiff.jacobian import find_dependence
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve import choose_solver
from variflow.solve.local_system import LocalSystem

SHAPE = (20, 24)
PAIR = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)


def around(plane):
    """The mean of each pixel and the eight around it."""
    padded = jnp.pad(plane, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9


class Patch(DataTerm):
    """Differences of the frames, and their mean over a patch: two residuals."""

    def residuals(self, d, at):
        difference = at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0]
        return [around(difference), difference * (1 + around(d[0]) ** 2)]


@dataclass(frozen=True)
class Correlation(DataTerm):
    """How far patches are from equal up to light."""

    least: float = 1e-4

    def residuals(self, d, at):
        first = at.frame0[0]
        second = variflow.warp(at.second[:1], (at.flow[0] + d[0], at.flow[1] + d[1]))[0]
        means = around(first), around(second)
        covariance = around(first * second) - means[0] * means[1]
        spread = [jnp.maximum(around(p**2) - mean**2, 0) for p, mean in zip((first, second), means, strict=True)]
        return [1 - covariance / jnp.sqrt((spread[0] + self.least) * (spread[1] + self.least))]


@pytest.fixture(scope="module")
def at():
    mask = np.ones(SHAPE, bool)
    mask[3:6, 4:9] = False
    level = pyramid(prepare(PAIR.frame0, PAIR.frame1, (mask, None)), factor=0.5, coarsest=64)[0]
    flow = tuple(np.random.default_rng(3).normal(0, 0.2, (2, *SHAPE)).astype(np.float32))
    return linearise(level, flow, derivative="average", interpolation="bicubic")


@pytest.mark.parametrize(
    "term",
    [Patch(Charbonnier(0.1), 3.0, 0.02), pytest.param(Correlation(), marks=pytest.mark.slow)],
    ids=["patch", "correlation"],
)
def test_slope_and_row_sums_are_those_of_jax(at, term):
    assert find_dependence(term, at)[:2] == (False, False)
    value, matrix, slope = neighbourhood.expand(term, at)
    plain, zero = at.plain(), tuple(jnp.zeros((2, *SHAPE)))
    expected, gradient = jax.jit(jax.value_and_grad(lambda d: term(d, plain)))(zero)
    assert value == pytest.approx(float(expected), rel=1e-4)
    np.testing.assert_allclose(2 * slope, gradient, atol=1e-3 * np.abs(gradient).max())
    assert neighbourhood.evaluate(term, tuple(np.zeros((2, *SHAPE), np.float32)), at) == pytest.approx(value, rel=1e-4)
    uu, uv, vv = matrix
    assert (uu > 0).all()
    assert (uu * vv >= uv**2).all()


@pytest.mark.slow
def test_a_lost_pixel_adds_nothing(at):
    term = replace(Correlation(), weight=1.0)
    value = neighbourhood.expand(term, at)[0]
    other = at.plain()
    residual = np.asarray(term.residuals(tuple(jnp.zeros((2, *SHAPE))), other)[0])
    assert not other.weights[3:6, 4:9].any()
    assert value == pytest.approx((other.weights * residual**2).sum(), rel=1e-4)


def test_steps_go_where_the_slope_is_zero(at):
    energy = Patch(Quadratic(), 1.0) + 0.05 * Smoothness()
    solver, reason = choose_solver(energy, None, at)
    assert isinstance(solver, LocalSystem)
    assert "a sum of data terms and terms of the flow" in reason
    plain, d, state = at.plain(), np.zeros((2, *SHAPE), np.float32), None
    slope = jax.jit(jax.grad(lambda d: energy(d, plain)))
    first = np.linalg.norm(slope(tuple(map(jnp.asarray, d))))
    found = LocalSystem(50, 1e-3).minimise(energy, at, state)
    before, after = found.energies()
    assert after < before
    assert before == pytest.approx(float(energy(tuple(map(jnp.asarray, d)), plain)), rel=1e-4)
    assert after == pytest.approx(float(energy(tuple(map(jnp.asarray, found.increment)), plain)), rel=1e-3)
    assert np.linalg.norm(slope(tuple(map(jnp.asarray, found.increment)))) < 0.2 * first


@pytest.mark.slow
def test_correlation_in_other_light_has_the_minimum_that_others_find():
    """L-BFGS has nothing to gain from there, and from the truth ends no nearer to it: faint patches tell no more.

    Energies are compared around one flow only: those of two warps differ by more than what is left to gain.
    """
    pair = synthetic.translation((40, 48), shift=(1.3, -0.6), seed=2)
    frames = pair.frame0, 0.4 * pair.frame1 + 0.3
    energy = Correlation(Charbonnier(0.1)) + 0.1 * Smoothness(Charbonnier(0.05))
    ours = variflow.estimate(*frames, variflow.Model(energy, warps=10))
    solver = optimistix.LBFGS(1e-6, 1e-6)
    theirs = variflow.estimate(*frames, variflow.Model(energy, solver, steps=300, warps=2), init=pair.flow)
    assert "LocalSystem" in ours.reason
    (after,) = variflow.estimate(
        *frames, variflow.Model(energy, solver, steps=300, warps=1, coarsest=64), init=ours.flow
    ).energies
    assert after.before - after.after <= 1e-3 * after.before
    assert metrics.endpoint_error(ours.flow, pair.flow) <= metrics.endpoint_error(theirs.flow, pair.flow)
    assert np.abs(ours.flow.mean(axis=(0, 1)) - (1.3, -0.6)).max() < 0.05


def test_values_that_are_not_finite_are_named(at):
    class Logarithm(DataTerm):
        def residuals(self, d, at):
            return [around(d[0]) + jnp.log(at.frame0[0] - 2)]

    with pytest.raises(ValueError, match=r"residuals of Logarithm .* not finite"):
        LocalSystem().minimise(BrightnessConstancy() + Logarithm() + Smoothness(), at)


class Mass(DataTerm):
    """What the frames show is carried along and conserved: It + div(frame1 d) for the whole flow."""

    def residuals(self, d, at):
        u, v = (a + b for a, b in zip(at.flow, d, strict=True))
        divergence = jnp.pad(jnp.diff(u, axis=1), ((0, 0), (0, 1))) + jnp.pad(jnp.diff(v, axis=0), ((0, 1), (0, 0)))
        return [at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0] + at.frame1[0] * divergence]


def test_residuals_of_differences_are_left_to_the_general_minimiser(at):
    assert find_dependence(Mass(), at)[:2] == (False, True)
    energy = Mass(Charbonnier(0.01)) + 0.02 * Smoothness(Charbonnier(0.02))
    result = variflow.estimate(PAIR.frame0, PAIR.frame1, variflow.Model(energy, channels="gray"))
    assert "Mass depend on differences of d between pixels" in result.reason
    assert metrics.endpoint_error(result.flow, PAIR.flow) < 0.1


@pytest.mark.parametrize("asks", [True, False])
def test_residuals_are_those_of_the_level(asks):
    class FarInLargeFrames(DataTerm):
        def residuals(self, d, at):
            large = (at.shape[0] if asks else len(d[0])) > 30
            return [at.valid * (d[0] - 1) + d[1] - (jnp.roll(d[1], 1, 0) if large else 0)]

    for shape, large in (((20, 30), False), ((40, 50), True)):
        frame = np.random.default_rng(0).random(shape, np.float32)
        level = pyramid(prepare(frame, frame), factor=0.5, coarsest=64)[0]
        still = (np.zeros(shape, np.float32),) * 2
        at = linearise(level, still, derivative="average", interpolation="bicubic")
        assert find_dependence(FarInLargeFrames(), at).pixelwise != large
