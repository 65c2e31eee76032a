"""Strain: analytic deformations, planes fitted by brute force, noise, gaps; each kind against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variflow import flowops

KINDS = ("small", "green-lagrange", "hencky")
WINDOWS = (None, 3, 7)
SHAPE = (18, 23)


def deformed(gradient, shape=SHAPE):
    """The flow of the affine deformation ``F``, in double precision."""
    y, x = np.indices(shape)
    return np.stack([x, y], axis=2) @ (np.asarray(gradient, float) - np.eye(2)).T


def turn(degrees):
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def expected(gradient, kind):
    """The strain of a deformation by its definition, the logarithm by eigenvalues."""
    if kind == "small":
        return (gradient + gradient.T) / 2 - np.eye(2)
    squared = gradient.T @ gradient
    if kind == "green-lagrange":
        return (squared - np.eye(2)) / 2
    values, axes = np.linalg.eigh(squared)
    return axes @ np.diag(np.log(values) / 2) @ axes.T


DEFORMATIONS = {
    "stretch": np.diag([1.2, 1.2]),
    "stretch along x": np.diag([1.5, 1.0]),
    "squeeze": np.diag([1.25, 0.8]),
    "shear": np.array([[1.0, 0.4], [0.0, 1.0]]),
    "rotation": turn(30),
    "turned stretch": turn(40) @ np.diag([1.3, 0.7]),
    "all": np.array([[1.1, 0.2], [-0.3, 0.9]]),
}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DEFORMATIONS)
def test_analytic_deformations_are_exact_up_to_the_border(name, kind, window):
    gradient = DEFORMATIONS[name]
    strain = flowops.strain(deformed(gradient), kind, window)
    assert strain.shape == (*SHAPE, 2, 2)
    assert strain.dtype == np.float32
    np.testing.assert_allclose(strain, np.broadcast_to(expected(gradient, kind), strain.shape), atol=5e-6)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", DEFORMATIONS)
def test_divergence_and_vorticity_are_those_of_the_deformation(name, window):
    slopes, flow = DEFORMATIONS[name] - np.eye(2), deformed(DEFORMATIONS[name])
    ways = [(flow, window)] if window is None else [(flow, window), (flowops.fit_planes(flow, window), None)]
    for arguments in ways:
        jacobian = flowops.jacobian(*arguments)
        np.testing.assert_allclose(jacobian, np.broadcast_to(slopes, jacobian.shape), atol=5e-6)
        np.testing.assert_allclose(flowops.divergence(*arguments), np.full(SHAPE, np.trace(slopes)), atol=5e-6)
        np.testing.assert_allclose(
            flowops.vorticity(*arguments), np.full(SHAPE, slopes[1, 0] - slopes[0, 1]), atol=5e-6
        )


def test_a_window_makes_the_vorticity_of_a_noisy_vortex_less_noisy():
    number = 2 * np.pi / 60
    y, x = number * np.indices((80, 90))
    vortex = np.stack([-np.cos(x) * np.sin(y), np.sin(x) * np.cos(y)], axis=2)
    wanted = 2 * number * np.cos(x) * np.cos(y)
    noisy = vortex + np.random.default_rng(0).normal(0, 0.2, vortex.shape)
    errors = [np.abs(flowops.vorticity(noisy, window) - wanted)[5:-5, 5:-5].mean() for window in (None, 9)]
    assert errors[1] < errors[0] / 8
    np.testing.assert_array_equal(flowops.divergence(noisy, 9), flowops.divergence(flowops.fit_planes(noisy, 9)))


@pytest.mark.parametrize("degrees", [1, 30, 90, 170])
def test_rotation_is_no_strain_but_small_strain(degrees):
    flow = deformed(turn(degrees))
    for kind in ("green-lagrange", "hencky"):
        np.testing.assert_allclose(flowops.strain(flow, kind), 0, atol=5e-6)
    small = flowops.strain(flow)[..., 0, 0]
    np.testing.assert_allclose(small, np.cos(np.radians(degrees)) - 1, atol=5e-6)


def test_the_default_is_small_strain_of_differences():
    rng = np.random.default_rng(1)
    flow = rng.normal(size=(*SHAPE, 2))
    rates = flowops.jacobian(flow)
    np.testing.assert_array_equal(flowops.strain(flow), (rates + np.swapaxes(rates, -1, -2)) / np.float32(2))
    np.testing.assert_array_equal(np.trace(flowops.strain(flow), axis1=2, axis2=3), flowops.divergence(flow))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_tiny_strains_keep_their_digits(kind):
    tiny = np.array([[3e-7, 1e-7], [-2e-7, 5e-7]])
    fit = flowops.PlaneFit(tiny[None, None].astype(np.float32), np.zeros((1, 1)), np.full((1, 1), 9), 3)
    np.testing.assert_allclose(flowops.strain(fit, kind)[0, 0], (tiny + tiny.T) / 2, rtol=1e-5)


@given(st.lists(st.floats(-0.4, 0.4), min_size=4, max_size=4))
@settings(max_examples=30, deadline=None)
def test_logarithmic_strain_is_the_matrix_logarithm(numbers):
    gradient = np.eye(2) + np.reshape(numbers, (2, 2))
    fit = flowops.PlaneFit(
        (gradient - np.eye(2))[None, None].astype(np.float32), np.zeros((1, 1)), np.full((1, 1), 9), 3
    )
    wanted = expected(np.eye(2) + fit.jacobian[0, 0].astype(float), "hencky")
    np.testing.assert_allclose(flowops.strain(fit, "hencky")[0, 0], wanted, rtol=1e-4, atol=1e-6)


def test_logarithmic_strains_along_the_same_axes_add_up():
    first, second = np.diag([1.2, 0.9]), np.diag([0.7, 1.4])
    strains = [flowops.strain(deformed(gradient), "hencky") for gradient in (first, second, second @ first)]
    np.testing.assert_allclose(strains[0] + strains[1], strains[2], atol=5e-6)


def test_where_a_flow_folds_over_there_is_no_logarithm():
    mirrored, flat = np.diag([-1.0, 1.0]), np.diag([0.0, 1.0])
    for gradient in (mirrored, flat):
        assert np.isnan(flowops.strain(deformed(gradient), "hencky")).all()
        assert np.isfinite(flowops.strain(deformed(gradient), "green-lagrange")).all()


def brute_force(flow, window):
    """Planes by numpy's least squares, pixel by pixel."""
    height, width = flow.shape[:2]
    slopes, residual = np.full((height, width, 2, 2), np.nan), np.full((height, width), np.nan)
    known = np.zeros((height, width), int)
    reach = window // 2
    for row in range(height):
        for column in range(width):
            y, x = np.mgrid[row - reach : row + reach + 1, column - reach : column + reach + 1]
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            y, x = y[inside], x[inside]
            there = np.isfinite(flow[y, x, 0])
            y, x = y[there], x[there]
            known[row, column] = len(x)
            design = np.stack([np.ones(len(x)), x - column, y - row], axis=1)
            if np.isnan(flow[row, column, 0]) or len(x) < window**2 / 4 or np.linalg.matrix_rank(design) < 3:
                continue
            solution = np.linalg.lstsq(design, flow[y, x], rcond=None)[0]
            slopes[row, column] = solution[1:].T
            off = flow[y, x] - design @ solution
            residual[row, column] = np.sqrt((off**2).sum(axis=1).mean())
    return slopes, residual, known


