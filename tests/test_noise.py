"""Noise: how much there is, whatever the frames show, and what an estimate makes of it."""

from dataclasses import replace

import numpy as np
import pytest

import variflow
from variflow import _core, metrics, models
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, GradientConstancy
from variflow.frames.checking import prepare
from variflow.frames.pyramid import estimate_noise, pyramid
from variflow.linearisation.level import linearise
from variflow.solve.taking_apart import linearised


def noisy(frame, deviation, seed=0):
    noise = np.random.default_rng(seed).normal(0, deviation, frame.shape)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 90, 130), (3, 300, 400), (2, 1100, 1300)])
@pytest.mark.parametrize("deviation", [0.01, 0.2, 5.0])
def test_white_noise_has_its_deviation(shape, deviation):
    planes = np.random.default_rng(1).normal(3, deviation, shape).astype(np.float32)
    assert _core.noise(planes) == pytest.approx(deviation, rel=0.1)


def test_smooth_planes_have_none():
    y, x = np.mgrid[:200, :300].astype(np.float32)
    for plane in (0 * x, 0.3 * x - 0.1 * y, np.sin(x / 20) + np.cos(y / 15)):
        assert _core.noise(plane[None]) < 1e-3


def test_edges_and_texture_hardly_count(middlebury):
    for sample in middlebury.values():
        assert 255 * estimate_noise(prepare(sample.frame0, sample.frame1, channels="gray")) < 1.5, sample.name
        frames = (noisy(frame, 10, seed) for seed, frame in enumerate((sample.frame0, sample.frame1)))
        # Luma has less noise than the channels, and the robust range is less than 255.
        assert 6.0 < 255 * estimate_noise(prepare(*frames, channels="gray")) < 10.0, sample.name


def test_what_is_cut_off_or_missing_does_not_count():
    rng = np.random.default_rng(2)
    plane = rng.normal(0.5, 0.05, (1, 240, 320)).astype(np.float32)
    cut = plane.copy()
    cut[:, :, :100] = 0
    cut[:, :, 250:] = np.nan
    assert _core.noise(np.clip(cut, 0, 1)) == pytest.approx(0.05, rel=0.1)
    assert _core.noise(np.full((1, 100, 100), np.nan, np.float32)) == 0
    frame = np.where(plane[0] < 0.55, plane[0], np.nan)
    frame[:, 60:] = plane[0, :, 60:]
    assert estimate_noise(prepare(frame, frame)) > 0


def draw_spots(x, y, brightness, shape):
    """Return a frame of spots of light, black between them."""
    rows, columns = (np.arange(length) for length in shape)
    along_y, along_x = (np.exp(-((axis - at[:, None]) ** 2) / 2) for axis, at in ((rows, y), (columns, x)))
    return np.einsum("k,ky,kx->yx", brightness, along_y, along_x)


@pytest.mark.parametrize("rows", [26, 56])
def test_a_rough_wall_beside_particles_is_no_noise(rows):
    rng = np.random.default_rng(0)
    x, y, brightness = rng.uniform(0, 256, 1500), rng.uniform(0, 256, 1500), rng.uniform(60, 200, 1500)
    dark = [draw_spots(x + u, y + v, brightness, (256, 256)) for u, v in ((0, 0), (2.3, -1.4))]
    wall = rng.uniform(50, 350, (rows, 256))
    walled = [np.concatenate([frame[:-rows], wall]) for frame in dark]
    assert 255 * estimate_noise(prepare(*walled)) < 2  # that of the wall is 60
    flow = variflow.estimate(*walled).flow[20:180, 20:-20]
    assert np.hypot(*(flow - (2.3, -1.4)).T).mean() < 0.05


def test_noise_that_is_cut_off_in_most_of_a_frame_is_told():
    rng = np.random.default_rng(0)
    light = np.linspace(0, 100, 256)[:, None] ** 2 / 150  # most rows are so dark that noise is cut off
    frame = (light + rng.normal(0, 2, (256, 256))).clip(0).astype(np.float32)[None]
    assert _core.noise(frame) == pytest.approx(2, rel=0.25)


def test_strong_noise_that_is_cut_off_at_single_pixels_is_told():
    light = np.linspace(80, 180, 256)[:, None]
    frame = light + np.random.default_rng(0).normal(0, 50, (256, 256))  # 4 % of the pixels are cut off
    assert _core.noise(frame.clip(0, 255).astype(np.float32)[None]) == pytest.approx(50, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (9, 9), (25, 30)])
