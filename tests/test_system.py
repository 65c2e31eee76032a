"""The linear system of a robust step: its assembly and energies against the Python terms, its solvers against a dense
solve."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from variflow import _core
from variflow.energy import (
    L1,
    BrightnessConstancy,
    Charbonnier,
    GeneralisedCharbonnier,
    GradientConstancy,
    Huber,
    ImageEdges,
    Lorentzian,
    Penalty,
    Quadratic,
    Smoothness,
)
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.linearisation.linearisation import Linearisation
from variflow.solve.native_penalties import native_penalty
from variflow.solve.taking_apart import constancies, linearised, motion_tensor, native_smoothness

Array = NDArray[np.float32]
CORE: Any = _core  # for calls that a type checker refuses

PENALTIES: list[Penalty] = [
    Quadratic(),
    Charbonnier(0.1),
    Charbonnier(0.001),
    GeneralisedCharbonnier(0.45, 0.001),
    GeneralisedCharbonnier(0.3, 0.1),
    Huber(0.2),
    Lorentzian(0.1),
    L1(0.001),
]
SIZES = [(1, 1), (1, 2), (1, 23), (19, 1), (2, 2), (5, 8), (17, 21), (24, 33)]


def data_term(jx, jy, r, penalty, normalisation=0.0, weight=1.0):
    return _core.DataTerm(jx, jy, r, native_penalty(penalty), normalisation, weight)


def add_data(tensor, jx, jy, r, weights, *constants):
    """Add a data term; return its energy without an increment."""
    term = data_term(jx, jy, r, *constants)
    _core.add_data(tensor, term, weights)
    return _core.data_energy(term, weights, np.zeros_like(weights), np.zeros_like(weights))


def moved_energy(jx, jy, r, weights, du, dv, *constants):
    return _core.data_energy(data_term(jx, jy, r, *constants), weights, du, dv)


def smoothness(penalty, weight=1.0, per_pixel=False, guides=(None, None)):
    return _core.Smoothness(*guides, per_pixel, native_penalty(penalty), weight)


def weights_and_energy(flow, term):
    return _core.edge_weights(*flow, term), _core.smoothness_energy(*flow, term)


@pytest.fixture(autouse=True)
def keep_threads() -> Iterator[None]:
    threads = _core.get_threads()
    yield
    _core.set_threads(threads)


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def wide(array: Array) -> NDArray[np.float64]:
    return array.astype(np.float64)


# Data terms


class Data(NamedTuple):
    jx: Array
    jy: Array
    r: Array
    weights: Array


def random_data(residuals: int, size: tuple[int, int], seed: int = 0) -> Data:
    jx, jy, r = noise(3, residuals, *size, seed=seed)
    return Data(jx, jy, 0.3 * r, np.random.default_rng(seed + 1).random(size).astype(np.float32))


def reference_energy(
    data: Data, du: Any, dv: Any, penalty: Penalty, zeta: float, weight: float
) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The energy, the normalisers, the residuals, and the weights of the squared residuals, in double precision."""
    jx, jy, r, weights = map(wide, data)
    theta = 1 / (jx**2 + jy**2 + zeta**2) if zeta else np.ones_like(jx)
    residuals = r + jx * du + jy * dv
    squared = (theta * residuals**2).mean(axis=0)
    energy = weight * float((weights * penalty.of_squared(squared)).sum())
    return energy, theta, residuals, weight * weights * penalty.weight_of_squared(squared) / 2 / len(r)


@pytest.mark.parametrize("zeta", [0.0, 0.2])
@pytest.mark.parametrize("residuals", [1, 3])
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_data_against_numpy(penalty: Penalty, residuals: int, zeta: float) -> None:
    data = random_data(residuals, (13, 57))
    before = noise(5, 13, 57, seed=9)
    tensor = before.copy()
    energy = add_data(tensor, *data, penalty, zeta, 1.7)
    expected, theta, r, w = reference_energy(data, 0, 0, penalty, zeta, 1.7)
    assert energy == pytest.approx(expected, rel=1e-5)
    jx, jy = wide(data.jx), wide(data.jy)
    products = [jx * jx, jx * jy, jy * jy, jx * r, jy * r]
    for plane, product in zip(wide(tensor) - before, products, strict=True):
        exact = (w * theta * product).sum(axis=0)
        np.testing.assert_allclose(plane, exact, rtol=1e-5, atol=1e-6 * float(np.abs(exact).max()) + 1e-6)
    du, dv = noise(2, 13, 57, seed=5)
    expected = reference_energy(data, wide(du), wide(dv), penalty, zeta, 1.7)[0]
    assert moved_energy(*data, du, dv, penalty, zeta, 1.7) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 1), (1, 513), (70, 531)])
