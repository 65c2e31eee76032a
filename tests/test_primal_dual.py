"""The primal-dual solver against brute force, a plain NumPy form of the same iterations, and the duality gap."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from variflow import _core

Array = NDArray[Any]


@dataclass(frozen=True)
class Residuals:
    """What `_core.Residuals` is made of."""

    value: Array
    along_x: Array
    along_y: Array
    factor: float = 1.0
    threshold: float = 0.0
    normalisation: float = 0.0


@dataclass(frozen=True)
class Variation:
    """What `_core.Variation` is made of."""

    weight: float
    threshold: float = 0.0
    second: float = 0.0
    edges: tuple[Array, Array] | None = None


def minimise(
    data: list[Residuals], weights: Array, variation: Variation, flow: Any, iterations: int, state: Any = None
) -> tuple[Any, Array]:
    bound = [_core.Residuals(**vars(term)) for term in data]
    return _core.primal_dual(*flow, bound, weights, _core.Variation(**vars(variation)), iterations, state)


ROOT_HALF = np.sqrt(0.5)
BALANCE, SCALE_W = 1.4, 0.02
VARIATIONS = {
    "tv": Variation(0.5),
    "huber": Variation(0.5, threshold=0.1),
    "tgv": Variation(0.5, second=2.0),
    "huber tgv": Variation(0.5, threshold=0.1, second=2.0),
}


@pytest.fixture(autouse=True)
def keep_threads() -> Iterator[None]:
    threads = _core.get_threads()
    yield
    _core.set_threads(threads)


class Problem:
    """Random residuals around a random flow: `counts` of them in each term, with weights and factors of edges."""

    def __init__(
        self, shape: tuple[int, int], counts: tuple[int, ...], kind: str, edges: bool = True, threshold: float = 0.0
    ) -> None:
        rng = np.random.default_rng(0)

        def planes(*count: int) -> Array:
            return rng.standard_normal((*count, *shape)).astype(np.float32)

        self.data = [Residuals(planes(k), planes(k), planes(k), 0.3 + 0.5 * k, threshold) for k in counts]
        self.weights = rng.uniform(0, 1, shape).astype(np.float32) * (rng.uniform(size=shape) > 0.2)
        self.weights = self.weights.astype(np.float32)
        self.flow = (planes(), planes())
        self.variation = VARIATIONS[kind]
        if edges:
            self.variation = replace(
                self.variation,
                edges=(rng.uniform(0, 1, shape).astype(np.float32), rng.uniform(0, 1, shape).astype(np.float32)),
            )

    def solve(self, iterations: int, state: Any = None) -> tuple[tuple[Array, Array], Array]:
        return minimise(self.data, self.weights, self.variation, self.flow, iterations, state)

    # The operators, in double precision.

    @property
    def edges(self) -> Array:
        """Factors of the differences: along x and y, zero beyond the last column and row."""
        shape = self.weights.shape
        factors = np.sqrt(np.array(self.variation.edges or np.ones((2, *shape)), float))
        factors[0, :, -1] = 0
        factors[1, -1] = 0
        return factors

    def residuals(self, term: Residuals, flow: Array) -> Array:
        return term.value + term.along_x * (flow[0] - self.flow[0]) + term.along_y * (flow[1] - self.flow[1])

    def gradient(self, flow: Array, w: Array) -> Array:
        return np.tile(self.edges, (2, 1, 1)) * (np.concatenate([differences(plane) for plane in flow]) - w)

    def energy(self, flow: Array, w: Array) -> float:
        total = sum(
            term.factor * (self.weights * huber(length(self.residuals(term, flow)), term.threshold)).sum()
            for term in self.data
        )
        variation = self.variation
        total += variation.weight * huber(length(self.gradient(flow, w)), variation.threshold).sum()
        return float(total + variation.weight * variation.second * length(symmetric_gradient(w)).sum())

    def unpack(self, state: Array) -> tuple[Array, Array, Array, list[Array]]:
        """Return p, q, w and the dual variables of each term."""
        second = self.variation.second > 0
        p, q, w, y = np.split(state.astype(float), [4, 10, 14] if second else [4, 4, 4])
        if not second:
            q, w = np.zeros((6, *p.shape[1:])), np.zeros_like(p)
        return p, q, w, np.split(y, np.cumsum([len(term.value) for term in self.data])[:-1])

    def gap(self, flow: Array, state: Array, radius: float = 0.5) -> float:
        """Return primal minus dual energy, were the minimiser within `radius` of the flow and of w; relative."""
        p, q, w, duals = self.unpack(state)
        factor = self.variation.weight
        dual = -0.5 * factor * self.variation.threshold * (p * p).sum()
        slope = factor * adjoint_of_differences(p * np.tile(self.edges, (2, 1, 1)))
        for term, y in zip(self.data, duals, strict=True):
            radii = term.factor * self.weights
            assert (length(factor * y) <= radii * (1 + 1e-5)).all()
            with np.errstate(divide="ignore", invalid="ignore"):
                softness = np.where(radii > 0, term.threshold / radii, 0)
            dual += (factor * y * self.residuals(term, np.zeros_like(flow))).sum()
            dual -= 0.5 * (softness * length(factor * y) ** 2).sum()
            slope += factor * np.stack([(term.along_x * y).sum(axis=0), (term.along_y * y).sum(axis=0)])
        dual += (slope * flow).sum() - radius * abs(slope).sum()
        if self.variation.second > 0:
            slope_w = factor * (adjoint_of_symmetric_gradient(q) - p * np.tile(self.edges, (2, 1, 1)))
            dual += (slope_w * w).sum() - radius * abs(slope_w).sum()
        assert (length(p) <= 1 + 1e-5).all()
        assert (length(q) <= self.variation.second + 1e-5).all()
        primal = self.energy(flow, w)
        return float((primal - dual) / primal)

    def reference(self, iterations: int) -> Array:
        """Do the same iterations, pixel order and blocks aside."""
        variation, second = self.variation, self.variation.second > 0
        scale = SCALE_W if second else 0.0
        step, step_p = BALANCE / 4, 1 / ((2 + scale) * BALANCE)
        step_w, step_q = BALANCE * SCALE_W / (3 + 2 * ROOT_HALF), 1 / (4 * ROOT_HALF * SCALE_W * BALANCE)
        flow = extrapolated = np.array(self.flow, float)
        p, q = np.zeros((4, *flow.shape[1:])), np.zeros((6, *flow.shape[1:]))
        w = extrapolated_w = np.zeros_like(p)
        duals = [np.zeros(term.value.shape) for term in self.data]
        edges = np.tile(self.edges, (2, 1, 1))
        for _ in range(iterations):
            p = (p + step_p * self.gradient(extrapolated, extrapolated_w)) / (1 + step_p * variation.threshold)
            p = projected(p, 1.0)
            moved = flow - step * adjoint_of_differences(edges * p)
            for term, y in zip(self.data, duals, strict=True):
                moved -= step * np.stack([(term.along_x * y).sum(axis=0), (term.along_y * y).sum(axis=0)])
            for i, (term, y) in enumerate(zip(self.data, duals, strict=True)):
                radii = term.factor / variation.weight * self.weights.astype(float)
                softness = np.divide(term.threshold, radii, where=radii > 0, out=np.zeros_like(radii))
                response = step * (term.along_x.astype(float) ** 2 + term.along_y.astype(float) ** 2).sum(axis=0)
                force = response * y + self.residuals(term, moved)
                duals[i] = projected(force / (response + softness + 1e-9), radii)
                change = duals[i] - y
                moved -= step * np.stack([(term.along_x * change).sum(axis=0), (term.along_y * change).sum(axis=0)])
            flow, extrapolated = moved, 2 * moved - flow
            if second:
                q = projected(q + step_q * symmetric_gradient(extrapolated_w), variation.second)
                moved_w = w + step_w * (edges * p - adjoint_of_symmetric_gradient(q))
                w, extrapolated_w = moved_w, 2 * moved_w - w
        return flow


def huber(s: Array, threshold: float) -> Array:
    if threshold == 0:
        return s
    return np.where(s <= threshold, s * s / (2 * threshold), s - threshold / 2)


def length(planes: Array) -> Array:
    return np.sqrt((planes * planes).sum(axis=0))


def projected(planes: Array, radius: Any) -> Array:
    return planes * np.minimum(1, radius / np.maximum(length(planes), 1e-30))


def differences(plane: Array) -> Array:
    return np.stack([np.diff(plane, axis=1, append=plane[:, -1:]), np.diff(plane, axis=0, append=plane[-1:])])


def adjoint_of_difference(plane: Array, axis: int) -> Array:
    plane = np.swapaxes(plane, 0, axis)
    out = np.zeros_like(plane)
    out[:-1] -= plane[:-1]
    out[1:] += plane[:-1]
    return np.swapaxes(out, 0, axis)


def adjoint_of_differences(p: Array) -> Array:
    return np.stack([adjoint_of_difference(p[i], 1) + adjoint_of_difference(p[i + 1], 0) for i in (0, 2)])


def symmetric_gradient(w: Array) -> Array:
    parts = []
    for x, y in ((w[0], w[1]), (w[2], w[3])):
        (xx, xy), (yx, yy) = differences(x), differences(y)
        parts += [xx, yy, ROOT_HALF * (xy + yx)]
    return np.stack(parts)


def adjoint_of_symmetric_gradient(q: Array) -> Array:
    parts = []
    for xx, yy, xy in (q[:3], q[3:]):
        parts.append(adjoint_of_difference(xx, 1) + ROOT_HALF * adjoint_of_difference(xy, 0))
        parts.append(ROOT_HALF * adjoint_of_difference(xy, 1) + adjoint_of_difference(yy, 0))
    return np.stack(parts)


def test_operators_are_adjoint() -> None:
    rng = np.random.default_rng(1)
    flow, w, p, q = (rng.standard_normal((count, 5, 7)) for count in (2, 4, 4, 6))
    forward = np.concatenate([differences(plane) for plane in flow])
    np.testing.assert_allclose((forward * p).sum(), (flow * adjoint_of_differences(p)).sum())
    np.testing.assert_allclose((symmetric_gradient(w) * q).sum(), (w * adjoint_of_symmetric_gradient(q)).sum())


@given(
    st.tuples(*[st.floats(-2, 2, width=32)] * 5),
    st.floats(0, 3, width=32),
    st.sampled_from([0.0, 0.25]),
)
@settings(max_examples=50, deadline=None)
def test_step_of_the_data_is_the_proximal_one(numbers: Any, weight: float, threshold: float) -> None:
    """A frame of one pixel has no differences, so that one iteration is one proximal step; brute force over a line.

    The step is along the residual's derivative (jx, jy): any other direction only costs.
    """
    value, jx, jy, u, v = numbers

    def plane(number: float) -> Array:
        return np.full((1, 1), number, np.float32)

    term = Residuals(plane(value)[None], plane(jx)[None], plane(jy)[None], 1.0, threshold)
    flow, _ = minimise([term], plane(weight), Variation(0.5), (plane(u), plane(v)), 1)
    distance = np.linspace(-8, 8, 400_001)
    size = np.hypot(jx, jy)
    cost = distance**2 / (2 * BALANCE / 4) + weight / 0.5 * huber(abs(value + size * distance), threshold)
    best = distance[np.argmin(cost)]
    direction = (jx / size, jy / size) if size > 1e-3 else (0.0, 0.0)
    tolerance = 2e-3 if size > 1e-3 else 2e-2
    np.testing.assert_allclose(flow[0][0, 0], u + best * direction[0], atol=tolerance)
    np.testing.assert_allclose(flow[1][0, 0], v + best * direction[1], atol=tolerance)


@pytest.mark.parametrize("kind", VARIATIONS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 2), (13, 17), (40, 300)])
def test_blocks_do_what_plain_iterations_do(shape: tuple[int, int], kind: str) -> None:
    """The larger frame has several tiles either way, and more iterations than a tile takes."""
    for counts, threshold, edges in (((1,), 0.0, False), ((1, 2), 0.1, True), ((1, 3, 2), 0.0, False)):
        problem = Problem(shape, counts, kind, edges, threshold)
        for iterations in (1, 37):
            flow, _ = problem.solve(iterations)
            np.testing.assert_allclose(flow, problem.reference(iterations), atol=2e-4)


@pytest.mark.parametrize("kind", VARIATIONS)
@pytest.mark.parametrize("counts", [(1,), (2,), (1, 2), (1, 1, 1)])
def test_duality_gap_closes(counts: tuple[int, ...], kind: str) -> None:
    for threshold in (0.0, 0.1):
        problem = Problem((12, 15), counts, kind, threshold=threshold)
        gaps = []
        state = None
        for iterations in (10, 4000):
            flow, state = problem.solve(iterations)
            gaps.append(problem.gap(np.array(flow, float), state))
        assert -1e-5 < gaps[1] < 2e-3
        assert gaps[1] < 0.1 * gaps[0]


def test_going_on_is_as_good_as_going_through() -> None:
    """A later call only starts without extrapolation."""
    for kind in VARIATIONS:
        problem = Problem((12, 15), (1, 2), kind)
        through, state = problem.solve(4000)
        energy = problem.energy(np.array(through, float), problem.unpack(state)[2])
        state = None
        for _ in range(20):
            flow, state = problem.solve(200, state)
            for i, term in enumerate(problem.data):  # the same residuals, around the flow that was reached
                value = problem.residuals(term, np.array(flow)).astype(np.float32)
                problem.data[i] = replace(term, value=value)
            problem.flow = flow
        assert problem.energy(np.array(flow, float), problem.unpack(state)[2]) == pytest.approx(energy, rel=1e-3)


def test_normalised_residuals_are_distances() -> None:
    problem = Problem((12, 15), (1, 2), "tv")
    problem.data = [replace(term, normalisation=0.2) for term in problem.data]
    flow, _ = problem.solve(50)
    for i, term in enumerate(problem.data):
        scale = 1 / np.sqrt(term.along_x**2 + term.along_y**2 + np.float32(0.2**2))
        planes = scale * term.value, scale * term.along_x, scale * term.along_y
        problem.data[i] = Residuals(*planes, term.factor, term.threshold)
    np.testing.assert_allclose(flow, problem.solve(50)[0], atol=1e-5)


def test_huber_becomes_total_variation() -> None:
    problem = Problem((12, 15), (1,), "tv")
    exact, _ = problem.solve(3000)
    problem.variation = replace(problem.variation, threshold=1e-4)
    nearly, _ = problem.solve(3000)
    np.testing.assert_allclose(nearly, exact, atol=2e-3)


def test_second_order_leaves_affine_flows_alone() -> None:
    """Data that are known at some pixels only: the flow between and beyond them is the affine one."""
    y, x = np.indices((20, 24))
    u, v = (0.02 * x - 0.05 * y + 1).astype(np.float32), (0.03 * x + 0.04 * y - 2).astype(np.float32)
    known = (np.random.default_rng(3).uniform(size=u.shape) < 0.3).astype(np.float32)
    ones, zeros = np.ones((1, *u.shape), np.float32), np.zeros((1, *u.shape), np.float32)
    data = [Residuals(-u[None], ones, zeros), Residuals(-v[None], zeros, ones)]
    start = (zeros[0], zeros[0])
    first, _ = minimise(data, known, Variation(0.5), start, 6000)
    second, _ = minimise(data, known, Variation(0.5, second=2.0), start, 6000)
    assert max(abs(first[0] - u).max(), abs(first[1] - v).max()) > 0.05
    assert max(abs(second[0] - u).max(), abs(second[1] - v).max()) < 0.01


def test_identical_frames_do_not_move() -> None:
    problem = Problem((9, 11), (1, 2), "tgv")
    zeros = np.zeros((9, 11), np.float32)
    data = [replace(term, value=np.zeros_like(term.value)) for term in problem.data]
    flow, _ = minimise(data, problem.weights, problem.variation, (zeros, zeros), 20)
    assert not np.any(flow)


def test_no_data_only_smooths() -> None:
    problem = Problem((9, 11), (), "tv", edges=False)
    problem.variation = Variation(1.0)
    flow, _ = problem.solve(5000)
    assert np.ptp(flow[0]) < 1e-2
    np.testing.assert_allclose(np.mean(flow, axis=(1, 2)), np.mean(problem.flow, axis=(1, 2)), atol=1e-4)


@pytest.mark.parametrize("kind", VARIATIONS)
def test_threads_do_not_matter(kind: str) -> None:
    for shape in ((3, 2), (61, 530)):
        problem = Problem(shape, (1, 2), kind)
        results = []
        for threads in (1, 2, 3, 5):
            _core.set_threads(threads)
            results.append(problem.solve(40))
        for flow, state in results[1:]:
            np.testing.assert_array_equal(flow, results[0][0])
            np.testing.assert_array_equal(state, results[0][1])


def test_arguments_are_checked() -> None:
    problem = Problem((4, 5), (1, 2), "tv", edges=False)
    with pytest.raises(ValueError, match="weight is 0, wanted a number above 0"):
        minimise(problem.data, problem.weights, Variation(0.0), problem.flow, 1)
    with pytest.raises(ValueError, match="threshold"):
        minimise(problem.data, problem.weights, Variation(1.0, threshold=-1), problem.flow, 1)
    with pytest.raises(ValueError, match="second"):
        minimise(problem.data, problem.weights, Variation(1.0, second=np.nan), problem.flow, 1)
    with pytest.raises(ValueError, match="iterations"):
        minimise(problem.data, problem.weights, Variation(1.0), problem.flow, -1)
    with pytest.raises(ValueError, match="weights"):
        minimise(problem.data, problem.weights[:3], Variation(1.0), problem.flow, 1)
    term = replace(problem.data[1], along_y=problem.data[0].along_y)
    with pytest.raises(ValueError, match="along_y"):
        minimise([term], problem.weights, Variation(1.0), problem.flow, 1)
    with pytest.raises(ValueError, match="factor is -1, wanted a number of at least 0"):
        minimise([replace(problem.data[0], factor=-1)], problem.weights, Variation(1.0), problem.flow, 1)
    with pytest.raises(ValueError, match="normalisation is -1, wanted a number of at least 0"):
        minimise([replace(problem.data[0], normalisation=-1)], problem.weights, Variation(1.0), problem.flow, 1)
    with pytest.raises(ValueError, match=r"state has shape \(4, 4, 5\), wanted \(7, 4, 5\)"):
        problem.solve(1, np.zeros((4, 4, 5), np.float32))
    with pytest.raises(TypeError, match="weights has dtype float64, wanted a CPU array of float32"):
        minimise(problem.data, problem.weights.astype(float), Variation(1.0), problem.flow, 1)
    with pytest.raises(ValueError, match=r"value has shape .*, wanted \(residuals, 4, 5\)"):
        minimise(Problem((3, 5), (1,), "tv").data, problem.weights, Variation(1.0), problem.flow, 1)
    with pytest.raises(ValueError, match=r"edges has shape \(3, 5\), wanted \(4, 5\)"):
        minimise([], problem.weights, Variation(1.0, edges=(problem.weights[:3],) * 2), problem.flow, 1)
    with pytest.raises(TypeError):
        _core.primal_dual(*problem.flow, [None], problem.weights, _core.Variation(1.0), 1)  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"second is .*, wanted a number above 0"):
        _core.slopes(*problem.flow, _core.Variation(1.0), 1)