def test_small_frames_have_too_few_blocks(shape):
    assert _core.noise(np.random.default_rng(0).random((1, *shape), np.float32)) == 0


def test_the_noise_is_that_of_the_mean_of_the_channels():
    rng = np.random.default_rng(7)
    apart = np.clip(np.rint(120 + rng.normal(0, 6, (100, 120, 4))), 0, 255).astype(np.uint8)
    alike = np.repeat(apart[:, :, :1], 4, axis=2)
    noises = [estimate_noise(prepare(frames, frames, intensity_range=(0, 255))) for frames in (apart, alike)]
    assert 255 * noises[0] == pytest.approx(3, rel=0.1)
    assert 255 * noises[1] == pytest.approx(6, rel=0.1)


def test_noise_falls_with_the_size():
    frame = np.random.default_rng(3).normal(0.5, 0.1, (256, 256)).clip(0, 1)
    levels = pyramid(prepare(frame, frame), factor=0.5, coarsest=16, with_noise=True)
    for coarse, fine in zip(levels[1:], levels[:-1], strict=True):
        assert coarse.noise == pytest.approx(fine.noise / 2)
    assert _core.noise(levels[1].frame0.planes) < 0.7 * levels[0].noise
    assert all(level.noise == 0 for level in pyramid(prepare(frame, frame), factor=0.5, coarsest=16))


def at_noise(noise):
    pair = synthetic.translation((40, 50), shift=(0.7, 0.2), seed=3)
    level = replace(pyramid(prepare(pair.frame0, pair.frame1), factor=0.5, coarsest=64)[0], noise=noise)
    still = (np.zeros((40, 50), np.float32),) * 2
    return linearise(level, still, derivative="average", interpolation="bicubic")


@pytest.mark.parametrize("kind", [BrightnessConstancy, GradientConstancy])
def test_noise_takes_the_place_of_a_smaller_normalisation(kind):
    d = tuple(np.random.default_rng(4).normal(0, 0.5, (2, 40, 50)).astype(np.float32))
    for noise, expected in ((0.001, 0.004), (0.02, 0.02)):
        at = at_noise(noise)
        terms = [kind(Charbonnier(0.2), normalisation=zeta) for zeta in (0.004, expected)]
        assert float(terms[0](d, at)) == float(terms[1](d, at_noise(0.0)))
        data = [linearised([(term, 1.0)], at)[0].native() for term in terms]
        native = [_core.data_energy(term, at.weights, *d) for term in data]
        assert native[0] == native[1] == pytest.approx(float(terms[0](d, at)), rel=1e-4)
    plain = kind(Charbonnier(0.2))
    assert float(plain(d, at_noise(0.02))) == float(plain(d, at_noise(0.0)))


@pytest.mark.parametrize(
    ("name", "channels", "most"),
    [("fast", "gray", 0.95), ("balanced", "gray", 0.75), ("accurate", "gray", 0.7), ("accurate", "all", 0.9)],
)
def test_errors_in_noise(middlebury, name, channels, most):
    """Of three channels that are compared, each has noise of its own, so ignoring it costs less."""
    errors = {"ignored": [], "estimated": []}
    for sample in (middlebury[name] for name in ("Grove2", "RubberWhale", "Urban2", "Venus")):
        frames = [noisy(frame, 10, seed) for seed, frame in enumerate((sample.frame0, sample.frame1))]
        for noise, found in errors.items():
            model = replace(models.get(name), noise=noise, channels=channels)
            found.append(metrics.endpoint_error(variflow.estimate(*frames, model).flow, sample.flow))
    assert np.mean(errors["estimated"]) < most * np.mean(errors["ignored"])


def test_clean_frames_have_the_same_flow(middlebury):
    sample = middlebury["Urban3"]
    flows = [
        variflow.estimate(sample.frame0, sample.frame1, replace(models.balanced(), noise=noise)).flow
        for noise in ("ignored", "estimated")
    ]
    np.testing.assert_array_equal(*flows)


def test_an_energy_sees_the_noise():
    frame = np.random.default_rng(5).normal(100, 20, (120, 160))
    seen = []

    def energy(d, at):
        seen.append(at.noise)
        return (d[0] ** 2 + d[1] ** 2).sum()

    variflow.estimate(frame, frame, variflow.Model(energy, steps=1, warps=1, noise="estimated"))
    assert seen
