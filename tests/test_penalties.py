"""Every penalty: value, derivative and weight against finite differences and against one another."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variflow.energy import (
    L1,
    Charbonnier,
    GemanMcClure,
    GeneralisedCharbonnier,
    Huber,
    Lorentzian,
    Quadratic,
    Tukey,
    Welsch,
)

PENALTIES = [
    Quadratic(),
    Charbonnier(0.01),
    Charbonnier(0.5),
    GeneralisedCharbonnier(0.45, 0.01),
    GeneralisedCharbonnier(0.7, 0.3),
    Huber(0.2),
    Lorentzian(0.3),
    L1(),
    Welsch(0.4),
    GemanMcClure(0.3),
    Tukey(1.3),
]
SAMPLES = np.array([-3.0, -0.7, -0.21, -0.19, -0.05, 0.003, 0.1, 0.5, 2.0, 10.0])


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_derivative_is_the_slope_of_the_value(penalty):
    step = 1e-6
    slope = (penalty.value(SAMPLES + step) - penalty.value(SAMPLES - step)) / (2 * step)
    np.testing.assert_allclose(penalty.derivative(SAMPLES), slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_derivative_agrees_with_jax(penalty):
    automatic = jax.vmap(jax.grad(penalty.value))(jnp.asarray(SAMPLES, jnp.float32))
    np.testing.assert_allclose(automatic, penalty.derivative(SAMPLES), rtol=2e-5, atol=1e-6)
    assert float(jax.grad(penalty.value)(jnp.float32(0.0))) == 0.0


@pytest.mark.parametrize("penalty", [penalty for penalty in PENALTIES if vars(penalty)], ids=str)
def test_jax_differentiates_by_a_constant_at_residuals_of_numpy(penalty):
    squared = SAMPLES.astype(np.float32) ** 2
    for name, constant in vars(penalty).items():

        def energy(constant, squared, name=name):
            return replace(penalty, **{name: constant}).of_squared(squared).sum()

        slope, wanted = (jax.grad(energy)(constant, residuals) for residuals in (squared, jnp.asarray(squared)))
        assert float(slope) == pytest.approx(float(wanted))


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@given(s=st.floats(-100, 100).filter(lambda s: abs(s) > 1e-3))
def test_weight_is_derivative_over_residual(penalty, s):
    assert penalty.weight(s) * s == pytest.approx(float(penalty.derivative(s)), rel=1e-9)
    assert penalty.weight(s) > 0 or (isinstance(penalty, Welsch | Tukey) and abs(s) > 1 and penalty.weight(s) == 0)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@given(s=st.floats(0, 100), t=st.floats(0, 100))
def test_even_zero_at_zero_and_increasing(penalty, s, t):
    assert penalty.value(0.0) == 0.0
    assert penalty.value(-s) == penalty.value(s)
    smaller, larger = sorted((s, t))
    assert penalty.value(smaller) <= penalty.value(larger)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@given(s=st.floats(-20, 20), t=st.floats(-20, 20))
def test_weight_gives_a_quadratic_that_lies_above(penalty, s, t):
    """The reweighted quadratic at s touches the penalty there and never falls below it: why reweighting descends."""
    if isinstance(penalty, L1) and abs(s) < penalty.smallest:
        return
    bound = penalty.value(s) + 0.5 * penalty.weight(s) * (t * t - s * s)
    assert bound >= penalty.value(t) - 1e-9 * (1 + abs(bound))


def test_penalties_meet_where_they_should():
    s = SAMPLES
    np.testing.assert_allclose(GeneralisedCharbonnier(0.5, 0.2).value(s), Charbonnier(0.2).value(s), rtol=1e-12)
    np.testing.assert_allclose(GeneralisedCharbonnier(1.0, 0.2).value(s), Quadratic().value(s), rtol=1e-12)
    np.testing.assert_allclose(Charbonnier(1e-9).value(s), L1().value(s), rtol=1e-6)
    np.testing.assert_allclose(Huber(1e-9).value(s), L1().value(s), rtol=1e-6)
    np.testing.assert_allclose(Huber(100.0).value(s) * 200, Quadratic().value(s), rtol=1e-12)
    np.testing.assert_allclose(Lorentzian(1e4).value(s) * 2e8, Quadratic().value(s), rtol=1e-6)
    for kind, curvature in ((Welsch, 0.5), (GemanMcClure, 1), (Tukey, 3)):
        np.testing.assert_allclose(kind(1e4).value(s) * 1e8 / curvature, Quadratic().value(s), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_float32_stays_float32_in_both_libraries(penalty):
    for array in (np.ones((2, 2), np.float32), jnp.ones((2, 2), jnp.float32)):
        for function in (penalty.value, penalty.derivative, penalty.weight):
            assert function(array).dtype == np.float32


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), "a"])
def test_constants_are_checked(bad):
    with pytest.raises(ValueError, match=r"epsilon of Charbonnier is .* wanted a number above 0"):
        Charbonnier(bad)
