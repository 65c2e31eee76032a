"""Energies and solvers that cannot be right say so, before work where that can be seen; and what converged says so."""

from __future__ import annotations

import math
import types
import warnings
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix
import pytest

import variflow
from variflow import models
from variflow.datasets import synthetic
from variflow.energy import L1, BrightnessConstancy, Charbonnier, DataTerm, FlowTerm, Magnitude, Smoothness, Term
from variflow.solve.lucas_kanade import LucasKanade
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.solve.newton import TruncatedNewton
from variflow.solve.relaxation import Relaxation

PAIR = synthetic.translation((24, 32), shift=(0.8, -0.4), seed=2)  # one level


def data(d: Any, at: Any) -> Any:
    return (at.weights * (at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum()


def smooth(d: Any, at: Any) -> Any:
    planes = at.flow[0] + d[0], at.flow[1] + d[1]
    return sum(((p[1:] - p[:-1]) ** 2).sum() + ((p[:, 1:] - p[:, :-1]) ** 2).sum() for p in planes)


def good(d: Any, at: Any) -> Any:
    return data(d, at) + 0.01 * smooth(d, at)


def total_variation(d: Any, at: Any) -> Any:
    u = at.flow[0] + d[0]
    return jnp.sqrt((u[1:, 1:] - u[:-1, 1:]) ** 2 + (u[1:, 1:] - u[1:, :-1]) ** 2).sum()


def by_its_own_length(d: Any, at: Any) -> Any:
    return ((d[0] / jnp.sqrt(d[0] ** 2)) ** 2).sum()


def run(energy: Any, **settings: Any) -> Any:
    return variflow.estimate(PAIR.frame0, PAIR.frame1, variflow.Model(energy, **{"warps": 2, **settings}))


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        (lambda d, at: data(d, at) + total_variation(d, at), r"of energy for the zero increment .*sqrt\(x \+ 1"),
        (lambda d, at: data(d, at) + jnp.linalg.norm(d[0]), "is not finite at 768 of 1536 places"),
        (lambda d, at: data(d, at) + (d[0] ** 2 + d[1] ** 2).sum() ** 0.5, "is not finite at 1536 of 1536 places"),
        (lambda d, at: data(d, at) + (d[0] * jnp.log(d[0] ** 2)).sum(), "energy returned nan for the zero increment"),
        (lambda d, at: data(d, at) + jnp.arccos(1 + d[0] ** 2).sum(), "is not finite"),
        (lambda d, at: data(d, at) + jnp.inf, "energy returned inf for the zero increment"),
        (
            lambda d, at: (d[0] / jnp.hypot(*d)).sum(),
            r"energy returned nan for .* division by 0.*: write .*1 / \(x \+ 1",
        ),
        (BrightnessConstancy() + by_its_own_length, "energy by_its_own_length returned nan for the zero increment"),
        (lambda d, at: jnp.where(d[0] > 0, jnp.sqrt(d[0]), d[1]).sum(), "the branch that jnp.where does not take"),
        (lambda d, at: data(jnp.round(jnp.stack(d)), at), "gradient of energy is zero everywhere"),
        (lambda d, at: ((at.Ix * d[0] + at.It) > 0).sum() * 1.0, "gradient of energy is zero everywhere"),
        (lambda d, at: 1.0, "gradient of energy is zero everywhere"),
        (lambda d, at: ((at.frame1 - at.frame0) ** 2).sum(), r"zero everywhere.*variflow.warp\(at.second"),
        (lambda d, at: ((at.frame1 - at.frame0) ** 2).sum() + smooth(d, at), "does not see that the frames differ"),
        (Smoothness(), "energy Smoothness does not see that the frames differ.*BrightnessConstancy"),
        (Magnitude() + Smoothness(), r"energy Magnitude \+ Smoothness does not see"),
        (0 * BrightnessConstancy() + Smoothness(), "does not see that the frames differ"),
    ],
)
def test_an_energy_without_a_slope_is_refused_before_work(energy: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        variflow.iterate(PAIR.frame0, PAIR.frame1, energy)


@pytest.mark.parametrize(
    ("energy", "frames"),
    [
        (good, (PAIR.frame0, PAIR.frame0)),
        (data, (np.full((24, 32), 0.5), np.full((24, 32), 0.5))),
        (Smoothness(), (PAIR.frame0, PAIR.frame0)),
        (BrightnessConstancy(Charbonnier(0.01)) + 0.1 * Smoothness(), (np.ones((24, 32)), np.ones((24, 32)))),
    ],
)
def test_frames_that_show_no_motion_have_none(energy: Any, frames: Any) -> None:
    result = variflow.estimate(*frames, variflow.Model(energy, solver=optax.sgd(0.1), steps=3, warps=1))
    assert not result.flow.any()
    assert result.converged


@pytest.mark.parametrize(
    "energy",
    [
        data,
        lambda d, at: jnp.minimum((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2, 0.01).sum() + 0.01 * smooth(d, at),
        lambda d, at: -jnp.exp(-((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2) / 0.01).sum() + 0.01 * smooth(d, at),
        lambda d, at: good(d, at) - 1e-3 * jnp.log1p(d[0] ** 2).sum(),
        BrightnessConstancy() + 0.01 * Magnitude(),
    ],
)
def test_energies_that_are_unusual_pass(energy: Any) -> None:
    mask = np.ones((24, 32), bool)
    mask[:, :8] = False
    model = variflow.Model(energy, solver=optax.sgd(0.1), warps=1, steps=5)
    assert np.isfinite(variflow.estimate(PAIR.frame0, PAIR.frame1, model, mask=mask).flow).all()


def test_a_flow_alone_may_be_smoothed() -> None:
    """The energy does not look at the frames, but it has a slope where it starts."""
    ramp = np.random.default_rng(0).normal(size=(24, 32, 2))
    result = variflow.estimate(PAIR.frame0, PAIR.frame1, variflow.Model(Smoothness(), warps=1), init=ramp)
    assert np.ptp(result.flow) < 0.1 * np.ptp(ramp)


def test_an_energy_that_overflows_far_away_has_a_minimum() -> None:
    def largest(d: Any, at: Any) -> Any:
        return jax.nn.logsumexp(100 * jnp.stack([data(d, at), 0.01 * smooth(d, at)])) / 100

    assert "falls without end" not in run(largest, warps=3).reason


def test_an_increment_of_nearly_nothing_is_judged() -> None:
    """The 100 000 px at which the energy is evaluated, divided by its length, overflowed."""
    flow = run(good, solver=optax.sgd(1e-36), steps=1, warps=1).flow
    assert 0 < np.abs(flow).max() < 1e-33


@dataclass(frozen=True)
class Pinned(FlowTerm):
    to: Any = None

    def residuals(self, flow: Any, at: Any) -> Any:
        return [self.to * plane for plane in flow]


@dataclass(frozen=True)
class Scaled(DataTerm):
    by: Any = None

    def residuals(self, d: Any, at: Any) -> Any:
        return [self.by * (at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0])]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda held: BrightnessConstancy() + Smoothness() + 0.1 * Pinned(to=held),
            "Pinned .*: to of Pinned holds NaN",
        ),
        (lambda held: Scaled(by=held) + Smoothness(), "Scaled .*: by of Scaled holds NaN or infinity; put 0"),
    ],
)
def test_unknown_values_that_a_term_holds_are_named(make: Any, message: str) -> None:
    held = np.ones((24, 32))
    held[3, 4] = np.nan
    with pytest.raises(ValueError, match=message):
        run(make(held))


