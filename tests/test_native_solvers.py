"""The native solvers against the energies they minimise, the general minimiser, and with terms of a person's own."""

import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import variflow
from variflow import models
from variflow.datasets import synthetic
from variflow.energy import (
    L1,
    BrightnessConstancy,
    CensusConstancy,
    Charbonnier,
    DataTerm,
    GeneralisedCharbonnier,
    GradientConstancy,
    Huber,
    ImageEdges,
    Lorentzian,
    Magnitude,
    Quadratic,
    Smoothness,
)
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve import general
from variflow.solve.conjugate_gradient import ConjugateGradient
from variflow.solve.local_system import LocalSystem
from variflow.solve.lucas_kanade import LucasKanade
from variflow.solve.primal_dual import PrimalDual
from variflow.solve.relaxation import Relaxation

PENALTIES = [Quadratic(), Charbonnier(0.1), GeneralisedCharbonnier(0.4, 0.1), Huber(0.1), Lorentzian(0.2), L1(0.01)]
SHAPE = (37, 46)


def before(minimum):
    return minimum.energies()[0]


def after(minimum):
    return minimum.energies()[1]


@pytest.fixture(scope="module")
def at():
    pair = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)
    level = pyramid(prepare(pair.frame0, pair.frame1), factor=0.5, coarsest=64)[0]
    rng = np.random.default_rng(1)
    flow = tuple(0.3 * rng.normal(size=SHAPE).astype(np.float32) for _ in range(2))
    return linearise(level, flow, derivative="average", interpolation="bicubic")


@dataclass(frozen=True)
class OwnBrightness(DataTerm):
    """Brightness constancy as a person would write it."""

    def residuals(self, d, at):
        u, v = d
        return [at.Ix[c] * u + at.Iy[c] * v + at.It[c] for c in range(3)]


@dataclass(frozen=True)
class BrightnessOf(DataTerm):
    """Brightness constancy that holds a function and an array, and looks at parts that are not derivatives."""

    gain: Any = None
    function: Any = None

    def residuals(self, d, at):
        u, v = d
        weight = self.gain[0] * at.valid
        return [
            weight * self.function(at.Ix[c] * u + at.Iy[c] * v + at.frame1[c] - at.frame0[c])
            for c in range(at.frame0.shape[0])
        ]


@dataclass(frozen=True)
class Blurred(DataTerm):
    """Not a function of each pixel alone."""

    def residuals(self, d, at):
        u, v = d
        return [at.Ix[0] * (u + 0.5 * u[:, ::-1]) + at.Iy[0] * v + at.It[0]]


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("normalisation", [None, 1 / 255])
@pytest.mark.parametrize("per", ["edge", "pixel"])
def test_the_energies_reported_are_those_of_the_terms(at, penalty, normalisation, per):
    data = 2.0 * BrightnessConstancy(penalty, normalisation=normalisation) + GradientConstancy(
        penalty, normalisation=normalisation
    )
    energy = 0.5 * (data + 0.1 * Smoothness(penalty, per=per))
    minimum = Relaxation(5).minimise(energy, at)
    zero = (np.zeros(SHAPE, np.float32),) * 2
    assert before(minimum) == pytest.approx(float(energy(zero, at)), rel=1e-4)
    assert after(minimum) == pytest.approx(float(energy(minimum.increment, at)), rel=1e-4)
    assert after(minimum) < before(minimum)


def test_the_energy_with_image_edges(at):
    energy = BrightnessConstancy() + 0.1 * Smoothness(Charbonnier(0.1), edges=ImageEdges(contrast=5.0))
    minimum = Relaxation(5).minimise(energy, at)
    assert after(minimum) == pytest.approx(float(energy(minimum.increment, at)), rel=1e-4)


