"""Reading the Hessian of an energy from a few products, and solving with it in the core."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import variflow
from variflow import _core
from variflow.datasets import synthetic
from variflow.energy.autodiff import coupling
from variflow.energy.autodiff.curvature import make_function
from variflow.energy.autodiff.programs import apply_settings
from variflow.frames.checking import check_frames
from variflow.problem import Problem
from variflow.solve import newton, newton_by_products

PAIR = synthetic.translation((14, 17), shift=(0.8, -0.4), seed=3)


def smooth(d: Any, at: Any) -> Any:
    data = (at.weights * jnp.log1p((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2 / 0.01)).sum()
    u, v = at.flow[0] + d[0], at.flow[1] + d[1]
    divergence = jnp.diff(u, axis=1)[1:] + jnp.diff(v, axis=0)[:, 1:]
    return data + (divergence**2).sum() + 0.3 * sum((jnp.diff(plane, axis=0) ** 2).sum() for plane in (u, v))


def bent(d: Any, at: Any) -> Any:
    second = [jnp.diff(at.flow[k] + d[k], n=2, axis=axis) for k in (0, 1) for axis in (0, 1)]
    return ((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum() + 0.1 * sum((plane**2).sum() for plane in second)


def linearise(shape: tuple[int, int] = (14, 17)) -> Any:
    pair = PAIR if shape == (14, 17) else synthetic.translation(shape, shift=(0.8, -0.4), seed=3)
    problem = Problem(check_frames(pair.frame0, pair.frame1, None, None, None), variflow.Model(smooth))
    level = problem.levels[0]
    still = np.zeros(level.shape, np.float32)
    return problem.linearise(level, (still, still))


@pytest.mark.parametrize(("energy", "patterns"), [(smooth, 12), (bent, 10)])
def test_a_step_is_that_of_the_dense_hessian(energy: Any, patterns: int) -> None:
    at = linearise()
    found = coupling.find_coupling(energy, at)
    assert found is not None
    assert found.patterns <= patterns
    parts = coupling.take_parts(energy, at)
    increments = 0.3 * np.random.default_rng(0).standard_normal((2, 1, 14, 17)).astype(np.float32)
    value, gradient = coupling.evaluate(energy, parts, increments)
    products = coupling.multiply_patterns(energy, found, parts, increments)
    function = make_function(energy, at.plain())
    flat = jnp.asarray(increments.ravel())

    def of_flat(flat: Any) -> Any:
        return function(tuple(flat.reshape(2, 14, 17)))

    assert value == pytest.approx(float(jax.jit(of_flat)(flat)), rel=1e-5)
    np.testing.assert_allclose(gradient.ravel(), jax.jit(jax.grad(of_flat))(flat), rtol=1e-3, atol=1e-3)
    hessian = np.asarray(jax.jit(jax.jacfwd(jax.grad(of_flat)))(flat), np.float64)
    matrix = _core.LocalMatrix(products, (found.steps[0], 0, found.steps[1]), found.entries)
    _, iterations, positive = _core.solve_matrix(matrix, gradient, [0.0, 0.0, 0.0], 1e-6, 300)
    assert positive
    assert iterations > 0
    for damping in ([0.0, 0.0, 0.0], [0.1, 0.05, 0.2]):
        step, _, _ = _core.solve_matrix(matrix, gradient, damping, 1e-6, 300)
        uu, uv, vv = damping
        damped = hessian + np.kron([[uu, uv], [uv, vv]], np.eye(len(hessian) // 2))
        expected = -np.linalg.solve(damped, gradient.ravel().astype(np.float64))
        np.testing.assert_allclose(step.ravel(), expected, atol=1e-3 * np.abs(expected).max())


def test_energies_that_couple_pixels_far_apart_have_no_patterns() -> None:
    at = linearise()
    assert coupling.find_coupling(lambda d, at: d[0].mean() ** 2 + d[1].mean() ** 2, at) is None
    assert coupling.find_coupling(lambda d, at: (d[0][:, 6:] * d[1][:, :-6]).sum(), at) is None
    held = np.ones((14, 17), np.float32)
    assert coupling.find_coupling(lambda d, at: (held * d[0] ** 2).sum(), at) is None  # cannot be tried on small frames


def test_energies_that_look_past_the_small_frames_have_no_patterns() -> None:
    def look_far(d: Any, at: Any) -> Any:
        nothing_if_small = d[0][:, 12:] - d[0][:, :-12]
        return (d[0] ** 2 + d[1] ** 2).sum() + (nothing_if_small**2).sum()

    at = linearise((14, 17))
    assert coupling.find_coupling(look_far, at) is None
    assert newton.minimise(look_far, newton.TruncatedNewton(1e-3), 40, at).met


def test_an_energy_under_jit_has_patterns() -> None:
    at = linearise()  # under jit every part is computed, also derivatives of frames padded by no rows
    with apply_settings():
        assert coupling.find_coupling(jax.jit(smooth), at) is not None


def test_only_parts_that_are_read_are_given() -> None:
    at = linearise()
    parts = coupling.take_parts(smooth, at)
    assert set(parts.names) == {"It", "Ix", "Iy"}
    assert set(parts.others) == {"flow", "weights"}
    for name in parts.names:
        np.testing.assert_allclose(getattr(parts.assemble(), name), getattr(at.plain(), name), atol=1e-5)
    every = coupling.take_parts(lambda d, at: (at.mismatch * d[0] ** 2).sum(), at)
    assert "frame0" in every.others


@pytest.mark.slow
def test_both_ways_of_newton_end_at_the_same_minimum() -> None:
    at = linearise()
    solver = newton.TruncatedNewton(1e-3)
    by_matrix = newton.minimise(bent, solver, 40, at)
    by_products = newton_by_products.minimise(bent, 1e-3, 40, at.plain())
    assert by_matrix.met
    assert by_matrix.after == pytest.approx(by_products.after, rel=1e-3)
    for a, b in zip(by_matrix.increment, by_products.increment, strict=True):
        assert np.abs(a - b).max() < 0.02


def test_where_the_energy_curves_down_the_step_follows_the_slope() -> None:
    def hilly(d: Any, at: Any) -> Any:
        return -(d[0] * d[1] * (1 + at.Ix[0] ** 2)).sum() + 0.1 * (d[0] ** 4 + d[1] ** 4).sum() - 0.1 * d[0].sum()

    found = newton.minimise(hilly, newton.TruncatedNewton(1e-2), 40, linearise((5, 6)))
    assert found.after < found.before
    assert (np.diff([found.before, *found.steps]) <= 1e-6 * abs(found.after)).all()


def test_a_matrix_is_refused_by_what_is_wrong_with_it() -> None:
    products = np.ones((3, 2, 1, 4, 5), np.float32)
    with pytest.raises(ValueError, match="unknown is 1, wanted"):
        _core.LocalMatrix(products, (0, 0, 1), [(1, 0, (0, 0, 0))])
    with pytest.raises(ValueError, match="step is 3, wanted"):
        _core.LocalMatrix(products, (3, 0, 1), [])
    matrix = _core.LocalMatrix(products, (0, 0, 1), [])
    with pytest.raises(ValueError, match="gradient"):
        _core.solve_matrix(matrix, np.ones((2, 1, 4, 4), np.float32), [0.0] * 3, 0.1, 3)
    with pytest.raises(ValueError, match="`damping` must hold"):
        _core.solve_matrix(matrix, np.ones((2, 1, 4, 5), np.float32), [0.0], 0.1, 3)


def _tie(u: Any) -> Any:
    """Couple the first column with the last."""
    return 0.5 * ((u[:, 0] - u[:, -1] - 1) ** 2).sum()


def by_level(d: Any, at: Any) -> Any:
    return smooth(d, at) + (_tie(at.flow[0] + d[0]) if at.level == 0 else 0)


def by_scale(d: Any, at: Any) -> Any:
    return smooth(d, at) + (_tie(at.flow[0] + d[0]) if at.scale[0] == 1 else 0)


def by_shape(d: Any, at: Any) -> Any:
    return smooth(d, at) + (_tie(at.flow[0] + d[0]) if at.shape[0] > 20 else 0)


def by_length(d: Any, at: Any) -> Any:
    return smooth(d, at) + (_tie(at.flow[0] + d[0]) if len(d[0]) > 20 else 0)


def by_distance(d: Any, at: Any) -> Any:
    step = 1 if at.shape[0] <= 20 else 3
    return smooth(d, at) + ((d[0][:, step:] - d[0][:, :-step]) ** 2).sum()


@pytest.mark.parametrize("energy", [by_level, by_scale, by_shape, by_length, by_distance])
def test_what_an_energy_couples_is_that_of_the_level(energy: Any) -> None:
    pair = synthetic.translation((30, 36), shift=(0.8, -0.4), seed=3)
    problem = Problem(check_frames(pair.frame0, pair.frame1, None, None, None), variflow.Model(energy, coarsest=12))
    coarse, fine = (
        problem.linearise(level, (np.zeros(level.shape, np.float32),) * 2)
        for level in (problem.levels[-1], problem.levels[0])
    )
    with apply_settings():
        of_coarse = coupling.find_coupling(energy, coarse)
        assert of_coarse is not None
        assert of_coarse.entries == coupling.find_coupling(smooth, coarse).entries
        assert coupling.find_coupling(energy, fine) is None
    found = newton.minimise(energy, newton.TruncatedNewton(1e-3), 60, fine)
    assert found.met


@pytest.mark.parametrize("part", ["valid", "guide", "frame0"])
@pytest.mark.parametrize("by_length", [False, True])
def test_a_part_that_large_frames_alone_read_is_given(part: str, by_length: bool) -> None:
    def energy(d: Any, at: Any) -> Any:
        large = (len(d[0]) if by_length else at.shape[0]) > 20
        return smooth(d, at) + ((0.01 * getattr(at, part) * d[0] ** 2).sum() if large else 0)

    for shape in ((14, 17), (30, 36)):
        at = linearise(shape)
        with apply_settings():
            assert (part in coupling.take_parts(energy, at).others) == (shape == (30, 36))
        assert newton.minimise(energy, newton.TruncatedNewton(1e-3), 60, at).met
