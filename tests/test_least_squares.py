"""Energies as sums of squares, minimised by optimistix' Gauss-Newton and Levenberg-Marquardt."""

from functools import cache

import jax
import jax.numpy as jnp
import lineax
import numpy as np
import optimistix
import pytest

import variflow
from variflow.datasets import synthetic
from variflow.energy import (
    L1,
    BrightnessConstancy,
    CensusConstancy,
    Charbonnier,
    DataTerm,
    FlowTerm,
    GradientConstancy,
    Huber,
    ImageEdges,
    Lorentzian,
    Magnitude,
    Smoothness,
    TotalGeneralisedVariation,
)
from variflow.solve.least_squares import find_squares
from variflow.solve.newton import TruncatedNewton

PAIR = synthetic.translation((12, 12), shift=(0.5, -0.25))


class Bending(FlowTerm):
    def residuals(self, flow, at):
        return [plane[1:-1, 2:] - 2 * plane[1:-1, 1:-1] + plane[1:-1, :-2] for plane in flow]


class Own(DataTerm):
    def residuals(self, d, at):
        return [at.Ix[c] * d[0] + at.Iy[c] * d[1] + at.It[c] for c in range(len(at.Ix))]


ROBUST = Own(Charbonnier(0.05)) + 0.1 * Bending(Lorentzian(0.1)) + 0.05 * Smoothness(Charbonnier(0.05))


@cache
def linearise():
    """Return a linearisation around a flow that is not smooth."""
    *_, state = variflow.iterate(PAIR.frame0, PAIR.frame1, variflow.Model(ROBUST, warps=2))
    return state.at.plain()


@pytest.mark.parametrize(
    "energy",
    [
        pytest.param(
            BrightnessConstancy(normalisation=0.02) + 2 * GradientConstancy(Huber(0.02)), marks=pytest.mark.slow
        ),
        3 * (CensusConstancy(Charbonnier(0.1)) + 0.5 * Own(L1())),
        Smoothness(Charbonnier(0.02), edges=ImageEdges(5.0)) + Smoothness(Huber(0.1), per="pixel", of="increment"),
        Smoothness(Lorentzian(0.1), per="pixel", edges=ImageEdges(5.0)) + Magnitude(Huber(0.1), of="flow"),
        Bending() + 2 * Bending(Charbonnier(0.01), per="residual") + Magnitude(),
    ],
)
def test_the_squares_add_up_to_the_energy_and_have_its_slope(energy):
    at = linearise()
    random = np.random.default_rng(0).normal(0, 0.3, (2, 12, 12)).astype(np.float32)
    for d in (random, 1e-7 * random):
        value, slope = jax.value_and_grad(lambda d: energy((d[0], d[1]), at))(d)
        squares, slope_of_squares = jax.value_and_grad(
            lambda d: sum((plane**2).sum() for plane in find_squares(energy, (d[0], d[1]), at))
        )(d)
        np.testing.assert_allclose(squares, value, rtol=1e-4)
        np.testing.assert_allclose(slope_of_squares, slope, rtol=1e-3, atol=1e-3 * np.abs(slope).max())


@pytest.mark.slow
@pytest.mark.parametrize("solver", [optimistix.LevenbergMarquardt, optimistix.GaussNewton, optimistix.Dogleg])
def test_the_minimum_is_that_of_newtons_method(solver):
    energy = BrightnessConstancy(Charbonnier(0.05)) + 0.1 * Smoothness(Charbonnier(0.2))
    states = [
        next(variflow.iterate(PAIR.frame0, PAIR.frame1, variflow.Model(energy, solver=one, steps=60, warps=1)))
        for one in (TruncatedNewton(rtol=1e-4), solver(rtol=1e-5, atol=1e-5))
    ]
    newton, found = states
    assert np.abs(found.flow - newton.flow).max() < 2e-3
    assert found.energy.after <= newton.energy.after * 1.0001
    assert 0 < found.energy.steps.size < 60
    assert found.energy.steps[-1] == pytest.approx(found.energy.after, rel=1e-5)


@pytest.mark.slow
def test_a_quadratic_energy_is_minimised_in_a_step():
    solver = optimistix.GaussNewton(1e-3, 1e-3)
    model = variflow.Model(BrightnessConstancy() + 0.1 * Bending() + Magnitude(), solver=solver, steps=5, warps=1)
    state = next(variflow.iterate(PAIR.frame0, PAIR.frame1, model))
    assert state.energy.after < state.energy.before
    assert state.energy.steps.size <= 4
    np.testing.assert_allclose(state.energy.steps[-1], state.energy.after, rtol=1e-5)


def test_large_frames_are_refused_with_the_memory_unless_no_matrix_is_stored():
    frames = np.random.default_rng(0).random((2, 100, 120))
    with pytest.raises(
        MemoryError, match=r"LevenbergMarquardt would need .* GiB for frames of 100 x 120: it stores a de"
    ):
        variflow.iterate(*frames, variflow.Model(ROBUST, solver=optimistix.LevenbergMarquardt(1e-3, 1e-3)))
    for solver in (lineax.LSMR(1e-3, 1e-3), lineax.Normal(lineax.CG(1e-3, 1e-3))):
        iterative = optimistix.GaussNewton(1e-3, 1e-3, linear_solver=solver)
        variflow.iterate(*frames, variflow.Model(ROBUST, solver=iterative))


@pytest.mark.parametrize(
    ("energy", "name"),
    [
        (lambda d, at: (d[0] ** 2 + d[1] ** 2).sum(), "<lambda>"),
        (BrightnessConstancy() + TotalGeneralisedVariation(), "TotalGeneralisedVariation"),
        (BrightnessConstancy() + (lambda d, at: jnp.abs(d[0]).sum()), "<lambda>"),
    ],
)
def test_what_is_no_sum_of_squares_is_refused(energy, name):
    model = variflow.Model(energy, solver=optimistix.GaussNewton(1e-3, 1e-3))
    with pytest.raises(TypeError, match=f"energy holds {name}, of which residuals are not known"):
        variflow.estimate(PAIR.frame0, PAIR.frame1, model)