def test_terms_of_a_sum_inside_a_sum_are_named() -> None:
    class OfNumpy(Term):
        def __call__(self, d: Any, at: Any) -> Any:
            return np.sqrt(1 + d[0] ** 2).sum()

    with pytest.raises(TypeError, match=r"energy BrightnessConstancy \+ OfNumpy computes with numpy"):
        run(BrightnessConstancy() + 0.1 * OfNumpy())


@pytest.mark.parametrize(
    ("energy", "solver", "message"),
    [
        (
            lambda d, at: -good(d, at),
            None,
            "energy falls without end: it has no minimum. Is it, or a part of it, negated",
        ),
        (lambda d, at: -d[0].sum(), None, "energy falls without end"),
        (lambda d, at: data(d, at) - smooth(d, at), None, "negated"),
        (lambda d, at: -good(d, at), optax.sgd(0.1), "energy falls without end"),
        (good, optax.sgd(100.0), "diverged .*: lower the learning rate of the optimiser of optax"),
        (good, optimistix.GradientDescent(1e3, rtol=1e-4, atol=1e-4), "lower the learning rate of GradientDescent"),
        (lambda d, at: jnp.sqrt(1 + d[0] ** 2).sum() + good(d, at), optax.sgd(30.0), "lower the learning rate"),
        (
            lambda d, at: jnp.exp(-2 - d[0]).sum(),
            optax.sgd(300.0),
            r"half of the pixels moved by more than \d\d pixels",
        ),
    ],
)
def test_what_diverges_warns_and_moves_nothing_far(energy: Any, solver: Any, message: str) -> None:
    with pytest.warns(variflow.VariflowWarning, match=message):
        result = run(energy, solver=solver, steps=30)
    assert not result.converged
    assert np.abs(result.flow).max() < 2