@pytest.mark.parametrize("penalty", [L1(), Huber(0.1)], ids=str)
@pytest.mark.parametrize("normalisation", [None, 1 / 255])
def test_the_energies_of_norms_are_those_of_the_terms(at, penalty, normalisation):
    """Three channels and both gradients: what is penalised is a mean over several residuals."""
    data = BrightnessConstancy(penalty, normalisation=normalisation) + 0.5 * GradientConstancy(
        penalty, normalisation=normalisation
    )
    energy = data + 0.1 * Smoothness(penalty, per="pixel")
    zero = (np.zeros(SHAPE, np.float32),) * 2
    minimum = PrimalDual(100).minimise(energy, at)
    assert before(minimum) == pytest.approx(float(energy(zero, at)), rel=1e-4)
    assert after(minimum) == pytest.approx(float(energy(minimum.increment, at)), rel=1e-4)
    assert after(minimum) < before(minimum)
    # The minimum of a convex energy: no step away from it goes further down, and more iterations gain nothing.
    longer = PrimalDual(2000).minimise(energy, at)
    assert after(longer) <= after(minimum) * (1 + 1e-4)
    rng = np.random.default_rng(2)
    for size in (1e-3, 1e-2, 1e-1):
        step = size * rng.normal(size=(2, *SHAPE)).astype(np.float32)
        assert float(energy(tuple(np.asarray(longer.increment) + step), at)) > after(longer)


def test_energies_that_a_solver_is_not_for_are_refused(at):
    with pytest.raises(TypeError, match="one Smoothness per pixel"):
        PrimalDual().check(BrightnessConstancy(L1()) + Smoothness(L1()), at)
    with pytest.raises(TypeError, match="wanted data terms alone for LucasKanade"):
        LucasKanade().check(BrightnessConstancy() + Smoothness(), at)


@pytest.mark.parametrize("normalisation", [None, 1 / 255])
def test_a_quadratic_energy_has_one_minimum(at, normalisation):
    energy = BrightnessConstancy(normalisation=normalisation) + 0.05 * Smoothness()
    native = Relaxation(400, 1.8).minimise(energy, at)
    other = general.minimise(energy, ConjugateGradient(), 400, at)
    for plane, expected in zip(native.increment, other.increment, strict=True):
        np.testing.assert_allclose(plane, expected, atol=2e-3)
    assert after(native) == pytest.approx(after(other), rel=1e-4)


@pytest.mark.parametrize("normalisation", [None, 1 / 255])
def test_a_term_of_ones_own_is_as_good_as_a_built_in(at, normalisation):
    smooth = 0.05 * Smoothness(Charbonnier(0.1))
    own = Relaxation(20).minimise(OwnBrightness(Charbonnier(0.1), normalisation=normalisation) + smooth, at)
    built_in = Relaxation(20).minimise(BrightnessConstancy(Charbonnier(0.1), normalisation=normalisation) + smooth, at)
    for plane, expected in zip(own.increment, built_in.increment, strict=True):
        np.testing.assert_allclose(plane, expected, atol=1e-4)


@pytest.mark.parametrize("gain", [(1.0,), np.ones(1, np.float32)], ids=["numbers", "array"])
def test_a_term_of_ones_own_may_hold_what_it_likes(at, gain):
    smooth = 0.05 * Smoothness(Charbonnier(0.1))
    term = BrightnessOf(Charbonnier(0.1), gain=gain, function=lambda residual: 1.0 * residual)
    Relaxation().check(term + smooth, at)
    own = Relaxation(20).minimise(term + smooth, at)
    built_in = Relaxation(20).minimise(BrightnessConstancy(Charbonnier(0.1)) + smooth, at)
    np.testing.assert_allclose(own.flow, built_in.flow, atol=1e-4)


def test_terms_of_ones_own_beside_built_in_ones(at):
    smooth = 0.05 * Smoothness(Charbonnier(0.1))
    brightness, gradient = BrightnessConstancy(Charbonnier(0.1)), GradientConstancy(Charbonnier(0.2), 3.0)
    expected = Relaxation(20).minimise(brightness + gradient + smooth, at)
    for mixed in (OwnBrightness(Charbonnier(0.1)) + gradient, gradient + OwnBrightness(Charbonnier(0.1))):
        np.testing.assert_allclose(Relaxation(20).minimise(mixed + smooth, at).flow, expected.flow, atol=1e-4)


