"""The terms of the sciences: their formulas by brute force, and that the core minimises them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from variflow.datasets import synthetic
from variflow.energy import (
    BoundaryMotion,
    BrightnessConstancy,
    Charbonnier,
    Curl,
    DirectionalSmoothness,
    Divergence,
    EpipolarLine,
    NagelEnkelmann,
    NonLocalSmoothness,
    PriorFlow,
    Rigidity,
    SecondOrderSmoothness,
    Smoothness,
    SparseMatches,
)
from variflow.energy.levels import bring_to_level
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.matching.matches import Matches
from variflow.solve import choose_solver
from variflow.solve.local_system import LocalSystem

SHAPE = (24, 30)
PAIR = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)
KNOWN = np.where(np.random.default_rng(0).random((*SHAPE, 1)) < 0.3, np.nan, PAIR.flow).astype(np.float32)
MATCHES = Matches(points=[(3, 4), (3.4, 4.2), (20, 10), (90, 10)], flow=[(1, 0), (2, 1), (0, 1), (5, 5)],
                  confidence=[1, 0.5, 0.25, 1])  # fmt: skip
SKEW = np.array([[0, -0.01, 0.3], [0.01, 0, -1], [-0.3, 1.2, 4]])
QUICK = [
    Divergence(Charbonnier(0.1), order=2),
    NonLocalSmoothness(Charbonnier(0.1), window="3x3"),
    Rigidity(),
    SparseMatches(Charbonnier(0.1), matches=MATCHES),
    EpipolarLine(fundamental=SKEW),
    BoundaryMotion(motion=(1, 0.5), sides=("left", "top")),
]
SLOW = [
    SecondOrderSmoothness(Charbonnier(0.1)),
    SecondOrderSmoothness(of="laplacian"),
    Divergence(),
    Curl(),
    Curl(order=2),
    NagelEnkelmann(),
    DirectionalSmoothness(Charbonnier(0.1)),
    DirectionalSmoothness(direction="along"),
    PriorFlow(flow=KNOWN, confidence=np.linspace(0, 1, 720).reshape(SHAPE)),
]


def name(term):
    return f"{type(term).__name__} {getattr(term, 'order', getattr(term, 'of', getattr(term, 'direction', '')))}"


@pytest.fixture(scope="module")
def levels():
    return pyramid(prepare(PAIR.frame0, PAIR.frame1), factor=0.5, coarsest=8)


@pytest.fixture(scope="module")
def at(levels):
    flow = tuple(np.random.default_rng(3).normal(0, 0.5, (2, *SHAPE)).astype(np.float32))
    return linearise(levels[0], flow, derivative="average", interpolation="bicubic")


@pytest.fixture(scope="module")
def coarse(levels):
    flow = tuple(np.random.default_rng(3).normal(0, 0.5, (2, *levels[1].shape)).astype(np.float32))
    return linearise(levels[1], flow, derivative="average", interpolation="bicubic")


@pytest.mark.parametrize("term", [*QUICK, *(pytest.param(term, marks=pytest.mark.slow) for term in SLOW)], ids=name)
def test_the_core_minimises_it(at, term):
    energy = BrightnessConstancy(Charbonnier(0.1), normalisation=0.05) + 0.1 * term + 0.01 * Smoothness()
    solver, _ = choose_solver(energy, None, at)
    assert isinstance(solver, LocalSystem)
    minimum = LocalSystem(50, 1e-3).minimise(energy, at)
    zero = tuple(np.zeros((2, *SHAPE), np.float32))
    before, after = (float(energy(d, at)) for d in (zero, minimum.increment))
    assert after < 0.99 * before
    if not isinstance(term, Rigidity):  # of which the core minimises the linearisation
        assert minimum.energies() == pytest.approx((before, after), rel=1e-4)


@pytest.mark.parametrize("of", ["hessian", "laplacian"])
def test_affine_motion_is_free_of_second_order(at, of):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    flow = 0.3 * x - 0.1 * y + 2, 0.2 * y + 0.05 * x
    planes = SecondOrderSmoothness(of=of).residuals(flow, at)
    assert max(abs(plane).max() for plane in planes) < 1e-10
    parabola = SecondOrderSmoothness(of=of).residuals((0.5 * x**2 - 2 * x * y, 0 * x), at)
    np.testing.assert_allclose([plane[3, 4] for plane in parabola[: len(parabola) // 2]],
                               [1, -2 * 2**0.5, 0] if of == "hessian" else [1], atol=1e-10)  # fmt: skip


def test_divergence_and_curl_are_those_of_a_polynomial(at):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    flow = 0.5 * x**2 + x * y, y**2 - 3 * x
    middle = x[:-1, :-1] + 0.5, y[:-1, :-1] + 0.5
    np.testing.assert_allclose(Divergence().residuals(flow, at)[0], middle[0] + 3 * middle[1], atol=1e-10)
    np.testing.assert_allclose(Curl().residuals(flow, at)[0], -3 - middle[0], atol=1e-10)
    for kind, gradient in ((Divergence, (1, 3)), (Curl, (-1, 0))):
        for plane, value in zip(kind(order=2).residuals(flow, at), gradient, strict=True):
            np.testing.assert_allclose(plane, value, atol=1e-10)


def test_non_local_smoothness_is_a_sum_over_pairs(at):
    term = NonLocalSmoothness(Charbonnier(0.1), window="5x5", distance=2.0, contrast=4.0)
    guide, flow = at.guide.astype(float), np.asarray(at.flow, float)
    total = 0.0
    for p in np.ndindex(SHAPE):
        for offset in itertools.product(range(-2, 3), repeat=2):
            q = p[0] + offset[0], p[1] + offset[1]
            if q > p and q[0] < SHAPE[0] and 0 <= q[1] < SHAPE[1]:
                change = ((guide[:, *p] - guide[:, *q]) ** 2).mean()
                weight = np.exp(-(offset[0] ** 2 + offset[1] ** 2) / 8 - change / 32)
                total += Charbonnier(0.1).value(weight * (flow[:, *p] - flow[:, *q])).sum()
    zero = np.zeros((2, *SHAPE), np.float32)
    assert float(term(tuple(zero), at)) == pytest.approx(total, rel=1e-5)


def test_oriented_smoothness_is_its_quadratic_form(at):
    guide = at.guide[0].astype(float)

    def gradient(plane):
        x, y = plane[:, 1:] - plane[:, :-1], plane[1:] - plane[:-1]
        return np.stack([0.5 * (x[1:] + x[:-1]), 0.5 * (y[:, 1:] + y[:, :-1])])

    g, (du, dv) = gradient(guide), map(gradient, np.asarray(at.flow, float))
    normal, contrast = np.stack([-g[1], g[0]]), 3.0
    matrix = np.einsum("ihw,jhw->ijhw", normal, normal) + contrast**2 * np.eye(2)[:, :, None, None]
    matrix = matrix / ((g**2).sum(axis=0) + 2 * contrast**2)
    expected = sum(np.einsum("ihw,ijhw,jhw->", d, matrix, d) for d in (du, dv))
    zero = tuple(np.zeros((2, *SHAPE), np.float32))
    assert float(NagelEnkelmann(contrast=contrast)(zero, at)) == pytest.approx(expected, rel=1e-3)
    both = sum(float(DirectionalSmoothness(direction=direction)(zero, at)) for direction in ("across", "along"))
    assert both == pytest.approx((du**2).sum() + (dv**2).sum(), rel=1e-5)


def test_strain_is_that_of_the_deformation(at):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    turn = np.array([[np.cos(1.0), -np.sin(1.0)], [np.sin(1.0), np.cos(1.0)]])
    stretch = np.array([[1.1, 0.2], [0.2, 0.8]])
    moved = np.einsum("ij,jhw->ihw", turn @ stretch, np.stack([x, y]))
    xx, xy, yy = (plane[2, 3] for plane in Rigidity().residuals((moved[0] - x, moved[1] - y), at))
    expected = (stretch @ stretch - np.eye(2)) / 2
    np.testing.assert_allclose([xx, xy / 2**0.5, yy], [expected[0, 0], expected[0, 1], expected[1, 1]], atol=1e-10)


def test_an_unknown_or_doubted_flow_does_not_count(at):
    confidence = np.linspace(0, 1, 720).reshape(SHAPE).astype(np.float32)
    planes = PriorFlow(flow=KNOWN, confidence=confidence).residuals(at.flow, at)
    for number, plane in enumerate(planes):
        expected = np.nan_to_num(confidence * (at.flow[number] - KNOWN[..., number]))
        np.testing.assert_allclose(plane, expected, atol=1e-6)


def test_matches_are_at_their_pixels_at_every_level(at, coarse):
    term = SparseMatches(matches=MATCHES)
    u, v = (np.asarray(plane) for plane in term.residuals(at.flow, at))
    assert {tuple(place) for place in np.argwhere(u)} <= {(4, 3), (10, 20)}
    assert u[4, 3] == pytest.approx(at.flow[0][4, 3] - (1 + 0.5 * 2) / 1.5, abs=1e-5)
    assert v[10, 20] == pytest.approx(0.25 * (at.flow[1][10, 20] - 1), abs=1e-5)
    u, v = (np.asarray(plane) for plane in term.residuals(coarse.flow, coarse))
    assert {tuple(place) for place in np.argwhere(v)} <= {(2, 1), (2, 2), (5, 10)}
    assert v[5, 10] == pytest.approx(0.25 * (coarse.flow[1][5, 10] - 0.5), abs=1e-5)


def test_epipolar_distances_scale_with_the_level(at, coarse):
    for level in (at, coarse):
        height, width = level.shape
        y, x = np.mgrid[:height, :width].astype(float)
        (sx, sy), moved = level.scale, (x + level.flow[0], y + level.flow[1])
        first, second = (
            np.stack([(px + 0.5) / sx - 0.5, (py + 0.5) / sy - 0.5, np.ones_like(x)]) for px, py in ((x, y), moved)
        )
        line = np.einsum("ij,jhw->ihw", SKEW, first)
        distance = (line * second).sum(axis=0) / np.hypot(line[0] / sx, line[1] / sy)
        np.testing.assert_allclose(EpipolarLine(fundamental=SKEW).residuals(level.flow, level)[0], distance, atol=1e-3)


def test_motion_at_the_border_is_that_of_the_level(coarse):
    u, v = BoundaryMotion(motion=(4, 2), sides=("left",)).residuals(coarse.flow, coarse)
    np.testing.assert_allclose(u[:, 0], coarse.flow[0][:, 0] - 2)
    np.testing.assert_allclose(v[:, 0], coarse.flow[1][:, 0] - 1)
    assert not u[:, 1:].any()


def test_terms_that_lie_over_the_first_frame_are_reversed():
    forward = np.broadcast_to(np.float32([2, 1]), (*SHAPE, 2))
    back = PriorFlow(flow=forward).reversed(forward)
    np.testing.assert_allclose(back.flow[5, 5], [-2, -1])
    assert np.isnan(back.flow[0, 0, 0])
    matches = SparseMatches(matches=MATCHES).reversed(forward).matches
    np.testing.assert_allclose(matches.points[0], [4, 4])
    np.testing.assert_allclose(matches.flow[0], [-1, 0])
    line = EpipolarLine(fundamental=SKEW)
    np.testing.assert_allclose(np.stack(line.reversed(forward).fundamental), np.stack(line.fundamental).T, rtol=1e-6)
    assert BoundaryMotion(motion=(1, 2)).reversed(forward).motion == (-1, -2)


@pytest.mark.parametrize("layout", ["flow", "picture"])
def test_knowledge_at_one_pixel_is_seen(layout):
    pair = synthetic.translation((70, 64), shift=(0.8, -0.4), seed=4)
    level = pyramid(prepare(pair.frame0, pair.frame1), factor=0.5, coarsest=64)[0]
    at = linearise(level, (np.zeros((70, 64), np.float32),) * 2, derivative="average", interpolation="bicubic")
    confidence = np.zeros((70, 64), np.float32)
    confidence[33, 41] = 1
    known = np.where(confidence[..., None] > 0, pair.flow, np.nan) if layout == "flow" else pair.flow
    term = PriorFlow(weight=100.0, flow=known, confidence=None if layout == "flow" else confidence)
    energy = BrightnessConstancy() + 0.1 * Smoothness() + term
    assert isinstance(choose_solver(energy, None, at)[0], LocalSystem)
    u, v = LocalSystem(50, 1e-3).minimise(energy, at).flow
    np.testing.assert_allclose((u[33, 41], v[33, 41]), (0.8, -0.4), atol=0.01)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SecondOrderSmoothness(of="x"), ValueError, "of is 'x', wanted one of 'hessian'"),
        (lambda: Divergence(order=3), ValueError, "order is 3, wanted one of 1, 2"),
        (lambda: NonLocalSmoothness(window="9x9"), ValueError, "window of NonLocalSmoothness is '9x9'"),
        (lambda: NagelEnkelmann(contrast=0), ValueError, "contrast of NagelEnkelmann is 0"),
        (lambda: PriorFlow(), (TypeError, ValueError), "flow of PriorFlow"),
        (lambda: PriorFlow(flow=KNOWN, confidence=[1]), ValueError, r"confidence of PriorFlow has shape \(1,\)"),
        (lambda: SparseMatches(matches=None), TypeError, "matches of SparseMatches is None"),
        (lambda: SparseMatches(matches=Matches(np.zeros((0, 2)), np.zeros((0, 2)))), ValueError, "no points"),
        (lambda: EpipolarLine(fundamental=np.eye(2)), ValueError, r"has shape \(2, 2\), wanted \(3, 3\)"),
        (lambda: EpipolarLine(fundamental=np.zeros((3, 3))), ValueError, "says nothing"),
        (lambda: BoundaryMotion(motion=3), ValueError, "motion of BoundaryMotion is 3"),
        (lambda: BoundaryMotion(sides="left"), ValueError, "sides of BoundaryMotion is 'left'"),
    ],
)
def test_wrong_settings_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_weight_scales_a_term_that_holds_arrays():
    for term in (*QUICK, *SLOW):
        assert (2 * term).weight == 2 * term.weight
        assert replace(term, weight=3.0).weight == 3.0


def test_an_array_follows_the_pyramid(levels):
    shapes = [level.shape for level in levels]
    prior = bring_to_level(PriorFlow(flow=PAIR.flow), shapes, 1)
    np.testing.assert_allclose(prior.flow, np.broadcast_to([0.4, -0.2], (*shapes[1], 2)), atol=1e-4)