@pytest.mark.parametrize("window", [3, 5, 9])
@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.7])
def test_planes_are_the_least_squares_ones(window, gaps):
    rng = np.random.default_rng(window)
    flow = rng.normal((30, -7), 1, (12, 15, 2)).astype(np.float32)
    flow[rng.random((12, 15)) < gaps] = np.nan
    fit = flowops.fit_planes(flow, window)
    slopes, residual, known = brute_force(flow.astype(float), window)
    np.testing.assert_allclose(fit.jacobian, slopes, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fit.residual, residual, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(fit.known, known)
    np.testing.assert_array_equal(fit.flags == 2, np.isnan(residual))
    np.testing.assert_array_equal(fit.flags == 0, np.isfinite(residual) & (known == window**2))
    assert (fit.jacobian.dtype, fit.residual.dtype, fit.known.dtype, fit.flags.dtype) == (
        np.float32, np.float32, np.int32, np.int8,
    )  # fmt: skip


def test_a_point_whose_window_holds_too_few_known_pixels_is_unknown():
    flow = deformed(np.diag([1.1, 0.9]), (15, 15))
    flow[:, 8:] = np.nan
    flow[7, 14] = flow[8, 14] = (1.0, 1.0)
    fit = flowops.fit_planes(flow, 5)
    assert fit.flags[7, 5] == 0  # columns 3 to 7
    assert fit.flags[7, 7] == 1
    assert fit.flags[7, 9] == 2  # three of five columns are unknown, and it is itself
    assert fit.known[7, 14] == 2
    assert fit.flags[7, 14] == 2  # 2 of 25
    assert np.isnan(fit.jacobian[7, 14]).all()
    assert np.isnan(flowops.strain(flow, "hencky", 5)[7, 14]).all()
    np.testing.assert_allclose(fit.jacobian[:, :8], np.broadcast_to(np.diag([0.1, -0.1]), (15, 8, 2, 2)), atol=1e-6)


def test_a_gap_is_felt_in_windows_that_hold_it_alone():
    flow = np.random.default_rng(2).normal(size=(20, 22, 2))
    holed = flow.copy()
    holed[10, 11] = np.nan, 0.0
    whole, made = flowops.fit_planes(flow, 5), flowops.fit_planes(holed, 5)
    near = np.zeros((20, 22), bool)
    near[8:13, 9:14] = True
    np.testing.assert_array_equal(made.jacobian[~near], whole.jacobian[~near])
    np.testing.assert_array_equal(made.residual[~near], whole.residual[~near])
    np.testing.assert_array_equal(np.isnan(made.residual), (np.indices((20, 22)) == [[[10]], [[11]]]).all(axis=0))
    assert (made.known[near] == 24).all()


@pytest.mark.parametrize("window", [5, 11])
def test_noise_becomes_what_the_formula_says(window):
    noise = np.random.default_rng(3).normal(scale=0.05, size=(300, 300, 2))
    fit = flowops.fit_planes(noise, window)
    inner = slice(window, -window)
    wanted = 0.05 * np.sqrt(12 / (window**2 * (window**2 - 1)))
    np.testing.assert_allclose(fit.jacobian[inner, inner].std(axis=(0, 1)), wanted, rtol=0.1)
    # Three of the numbers of each component in a window go into its plane.
    freedom = 2 * (1 - 3 / window**2)
    np.testing.assert_allclose(np.mean(fit.residual[inner, inner] ** 2), 0.05**2 * freedom, rtol=0.02)


def test_residual_is_zero_on_planes_and_shows_where_a_flow_bends():
    y, x = np.indices((30, 40))
    fit = flowops.fit_planes(np.stack([0.3 * x + 100, 0.1 * y - 50], axis=2), 7)
    assert fit.residual.max() < 1e-5
    bent = flowops.fit_planes(np.stack([np.abs(x - 20), 0 * y], axis=2), 7)
    assert bent.residual[15, 20] > 0.5
    assert bent.residual[15, 5] < 1e-5


def test_frames_of_one_row_have_no_planes():
    fit = flowops.fit_planes(np.zeros((1, 9, 2)), 3)
    assert (fit.flags == 2).all()
    assert flowops.fit_planes(np.zeros((2, 2, 2)), 3).flags.tolist() == [[1, 1], [1, 1]]


def test_wrong_arguments_are_named():
    flow = np.zeros((9, 9, 2))
    for window in (1, 2.5, True, 1025):
        with pytest.raises(ValueError, match=rf"^window is {window}, wanted an odd number of pixels from 3 to 1023"):
            flowops.strain(flow, window=window)
    with pytest.raises(ValueError, match=r"^window is 4, wanted an odd number of pixels from 3 to 1023"):
        flowops.fit_planes(flow, 4)
    with pytest.raises(ValueError, match=r"^kind is 'true', wanted one of 'small', 'green-lagrange', 'hencky'"):
        flowops.strain(flow, "true")
    with pytest.raises(ValueError, match=r"^flow has shape \(9, 9\), wanted \(H, W, 2\)"):
        flowops.strain(flow[..., 0], window=3)
    for function in (flowops.strain, flowops.jacobian, flowops.divergence, flowops.vorticity):
        with pytest.raises(ValueError, match=r"^window is 5, wanted none: flow is a PlaneFit of window 3"):
            function(flowops.fit_planes(flow, 3), window=5)