def test_numbers_in_a_term_of_ones_own_are_not_compiled_in(at):
    smooth = 0.05 * Smoothness(Charbonnier(0.1))
    for weight in (1.0, 0.3):
        own, built_in = (
            Relaxation(20).minimise(kind(Charbonnier(0.1), weight) + smooth, at)
            for kind in (OwnBrightness, BrightnessConstancy)
        )
        np.testing.assert_allclose(own.flow, built_in.flow, atol=1e-4)


def test_missing_pixels_do_not_count_in_a_term_of_ones_own():
    pair = synthetic.translation((48, 64), shift=(1.3, -0.6), seed=2)
    frame = pair.frame0.astype(np.float32)
    frame[20:26, 30:40] = np.nan
    kinds = OwnBrightness, BrightnessConstancy
    solver, smooth = Relaxation(20), 0.05 * Smoothness(Charbonnier(0.1))
    models_of = [variflow.Model(kind(Charbonnier(0.1)) + smooth, solver=solver) for kind in kinds]
    own, built_in = (variflow.estimate(frame, pair.frame1, model).flow for model in models_of)
    np.testing.assert_allclose(own, built_in, atol=1e-3)


def test_a_term_of_ones_own_through_the_whole_estimate():
    pair = synthetic.translation((48, 64), shift=(1.3, -0.6), seed=2)
    model = variflow.Model(OwnBrightness(Charbonnier(0.1)) + 0.05 * Smoothness(Charbonnier(0.1)), solver=Relaxation())
    flow = variflow.estimate(pair.frame0, pair.frame1, model).flow
    np.testing.assert_allclose(flow[8:-8, 8:-8].mean(axis=(0, 1)), (1.3, -0.6), atol=0.02)


@pytest.mark.parametrize(
    ("energy", "error", "message"),
    [
        (lambda d, at: 0.0, TypeError, "wanted data terms and a Smoothness of the flow"),
        (BrightnessConstancy() + Magnitude(), TypeError, "energy holds Magnitude"),
        (BrightnessConstancy() + Smoothness(of="increment"), TypeError, "energy holds Smoothness"),
        (BrightnessConstancy(), TypeError, "energy holds 0 terms of smoothness"),
    ],
)
def test_energies_that_cannot_be_taken_apart_are_refused(energy, error, message):
    frame = np.random.default_rng(0).random((20, 24))
    with pytest.raises(error, match=message):
        variflow.iterate(frame, frame**2, variflow.Model(energy, solver=Relaxation()))


class Averaged(DataTerm):
    """Brightness constancy of the flow averaged with that of the pixels beside: not of each pixel alone."""

    def residuals(self, d, at):
        u, v = ((2 * plane + jnp.roll(plane, 1, 1) + jnp.roll(plane, -1, 1)) / 4 for plane in d)
        return [at.Ix[c] * u + at.Iy[c] * v + at.It[c] for c in range(3)]


OWN_SMOOTH = 0.05 * Smoothness(Charbonnier(0.05))


