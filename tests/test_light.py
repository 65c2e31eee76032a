"""Changing light: how it is measured, that it is matched where it changes, and left alone where it does not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import variflow
from variflow import _core, models
from variflow.datasets import synthetic
from variflow.frames.light import Light, fit_light, measure_light
from variflow.metrics import endpoint_error
from variflow.solve.relaxation import Relaxation

MATCHED = replace(models.classic_nl(brightness=0.3), light="matched")
SAME = replace(MATCHED, light="same")


def brightened(frame, gain=1.2, offset=25.0):
    return np.clip(np.rint(gain * frame.astype(float) + offset), 0, 255).astype(np.uint8)


def still(shape):
    return np.zeros(shape, np.float32), np.zeros(shape, np.float32)


@pytest.fixture(scope="module")
def pair():
    return synthetic.translation((90, 120), shift=(1.3, -0.6), seed=2)


@given(gain=st.floats(0.55, 1.9), offset=st.floats(-1, 1), outliers=st.floats(0, 0.2))
def test_a_gain_is_found_among_outliers(gain, offset, outliers):
    rng = np.random.default_rng(0)
    values = rng.random(2000)
    target = gain * values + offset + 0.01 * rng.standard_normal(2000)
    wrong = rng.random(2000) < outliers
    target[wrong] = rng.uniform(-1, 2, wrong.sum())
    found, moved, kept = fit_light(target, values)
    assert found == pytest.approx(gain, abs=0.1)
    assert moved + 0.5 * found == pytest.approx(offset + 0.5 * gain, abs=0.05)
    assert kept[~wrong].mean() > 0.5


@given(scale=st.floats(0, 100))
def test_a_gain_is_bounded(scale):
    values = np.linspace(0, 1, 200)
    assert 0.5 <= fit_light(scale * values, values)[0] <= 2
    assert fit_light(values, np.full(200, 0.5))[0] == 1


def test_light_is_measured_in_each_channel_without_what_is_saturated():
    rng = np.random.default_rng(1)
    first = np.clip(rng.normal(150, 60, (80, 100, 3)), 0, 255)
    gain, offset = np.array([1.3, 1.0, 0.8]), np.array([10, -5, 20])
    second = np.clip(first * gain + offset, 0, 255)
    light = measure_light([first, second], [None, None], still((40, 50)))
    np.testing.assert_allclose(light.gain, 1 / gain, rtol=0.02)
    np.testing.assert_allclose(light.offset, -offset / gain, atol=2)
    shown = [
        np.stack([tone(frame[:, :, c], c) for c in range(3)], axis=2)
        for tone, frame in ((light.on_first, first), (light.on_second, second))
    ]
    assert np.abs(shown[0] - shown[1]).max() < 4  # also where the second frame was saturated


def test_a_change_of_light_against_numpy():
    rng = np.random.default_rng(0)
    first = rng.random((2, 30, 40), np.float32)
    second = (0.8 * first + 0.05).astype(np.float32)
    usable = np.ones((1, 30, 40), np.float32)
    usable[0, :, 30:] = 0
    second[:, :, 30:] = 9  # unusable
    change, before, after = _core.light_change(first, second, usable, 2, 0.0, 10, 3, 0.5, 2.0)
    values = second[:, ::2, :30:2]
    moved = [abs(0.25 * (v.mean() + side * v.std()) - 0.0625) for v in values for side in (-2, 2)]
    assert change == pytest.approx(max(moved), rel=0.05)  # without the least and the largest
    differences = np.abs(first[:, ::2, :30:2] - values).mean(axis=(1, 2)).sum()
    assert before == pytest.approx(differences, rel=0.05)
    assert after < 1e-5
    assert _core.light_change(first, second, 0 * usable, 2, 0.0, 10, 3, 0.5, 2.0) == (0, 0, 0)
    for wrong, message in (((first, second[:1], usable), "^second "), ((first, second, first), "^usable ")):
        with pytest.raises(ValueError, match=message):
            _core.light_change(*wrong, 2, 0.0, 10, 3, 0.5, 2.0)
    with pytest.raises(ValueError, match=r"^values "):
        _core.fit_light(first[0, 0], first[0, 0, :3], 3, 0.5, 2.0)


def test_light_that_cannot_be_measured_is_none():
    frame = np.full((20, 20, 2), 7.0)
    light = measure_light([frame, frame + 1], [None, None], still((20, 20)))
    assert (light.gain == 1).all()
    assert (light.offset == 0).all()


def test_unusable_pixels_say_nothing_about_light():
    rng = np.random.default_rng(1)
    first = rng.random((60, 60, 1))
    second = 0.8 * first + 0.1
    second[10:40] = np.nan
    first[:, 50:] = np.inf
    light = measure_light([first, second], [np.isfinite(f[:, :, 0]) for f in (first, second)], still((60, 60)))
    assert light.gain[0] == pytest.approx(1.25)
    assert light.offset[0] == pytest.approx(-0.125)


def test_light_cuts_both_frames_off():
    light = Light(*(np.array([value]) for value in (2.0, 1.0, 0.0, 5.0)))
    assert light.on_first([-1, 3, 9], 0).tolist() == [0, 3, 5]
    assert light.on_second([-1, 1, 9], 0).tolist() == [0, 3, 5]


def test_unchanged_light_is_left_exactly_alone(pair):
    noisy = np.clip(pair.frame1 + np.random.default_rng(0).normal(0, 8, pair.frame1.shape), 0, 255).astype(np.uint8)
    for second in (pair.frame1, pair.frame0, noisy):
        expected = variflow.estimate(pair.frame0, second, SAME).flow
        np.testing.assert_array_equal(variflow.estimate(pair.frame0, second, MATCHED).flow, expected)


@pytest.mark.parametrize(("gain", "offset"), [(1.2, 25), (0.7, -10), (1.0, 40)])
@pytest.mark.parametrize("model", ["classic-nl", "horn-schunck", "tv-l1"])
def test_changed_light_hardly_matters(pair, model, gain, offset):
    model = models.get(model)
    unchanged = endpoint_error(variflow.estimate(pair.frame0, pair.frame1, model).flow, pair.flow)
    changed = brightened(pair.frame1, gain, offset)
    flow = variflow.estimate(pair.frame0, changed, replace(model, light="matched")).flow
    assert endpoint_error(flow, pair.flow) < unchanged + 0.08


def test_the_unit_of_changing_light_does_not_matter(pair):
    second = brightened(pair.frame1)
    expected = variflow.estimate(pair.frame0, second, MATCHED).flow
    for convert in (lambda a: a / 255, lambda a: a.astype(np.uint16) * 257, lambda a: 3.7 * a + 11):
        flow = variflow.estimate(convert(pair.frame0), convert(second), MATCHED).flow
        np.testing.assert_allclose(flow, expected, atol=1e-3)


def test_changing_light_with_all_channels_a_range_and_missing_pixels(pair):
    model = replace(MATCHED, channels="all")
    first, second = pair.frame0.astype(float), brightened(pair.frame1, np.array([1.15, 1.0, 0.85])).astype(float)
    first[20:30, 40:50] = np.nan
    flow = variflow.estimate(first, second, model, intensity_range=(0, 255)).flow
    assert endpoint_error(flow, pair.flow) < 0.1


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (17, 16), (33, 50, 3)])
def test_frames_of_any_size(shape):
    rng = np.random.default_rng(0)
    assert np.isfinite(variflow.estimate(rng.random(shape), 0.5 * rng.random(shape), MATCHED).flow).all()


@pytest.mark.parametrize("preset", ["fast", "balanced", "accurate", "smooth"])
def test_presets_take_light_as_it_comes(pair, preset):
    assert endpoint_error(variflow.estimate(pair.frame0, brightened(pair.frame1), preset).flow, pair.flow) < 0.05


def test_light_is_a_choice():
    with pytest.raises(ValueError, match="light is 'other', wanted one of 'same', 'matched'"):
        replace(MATCHED, light="other")


def test_brightened_real_pairs(middlebury):
    model = replace(MATCHED, interpolation="spline", warps=(2, 3, 5), solver=Relaxation(10))
    rises = []
    for name in ("RubberWhale", "Venus", "Dimetrodon", "Grove2"):
        real = middlebury[name]
        errors = [
            endpoint_error(variflow.estimate(real.frame0, second, model).flow, real.flow)
            for second in (real.frame1, brightened(real.frame1))
        ]
        rises.append(errors[1] - errors[0])
    assert np.mean(rises) < 0.01


@pytest.mark.parametrize("preset", ["realtime", "fast", "smooth"])
def test_light_that_moves_over_particles_moves_nothing(preset):
    """Small levels lose the particles, and see the sheet of light alone."""
    rng = np.random.default_rng(0)
    particles = ndimage.gaussian_filter(250.0 * (rng.random((560, 640)) < 0.02), 1.2) * 9 + 20
    rows = np.arange(560)[:, None]
    frames = [
        np.rint(
            particles * gain * (0.05 + 0.95 * np.exp(-(((rows - middle) / 70) ** 2))) + rng.normal(0, 1, (560, 640))
        )
        for middle, gain in ((240, 1.0), (265, 1.1))
    ]
    flow = variflow.estimate(*(np.clip(frame, 0, 255).astype(np.uint8) for frame in frames), preset).flow
    sizes = np.hypot(*np.moveaxis(flow, 2, 0))
    assert sizes.mean() < 0.2
    assert sizes.max() < 2


@pytest.mark.parametrize(
    ("preset", "highest"), [("fast", 0.36), ("balanced", 0.54), ("accurate", 0.49), ("smooth", 0.8)]
)
def test_light_may_differ_from_side_to_side(preset, highest):
    soft = synthetic.Texture(5, contrast=0.3, wavelengths=(9.0, 100.0), slope=1.0)
    pair = synthetic.render([synthetic.Layer(soft, synthetic.Motion((3.0, -1.5)))], (200, 260))
    darker = np.rint(pair.frame1 * np.linspace(0.7, 1, 260)[:, None]).astype(np.uint8)
    flow = variflow.estimate(pair.frame0, darker, preset).flow
    assert endpoint_error(flow[16:-16, 16:-16], pair.flow[16:-16, 16:-16]) < highest


def test_energies_led_by_brightness_notice_small_changes(pair):
    # Two grey levels are many pixels where the image is nearly flat, but a gradient hardly sees them.
    by_brightness = replace(models.tv_l1(), light="matched")
    for offset, found in ((2, True), (0, False)):
        second = brightened(pair.frame1, gain=1.0, offset=offset)
        for model, noticed in ((by_brightness, found), (MATCHED, False)):
            *_, last = variflow.iterate(pair.frame0, second, model)
            assert (last.light is not None) == noticed
