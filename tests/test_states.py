"""What can be watched of an estimate: the linearisation of each warp, and the flow after each step."""

import pickle
from dataclasses import replace
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import variflow
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Smoothness
from variflow.filters import Median

PAIR = synthetic.translation((20, 24), shift=(1.0, 0.5))
FRAMES = [frame.mean(axis=2) for frame in (PAIR.frame0, PAIR.frame1)]
ENERGY = BrightnessConstancy() + 0.01 * Smoothness()
DESCENT = variflow.Model(ENERGY, solver=optax.sgd(0.5), steps=20, warps=2, coarsest=16)


@pytest.mark.parametrize("model", ["tv-l1", "balanced", "lucas-kanade", DESCENT])
def test_each_warp_shows_what_it_minimised_around(model):
    states = list(variflow.iterate(*FRAMES, model))
    for before, state in pairwise([states[0], *states]):
        at = state.at
        if state.level == before.level and state.warp:
            np.testing.assert_array_equal(np.stack(at.flow, axis=-1), before.flow)
        assert at.frame1.shape == at.It.shape == at.Ixx.shape == (1, *state.shape)
        np.testing.assert_allclose(at.It, (at.frame1 - at.frame0) * at.valid, atol=1e-6)
    last = states[-1].at
    warped = variflow.warp(last.second, last.flow)
    assert np.abs(last.frame1 - warped).mean() < 0.02 * np.abs(last.frame1).mean()


def test_what_a_warp_minimised_around_stays_and_is_a_copy():
    seen = [(state, state.at.It.copy()) for state in variflow.iterate(*FRAMES, DESCENT)]
    for state, difference in seen:
        np.testing.assert_array_equal(state.at.It, difference)
    flow = variflow.estimate(*FRAMES, DESCENT).flow

    def spoil(state):
        state.at.frame0[:] = state.at.second[:] = state.at.frame1[:] = 0
        state.at.flow[0][:] = 9

    np.testing.assert_array_equal(variflow.estimate(*FRAMES, DESCENT, callback=spoil).flow, flow)


def test_nothing_is_computed_of_it_unless_it_is_read():
    for state in variflow.iterate(*FRAMES, "horn-schunck"):
        assert "at" not in vars(state)


def test_the_linearisation_of_a_state_is_pickled_with_it():
    for model in ("horn-schunck", DESCENT):
        state = next(variflow.iterate(*FRAMES, model))
        again = pickle.loads(pickle.dumps(state))
        np.testing.assert_array_equal(again.at.Ix, state.at.Ix)


def test_the_flow_after_some_steps_is_that_of_gradient_descent():
    _, state, *_ = variflow.iterate(*FRAMES, DESCENT)
    at = state.at.plain()
    d = jnp.zeros((2, *state.shape))
    for _ in range(7):
        d -= 0.5 * jax.grad(lambda d: ENERGY((d[0], d[1]), at))(d)
    np.testing.assert_allclose(state.flow_after(7), np.moveaxis(np.stack(at.flow) + d, 0, 2), atol=1e-5)
    np.testing.assert_array_equal(state.flow_after(0), np.stack(at.flow, axis=-1))
    np.testing.assert_array_equal(state.flow_after(20), state.flow)


def test_the_flow_after_some_steps_is_not_filtered():
    _, state, *_ = variflow.iterate(*FRAMES, replace(DESCENT, filter=Median(3)))
    assert np.abs(state.flow_after(20) - state.flow).max() > 0
    np.testing.assert_array_equal(state.flow_after(20), np.stack(state.minimum.flow, axis=-1))


@pytest.mark.parametrize("solver", [optax.sgd(1e-5), pytest.param(None, marks=pytest.mark.slow)])
def test_the_flow_after_some_steps_is_made_of_the_unknowns(solver):
    model = replace(DESCENT, solver=solver, unknowns=variflow.unknowns.Affine(), warps=1)
    state = next(variflow.iterate(*FRAMES, model))
    taken = len(state.energy.steps)
    np.testing.assert_allclose(state.flow_after(taken), state.flow, atol=1e-6)
    assert (
        0 < np.abs(state.flow_after(taken - 1) - state.flow).mean() <= np.abs(state.flow_after(0) - state.flow).mean()
    )


@pytest.mark.slow
def test_the_flow_after_each_step_of_newtons_method_comes_closer():
    _, state, *_ = variflow.iterate(*FRAMES, variflow.Model(lambda d, at: ENERGY(d, at), warps=2, coarsest=16))
    taken = len(state.energy.steps)
    np.testing.assert_array_equal(state.flow_after(taken), state.flow)
    distances = [np.abs(state.flow_after(steps) - state.flow).mean() for steps in range(taken + 1)]
    assert distances == sorted(distances, reverse=True)


def test_steps_that_were_not_taken_are_refused():
    state = next(variflow.iterate(*FRAMES, DESCENT))
    for steps in (-1, 21, 3.0, None):
        with pytest.raises(ValueError, match=r"steps is .*, wanted a number of steps that were taken, from 0 to 20"):
            state.flow_after(steps)
    pickled = pickle.loads(pickle.dumps(state))
    for other in (next(variflow.iterate(*FRAMES, "tv-l1")), pickled):
        with pytest.raises(ValueError, match="knows no single steps"):
            other.flow_after(1)