def test_increments_that_raise_the_energy_are_dropped() -> None:
    def wells(d: Any, at: Any) -> Any:
        return (10 - 10 * jnp.cos(3 * (d[0] - 0.05))).sum() + good(d, at)

    with pytest.warns(variflow.VariflowWarning, match="rose in 2 of 2 solves, whose increments were dropped"):
        result = run(wells, solver=optax.sgd(1.0), steps=7)
    assert not result.flow.any()
    assert not result.converged
    assert "the energy rose in 2 of 2 solves" in result.reason


@pytest.mark.parametrize("solver", [None, optax.adam(0.05)], ids=["Newton", "adam"])
def test_a_gradient_that_ends_later_ends_the_estimate_there(solver: Any) -> None:
    def later(d: Any, at: Any) -> Any:
        far = jnp.abs(at.flow[0]).max() > 0.3
        return good(d, at) + jax.lax.cond(far, lambda: jnp.sqrt(d[0] ** 2).sum(), lambda: 0.0)

    with pytest.warns(variflow.VariflowWarning, match=r"gradient of the energy is not finite .*level 0, warp 1"):
        result = run(later, solver=solver, warps=3)
    assert "gradient of the energy is not finite" in result.reason
    assert len(result.energies) == 2
    assert not result.converged
    assert np.isfinite(result.flow).all()
    assert result.flow[..., 0].max() > 0.3


@dataclass(frozen=True)
class Broken(NativeSolver):
    """A solver of one's own that returns NaN at its second call."""

    def check(self, energy: Any, at: Any) -> None: ...

    def minimise(self, energy: Any, at: Any, state: Any = None) -> Minimum:
        u = at.flow[0] + np.float32(1 if state is None else math.nan)
        return Minimum(at.flow, (u, at.flow[1]), lambda: (0.0, 0.0), state=True)


def test_a_solver_of_ones_own_that_returns_nan_is_stopped() -> None:
    with pytest.warns(variflow.VariflowWarning, match="stopped because Broken returned a flow that is not finite"):
        result = run(good, solver=Broken())
    np.testing.assert_array_equal(result.flow[..., 0], 1)
    assert not result.converged


def test_converged_says_whether_the_last_warp_hardly_moved_anything() -> None:
    frames = synthetic.translation((48, 64), shift=(1.3, -0.6), seed=2)

    def estimate(model: Any, **arguments: Any) -> Any:
        return variflow.estimate(frames.frame0, frames.frame1, model, **arguments)

    with warnings.catch_warnings():
        warnings.simplefilter("error", variflow.VariflowWarning)
        assert estimate("brox").converged
        assert estimate("tv-l1").converged
        assert not estimate(replace(models.brox(), warps=1, coarsest=40)).converged
        assert not estimate("brox", callback=lambda state: state.level == 0 and state.warp == 4).converged
        assert estimate("brox", callback=lambda state: False).converged


