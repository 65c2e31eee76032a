"""The reference experiment: two 5x5 frames, two energies, three choices of derivatives, to 6e-4 px."""

import numpy as np
import optax
import pytest

import variflow
from variflow.energy import BrightnessConstancy, Magnitude, Smoothness

A = BrightnessConstancy() + 1.1 * Magnitude(of="increment")
B = BrightnessConstancy() + 1.1 * Smoothness(of="increment")


def plain_a(d, at):
    u, v = d
    return ((at.Ix * u + at.Iy * v + at.It) ** 2).sum() + 1.1 * (u**2 + v**2).sum()


def plain_b(d, at):
    u, v = d
    data = ((at.Ix * u + at.Iy * v + at.It) ** 2).sum()
    differences = [u[1:] - u[:-1], u[:, 1:] - u[:, :-1], v[1:] - v[:-1], v[:, 1:] - v[:, :-1]]
    return data + 1.1 * sum((difference**2).sum() for difference in differences)


def estimate(energy, derivative):
    first, second = np.zeros((5, 5)), np.zeros((5, 5))
    first[:, 2] = second[:, 1] = [0, 0.5, 1, 0.5, 0]
    model = variflow.Model(
        energy, solver=optax.sgd(0.1), steps=120, warps=5, derivative=derivative, interpolation="bilinear"
    )
    result = variflow.estimate(first, second, model)
    assert [len(record.steps) for record in result.energies] == [120] * 5
    return result.flow[..., 0], result.flow[..., 1]


def mirrored(top, middle, sign):
    top = np.asarray(top)
    return np.vstack([top, [middle], sign * top[::-1]])


ZERO = [0, 0, 0, 0, 0]
TABLES_A = {
    "second": (
        mirrored([ZERO, [0, 0, -0.523, 0, 0]], [0, 0, -0.941, 0, 0], 1),
        mirrored([ZERO, [0, -0.692, 0, 0, 0]], ZERO, -1),
    ),
    "warped": (
        mirrored([ZERO, [0, -0.082, -0.353, 0, 0]], [0, -0.817, -0.879, 0, 0], 1),
        mirrored([ZERO, [0, -0.584, 0.451, 0, 0]], ZERO, -1),
    ),
    "first": (
        mirrored([ZERO, [0, -0.523, 0, 0, 0]], [0, -0.941, 0, 0, 0], 1),
        mirrored([ZERO, [0, 0, 1.048, 0, 0]], ZERO, -1),
    ),
}


@pytest.mark.parametrize("energy", [A, plain_a], ids=["terms", "function"])
@pytest.mark.parametrize("derivative", TABLES_A)
def test_energy_a(energy, derivative):
    u, v = estimate(energy, derivative)
    expected_u, expected_v = TABLES_A[derivative]
    np.testing.assert_allclose(u, expected_u, atol=6e-4)
    np.testing.assert_allclose(v, expected_v, atol=6e-4)


@pytest.mark.parametrize("energy", [B, plain_b], ids=["terms", "function"])
def test_energy_b_with_derivatives_of_the_second_frame(energy):
    u, v = estimate(energy, "second")
    top_u = [[-0.862, -0.903, -0.949, -0.941, -0.929], [-0.842, -0.920, -1.025, -0.968, -0.941]]
    top_v = [[-0.121, -0.136, -0.093, -0.060, -0.045], [-0.106, -0.197, -0.083, -0.043, -0.029]]
    np.testing.assert_allclose(u, mirrored(top_u, [-0.810, -0.933, -1.101, -0.990, -0.950], 1), atol=6e-4)
    np.testing.assert_allclose(v, mirrored(top_v, ZERO, -1), atol=6e-4)


@pytest.mark.parametrize(
    ("derivative", "row"),
    [("warped", [-0.866, -1.007, -1.093, -0.949, -0.918]), ("first", [-0.956, -1.032, -0.822, -0.647, -0.659])],
)
def test_energy_b_with_other_derivatives(derivative, row):
    u, v = estimate(B, derivative)
    np.testing.assert_allclose(u[2], row, atol=6e-4)
    np.testing.assert_allclose(u, u[::-1], atol=6e-4)
    np.testing.assert_allclose(v, -v[::-1], atol=6e-4)