@pytest.mark.parametrize(
    ("own", "model"),
    [
        (Averaged(Charbonnier(0.01)) + OWN_SMOOTH, variflow.Model(OWN_SMOOTH, solver=Relaxation(), warps=2)),
        pytest.param(
            10 * Averaged(L1()) + Smoothness(L1(), per="pixel"),
            variflow.Model(OWN_SMOOTH, solver=PrimalDual(), warps=2),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["Relaxation", "PrimalDual"],
)
def test_residuals_of_several_pixels_are_left_to_local_systems(own, model):
    pair = synthetic.translation((40, 48), shift=(1.3, -0.6), seed=2)
    model = replace(model, energy=own)
    result = variflow.estimate(pair.frame0, pair.frame1, model)
    assert np.abs(result.flow - pair.flow)[6:-6, 6:-6].mean() < 0.05
    solver = type(model.solver).__name__
    assert (
        "the residuals of Averaged at a pixel depend on the increments of other pixels, so LocalSystem "
        f"minimised the energy in place of {solver}"
    ) in result.reason
    assert all(record.after <= record.before for record in result.energies)
    # What a person asks for by name is the same, but for the reason.
    local = variflow.estimate(pair.frame0, pair.frame1, replace(model, solver=LocalSystem()))
    np.testing.assert_array_equal(result.flow, local.flow)
    assert "depend on" not in local.reason


def test_residuals_of_each_pixel_stay_with_the_native_solver():
    pair = synthetic.translation((40, 48), shift=(1.3, -0.6), seed=2)
    model = variflow.Model(OwnBrightness(Charbonnier(0.01)) + OWN_SMOOTH, solver=Relaxation(), warps=1)
    result = variflow.estimate(pair.frame0, pair.frame1, model)
    assert result.reason == "finished every warp"
    assert all(record.steps.size == 0 for record in result.energies)


def test_without_smoothness_residuals_of_several_pixels_are_refused():
    pair = synthetic.translation((40, 48), shift=(1.3, -0.6), seed=2)
    with pytest.raises(ValueError, match="other pixels, wanted residuals of their own pixel alone"):
        variflow.iterate(pair.frame0, pair.frame1, variflow.Model(Blurred(), solver=LucasKanade()))


def test_settings_are_checked():
    with pytest.raises(ValueError, match="sweeps of Relaxation is 0"):
        Relaxation(0)
    with pytest.raises(ValueError, match="omega of Relaxation is 2"):
        Relaxation(omega=2)


@pytest.mark.parametrize("name", models.names())
def test_named_models(name):
    """Identical frames give exactly zero; a shift is found; any size works; threads do not matter."""
    pair = synthetic.translation((60, 80), shift=(1.3, -0.6), seed=2)
    flow = variflow.estimate(pair.frame0, pair.frame1, name).flow
    at_half_size = models.get(name).finest > 0
    assert np.abs(flow[8:-8, 8:-8] - (1.3, -0.6)).mean() < (0.15 if at_half_size else 0.05)
    assert (variflow.estimate(pair.frame0, pair.frame0, name).flow == 0).all()
    for shape in ((1, 1), (1, 30), (30, 1), (17, 18, 3)):
        rng = np.random.default_rng(0)
        assert np.isfinite(variflow.estimate(rng.random(shape), rng.random(shape), name).flow).all()
    threads = variflow.get_threads()
    try:
        variflow.set_threads(3)
        np.testing.assert_array_equal(variflow.estimate(pair.frame0, pair.frame1, name).flow, flow)
    finally:
        variflow.set_threads(threads)


@pytest.mark.parametrize(
    ("name", "penalty", "smooth"),
    [
        ("brox", Charbonnier(0.3), 0.6 * Smoothness(Charbonnier(0.01))),
        ("classic-nl", Charbonnier(0.3), 0.8 * Smoothness(Charbonnier(0.005), edges=ImageEdges(4.6))),
        ("tv-l1", L1(), Smoothness(L1(), per="pixel")),
    ],
)
def test_census_makes_any_model_indifferent_to_light(name, penalty, smooth):
    """The second frame 1.2 times as bright and 25 levels up, clipped; the texture moves by 2 px."""
    pair = synthetic.translation((240, 320), shift=(2.0, 0.0), seed=3)
    brighter = np.clip(pair.frame1 * 1.2 + 25, 0, 255).astype(np.uint8)
    census = CensusConstancy(penalty, weight=1.0 if name == "tv-l1" else 2.0, normalisation=0.1)
    model = replace(models.get(name), energy=census + smooth)
    flow = variflow.estimate(pair.frame0, brighter, model).flow
    assert np.linalg.norm(flow[16:-16, 16:-16] - (2, 0), axis=2).mean() < 0.05


def test_named_models_do_not_import_jax():
    code = (
        "import sys, numpy, variflow\n"
        "from variflow import models\n"
        "frame = numpy.random.default_rng(0).random((40, 50))\n"
        "for name in models.names(): variflow.estimate(frame, frame[::-1], name)\n"
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_published_horn_schunck_is_one_argument_away():
    model = replace(models.horn_schunck(), warps=1, coarsest=10**6, filter=None)
    pair = synthetic.translation((48, 64), shift=(0.3, 0.2), seed=3)
    flow = variflow.estimate(pair.frame0, pair.frame1, model).flow
    np.testing.assert_allclose(flow[8:-8, 8:-8].mean(axis=(0, 1)), (0.3, 0.2), atol=0.05)