@pytest.mark.parametrize(
    ("solver", "steps", "converged"),
    [
        (None, 100, True),
        (optax.adam(0.05), 300, True),
        (optax.sgd(1e-9), 20, False),
        (optax.sgd(0.0), 2, False),
        (None, 1, True),
        (TruncatedNewton(rtol=0.03), 1, False),
        (optax.sgd(0.05), 20, False),
        (optimistix.NonlinearCG(rtol=1e-3, atol=1e-3), 100, False),
    ],
)
def test_converged_is_honest_for_general_solvers(solver: Any, steps: int, converged: bool) -> None:
    pair = synthetic.translation((48, 64), shift=(0.8, -0.4), seed=2)
    model = variflow.Model(good, solver=solver, steps=steps, warps=3, coarsest=48)
    result = variflow.estimate(pair.frame0, pair.frame1, model)
    assert result.converged is converged, result.reason


@pytest.mark.parametrize("solver", [optax.sgd(1e-9), optax.sgd(1e-6), optax.sgd(1e-4), optax.adam(1e-6)])
@pytest.mark.parametrize("penalty", [L1(), Charbonnier()])
def test_an_optimiser_that_did_nothing_has_not_converged(solver: Any, penalty: Any) -> None:
    """Moved on along so small an increment, the energy rises, because neighbours move apart."""
    pair = synthetic.translation((48, 64), shift=(2.3, -1.2), seed=2)
    energy = BrightnessConstancy(penalty) + (1.0 if isinstance(penalty, L1) else 0.2) * Smoothness(penalty)
    result = variflow.estimate(pair.frame0, pair.frame1, variflow.Model(energy, solver=solver, steps=20))
    assert np.abs(result.flow).max() < 0.01
    assert not result.converged


def test_an_optimiser_that_came_to_rest_has_converged() -> None:
    pair = synthetic.translation((48, 64), shift=(2.3, -1.2), seed=2)
    energy = BrightnessConstancy(Charbonnier()) + 0.2 * Smoothness(Charbonnier())
    model = variflow.Model(energy, solver=optax.adam(0.002), steps=1000)
    result = variflow.estimate(pair.frame0, pair.frame1, model)
    np.testing.assert_allclose(result.flow[8:-8, 8:-8].mean(axis=(0, 1)), (2.3, -1.2), atol=0.02)
    assert result.converged


