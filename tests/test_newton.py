"""The general minimiser: what it finds does not depend on the unit of the energy, and the energy never rises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

import variflow
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Lorentzian, Smoothness
from variflow.energy.autodiff.curvature import with_safe_curvature
from variflow.solve import multilevel
from variflow.solve.newton import TruncatedNewton

PAIR = synthetic.translation((32, 40), shift=(1.1, -0.6), seed=2)


def robust(d: Any, at: Any) -> Any:
    u, v = d
    residual = at.Ix * u + at.Iy * v + at.It
    data = (at.weights * jnp.log1p(residual**2 / (2 * 0.03**2))).sum()
    u, v = at.flow[0] + u, at.flow[1] + v
    divergence = jnp.diff(u, axis=1)[1:] + jnp.diff(v, axis=0)[:, 1:]
    roughness = (jnp.diff(u, axis=0) ** 2).sum() + (jnp.diff(v, axis=1) ** 2).sum()
    return data + 20.0 * (divergence**2).sum() + 5.0 * roughness


def mean_energy(d: Any, at: Any) -> Any:
    residual = at.Ix * d[0] + at.Iy * d[1] + at.It
    smooth = [jnp.mean(jnp.diff(at.flow[k] + d[k], axis=axis) ** 2) for k in (0, 1) for axis in (0, 1)]
    return jnp.mean(jnp.sqrt(residual**2 + 1e-4)) + 0.05 * sum(smooth)


def run(energy: Any, frames: Any = PAIR, **settings: Any) -> Any:
    return variflow.estimate(frames.frame0, frames.frame1, variflow.Model(energy, **{"coarsest": 32, **settings}))


@pytest.mark.parametrize(
    "energy", [pytest.param(robust, marks=pytest.mark.slow), pytest.param(mean_energy, marks=pytest.mark.slow)]
)
def test_the_flow_does_not_depend_on_the_unit_of_the_energy(energy: Any) -> None:
    flow = run(energy).flow
    assert np.abs(flow - PAIR.flow)[6:-6, 6:-6].mean() < 0.1
    for factor in (1e-6, 1e6):
        other = run(lambda d, at, factor=factor: factor * energy(d, at)).flow
        assert np.abs(other - flow).max() < 0.01


def squares(d: Any, at: Any) -> Any:
    data = (at.weights * (at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum()
    roughness = [(jnp.diff(at.flow[k] + d[k], axis=axis) ** 2).sum() for k in (0, 1) for axis in (0, 1)]
    return data + 0.05 * sum(roughness)


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [2, 8])
def test_a_power_of_an_energy_has_its_minimum(exponent: int) -> None:
    """Every step promises little beside the first, and the preconditioner of the first warp is far too small."""
    flow = run(squares).flow
    assert np.abs(run(lambda d, at: squares(d, at) ** exponent).flow - flow).mean() < 0.01


def test_it_goes_as_low_as_other_minimisers_and_never_up() -> None:
    ours = run(robust, solver=TruncatedNewton(1e-3), warps=1).energies[0]
    theirs = run(robust, solver=optimistix.LBFGS(1e-6, 1e-6), steps=400, warps=1).energies[0]
    assert ours.after <= theirs.after * (1 + 1e-4)
    assert len(ours.steps) < 40
    steps = np.concatenate([[ours.before], ours.steps])
    assert (np.diff(steps) <= 1e-5 * abs(steps[:-1])).all()


def test_steps_and_tolerances_are_reported() -> None:
    short = run(robust, steps=1, solver=TruncatedNewton(1e-4), warps=1)
    assert "1 of 1 solves used all their steps" in short.reason
    assert len(short.energies[0].steps) == 1
    assert run(robust, warps=1).reason == "finished every warp"
    with pytest.raises(ValueError, match="rtol is 0, wanted"):
        TruncatedNewton(0)


def softened(d: Any, at: Any) -> Any:
    """A penalty without curvature far out, of which nothing concave can be left out: full steps go much too far."""
    residual = (at.Ix * d[0] + at.Iy * d[1] + at.It) / 0.01
    smooth = [(jnp.diff(at.flow[k] + d[k], axis=axis) ** 2).sum() for k in (0, 1) for axis in (0, 1)]
    return (at.weights * 0.01 * jnp.logaddexp(residual, -residual)).sum() + 0.02 * sum(smooth)


def test_damped_steps_that_move_little_are_no_end() -> None:
    close, found = (run(softened, solver=TruncatedNewton(rtol), warps=1).energies[0] for rtol in (1e-3, 0.3))
    assert found.after <= close.after + 0.01 * (close.before - close.after)


def absolute(d: Any, at: Any) -> Any:
    smooth = [jnp.abs(jnp.diff(at.flow[k] + d[k], axis=axis)).sum() for k in (0, 1) for axis in (0, 1)]
    return (at.weights * jnp.abs(at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0])).sum() + 0.02 * sum(smooth)


def quotient(d: Any, at: Any) -> Any:
    squared = ((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum(axis=0)
    return (at.weights * squared / (squared + 0.01)).sum() + 0.5 * Smoothness()(d, at)


def truncated(d: Any, at: Any) -> Any:
    squared = (at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0]) ** 2
    return jnp.minimum(squared, 0.02).sum() + 0.01 * Smoothness()(d, at)


def warped(d: Any, at: Any) -> Any:
    u, v = at.flow[0] + d[0], at.flow[1] + d[1]
    difference = (variflow.warp(at.second, (u, v)) - at.frame0) * at.valid
    return (difference**2).sum() + 0.01 * Smoothness()(d, at)


def bent(d: Any, at: Any) -> Any:
    second = [jnp.diff(at.flow[k] + d[k], n=2, axis=axis) for k in (0, 1) for axis in (0, 1)]
    data = (at.weights * (at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum()
    return data + 0.1 * sum((plane**2).sum() for plane in second)


@pytest.mark.slow
@pytest.mark.parametrize("energy", [absolute, quotient, truncated, warped, bent])
def test_energies_of_every_kind_find_the_flow(energy: Any) -> None:
    """Kinks, ratios, parts that are flat, without linearisation, and of second order."""
    flow = run(energy).flow
    assert np.abs(flow - PAIR.flow)[6:-6, 6:-6].mean() < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 17), (33, 5)])
def test_frames_of_any_size(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((2, *shape))
    energy = BrightnessConstancy(Lorentzian(0.1)) + Smoothness()
    result = variflow.estimate(first, second, variflow.Model(energy, solver=TruncatedNewton()))
    assert np.isfinite(result.flow).all()


def test_the_flow_along_stripes_hardly_moves() -> None:
    """Without damping, the tiny slope along the stripes that the solve makes itself leads 15.6 px away."""
    y, x = np.mgrid[:48, :64].astype(float)
    first, second = (np.sin((x - shift) * np.pi / 4) + 0 * y for shift in (0, 1))
    u, v = np.moveaxis(variflow.estimate(first, second, variflow.Model(robust, coarsest=16)).flow, 2, 0)
    assert abs(np.median(u) - 1) < 0.01
    assert np.abs(v).max() < 3


def test_pixels_that_are_missing_follow_their_surroundings() -> None:
    holed = PAIR.frame0.astype(float)
    holed[10:18, 14:22] = np.nan
    flow = run(robust, replace(PAIR, frame0=holed)).flow
    assert np.abs(flow - PAIR.flow)[10:18, 14:22].max() < 0.3


def test_an_energy_that_cannot_be_differentiated_twice_is_left_to_another() -> None:
    @jax.custom_vjp
    def square(x: Any) -> Any:
        return x**2

    def pull_back(x: Any, weight: Any) -> Any:
        slope = jax.pure_callback(lambda x: 2 * np.asarray(x), jax.ShapeDtypeStruct(x.shape, x.dtype), x)
        return (weight * slope,)

    square.defvjp(lambda x: (x**2, x), pull_back)

    def energy(d: Any, at: Any) -> Any:
        return square(at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0]).sum() + 0.01 * Smoothness()(d, at)

    result = run(energy, warps=1, steps=20)
    assert "L-BFGS minimised the energy, which JAX cannot differentiate twice (" in result.reason
    assert np.abs(result.flow - PAIR.flow)[6:-6, 6:-6].mean() < 0.4


def test_an_energy_with_a_gradient_of_its_own_is_left_to_another() -> None:
    @jax.custom_vjp
    def root(x: Any) -> Any:
        return jnp.sqrt(x + 1e-6)

    root.defvjp(lambda x: (root(x), root(x)), lambda kept, weight: (weight / (2 * kept),))

    def energy(d: Any, at: Any) -> Any:
        return root((at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0]) ** 2).sum() + 0.01 * Smoothness()(d, at)

    assert "JAX cannot differentiate twice (a function under jax.custom_vjp)" in run(energy, warps=1, steps=5).reason


def test_a_changed_number_is_not_compiled_anew() -> None:
    traces = []

    def counted(d: Any, at: Any) -> Any:
        traces.append(1)
        return 0.0 * d[0].sum()

    def model(scale: float, rtol: float) -> Any:
        energy = BrightnessConstancy(Lorentzian(scale)) + Smoothness(weight=scale) + counted
        return variflow.Model(energy, solver=TruncatedNewton(rtol), warps=1, coarsest=32)

    variflow.estimate(PAIR.frame0, PAIR.frame1, model(0.03, 0.1))
    before = len(traces)
    variflow.estimate(PAIR.frame0, PAIR.frame1, model(0.05, 0.2))
    # What is checked before work is traced each time, without compiling it.
    assert len(traces) - before < before / 2


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.log1p(x**2).sum(),
        lambda x: -jnp.exp(-(x**2)).sum(),
        lambda x: (x**2 / (x**2 + 0.1)).sum(),
        lambda x: ((x**2 + 0.01) ** 0.4).sum(),
    ],
)
def test_curvature_is_never_negative_where_functions_are_concave(function: Any) -> None:
    x = jnp.linspace(-3, 3, 31)
    safe = with_safe_curvature(function)
    np.testing.assert_allclose(safe(x), function(x), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(safe)(x), jax.grad(function)(x), rtol=1e-5, atol=1e-6)
    safe_curvature, curvature = (jnp.diag(jax.jacfwd(jax.grad(f))(x)) for f in (safe, function))
    assert curvature.min() < 0
    assert safe_curvature.min() > -1e-5
    assert (safe_curvature >= curvature - 1e-4).all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (33, 65), (48, 64)])
def test_grids_are_restricted_by_the_transpose_of_how_they_are_prolonged(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    coarse = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
    fine_planes, coarse_planes = rng.normal(size=(2, *shape)), rng.normal(size=(2, *coarse))
    fine, few = jnp.asarray(fine_planes, jnp.float32), jnp.asarray(coarse_planes, jnp.float32)
    one = (multilevel._prolong(few, shape) * fine).sum()
    np.testing.assert_allclose((multilevel._restrict(fine) * few).sum(), one, rtol=1e-3, atol=1e-3)


def data_alone(d: Any, at: Any) -> Any:
    return ((at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0]) ** 2).sum()


def smooth_without_the_increment(d: Any, at: Any) -> Any:
    return data_alone(d, at) + sum((jnp.diff(plane, axis=0) ** 2).sum() for plane in at.flow)


@pytest.mark.parametrize("energy", [data_alone, smooth_without_the_increment])
def test_an_energy_that_leaves_flat_ground_free_warns(energy: Any) -> None:
    with pytest.warns(variflow.VariflowWarning, match="leaves the flow free where the frames are flat"):
        run(energy, warps=1)


def test_one_that_says_where_flat_ground_moves_does_not() -> None:
    run(mean_energy, warps=1)  # a warning would be an error