def test_data_at_any_size(size: tuple[int, int]) -> None:
    data = random_data(2, size)
    tensor = np.zeros((5, *size), np.float32)
    energy = add_data(tensor, *data, Charbonnier(0.1))
    expected, _, r, w = reference_energy(data, 0, 0, Charbonnier(0.1), 0.0, 1.0)
    assert energy == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(tensor[3], (w * wide(data.jx) * r).sum(axis=0), rtol=1e-4, atol=1e-5)
    zero = np.zeros(size, np.float32)
    assert moved_energy(*data, zero, zero, Charbonnier(0.1)) == pytest.approx(energy, rel=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_no_residual_costs_nothing(penalty: Penalty) -> None:
    jx, jy, zero = noise(1, 9, 40), noise(1, 9, 40, seed=1), np.zeros((1, 9, 40), np.float32)
    tensor = np.zeros((5, 9, 40), np.float32)
    assert add_data(tensor, jx, jy, zero, np.ones((9, 40), np.float32), penalty, 0.1) == 0.0
    assert np.isfinite(tensor).all()
    assert not tensor[3:].any()
    flow = np.full((9, 40), 2.5, np.float32)
    edges, energy = weights_and_energy((flow, flow), smoothness(penalty))
    assert energy == 0.0
    assert np.isfinite(edges).all()


def linearisation(size: tuple[int, int] = (7, 9), channels: int = 2) -> Linearisation:
    rng = np.random.default_rng(3)

    def planes(count: int) -> Array:
        return rng.random((count, *size)).astype(np.float32)

    valid = rng.random(size) > 0.2
    weights = rng.random(size).astype(np.float32) * valid
    flow = (planes(1)[0], planes(1)[0])
    return Linearisation(planes(channels), planes(channels), planes(channels), flow, valid, weights, planes(3))


def slope(energy: Callable[..., Any], at: Linearisation, direction: NDArray[np.float64]) -> float:
    """The derivative at zero increment along a direction, by differences."""
    step = 1e-5
    ahead, behind = (energy(tuple(sign * step * direction), at) for sign in (1, -1))
    return float(ahead - behind) / (2 * step)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_data_against_python_terms(penalty: Penalty) -> None:
    at = linearisation()
    direction = wide(noise(2, 7, 9, seed=8))
    planes = {
        BrightnessConstancy(penalty, 0.7): (at.Ix, at.Iy, at.It),
        GradientConstancy(penalty, 2.0): tuple(
            np.concatenate(pair) for pair in [(at.Ixx, at.Ixy), (at.Ixy, at.Iyy), (at.Ixt, at.Iyt)]
        ),
    }
    for term, (jx, jy, r) in planes.items():
        tensor = np.zeros((5, 7, 9), np.float32)
        energy = add_data(tensor, jx, jy, r, at.weights, penalty, 0.0, term.weight)
        zero = np.zeros((7, 9))
        assert energy == pytest.approx(float(term((zero, zero), at)), rel=1e-5)
        gradient = 2 * wide(tensor[3:])
        assert float((gradient * direction).sum()) == pytest.approx(slope(term, at, direction), rel=2e-3, abs=1e-3)
        du, dv = noise(2, 7, 9, seed=4)
        moved = moved_energy(jx, jy, r, at.weights, du, dv, penalty, 0.0, term.weight)
        assert moved == pytest.approx(float(term((du, dv), at)), rel=1e-5)


# Smoothness


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("per_pixel", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_smoothness_against_python_terms(penalty: Penalty, per_pixel: bool, guided: bool) -> None:
    at = linearisation()
    term = Smoothness(penalty, 0.6, per="pixel" if per_pixel else "edge", edges=ImageEdges(0.3) if guided else None)
    guides = _core.image_edges(at.guide, 0.3, ImageEdges(0.3).find_least(at.scale)) if guided else (None, None)
    native = smoothness(penalty, 0.6, per_pixel, guides)
    edges, energy = weights_and_energy(at.flow, native)
    zero = np.zeros((7, 9))
    assert energy == pytest.approx(float(term((zero, zero), at)), rel=1e-5)
    assert not edges[0, :, -1].any()
    assert not edges[1, -1].any()
    # Without data, the residual of the normal equations is minus half the gradient.
    missing = _core.residual(np.zeros((5, 7, 9), np.float32), edges, *at.flow, *at.flow)
    direction = wide(noise(2, 7, 9, seed=8))
    at = Linearisation(*(getattr(at, name) for name in ("frame0", "frame1", "second")), tuple(map(wide, at.flow)),
                       at.valid, at.weights, at.guide)  # fmt: skip
    expected = slope(term, at, direction)
    assert -2 * float((missing * direction).sum()) == pytest.approx(expected, rel=2e-3, abs=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 1), (5, 513), (4, 1025)])