def test_an_energy_that_stalls_at_a_kink_has_not_converged() -> None:
    def energy(d: Any, at: Any) -> Any:
        u, v = at.flow[0] + d[0], at.flow[1] + d[1]
        data = ((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum()
        roughness = sum((jnp.diff(plane, axis=axis) ** 2).sum() for plane in (u, v) for axis in (0, 1))
        return jnp.maximum(data, 5 * roughness)

    pair = synthetic.translation((48, 64), shift=(1.5, -0.7))
    result = variflow.estimate(pair.frame0, pair.frame1, energy)
    assert "used all their steps" in result.reason
    assert not result.converged


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (optimistix.NelderMead(1e-3, 1e-3), "NelderMead, which keeps a point more than there are unknowns: .*LBFGS"),
        (optimistix.Newton(1e-3, 1e-3), "Newton, which solves for roots or fixed points.*LBFGS"),
        (optimistix.FixedPointIteration(1e-3, 1e-3), "FixedPointIteration, which solves for roots or fixed points"),
        (optimistix.LBFGS, r"the class LBFGS, wanted one of its objects: LBFGS\(...\)"),
        (optax.sgd, "the function sgd, wanted what an optimiser's function returns, or a minimiser of optimistix"),
        ("L-BFGS-B", "a str, wanted a minimiser of optimistix"),
        (
            "newton",
            r"a str, wanted .* of optax \(sgd\(...\), .* or a solver of variflow.solve \(.*newton.TruncatedNewton\)",
        ),
        ({"method": "BFGS"}, "a dict, wanted a minimiser of optimistix"),
    ],
)
def test_a_solver_that_cannot_minimise_an_energy_says_what_to_use(solver: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^solver is {message}|^solver is a {message}"):
        variflow.Model(good, solver=solver)


def with_numpy(d: Any, at: Any) -> Any:
    return np.abs(d[0]).sum()


def with_if(d: Any, at: Any) -> Any:
    if d[0].sum() > 0:
        return data(d, at)
    return smooth(d, at)


def with_assignment(d: Any, at: Any) -> Any:
    residual = at.Ix[0] * d[0] + at.It[0]
    residual[0] = 0
    return residual.sum()


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        (
            with_numpy,
            r"energy with_numpy computes with numpy.* jax.numpy in an energy \(test_checks.py, line \d+: ",
        ),
        (lambda d, at: np.linalg.norm(d[0]), "energy computes with numpy: use jax.numpy"),
        (with_if, r"energy with_if asks whether values are true, as if, .* use jnp.where.*: if d\[0\].sum"),
        (lambda d, at: max(d[0].sum(), 0.0), "asks whether values are true, as if, .*max do"),
        (lambda d, at: d[0][d[0] > 0].sum(), r"takes the elements where a mask is true: use jnp.where\(mask"),
        (lambda d, at: float(data(d, at)), "makes a number of Python of a value, as float"),
        (lambda d, at: math.sqrt(data(d, at)), "makes a number of Python of a value, as float"),
        (with_assignment, r"assigns to a part of an array, which JAX cannot: use array.at\[index\].set"),
        (lambda d, at: [1.0, 2.0][data(d, at).astype(int)], "uses a value as an index"),
        (lambda d, at: float(f"{data(d, at):.3f}"), "writes a value as text, .*: use jax.debug.print"),
        (BrightnessConstancy() + with_numpy, r"energy BrightnessConstancy \+ with_numpy computes with numpy"),
    ],
)
def test_what_jax_cannot_trace_is_said_in_a_sentence(energy: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        variflow.iterate(PAIR.frame0, PAIR.frame1, energy)
    assert caught.value.__cause__ is not None


def test_a_missing_return_is_named() -> None:
    with pytest.raises(TypeError, match=r"energy returned None, wanted .*; does it lack a return"):
        variflow.iterate(PAIR.frame0, PAIR.frame1, lambda d, at: None)


def test_a_value_kept_from_another_call_is_said_in_a_sentence() -> None:
    kept: list[Any] = []

    def energy(d: Any, at: Any) -> Any:
        kept.append(data(d, at))
        return kept[0] + data(d, at)

    with pytest.raises(TypeError, match="energy uses a value that was kept from another call of it"):
        variflow.iterate(PAIR.frame0, PAIR.frame1, energy)


def test_rates_of_optax_may_follow_a_schedule() -> None:
    rate = optax.exponential_decay(0.5, transition_steps=10, decay_rate=0.5)
    assert run(good, solver=optax.sgd(rate), steps=10, warps=1).flow.any()


def test_exceptions_of_an_energy_pass_with_a_note() -> None:
    def broken(d: Any, at: Any) -> Any:
        raise KeyError("prior")

    with pytest.raises(KeyError, match="prior") as caught:
        variflow.iterate(PAIR.frame0, PAIR.frame1, broken)
    assert any("while JAX traced energy broken for frames of 24 x 32" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda d: 0.0, r"energy takes \(d\), wanted a function energy\(d, at\) -> scalar"),
        (lambda: 0.0, r"energy takes \(\), wanted"),
        (lambda u, v, at: 0.0, r"energy takes \(u, v, at\), wanted"),
    ],
)
def test_the_arguments_of_an_energy_are_checked(function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        variflow.Model(function)
    with pytest.raises(TypeError, match=r"filter takes \(flow\), wanted a function filter\(flow, at\) -> flow"):
        variflow.Model(good, filter=lambda flow: flow)  # type: ignore[misc]


def residual(d: Any, at: Any) -> Any:
    return at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0]


