"""Least squares of residuals that look at a neighbourhood: the core against dense matrices, and the solver of it."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import variflow
from variflow import _core, metrics, models
from variflow.datasets import synthetic
from variflow.energy import (
    BrightnessConstancy,
    Charbonnier,
    FlowTerm,
    GradientConstancy,
    ImageEdges,
    NonLocalSmoothness,
    Quadratic,
    SecondOrderSmoothness,
    Smoothness,
)
from variflow.energy.autodiff import programs, stencils
from variflow.energy.autodiff.stencils import find_taps, study
from variflow.energy.structure import read_constant
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve import choose_solver
from variflow.solve.damping import settle_shared_motion
from variflow.solve.determined import find_alone
from variflow.solve.local_system import LocalSystem
from variflow.solve.relaxation import Relaxation

SHAPE = (24, 31)
QUADRATIC = _core.Penalty(_core.PenaltyKind.QUADRATIC)


# The core


def random_term(rng, shape, unknowns, *, planes):
    """Return a term of one residual with random taps, as the core wants it, and its taps, value and weights.

    Taps have no planes, one each, or one that they share.
    """
    reach = [range(-2, 3) if length > 1 else range(1) for length in shape]
    offsets = list(product(range(unknowns), *reach))
    chosen = rng.choice(len(offsets), size=min(5, len(offsets)), replace=False)

    def plane():
        return rng.normal(size=shape).astype(np.float32)

    shared = plane()
    kinds = {"no": lambda: None, "own": plane, "shared": lambda: shared}
    taps = [(*offsets[i], float(rng.normal()), kinds[planes]()) for i in chosen]
    value, weights = plane(), rng.random(shape).astype(np.float32)
    held = [_core.Tap(k, offset, factor, coefficient) for k, *offset, factor, coefficient in taps]
    term = _core.LocalTerm([_core.LocalResidual(held, value)], True, QUADRATIC, 1.0, weights)
    return term, (taps, value, weights)


def dense_rows(taps, shape, unknowns):
    """Return the matrix of a residual, (pixels, unknowns x pixels); what is outside does not count."""
    pixels = int(np.prod(shape))
    matrix, numbers = np.zeros((pixels, unknowns * pixels)), np.arange(pixels).reshape(shape)
    for unknown, *offset, factor, plane in taps:
        for place in np.ndindex(shape):
            other = tuple(np.add(place, offset))
            if all(0 <= i < length for i, length in zip(other, shape, strict=True)):
                coefficient = factor * (1 if plane is None else float(plane[place]))
                matrix[numbers[place], unknown * pixels + numbers[other]] += coefficient
    return matrix


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (1, 6, 1), (1, 9, 11), (1, 2, 75), (3, 4, 5)])
@pytest.mark.parametrize("unknowns", [1, 2, 3, 4])
@pytest.mark.parametrize("planes", ["no", "own", "shared"])
def test_the_core_solves_what_a_dense_solve_does(shape, unknowns, planes):
    rng = np.random.default_rng(unknowns)
    start = rng.normal(size=(unknowns, *shape)).astype(np.float32)
    drawn = [random_term(rng, shape, unknowns, planes=planes) for _ in range(3)]
    pull = [
        (_core.LocalTerm([_core.LocalResidual([_core.Tap(k, (0, 0, 0), 1.0)])], True, QUADRATIC, 0.5), k)
        for k in range(unknowns)
    ]
    problem = _core.LocalProblem(start, [term for term, _ in (*drawn, *pull)])
    found, _, residual = _core.solve_local(problem, 1e-6, 500)
    pixels = int(np.prod(shape))
    matrix, right = 0.5 * np.eye(unknowns * pixels), np.zeros(unknowns * pixels)
    for _, (taps, value, weights) in drawn:
        rows, factors = dense_rows(taps, shape, unknowns), weights.ravel().astype(float)
        matrix += rows.T @ (factors[:, None] * rows)
        right -= rows.T @ (factors * value.ravel())
    expected = np.linalg.solve(matrix, right).reshape(found.shape)
    assert residual <= 1e-6
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("jointly", [True, False])
def test_planes_that_taps_share_are_multiplied_in_once_or_not_at_all(same, jointly):
    """With the same planes, and with others that say the same of each tap, the system is the same."""
    rng = np.random.default_rng(0)
    shape = (1, 6, 8)
    planes = [rng.normal(size=shape).astype(np.float32) for _ in range(2)]
    penalty = _core.Penalty(_core.PenaltyKind.CHARBONNIER, 0.1)

    value = rng.normal(size=shape).astype(np.float32)

    def make_problem(copy):
        terms = []
        for value_or_none in (None, value):
            residuals = [
                _core.LocalResidual(
                    [
                        _core.Tap(unknown, offset, factor, copy(planes[0 if same else number]))
                        for unknown, offset, factor in ((0, (0, 0, 0), 1.0), (1, (0, 0, 1), -2.0), (0, (0, 1, 0), 0.5))
                    ],
                    value_or_none,
                )
                for number in (0, 1)
            ]
            terms.append(_core.LocalTerm(residuals, jointly, penalty, 1.0))
        return _core.LocalProblem(np.ones((2, *shape), np.float32), [*terms, *pull])

    pull = [
        _core.LocalTerm([_core.LocalResidual([_core.Tap(k, (0, 0, 0), 1.0)])], True, QUADRATIC, 0.5) for k in (0, 1)
    ]
    shared, *_ = _core.solve_local(make_problem(lambda plane: plane), 1e-7, 500)
    own, *_ = _core.solve_local(make_problem(np.copy), 1e-7, 500)
    np.testing.assert_allclose(shared, own, atol=2e-5)


def test_a_motion_tensor_is_damped_in_the_system():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(2, 6, 8))
    tensor = np.stack([root[0] ** 2, root[0] * root[1], root[1] ** 2, *rng.normal(size=(2, 6, 8))]).astype(np.float32)
    start, damping = np.zeros((2, 1, 6, 8), np.float32), [0.3, -0.1, 0.2]
    np.testing.assert_allclose(_core.measure_tensor(tensor), tensor[:3].mean(axis=(1, 2)), rtol=1e-5)
    found, *_ = _core.solve_local(_core.LocalProblem(start, [], tensor, damping), 1e-7, 100)
    tensor[:3] += np.array(damping, np.float32)[:, None, None]
    expected, *_ = _core.solve_local(_core.LocalProblem(start, [], tensor), 1e-7, 100)
    np.testing.assert_array_equal(found, expected)


def bending_problem(size):
    """Return second-order smoothness with a robust penalty and data at a third of the pixels."""
    rng = np.random.default_rng(0)
    shape = (1, size, size)
    terms = []
    for offset in ((0, 0, 1), (0, 1, 0)):
        inside = np.zeros(shape, np.float32)
        inside[:, offset[1] : size - offset[1], offset[2] : size - offset[2]] = 1
        back = tuple(-length for length in offset)
        residuals = [
            _core.LocalResidual([_core.Tap(k, offset, 1.0), _core.Tap(k, (0, 0, 0), -2.0), _core.Tap(k, back, 1.0)])
            for k in (0, 1)
        ]
        penalty = _core.Penalty(_core.PenaltyKind.CHARBONNIER, 0.01)
        terms.append(_core.LocalTerm(residuals, True, penalty, 1.0, inside))
    jx, jy = (rng.random((size, size)) < 0.3) * rng.normal(size=(2, size, size))
    tensor = np.stack([jx * jx, jx * jy, jy * jy, 0.3 * jx, 0.3 * jy]).astype(np.float32)
    start = (0.02 * rng.normal(size=(2, *shape))).astype(np.float32)
    return _core.LocalProblem(start, terms, tensor)


@pytest.mark.parametrize("size", [512, pytest.param(2048, marks=pytest.mark.slow)])
def test_iterations_do_not_grow_with_the_frame(size):
    (_, few, _), (_, many, residual) = (_core.solve_local(bending_problem(n), 1e-3, 100) for n in (128, size))
    assert residual <= 1e-3
    assert few / 1.3 <= many <= 1.3 * few


@pytest.mark.parametrize("data", [1, 30, 1000])
@pytest.mark.parametrize("shape", [(1, 3, 3), (1, 20, 30), (2, 9, 12)])
def test_unknowns_that_share_a_residual_of_each_pixel_take_few_iterations(shape, data):
    rng = np.random.default_rng(1)
    gain = _core.Tap(0, (0, 0, 0), 1.0, rng.random(shape, np.float32))
    value = rng.normal(size=shape).astype(np.float32)
    light = _core.LocalResidual([gain, _core.Tap(1, (0, 0, 0), 1.0)], value)
    terms = [_core.LocalTerm([light], True, QUADRATIC, data)]
    for unknown, axis in product((0, 1), range(3)):
        inside = np.ones(shape, np.float32)
        np.moveaxis(inside, axis, 0)[-1] = 0
        offset = tuple(int(other == axis) for other in range(3))
        change = [_core.Tap(unknown, offset, 1.0), _core.Tap(unknown, (0, 0, 0), -1.0)]
        terms.append(_core.LocalTerm([_core.LocalResidual(change)], True, QUADRATIC, 2.0, inside))
        terms.append(_core.LocalTerm([_core.LocalResidual(change[1:])], True, QUADRATIC, 0.1))
    start = np.zeros((2, *shape), np.float32)
    _, iterations, residual = _core.solve_local(_core.LocalProblem(start, terms), 0.01, 100)
    assert residual <= 0.01
    assert iterations <= 6


def test_the_result_is_the_same_for_any_number_of_threads():
    problem, before = bending_problem(90), variflow.get_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            variflow.set_threads(threads)
            results.append(_core.solve_local(problem, 1e-3, 100))
    finally:
        variflow.set_threads(before)
    for flow, *report in results[1:]:
        np.testing.assert_array_equal(flow, results[0][0])
        assert report == list(results[0][1:])


def test_pixels_that_nothing_determines_stay():
    shape = (1, 5, 6)
    start = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    weights = np.zeros(shape, np.float32)
    weights[0, 2, 3] = 1
    taps = [_core.Tap(0, (0, 0, 0), 1.0)]
    term = _core.LocalTerm([_core.LocalResidual(taps)], True, QUADRATIC, 1.0, weights)
    found, _, _ = _core.solve_local(_core.LocalProblem(start, [term]), 1e-6, 50)
    expected = start.copy()
    expected[0, 0, 2, 3] = 0
    np.testing.assert_allclose(found, expected, atol=1e-6)


# Terms of the flow


def first(plane, axis):
    return plane[:, 1:] - plane[:, :-1] if axis else plane[1:] - plane[:-1]


@dataclass(frozen=True)
class Along(FlowTerm):
    """First differences along one axis: half of a smoothness per edge."""

    axis: int = 0

    def residuals(self, flow, at):
        return [first(plane, self.axis) for plane in flow]


class Divergence(FlowTerm):
    def residuals(self, flow, at):
        u, v = flow
        return [u[:-1, 1:] - u[:-1, :-1] + v[1:, :-1] - v[:-1, :-1]]


class Weighted(FlowTerm):
    """Second differences that count less where the picture changes."""

    def residuals(self, flow, at):
        weight = jnp.exp(-abs(at.guide[0][1:-1] - at.guide[0][2:]))
        return [weight * (plane[2:] - 2 * plane[1:-1] + plane[:-2]) for plane in flow]


class Padded(FlowTerm):
    """Which is another one at the border."""

    def residuals(self, flow, at):
        return [plane - jnp.pad(plane, ((1, 0), (0, 0)))[:-1] + 0.3 for plane in flow]


class Curved(FlowTerm):
    """Which is not linear."""

    def residuals(self, flow, at):
        u, v = flow
        return [(u[1:] - v[:-1]) ** 2 + u[1:]]


class Far(FlowTerm):
    def residuals(self, flow, at):
        return [flow[0][:, 12:] - flow[0][:, :-12]]


class Whole(FlowTerm):
    def residuals(self, flow, at):
        return [flow[0] - flow[0].mean()]


@pytest.fixture(scope="module")
def at():
    pair = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)
    level = pyramid(prepare(pair.frame0, pair.frame1), factor=0.5, coarsest=64)[0]
    flow = tuple(np.random.default_rng(3).normal(0, 0.5, (2, *SHAPE)).astype(np.float32))
    return linearise(level, flow, derivative="average", interpolation="bicubic")


@pytest.mark.parametrize(
    ("term", "constant", "weighted", "linear"),
    [
        (Along(axis=1), True, True, True),
        (Divergence(), True, True, True),
        (Weighted(), False, True, True),
        (Padded(), False, False, True),
        (Curved(), False, False, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, FlowTerm) else None,
)
def test_taps_are_found(at, term, constant, weighted, linear):
    structure = study(term, at)
    assert (structure.constant, (structure.alike is not None), structure.linear) == (constant, weighted, linear)
    change = np.random.default_rng(1).normal(0, 1e-3, (2, *SHAPE)).astype(np.float32)
    plain = at.plain()
    before, after = (term.residuals(flow, plain) for flow in (at.flow, tuple(np.add(at.flow, change))))
    for residual, one, other in zip(find_taps(term, at, structure), before, after, strict=True):
        assert residual.shape == one.shape
        expected = np.zeros(SHAPE)
        for tap in residual.taps:
            padded = np.pad(change[tap.unknown], 9)
            top, left = 9 + tap.offset[0], 9 + tap.offset[1]
            plane = 1.0 if tap.plane is None else tap.plane
            expected += tap.factor * plane * padded[top : top + SHAPE[0], left : left + SHAPE[1]]
        height, width = one.shape
        np.testing.assert_allclose(expected[:height, :width], other - one, atol=5e-3 * np.abs(other - one).max())


@pytest.mark.parametrize("term", [Far(), Whole()], ids=["far", "whole"])
def test_a_term_that_looks_too_far_is_left_to_the_general_minimiser(at, term):
    energy = BrightnessConstancy() + term + Smoothness()
    for wanted in (LocalSystem(), None):
        solver, reason = choose_solver(energy, wanted, at)
        assert not isinstance(solver, LocalSystem)
        assert f"the residuals of {type(term).__name__} at a pixel depend on the flow more than 8 pixels away" in reason


@pytest.mark.parametrize(
    "smooth",
    [
        Smoothness(Charbonnier(0.1), 0.3),
        Smoothness(Charbonnier(0.1), 0.3, per="pixel", edges=ImageEdges(5.0)),
        Smoothness(Charbonnier(0.1), 0.3, edges=ImageEdges(5.0)),
        Smoothness(Quadratic(), 0.3, per="pixel"),
    ],
    ids=["edge", "pixel guided", "edge guided", "quadratic"],
)
def test_it_goes_where_relaxation_goes(at, smooth):
    energy = BrightnessConstancy(Charbonnier(0.1), normalisation=0.02) + 0.5 * GradientConstancy() + smooth
    found = LocalSystem(100, 1e-5).minimise(energy, at)
    expected = Relaxation(500).minimise(energy, at)
    np.testing.assert_allclose(found.flow, expected.flow, atol=1e-3)
    np.testing.assert_allclose(found.energies(), expected.energies(), rtol=1e-4)


def test_a_smoothness_by_hand_is_the_built_in_one(at):
    data = BrightnessConstancy(Charbonnier(0.1), normalisation=0.02)
    built_in = data + Smoothness(Charbonnier(0.1), 0.3)
    by_hand = data + 0.3 * Along(Charbonnier(0.1), axis=0) + Along(Charbonnier(0.1), 0.3, axis=1)
    found, expected = (LocalSystem(50, 1e-4).minimise(energy, at) for energy in (by_hand, built_in))
    np.testing.assert_allclose(found.flow, expected.flow, atol=1e-5)
    plain = at.plain()
    zero = np.zeros((2, *SHAPE), np.float32)
    assert found.energies()[0] == pytest.approx(float(by_hand(tuple(zero), plain)), rel=1e-4)


def test_a_residual_that_does_not_depend_on_the_flow_is_a_constant(at):
    class Half(FlowTerm):
        def residuals(self, flow, at):
            weight = jnp.exp(-abs(at.guide[0][1:]))
            return [weight * first(flow[0], 0), 0 * flow[1][1:] + 0.5]

    class Alone(Half):
        def residuals(self, flow, at):
            return super().residuals(flow, at)[:1]

    found, expected = (LocalSystem().minimise(BrightnessConstancy() + t + Smoothness(), at) for t in (Half(), Alone()))
    np.testing.assert_allclose(found.flow, expected.flow, atol=1e-5)
    assert found.energies()[0] == pytest.approx(expected.energies()[0] + 0.25 * (SHAPE[0] - 1) * SHAPE[1], rel=1e-5)


@pytest.mark.parametrize("term", [Divergence(Charbonnier(0.1)), Weighted(per="residual"), Padded(), Curved()])
def test_a_step_lowers_the_energy_of_jax(at, term):
    energy = BrightnessConstancy(Charbonnier(0.1), normalisation=0.05) + 0.1 * term + 0.01 * Smoothness()
    minimum = LocalSystem().minimise(energy, at)
    plain = at.plain()
    zero = np.zeros((2, *SHAPE), np.float32)
    before, after = (float(energy(tuple(d), plain)) for d in (zero, minimum.increment))
    assert after < before
    assert minimum.energies()[0] == pytest.approx(before, rel=1e-4)


def test_a_number_in_a_term_is_not_remembered_wrongly(at):
    @dataclass(frozen=True)
    class Scaled(FlowTerm):
        scale: float = 1.0

        def residuals(self, flow, at):
            return [self.scale * first(plane, 0) for plane in flow]

    factors = [study(Scaled(scale=scale), at).taps[0][0].factor for scale in (2.0, 3.0)]
    np.testing.assert_allclose(np.abs(factors), [2, 3], rtol=1e-6)


def test_a_flow_in_a_term_keeps_its_length(at):
    @dataclass(frozen=True)
    class Along(FlowTerm):
        held: Any = None

        def residuals(self, flow, at):
            return [self.held[..., 0] * flow[0] + self.held[..., 1] * flow[1]]

    term = Along(held=np.full((*SHAPE, 2), 3, np.float32))
    (residual,) = find_taps(term, at, study(term, at))
    for tap in residual.taps:
        assert tap.plane is None
        assert tap.factor == pytest.approx(3, rel=1e-5)


def test_a_term_that_asks_for_the_scale_sees_that_of_the_level(at):
    class InPixelsOfTheFrames(FlowTerm):
        def residuals(self, flow, at):
            return [plane / at.scale[0] for plane in flow]

    term = InPixelsOfTheFrames()
    for residual in find_taps(term, at, study(term, at)):
        assert residual.taps[0].plane is None
        assert residual.taps[0].factor == pytest.approx(1 / at.scale[0], rel=1e-5)


@pytest.mark.parametrize("asks", [True, False])
def test_a_term_that_is_another_in_large_frames_has_the_taps_of_these(asks):
    class FarInLargeFrames(FlowTerm):
        def residuals(self, flow, at):
            step = 3 if (at.shape[0] if asks else len(flow[0])) > 30 else 1
            return [plane[:, step:] - plane[:, :-step] for plane in flow]

    term = FarInLargeFrames()
    for shape, step in (((20, 30), 1), ((40, 50), 3)):
        still = (np.zeros(shape, np.float32),) * 2
        pair = synthetic.translation(shape, shift=(0.8, -0.4), seed=4)
        level = pyramid(prepare(pair.frame0, pair.frame1), factor=0.5, coarsest=64)[0]
        large = linearise(level, still, derivative="average", interpolation="bicubic")
        structure = study(term, large)
        assert not structure.anywhere
        assert [tap.offset for tap in structure.taps[0]] == [(0, 0), (0, step)]


class Scaled(FlowTerm):
    def residuals(self, flow, at):
        return [at.scale[0] * (plane[:, 1:] - plane[:, :-1]) for plane in flow]


@pytest.mark.parametrize(("term", "looks"), [(Divergence(), 1 + 1), (Scaled(), 1 + 3)])
def test_a_term_is_looked_at_once_unless_it_asks_which_level_it_sees(monkeypatch, term, looks):
    """Once before the estimate, and once in it; or at each of three levels."""
    studied = []
    monkeypatch.setattr(stencils, "study", lambda *given: studied.append(1) or study(*given))
    pair = synthetic.translation((64, 80), shift=(1.0, 0.5), seed=1)
    model = models.Model(BrightnessConstancy() + 0.1 * term + 0.01 * Smoothness(), coarsest=16, warps=2)
    assert len({state.level for state in variflow.iterate(pair.frame0, pair.frame1, model)}) == 3
    assert len(studied) == looks


@pytest.mark.parametrize("where", [np.where, jnp.where])
def test_weights_that_jump_at_a_lightness_are_those_of_the_picture(at, where):
    class Across(FlowTerm):
        def residuals(self, flow, at):
            weights = where(at.guide[0][:, :-1] > 50, 0.1, 1.0)
            return [weights * (plane[:, 1:] - plane[:, :-1]) for plane in flow]

    structure = study(Across(), at)
    assert not structure.constant
    expected = np.where(at.guide[0][:, :-1] > 50, 0.1, 1.0)
    assert len(np.unique(expected)) == 2
    residuals = find_taps(Across(), at, structure)
    assert residuals[0].taps[0].plane is residuals[1].taps[0].plane
    for tap in residuals[0].taps:
        np.testing.assert_allclose(tap.factor * tap.plane[:, :-1], np.sign(tap.offset[1] - 0.5) * expected, rtol=1e-5)


def test_terms_that_compute_with_numpy_need_no_programs(at):
    programs.release()
    for term in (Along(), Divergence(), NonLocalSmoothness()):
        assert find_taps(term, at, study(term, at))
    assert not programs._programs


# Whole estimates


def test_terms_without_a_solver_are_minimised_natively():
    pair = synthetic.translation((48, 64), shift=(1.7, -0.9), seed=2)
    energy = BrightnessConstancy(Charbonnier(0.01)) + 0.002 * Along() + 0.002 * Along(axis=1)
    result = variflow.estimate(pair.frame0, pair.frame1, energy)
    assert "LocalSystem minimised the energy" in result.reason
    assert metrics.endpoint_error(result.flow, pair.flow) < 0.1


def test_a_solver_of_first_differences_leaves_others_to_this_one():
    pair = synthetic.translation((48, 64), shift=(1.7, -0.9), seed=2)
    brox = models.brox()
    model = replace(brox, energy=brox.energy + 0.5 * Divergence(Charbonnier(0.1)))
    result = variflow.estimate(pair.frame0, pair.frame1, model)
    assert "LocalSystem minimised the energy in place of Relaxation" in result.reason
    assert metrics.endpoint_error(result.flow, pair.flow) < 0.1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 3)])
def test_tiny_frames(shape):
    frame0, frame1 = np.random.default_rng(0).random((2, *shape))
    energy = BrightnessConstancy(Charbonnier(0.01)) + Weighted() + 0.1 * Smoothness()
    flow = variflow.estimate(frame0, frame1, energy).flow
    assert flow.shape == (*shape, 2)
    assert np.isfinite(flow).all()


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda u, v: u, TypeError, r"an array of shape .*wanted a list of planes"),
        (lambda u, v: [], ValueError, "an empty list"),
        (lambda u, v: None, TypeError, "None"),
        (lambda u, v: [u[0]], ValueError, r"a plane of shape \(\d+,\)"),
        (lambda u, v: [u[1:], v[:, 1:]], ValueError, "wanted one shape.*per='residual'"),
        (lambda u, v: [jnp.round(u)], ValueError, "do not depend on the flow"),
        (lambda u, v: [u + 1j * v], TypeError, "Wrong returned a plane of complex64 in its list, wanted real ones"),
    ],
)
def test_wrong_residuals_are_named(at, returned, error, message):
    class Wrong(FlowTerm):
        def residuals(self, flow, at):
            return returned(*flow)

    with pytest.raises(error, match=message):
        choose_solver(BrightnessConstancy() + Wrong(), None, at)


def test_a_solve_that_misses_its_tolerance_says_so():
    pair = synthetic.translation((48, 64), shift=(1.7, -0.9), seed=2)
    model = replace(models.brox(), solver=LocalSystem(iterations=1, tolerance=1e-3))
    assert "solves used all their steps" in variflow.estimate(pair.frame0, pair.frame1, model).reason


class Differences(FlowTerm):
    def residuals(self, flow, at):
        return [p[:, 1:] - p[:, :-1] for p in flow]


class Bending(FlowTerm):
    def residuals(self, flow, at):
        return [p[1:-1, 2:] - 2 * p[1:-1, 1:-1] + p[1:-1, :-2] for p in flow] + [
            p[2:, 1:-1] - 2 * p[1:-1, 1:-1] + p[:-2, 1:-1] for p in flow
        ]


@pytest.mark.parametrize(
    "term", [Bending(), Divergence() + 0.1 * Bending(), 0.1 * Smoothness(), 0.1 * Smoothness(Charbonnier(0.01))]
)
def test_the_flow_along_stripes_stays_where_it_is(term):
    y, x = np.mgrid[:48, :64].astype(float)
    frames = (np.sin((x - shift) / 3) + 0 * y for shift in (0, 1.3))
    flow = variflow.estimate(*frames, BrightnessConstancy(Charbonnier(0.01)) + term).flow
    u, v = np.moveaxis(flow, 2, 0)
    assert abs(np.median(u) - 1.3) < 0.02
    assert np.median(np.abs(v)) < 0.2


@pytest.mark.parametrize("shape", [(480, 640), (160, 200)])
@pytest.mark.parametrize(("period", "shift"), [(16, 4), (16, 3), (8, 2), (8, 1)])
def test_smooth_does_not_run_off_along_bare_stripes(shape, period, shift):
    """Rounding errors of the solve once led 1900 px away. They differ from processor to processor."""
    x = np.arange(float(shape[1])) + np.zeros((shape[0], 1))
    frames = (128 + 100 * np.sin(2 * np.pi * (x - moved) / period) for moved in (0, shift))
    assert abs(np.median(variflow.estimate(*frames, "smooth").flow[..., 1])) < period


def test_a_weak_shared_motion_is_settled_only_where_no_term_of_the_flow_looks_at_it(at):
    class Prior(FlowTerm):
        def residuals(self, flow, at):
            return list(flow)

    assert study(Bending(), at).ignores_shifts
    assert study(Divergence(), at).ignores_shifts
    assert not study(Prior(), at).ignores_shifts
    tensor = np.zeros((5, 8, 9), np.float32)
    tensor[0], tensor[2], tensor[4] = 1, 1e-5, -2e-5  # v is 2, or with as much damping 1
    start = np.zeros((2, 1, 8, 9), np.float32)
    settled = settle_shared_motion(tensor, [1e-6, 0, 1e-5], start, start + 7, [None, study(Bending(), at)])
    np.testing.assert_allclose(settled[0], 7)
    np.testing.assert_allclose(settled[1], 0.5)  # a step moves no farther
    for damping, structure in (([1e-6, 0, 1e-5], study(Prior(), at)), ([1e-6, 0, 1e-6], None)):
        assert settle_shared_motion(tensor, damping, start, start + 7, [structure]).min() == 7
    tensor[4] = -0.5e-5
    settled = settle_shared_motion(tensor, [1e-6, 0, 1e-5], start, start + 7, [None])
    np.testing.assert_allclose(settled[1], 0.25, rtol=1e-5)


@pytest.mark.parametrize("phase", [0, 0.7, 1.9])
def test_pixels_that_no_term_of_the_flow_looks_at_stay_near(phase):
    # Bending does not look at the four corners, and the stripes say nothing of them where they are darkest.
    y, x = np.mgrid[:48, :64].astype(float)
    frames = (np.sin((x - shift) / 3 + phase) + 0 * y for shift in (0, 1.3))
    flow = variflow.estimate(*frames, BrightnessConstancy(Charbonnier(0.01)) + Bending()).flow
    assert np.abs(flow - [1.3, 0]).max() < 4
    assert np.abs(flow[..., 1]).max() < 1


@pytest.mark.parametrize("shape", [(5, 5), (7, 40), (48, 64), (13, 12)])
def test_what_no_term_looks_at_is_found_in_frames_of_any_size(at, shape):
    structure = study(Bending(), at)
    row, column = shape[0] - 1, shape[1] - 1
    np.testing.assert_array_equal(find_alone([structure], shape), ([0, 0, row, row], [0, column, 0, column]))
    np.testing.assert_array_equal(find_alone([structure, study(Divergence(), at)], shape), ([row], [column]))
    assert find_alone([structure, study(Differences(), at)], shape) is None


@pytest.mark.parametrize("term", [Bending(), 0.1 * Smoothness()])
def test_faint_texture_shows_the_flow_along_stripes(term):
    random = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((68, 84)), 1.5)
    x = np.arange(64.0)
    first, second = (
        np.sin((x - u) / 3) + 0.1 / random.std() * ndimage.shift(random, (v, u), order=5)[10:-10, 10:-10]
        for u, v in ((0, 0), (1.3, -0.7))
    )
    flow = variflow.estimate(first, second, BrightnessConstancy(Charbonnier(0.01)) + term).flow
    assert np.abs(np.median(flow, axis=(0, 1)) - (1.3, -0.7)).max() < 0.02


def test_what_only_its_own_data_see_does_not_run_off():
    """The first and the last row have no other term, and the frames determine one component of each pixel."""

    class AlongX(FlowTerm):
        def residuals(self, flow, at):
            return [plane[1:-1, 2:] - 2 * plane[1:-1, 1:-1] + plane[1:-1, :-2] for plane in flow]

    frames = np.random.default_rng(0).random((2, 16, 16))
    alone, smoothed = (
        variflow.estimate(*frames, variflow.Model(BrightnessConstancy() + AlongX() + weight * Smoothness(), warps=2))
        for weight in (0.0, 0.001)
    )
    assert np.abs(alone.flow).max() < 16
    assert np.abs(alone.flow - smoothed.flow).mean() < 1


# What is wrong with an energy


class Upper(FlowTerm):
    """Differences in the upper half of the frames alone."""

    def residuals(self, flow, at):
        return [first(plane[: plane.shape[0] // 2], axis=1) for plane in flow]


@dataclass(frozen=True)
class Where(FlowTerm):
    """Differences where a plane is not 0."""

    plane: np.ndarray = None

    def residuals(self, flow, at):
        return [self.plane[:, 1:] * first(plane, axis=1) for plane in flow]


def test_pixels_that_nothing_determines_are_named():
    pair = synthetic.translation((32, 32), shift=(0.8, -0.4), seed=2)
    mask = np.ones((32, 32), bool)
    mask[20:, 12:] = False
    marked = np.zeros((32, 32), np.float32)
    marked[:, :8] = 1
    for term in (Upper(), Where(plane=marked)):
        model = variflow.Model(BrightnessConstancy() + term, warps=1, coarsest=32)
        with pytest.warns(variflow.VariflowWarning, match=r"nothing determines .* first at row 22, column 14"):
            variflow.estimate(pair.frame0, pair.frame1, model, mask=mask)
    held = replace(model, energy=model.energy + 0.01 * Smoothness())
    variflow.estimate(pair.frame0, pair.frame1, held, mask=mask)


def test_corners_that_differences_leave_out_are_no_fault():
    pair = synthetic.translation((32, 32), shift=(0.8, -0.4), seed=2)
    frames = [np.pad(frame[4:-4, 4:-4], [(4, 4), (4, 4), (0, 0)]) for frame in (pair.frame0, pair.frame1)]
    model = variflow.Model(BrightnessConstancy() + SecondOrderSmoothness(), warps=1, coarsest=32)
    variflow.estimate(*frames, model)


@pytest.mark.parametrize("at_fault", ["residuals", "derivatives of the residuals"])
def test_residuals_that_are_not_finite_are_named(at_fault):
    class Root(FlowTerm):
        def residuals(self, flow, at):
            weight = jnp.sqrt(at.frame0[0] - (0 if at.shape == (23, 25) else 0.5))
            return [first(flow[0], 0) + weight[1:]] if at_fault == "residuals" else [weight[1:] * first(flow[0], 0)]

    pair = synthetic.translation((32, 32), shift=(0.8, -0.4), seed=2)
    with pytest.raises(ValueError, match=rf"the {at_fault} of Root are not finite at .* first at row"):
        variflow.estimate(pair.frame0, pair.frame1, BrightnessConstancy() + Root() + Smoothness())


@pytest.mark.parametrize("of", ["hessian", "laplacian"])
def test_the_stencils_of_second_derivatives_are_what_noise_tells(at, of):
    """They are read without JAX, which the presets do without."""
    term = SecondOrderSmoothness(of=of)
    known, studied = read_constant(term, (3, 3)), study(term, at)
    assert (studied.smaller, studied.constant, studied.homogeneous) == (known.smaller, True, True)
    for of_one, others in zip(known.taps, studied.taps, strict=True):
        found = {(tap.unknown, tap.offset): tap.factor for tap in of_one}
        assert found == pytest.approx({(tap.unknown, tap.offset): tap.factor for tap in others}, rel=1e-5)
