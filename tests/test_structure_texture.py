"""Structure and texture: how frames are parted, and that slow changes of light hardly matter."""

import jax.numpy as jnp
import numpy as np
import pytest

import variflow
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, Smoothness, StructureTexture
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.images.structure import find_structure
from variflow.linearisation.level import linearise
from variflow.solve import choose_solver
from variflow.solve.local_system import LocalSystem
from variflow.solve.relaxation import Relaxation

SHAPE = (24, 32)
PAIR = synthetic.translation(SHAPE, shift=(0.8, -0.4), seed=4)


def make(mask=None):
    level = pyramid(prepare(PAIR.frame0, PAIR.frame1, mask=mask), factor=0.5, coarsest=64)[0]
    flow = tuple(np.full((2, *SHAPE), 0.25, np.float32))
    return linearise(level, flow, derivative="average", interpolation="bicubic")


@pytest.fixture(scope="module")
def at():
    return make()


def test_a_constant_frame_has_no_texture():
    plane = np.full((2, 6, 8), 0.3, np.float32)
    np.testing.assert_array_equal(find_structure(plane, 0.1), plane)


def test_a_step_loses_what_total_variation_takes():
    # Of a plane of two halves, n columns each, the structure is two halves again, closer by smoothing / n on each side.
    plane = np.zeros((1, 6, 8), np.float32)
    plane[..., 4:] = 1
    wanted = np.where(plane > 0.5, 1 - 0.1 / 4, 0.1 / 4)
    np.testing.assert_allclose(find_structure(plane, 0.1), wanted, atol=2e-3)


def test_jax_and_numpy_part_alike(at):
    found = find_structure(jnp.asarray(at.frame0), 0.0625)
    np.testing.assert_allclose(found, find_structure(at.frame0, 0.0625), atol=1e-5)
    term = StructureTexture()
    for ours, theirs in zip(term.linearised(at)[0], term.linearised(at.plain())[0], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_frames_are_parted_once_a_level(at):
    term = StructureTexture()
    term.linearised(at)
    kept = dict(at.pyramid_level.filtered)
    term.linearised(at)
    assert at.pyramid_level.filtered == kept
    StructureTexture(share=0.5).linearised(at)
    assert len(at.pyramid_level.filtered) == len(kept) + 1


def test_no_share_is_brightness_constancy(at):
    ours, theirs = (term.linearised(at) for term in (StructureTexture(share=0), BrightnessConstancy()))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_masked_pixels_count_nothing():
    mask = np.ones(SHAPE, bool)
    mask[5:9, 6:12] = False
    at = make(mask)
    parts = np.array(StructureTexture().linearised(at))
    assert np.isfinite(parts).all()
    assert not parts[..., ~at.valid].any()


@pytest.mark.parametrize("named", [None, Relaxation(20)])
def test_native_solvers_take_it(at, named):
    energy = StructureTexture(Charbonnier(0.01), normalisation=0.02) + 0.1 * Smoothness()
    solver, reason = choose_solver(energy, named, at)
    assert isinstance(solver, Relaxation if named else LocalSystem)
    assert not named or not reason
    before, after = solver.minimise(energy, at).energies()
    assert after < before


@pytest.mark.filterwarnings("ignore:the light differs")  # as it does, for brightness constancy
def test_a_slow_change_of_light_hardly_matters():
    light = np.linspace(0, 76, SHAPE[1])[:, None]
    errors = []
    for data in (StructureTexture(Charbonnier(0.01)), BrightnessConstancy(Charbonnier(0.01))):
        result = variflow.estimate(PAIR.frame0, PAIR.frame1 + light, data + 0.02 * Smoothness(Charbonnier(0.05)))
        errors.append(abs(result.flow - PAIR.flow).mean())
    assert errors[0] < errors[1] / 4


@pytest.mark.parametrize(("setting", "value"), [("share", 1.5), ("share", -0.1), ("smoothing", 0)])
def test_settings_are_checked(setting, value):
    with pytest.raises(ValueError, match=f"{setting} of StructureTexture is"):
        StructureTexture(**{setting: value})