@dataclass(frozen=True)
class Own(DataTerm):
    """A data term whose residuals a function makes."""

    made: Any = residual

    def residuals(self, d: Any, at: Any) -> Any:
        return self.made(d, at)


@pytest.mark.parametrize("solver", [Relaxation(5), optax.sgd(0.1)], ids=["native", "general"])
@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (residual, TypeError, r"residuals of Own returned an array of shape .*, wanted a list of planes \(H, W\)"),
        (lambda d, at: at.Ix * d[0] + at.It, TypeError, "residuals of Own returned an array of shape"),
        (lambda d, at: (residual(d, at) for _ in range(1)), TypeError, "residuals of Own returned a generator"),
        (lambda d, at: 1.0, TypeError, "residuals of Own returned a float"),
        (lambda d, at: None, TypeError, "residuals of Own returned None"),
        (lambda d, at: [], ValueError, "residuals of Own returned an empty list"),
        (lambda d, at: [residual(d, at)[1:]], ValueError, "Own returned a plane of shape .* one a channel"),
        (lambda d, at: [at.Ix * d[0]], ValueError, r"Own returned a plane of shape \(3, "),
        (lambda d, at: [np.abs(residual(d, at))], TypeError, "energy Own.* computes with numpy: use jax.numpy"),
        (lambda d, at: [d[0]] if d[0].sum() > 0 else [d[1]], TypeError, "asks whether values are true"),
        (lambda d, at: [at.Ixz], AttributeError, "at has no 'Ixz'"),
    ],
)
def test_residuals_are_planes_in_a_list(made: Any, error: type[Exception], message: str, solver: Any) -> None:
    with pytest.raises(error, match=message):
        run(Own(made=made) + Smoothness(), solver=solver)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda d, at: [jnp.sqrt(residual(d, at) ** 2)], r"derivatives of the residuals of Own are not finite at \d+ "),
        (lambda d, at: [jnp.log(residual(d, at))], r"the residuals of Own are not finite at .*sqrt\(x \+ 1e-6\)"),
        (lambda d, at: [residual(d, at) / at.It[0]], "the residuals of Own are not finite"),
        (lambda d, at: [jnp.round(residual(d, at))], "the residuals of Own do not depend on d. Do they round"),
        (lambda d, at: [at.frame1[0] - at.frame0[0]], "the residuals of Own do not depend on d.*variflow.warp"),
    ],
)
@pytest.mark.parametrize("solver", [Relaxation(5), LucasKanade()], ids=["Relaxation", "LucasKanade"])
def test_residuals_without_a_slope_are_refused_by_native_solvers(made: Any, message: str, solver: Any) -> None:
    smoothness = 0 if isinstance(solver, LucasKanade) else Smoothness()
    energy = Own(made=made) + smoothness if smoothness else Own(made=made)
    with pytest.raises(ValueError, match=message):
        run(energy, solver=solver)


def test_linear_residuals_that_are_not_finite_are_refused() -> None:
    @dataclass(frozen=True)
    class Ratio(DataTerm):
        def linearised(self, at: Any) -> Any:
            with np.errstate(all="ignore"):
                return [(at.Ix[0] / at.It[0], at.Iy[0], at.It[0])]

    with pytest.raises(ValueError, match="derivatives of the residuals of Ratio are not finite"):
        run(Ratio() + Smoothness(), solver=Relaxation(5))


@dataclass(frozen=True)
class DifferenceOfChannels(DataTerm):
    def residuals(self, d: Any, at: Any) -> Any:
        return [residual(d, at) - (at.Ix[1] * d[0] + at.Iy[1] * d[1] + at.It[1])]