def test_smoothness_at_any_size(size: tuple[int, int]) -> None:
    u, v = noise(2, *size)
    edges, energy = weights_and_energy((u, v), smoothness(Charbonnier(0.1)))
    along_x = np.diff(wide(u), axis=1) ** 2 + np.diff(wide(v), axis=1) ** 2
    along_y = np.diff(wide(u), axis=0) ** 2 + np.diff(wide(v), axis=0) ** 2
    penalty = Charbonnier(0.1)
    np.testing.assert_allclose(edges[0, :, :-1], penalty.weight_of_squared(along_x) / 2, rtol=1e-5)
    np.testing.assert_allclose(edges[1, :-1], penalty.weight_of_squared(along_y) / 2, rtol=1e-5)
    expected = float(penalty.of_squared(along_x).sum() + penalty.of_squared(along_y).sum())
    assert energy == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_image_edges_against_python(size: tuple[int, int]) -> None:
    guide = np.random.default_rng(0).random((3, *size)).astype(np.float32)
    edges = _core.image_edges(guide, 0.5, 0.2)
    at = linearisation(size)
    along_x, along_y = ImageEdges(0.5)(
        Linearisation(at.frame0, at.frame1, at.second, at.flow, at.valid, at.weights, wide(guide))
    )
    np.testing.assert_allclose(edges[0, :, :-1], along_x, rtol=2e-6)
    np.testing.assert_allclose(edges[1, :-1], along_y, rtol=2e-6)
    assert not edges[0, :, -1].any()
    assert not edges[1, -1].any()


def test_exponential_is_accurate_over_its_range() -> None:
    differences = np.linspace(0, 100, 20001, dtype=np.float32)
    guide = np.zeros((1, 2, differences.size), np.float32)
    guide[0, 1] = differences
    weights = wide(_core.image_edges(guide, 1.0, 0.0)[1, 0])
    exact = np.exp(-wide(differences))
    normal = differences < 87
    np.testing.assert_allclose(weights[normal], exact[normal], rtol=3e-7)
    assert (weights[differences > 87.5] == 0).all()
    assert weights[0] == 1.0


# Solvers


class System(NamedTuple):
    tensor: Array
    edges: Array
    u0: Array
    v0: Array


def random_system(size: tuple[int, int], seed: int = 0, jump: float = 1.0) -> System:
    """Two residuals a pixel, and edges of which about every other is weaker by a factor."""
    tensor = np.zeros((5, *size), np.float32)
    data = random_data(2, size, seed)
    add_data(tensor, *data[:3], np.ones(size, np.float32), Charbonnier(0.1))
    u0, v0 = 3 * noise(2, *size, seed=seed + 2)
    edges = _core.edge_weights(u0, v0, smoothness(Charbonnier(0.1), 0.5))
    weak = np.random.default_rng(seed + 3).random(edges.shape) < 0.5
    return System(tensor, (edges / np.where(weak, jump, 1)).astype(np.float32), u0, v0)


def poisson(size: tuple[int, int]) -> System:
    """The same edges everywhere and next to no data."""
    tensor = np.zeros((5, *size), np.float32)
    tensor[[0, 2]] = 1e-3
    tensor[3:] = noise(2, *size)
    zero = np.zeros(size, np.float32)
    return System(tensor, np.ones((2, *size), np.float32), zero, zero)


