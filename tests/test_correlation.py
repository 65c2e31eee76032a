"""Normalised cross-correlation of patches, by brute force."""

import numpy as np
import pytest

from variflow.datasets import synthetic
from variflow.energy import CrossCorrelation, Smoothness
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve import choose_solver
from variflow.solve.relaxation import Relaxation

SHAPE = (20, 24)


@pytest.fixture(scope="module")
def at():
    pair = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)
    level = pyramid(prepare(pair.frame0, pair.frame1), factor=0.5, coarsest=64)[0]
    flow = tuple(np.zeros((2, *SHAPE), np.float32))
    return linearise(level, flow, derivative="average", interpolation="bicubic")


@pytest.mark.parametrize(("window", "radius"), [("3x3", 1), ("5x5", 2)])
def test_squares_are_those_of_the_correlation(at, window, radius):
    term = CrossCorrelation(window=window, noise=1e-6)
    residuals = [r for _, _, r in term.linearised(at)]
    assert len(residuals) == (2 * radius + 1) ** 2 * len(at.frame0)
    count = (2 * radius + 1) ** 2
    found = np.mean([r**2 for r in residuals[:count]], axis=0)
    for y, x in ((4, 5), (10, 17)):
        patches = [
            plane[y - radius : y + radius + 1, x - radius : x + radius + 1].ravel().astype(float)
            for plane in (at.frame0[0], at.frame1[0])
        ]
        assert found[y, x] == pytest.approx(2 * (1 - np.corrcoef(*patches)[0, 1]), rel=1e-2, abs=1e-5)


def test_derivatives_are_those_of_a_patch_that_moves(at):
    step = 0.05
    moved = linearise(
        at.pyramid_level, tuple(np.full((2, *SHAPE), step, np.float32)), derivative="average", interpolation="bicubic"
    )
    term = CrossCorrelation(window="3x3")
    inside = np.s_[5:-5, 5:-5]
    for (jx, jy, r), (_, _, other) in zip(term.linearised(at), term.linearised(moved), strict=True):
        change = (other - r)[inside] / step
        # The derivatives are those of both frames' mean.
        assert np.corrcoef((jx + jy)[inside].ravel(), change.ravel())[0, 1] > 0.8


def test_the_solvers_of_named_models_take_it(at):
    energy = CrossCorrelation() + 0.1 * Smoothness()
    solver, reason = choose_solver(energy, Relaxation(), at)
    assert isinstance(solver, Relaxation)
    assert not reason
    before, after = Relaxation(20).minimise(energy, at).energies()
    assert after < before