def test_residuals_that_see_nothing_in_the_frames_are_refused() -> None:
    @dataclass(frozen=True)
    class Still(BrightnessConstancy):
        def linearised(self, at: Any) -> Any:
            return [(0 * jx, 0 * jy, r) for jx, jy, r in super().linearised(at)]

    with pytest.raises(ValueError, match="no residual of Still depends on d in these frames"):
        run(Still() + Smoothness(), solver=Relaxation(5))
    gray = [np.repeat(frame[..., :1], 3, axis=2) for frame in (PAIR.frame0, PAIR.frame1)]
    own = variflow.Model(DifferenceOfChannels() + Smoothness(), solver=Relaxation(5), warps=1)
    with pytest.raises(ValueError, match="no residual of DifferenceOfChannels depends on d"):
        variflow.estimate(*gray, own)
    both = variflow.Model(DifferenceOfChannels() + BrightnessConstancy() + Smoothness(), solver=Relaxation(5), warps=1)
    assert variflow.estimate(*gray, both).flow.any()
    still = np.full((24, 32, 3), 0.5)
    assert not variflow.estimate(still, still, own).flow.any()


def test_the_term_whose_gradient_is_not_finite_is_named() -> None:
    root = Own(made=lambda d, at: [jnp.sqrt(residual(d, at) ** 2)])
    with pytest.raises(ValueError, match="the derivatives of the residuals of Own are not finite"):
        run(BrightnessConstancy() + root + Smoothness())


def test_a_missing_part_of_the_linearisation_names_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"at has no 'Ixz', wanted one of .*'Ix', .*; did you mean 'Ix"):
        variflow.iterate(PAIR.frame0, PAIR.frame1, lambda d, at: at.Ixz.sum())


def test_derivatives_through_an_energy_that_holds_a_traced_number_are_refused() -> None:
    def end(weight: Any) -> Any:
        return variflow.estimate(PAIR.frame0, PAIR.frame1, lambda d, at: weight * good(d, at)).flow.sum()

    def end_of_object(weight: Any) -> Any:
        holder = types.SimpleNamespace(weight=weight)
        method = types.MethodType(lambda held, d, at: held["weight"] * good(d, at), vars(holder))
        return variflow.estimate(PAIR.frame0, PAIR.frame1, method).flow.sum()

    class Weighted:
        def __init__(self, weight: Any) -> None:
            self.weight = weight

        def __call__(self, d: Any, at: Any) -> Any:
            return self.weight * good(d, at)

    def end_of_weighted(weight: Any) -> Any:
        return variflow.estimate(PAIR.frame0, PAIR.frame1, Weighted(weight)).flow.sum()

    for trace in (jax.grad, jax.jit):
        for function in (end, end_of_object, end_of_weighted):
            with pytest.raises(TypeError, match="cannot be traced by JAX"):
                trace(function)(0.1)


@pytest.mark.parametrize("weight", [0.05, 1.0])
def test_total_variation_moves_away_from_a_flow_of_zeros(weight: float) -> None:
    """All differences of a flow of zeros are at the kink of the absolute value, where none may move alone."""
    pair = synthetic.translation((48, 56), shift=(1.0, 0.5), seed=1)

    def energy(d: Any, at: Any) -> Any:
        data = jnp.abs(at.Ix * d[0] + at.Iy * d[1] + at.It).sum()
        planes = [at.flow[0] + d[0], at.flow[1] + d[1]]
        return data + weight * sum(jnp.abs(jnp.diff(plane, axis=axis)).sum() for plane in planes for axis in (0, 1))

    flow = variflow.estimate(pair.frame0, pair.frame1, energy).flow
    np.testing.assert_allclose(flow[8:-8, 8:-8].mean(axis=(0, 1)), (1.0, 0.5), atol=0.02)


def test_what_a_shift_of_the_whole_flow_would_lower_has_not_converged() -> None:
    """L1 has no derivative at 0, so the step sees no smoothness there and each pixel stays where it is."""
    pair = synthetic.translation((48, 56), shift=(1.0, 0.5), seed=1)
    terms = BrightnessConstancy(L1()) + 1.0 * Smoothness(L1())
    result = variflow.estimate(pair.frame0, pair.frame1, lambda d, at: terms(d, at))
    assert not result.flow.any()
    assert not result.converged