def matrix(system: System) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The dense matrix and the right side of the normal equations in (u, v)."""
    (a11, a12, a22, b1, b2), edges = wide(system.tensor).reshape(5, -1), wide(system.edges)
    height, width = system.u0.shape
    index = np.arange(height * width).reshape(height, width)
    smooth = np.zeros((index.size, index.size))
    for e, p, q in (
        (edges[0, :, :-1], index[:, :-1], index[:, 1:]),
        (edges[1, :-1], index[:-1], index[1:]),
    ):
        for weight, i, j in zip(e.flat, p.flat, q.flat, strict=True):
            smooth[[i, j], [i, j]] += weight
            smooth[[i, j], [j, i]] -= weight
    data = np.block([[np.diag(a11), np.diag(a12)], [np.diag(a12), np.diag(a22)]])
    around = np.concatenate([wide(system.u0).ravel(), wide(system.v0).ravel()])
    return data + np.kron(np.eye(2), smooth), data @ around - np.concatenate([b1, b2])


def dense_solution(system: System) -> NDArray[np.float64]:
    solution: NDArray[np.float64] = np.linalg.solve(*matrix(system)).reshape(2, *system.u0.shape)
    return solution


def relax(system: System, sweeps: int, omega: float = 1.7, start: tuple[Array, Array] | None = None) -> Array:
    return _core.relax(*system, *(start or system[2:]), sweeps, omega)


def multigrid(system: System, cycles: int, tolerance: float = 0.0, start: tuple[Array, Array] | None = None) -> Array:
    return _core.multigrid(*system, *(start or system[2:]), cycles, tolerance)


def cycle(system: System) -> Array:
    return _core.cycle(*system, *system[2:], 1, 2, 1.0)


def missing(system: System, flow: Array) -> float:
    return float(np.linalg.norm(wide(_core.residual(*system, *flow))))


@pytest.mark.parametrize("size", SIZES)
def test_residual_against_dense(size: tuple[int, int]) -> None:
    system = random_system(size)
    flow = noise(2, *size, seed=7)
    a, b = matrix(system)
    expected = (b - a @ wide(flow).ravel()).reshape(2, *size)
    np.testing.assert_allclose(_core.residual(*system, *flow), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_solvers_against_dense(size: tuple[int, int]) -> None:
    system = random_system(size)
    exact = dense_solution(system)
    start = tuple(noise(2, *size, seed=11))
    for flow in (relax(system, 400), relax(system, 400, start=start), multigrid(system, 40, start=start)):
        np.testing.assert_allclose(flow, exact, atol=1e-4)


@pytest.mark.parametrize("size", [(5, 8), (17, 21), (24, 33)])
def test_solvers_with_edges_that_jump(size: tuple[int, int]) -> None:
    system = random_system(size, jump=1e4)
    exact = dense_solution(system)
    # Where all edges of a pixel are weak and its data say little, single precision does not determine it better.
    np.testing.assert_allclose(relax(system, 3000, 1.9), exact, atol=5e-3)
    np.testing.assert_allclose(multigrid(system, 200), exact, atol=5e-3)


def test_sweeps_are_those_of_the_textbook() -> None:
    system = random_system((9, 14))
    a, b = matrix(system)
    exact = np.concatenate([wide(system.u0).ravel(), wide(system.v0).ravel()])
    red = (np.add.outer(np.arange(9), np.arange(14)) % 2 == 0).ravel()
    for _ in range(3):
        for color in (red, ~red):
            for i in np.flatnonzero(color):
                both = [i, i + red.size]
                exact[both] += 1.5 * np.linalg.solve(a[np.ix_(both, both)], b[both] - a[both] @ exact)
    np.testing.assert_allclose(relax(system, 3, 1.5), exact.reshape(2, 9, 14), atol=1e-4)


@pytest.mark.parametrize("size", [(33, 700), (200, 330), (130, 2100)])
def test_sweeps_together_are_sweeps_one_by_one(size: tuple[int, int]) -> None:
    system = random_system(size)
    together = relax(system, 25, 1.9)
    flow = relax(system, 1, 1.9)
    for _ in range(24):
        flow = relax(system, 1, 1.9, start=tuple(flow))
    # Each call packs the system anew and rounds on the way; flows here reach 13 pixels.
    np.testing.assert_allclose(together, flow, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (300, 400), (129, 1300)])
def test_result_does_not_depend_on_the_number_of_threads(size: tuple[int, int]) -> None:
    system = random_system(size)
    data = random_data(2, size)

    def everything() -> list[Any]:
        tensor = np.zeros((5, *size), np.float32)
        energy = add_data(tensor, *data, Charbonnier(0.1), 0.1)
        edges, smooth = weights_and_energy(data[0], smoothness(GeneralisedCharbonnier(0.45, 0.001), per_pixel=True))
        guides = _core.image_edges(data.jx, 0.1, 0.0)
        return [
            energy,
            smooth,
            tensor,
            edges,
            guides,
            relax(system, 33, 1.9),
            multigrid(system, 3),
            cycle(system),
        ]

    _core.set_threads(1)
    expected = everything()
    for threads in (2, 3):
        _core.set_threads(threads)
        for ours, theirs in zip(everything(), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [(33, 33), (65, 65), (129, 129), (257, 257), (100, 257)])
def test_multigrid_converges_as_fast_at_any_size(size: tuple[int, int]) -> None:
    system = poisson(size)
    before = missing(system, np.zeros((2, *size), np.float32))
    for cycles in range(1, 4):
        after = missing(system, multigrid(system, cycles))
        assert after < 0.2 * before
        before = after


@pytest.mark.parametrize("size", SIZES)
def test_cycles_keep_what_is_solved(size: tuple[int, int]) -> None:
    system = random_system(size)
    exact = dense_solution(system).astype(np.float32)
    np.testing.assert_allclose(_core.cycle(*system, *exact, 2, 2, 1.0), exact, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (33, 33), (100, 257)])
def test_a_cycle_solves_more_than_its_sweeps(size: tuple[int, int]) -> None:
    system = poisson(size)
    exact = multigrid(system, 30)
    found = [abs(flow - exact).max() for flow in (relax(system, 2, 1.0), cycle(system))]
    assert found[1] <= found[0]
    if min(size) > 1:
        assert found[1] < 0.3 * abs(exact).max() < 0.5 * found[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("jump", [1.0, 1e4])
def test_the_energy_does_not_rise_in_a_cycle(size: tuple[int, int], jump: float) -> None:
    system = random_system(size, jump=jump)
    system.tensor[:, ::2] = 0  # rows without data
    a, b = matrix(system)

    def energy(flow: Any) -> float:
        x = wide(np.stack(flow)).ravel()
        return float(x @ a @ x - 2 * b @ x)

    before = energy(system[2:])
    assert energy(cycle(system)) <= before + 1e-5 * abs(before)


@pytest.mark.parametrize("size", [(2, 2), (5, 40), (33, 33)])
@pytest.mark.parametrize("along_x", [0.0, 1.0])
def test_rounding_errors_move_nothing_in_a_cycle_where_the_data_do_not(size: tuple[int, int], along_x: float) -> None:
    tensor = np.zeros((5, *size), np.float32)
    tensor[0] = along_x
    system = System(tensor, 100 * np.exp(noise(2, *size)), *noise(2, *size, seed=1))
    assert abs(_core.cycle(*system, *system[2:], 3, 2, 1.0)[1]).max() <= abs(system.v0).max()


@pytest.mark.parametrize("size", [(1, 513), (600, 3)])
def test_multigrid_converges_on_strips(size: tuple[int, int]) -> None:
    system = poisson(size)
    assert missing(system, multigrid(system, 4)) < 0.2**4 * missing(system, np.zeros((2, *size), np.float32))


def test_multigrid_ends_at_its_tolerance() -> None:
    system = random_system((40, 50))
    exact = multigrid(system, 60)
    rough, fine = multigrid(system, 60, 0.1), multigrid(system, 60, 1e-4)
    np.testing.assert_array_equal(multigrid(system, 60, 1.0), multigrid(system, 1))
    errors = [float(np.abs(flow - exact).mean()) for flow in (rough, fine)]
    assert errors[1] < 1e-4 < errors[0]


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (60, 70)])
def test_nothing_to_do_is_exactly_nothing(size: tuple[int, int]) -> None:
    system = random_system(size)
    system.tensor[3:] = 0
    still = (np.zeros(size, np.float32), np.zeros(size, np.float32))
    resting = System(system.tensor, system.edges, *still)
    assert not relax(resting, 20).any()
    assert not multigrid(resting, 5).any()
    moving = (np.full(size, 1.3, np.float32), np.full(size, -20.7, np.float32))
    for flow in (relax(System(*system[:2], *moving), 20), multigrid(System(*system[:2], *moving), 5)):
        np.testing.assert_array_equal(flow, moving)


def test_no_sweeps_return_the_start() -> None:
    system = random_system((6, 7))
    start = tuple(noise(2, 6, 7))
    np.testing.assert_array_equal(relax(system, 0, start=start), start)
    np.testing.assert_array_equal(multigrid(system, 0, start=start), start)


def test_pixels_without_any_information_keep_their_start() -> None:
    system = System(np.zeros((5, 4, 6), np.float32), np.zeros((2, 4, 6), np.float32), *noise(2, 4, 6))
    start = tuple(noise(2, 4, 6, seed=3))
    np.testing.assert_array_equal(relax(system, 10, start=start), start)
    np.testing.assert_array_equal(multigrid(system, 3, start=start), start)


def test_one_constraint_and_next_to_no_smoothness_stays_bounded() -> None:
    jx, jy, r = noise(3, 1, 20, 30)
    tensor = np.zeros((5, 20, 30), np.float32)
    add_data(tensor, jx, jy, r, np.ones((20, 30), np.float32), Quadratic())
    edges = np.full((2, 20, 30), 1e-22, np.float32)
    zero = np.zeros((20, 30), np.float32)
    system = System(tensor, edges, zero, zero)
    for flow in (relax(system, 100, 1.9), multigrid(system, 10)):
        assert np.isfinite(flow).all()
        # Each pixel moves along its own gradient, as far as its own constraint says.
        np.testing.assert_allclose(jx[0] * flow[0] + jy[0] * flow[1], -r[0], atol=1e-3)
        normal = -r[0] / (jx[0] ** 2 + jy[0] ** 2)
        np.testing.assert_allclose(flow, (normal * jx[0], normal * jy[0]), atol=0.02 * float(np.abs(normal).max()))


def test_no_weight_counts_where_the_flow_leaves_the_frame() -> None:
    first, second, (u, v), weights = (
        np.random.default_rng(0).random(shape, np.float32) for shape in ((1, 6, 8), (1, 6, 8), (2, 6, 8), (6, 8))
    )
    u, v = 10 * u - 5, 10 * v - 5

    def differences(weights: Any) -> Any:
        return _core.frame_planes(_core.FramePair(first, second, second, u, v, weights, "bicubic", "average"), ["It"])

    assert not differences(None).all()
    np.testing.assert_array_equal(differences(np.ones_like(weights)), differences(None))
    np.testing.assert_array_equal(differences(weights), weights * differences(None))


# Arguments

PLANE = np.zeros((6, 8), np.float32)
STACK = np.zeros((2, 6, 8), np.float32)
TENSOR = np.zeros((5, 6, 8), np.float32)
KIND: Any = _core.PenaltyKind
QUADRATIC = _core.Penalty(KIND.QUADRATIC)
TERM = _core.DataTerm(STACK, STACK, STACK, QUADRATIC, 0.0, 1.0)
SMOOTH = _core.Smoothness(PLANE, PLANE, False, QUADRATIC, 1.0)
PAIR = _core.FramePair(STACK, STACK, STACK, PLANE, PLANE, None, "bicubic", "average")
SMALL = np.zeros((5, 8), np.float32)
LOCKED = TENSOR.copy()
LOCKED.flags.writeable = False


def core_data(jx=STACK, jy=STACK, r=STACK, penalty=QUADRATIC, normalisation=0.0, weight=1.0):
    return CORE.DataTerm(jx, jy, r, penalty, normalisation, weight)


def core_pair(**changed):
    given = {"first": STACK, "second": STACK, "samples": STACK, "u": PLANE, "v": PLANE, "weights": None}
    return CORE.FramePair(**{**given, "interpolation": "bicubic", "derivative": "average", **changed})


def core_step(frames=PAIR, constancies=(), data=(), smoothness=SMOOTH):
    return CORE.Step(frames, list(constancies), list(data), smoothness)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: CORE.add_data(STACK, TERM, PLANE), ValueError, r"tensor has shape \(2, 6, 8\), wanted \(5, 6, 8\)"),
        (lambda: CORE.add_data(LOCKED, TERM, PLANE), ValueError, "`tensor`.*read-only"),
        (lambda: CORE.add_data(TENSOR.astype(float), TERM, PLANE), TypeError, "^tensor .*float64"),
        (lambda: CORE.add_data(TENSOR, TERM, PLANE.T), ValueError, "^weights "),
        (lambda: CORE.data_energy(TERM, PLANE, SMALL, PLANE), ValueError, r"du has shape \(5, 8\), wanted \(6, 8\)"),
        (lambda: CORE.data_squares(TERM, PLANE, SMALL), ValueError, r"dv has shape \(5, 8\), wanted \(6, 8\)"),
        (lambda: core_data(jy=TENSOR), ValueError, "^jy .*2, 6, 8"),
        (lambda: core_data(normalisation=-1), ValueError, "^normalisation .*-1"),
        (lambda: core_data(weight=float("nan")), ValueError, "^weight .*nan"),
        (lambda: CORE.Penalty(KIND.CHARBONNIER), ValueError, "^scale .*above 0"),
        (lambda: CORE.Penalty(KIND.GENERALISED_CHARBONNIER, 0.5, -1), ValueError, "^exponent .*-1"),
        (lambda: CORE.tabulate_penalty(PLANE, PLANE), ValueError, r"^values .*\(7681,\)"),
        (lambda: CORE.half_weights(QUADRATIC, STACK), ValueError, "^squared "),
        (lambda: CORE.Smoothness(PLANE, None, False, QUADRATIC, 1.0), TypeError, "guide_x and guide_y"),
        (lambda: CORE.Smoothness(None, None, False, QUADRATIC, -1.0), ValueError, "^weight .*-1"),
        (lambda: CORE.edge_weights(PLANE, PLANE[:3], SMOOTH), ValueError, "^v "),
        (
            lambda: CORE.smoothness_energy(SMALL, SMALL, SMOOTH),
            ValueError,
            r"guide_x has shape \(6, 8\), wanted \(5, 8\)",
        ),
        (
            lambda: CORE.squared_differences(SMALL, SMALL, SMOOTH),
            ValueError,
            r"guide_x has shape \(6, 8\), wanted \(5, 8\)",
        ),
        (lambda: core_pair(second=TENSOR), ValueError, "^second .*2, 6, 8"),
        (lambda: core_pair(u=SMALL), ValueError, "^u .*6, 8"),
        (lambda: core_pair(weights=SMALL), ValueError, "^weights .*6, 8"),
        (lambda: core_pair(interpolation="cubic"), ValueError, "^interpolation .*cubic"),
        (lambda: core_pair(derivative="third"), ValueError, "^derivative .*third"),
        (lambda: CORE.frame_planes(PAIR, ["Iz"]), ValueError, "`names`.*Iz"),
        (lambda: core_step(core_pair(u=PLANE), data=[core_data(*[STACK[:, :5].copy()] * 3)]), ValueError, "^jx .*6, 8"),
        (
            lambda: core_step(smoothness=CORE.Smoothness(SMALL, SMALL, True, QUADRATIC, 1)),
            ValueError,
            "^guide_x .*6, 8",
        ),
        (lambda: CORE.robust_step(core_step(), -1, 1.9), ValueError, "`sweeps`.*-1"),
        (lambda: CORE.robust_step(core_step(), 1, 1.9, -1), ValueError, "^cycles .*-1"),
        (lambda: CORE.image_edges(STACK, 0.0, 0.0), ValueError, "^contrast .*above 0"),
        (lambda: CORE.image_edges(STACK, 1.0, -0.1), ValueError, "^least .*at least 0"),
        (lambda: CORE.residual(TENSOR, STACK, PLANE, PLANE, PLANE, STACK), ValueError, "^v .*2, 6, 8"),
        (lambda: CORE.relax(TENSOR, TENSOR, *[PLANE] * 4, 5, 1.9), ValueError, "^edges "),
        (lambda: CORE.relax(TENSOR, STACK, *[PLANE] * 4, -1, 1.9), ValueError, "`sweeps`.*-1"),
        (lambda: CORE.relax(TENSOR, STACK, *[PLANE] * 4, 5, 2.0), ValueError, "`omega`.*2"),
        (lambda: CORE.relax(TENSOR, STACK, *[PLANE] * 3, None, 5, 1.9), TypeError, "^v_start .*NoneType"),
        (lambda: CORE.multigrid(TENSOR, STACK, *[PLANE] * 4, -1, 0.0), ValueError, "^cycles .*-1"),
        (lambda: CORE.multigrid(TENSOR, STACK, *[PLANE] * 4, 5, -1.0), ValueError, "^tolerance .*-1"),
    ],
)
def test_errors_name_the_argument(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# What stays inside


@pytest.mark.parametrize("size", SIZES)
def test_inside_against_numpy(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    u, v = rng.integers(-8, 9, (2, *size)).astype(np.float32) / 2  # among them those that end on the border
    u.flat[0] = np.nan
    y, x = np.indices(size)
    expected = (x + u >= 0) & (x + u <= size[1] - 1) & (y + v >= 0) & (y + v <= size[0] - 1)
    np.testing.assert_array_equal(_core.inside(u, v)[0], expected)
    with pytest.raises(ValueError, match=r"^v "):
        _core.inside(u, np.zeros((7, 7), np.float32))


# The motion tensor straight from the frames


@pytest.mark.parametrize("derivative", ["average", "first", "second", "warped"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "spline"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 5), (61, 47), (130, 530)])
@pytest.mark.parametrize("whole", [True, False])
def test_constancy_straight_from_the_frames_is_that_of_the_residuals(derivative, interpolation, shape, whole):
    rng = np.random.default_rng(5)
    masks = {} if whole else {"mask": (rng.random(shape) < 0.9, None), "weights": rng.random(shape)}
    if not whole and 1 in shape:
        masks = {"weights": rng.random(shape)}
    frames = prepare(*rng.random((2, *shape, 2)), **masks)
    flow = tuple(rng.normal(0, 1.5, shape).astype(np.float32) for _ in range(2))
    level = pyramid(frames, factor=0.5, coarsest=999)[0]
    at = linearise(level, flow, derivative=derivative, interpolation=interpolation)
    terms = [
        (0.3 * BrightnessConstancy(Charbonnier(0.1), normalisation=0.02), 1.0),
        (GradientConstancy(Lorentzian(0.2)), 2.0),
    ]
    expected = np.zeros((5, *shape), np.float32)
    for term in linearised(terms, at):
        _core.add_data(expected, term.native(), at.weights)
    tensor = motion_tensor(terms, at)
    np.testing.assert_allclose(tensor, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "spline"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (31, 40), (40, 700)])
def test_the_misfit_comes_with_the_tensor(shape, interpolation):
    rng = np.random.default_rng(6)
    weights = rng.uniform(0.5, 1, shape) * (rng.random(shape) > 0.1)
    flow = tuple(rng.normal(0, 2, (2, *shape)).astype(np.float32))
    for weighed in (None, weights):
        level = pyramid(prepare(*rng.random((2, *shape, 3)), weights=weighed), factor=0.5, coarsest=999)[0]
        kinds = {"derivative": "average", "interpolation": interpolation}
        at, again = (linearise(level, flow, **kinds, with_misfit=wanted) for wanted in (True, False))
        motion_tensor([(BrightnessConstancy(), 1.0), (GradientConstancy(), 1.0)], again)
        assert not {"It", "mismatch"} & vars(again).keys()  # not wanted
        motion_tensor([(BrightnessConstancy(), 1.0)], at)
        assert ("It" in vars(at)) == (weighed is None)
        assert "mismatch" not in vars(at)  # it would not be free
        motion_tensor([(BrightnessConstancy(), 1.0), (GradientConstancy(), 1.0)], at)
        assert "mismatch" in vars(at)
        np.testing.assert_allclose(at.It, again.It, atol=1e-6)
        np.testing.assert_array_equal(at.mismatch, again.mismatch)
        np.testing.assert_allclose(at.mismatch, at.plain().mismatch, rtol=1e-4, atol=1e-4)
        assert (at.mismatch[at.weights == 0] == 0).all()


@pytest.mark.parametrize(
    ("shape", "inner"), [((64, 70), np.s_[1:-1, 1:-1]), ((63, 70), np.s_[:, 1:-1]), ((63, 20), np.s_[:])]
)
def test_derivatives_are_zero_where_they_look_outside(shape, inner):
    level = pyramid(prepare(*np.random.default_rng(8).random((2, *shape))), factor=0.5, coarsest=99)[0]
    at = linearise(level, tuple(np.zeros((2, *shape), np.float32)), derivative="average", interpolation="spline")
    compared = np.zeros(shape, bool)
    compared[inner] = True
    for name in ("Ix", "Iy", "Ixx", "Ixy", "Iyy", "Ixt", "Iyt"):
        np.testing.assert_allclose(getattr(at, name), getattr(at.plain(), name), atol=1e-6)
        np.testing.assert_array_equal(getattr(at, name)[0] != 0, compared)
    assert at.It.all()
    assert at.mismatch.all()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "spline"])
def test_frames_that_match_have_no_misfit(interpolation):
    same = prepare(*np.random.default_rng(6).random((2, 31, 40)))
    level = pyramid(same._replace(second=same.first), factor=0.5, coarsest=99)[0]
    still = tuple(np.zeros((2, 31, 40), np.float32))
    at = linearise(level, still, derivative="average", interpolation=interpolation, with_misfit=True)
    motion_tensor([(GradientConstancy(), 1.0)], at)
    assert not at.It.any()
    assert not at.mismatch.any()


def test_mismatch_is_a_distance():
    y, x = np.mgrid[:60, :80]

    def texture(x):
        return 0.5 + 0.25 * np.sin(x / 2) * np.cos(y / 3) + 0.2 * np.sin(x / 3 + y / 2)

    level = pyramid(prepare(texture(x), texture(x - 0.3), intensity_range=(0, 1)), factor=0.5, coarsest=99)[0]
    still = np.zeros((2, 60, 80), np.float32)
    mismatch = linearise(level, tuple(still), derivative="average", interpolation="spline").mismatch
    assert 0.15 < np.median(mismatch) <= 0.3


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 5), (61, 47), (130, 530), (300, 700), (40, 2100)])
@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("per", ["edge", "pixel"])
def test_a_step_in_one_pass_is_that_in_three(shape, guided, per):
    rng = np.random.default_rng(7)
    level = pyramid(prepare(*rng.random((2, *shape, 3))), factor=0.5, coarsest=999)[0]
    flow = tuple(rng.normal(0, 1.5, shape).astype(np.float32) for _ in range(2))
    at = linearise(level, flow, derivative="average", interpolation="spline", with_misfit=True)
    data = [(BrightnessConstancy(Charbonnier(0.1)), 1.0), (GradientConstancy(Charbonnier(0.1)), 2.0)]
    edges = ImageEdges(5.0) if guided else None
    smooth = native_smoothness(Smoothness(Charbonnier(0.05), per=per, edges=edges), 0.3, at)
    for sweeps in (0, 1, 7, 25):
        u, v = at.robust_step(constancies(data, at), [], smooth, sweeps, 1.9)
        assert "mismatch" in vars(at)
        linearised_in_python = [term.native() for term in linearised(data, at)]
        separate = at.robust_step([], linearised_in_python, smooth, sweeps, 1.9)
        system = motion_tensor(data, at), _core.edge_weights(*flow, smooth), *flow, *flow
        expected = _core.relax(*system, sweeps, 1.9)
        np.testing.assert_array_equal((u, v), expected)
        cycled = at.robust_step(constancies(data, at), [], smooth, sweeps, 1.0, cycles=2)
        np.testing.assert_array_equal(cycled, _core.cycle(*system, 2, sweeps, 1.0))
        fresh = linearise(level, flow, derivative="average", interpolation="spline")
        np.testing.assert_array_equal(at.mismatch, fresh.mismatch)
        np.testing.assert_allclose(separate, expected, atol=1e-4)  # the channels are added in another order
