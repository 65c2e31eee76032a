"""Models that take the light as the same say so where it differs, and nowhere else."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import variflow
from variflow import models
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, CensusConstancy, GradientConstancy, Smoothness
from variflow.lighting import are_negatives, find_forgiven_changes

OF_BRIGHTNESS = ["horn-schunck", "tv-l1"]
WITH_GRADIENTS = ["brox", "classic-nl", "huber-l1", "tgv-l1", "lucas-kanade", "realtime"]


@pytest.fixture(scope="module")
def pair():
    return synthetic.translation((120, 160), shift=(1.3, -0.6))


def faded(frame, factor, offset=0.0):
    return np.clip(np.rint(frame * factor + offset), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("names", "factor", "offset"),
    [
        (OF_BRIGHTNESS, 0.9, 0),
        (OF_BRIGHTNESS, 1.1, 0),
        (OF_BRIGHTNESS, 1, 12),
        (OF_BRIGHTNESS + WITH_GRADIENTS, 0.75, 0),
    ],
)
def test_other_light_is_told_once(pair, names, factor, offset):
    for name in names:
        with pytest.warns(
            variflow.VariflowWarning, match=f"light differs .* {name} assumes that it is the same"
        ) as caught:
            result = variflow.estimate(pair.frame0, faded(pair.frame1, factor, offset), name)
        assert len(caught) == 1
        assert "the light differs between the frames" in result.reason
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isfinite(result.confidence).all()
            assert len(result.energies) > 0


def test_a_stack_that_bleaches_is_told_before_the_flow_is_lost(pair):
    for time in range(1, 12):
        frame = faded(pair.frame0, 0.97**time)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            flow = variflow.estimate(pair.frame0, frame, "horn-schunck").flow
        assert caught or np.hypot(*np.moveaxis(flow, 2, 0)).mean() < 3
    assert caught


@pytest.mark.parametrize("name", models.names())
def test_steady_light_is_not_told(pair, name):
    first, second = (frame.mean(axis=2) for frame in (pair.frame0, pair.frame1))
    rng = np.random.default_rng(0)
    moved = first.copy()
    moved[30:70, 20:60], moved[40:80, 60:100] = 230, 20
    begun = first.copy()
    begun[30:70, 60:100], begun[40:80, 20:60] = 20, 230
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        variflow.estimate(first, second, name)
        variflow.estimate(begun, moved, name)
        variflow.estimate(first + rng.normal(0, 8, first.shape), second + rng.normal(0, 8, first.shape), name)
        variflow.estimate(first, np.roll(second, (9, -14), axis=(0, 1)), name)


@pytest.mark.parametrize("name", ["fast", "balanced", "smooth"])
def test_light_that_is_matched_is_not_told(pair, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        variflow.estimate(pair.frame0, faded(pair.frame1, 0.8), name)
        matched = replace(models.brox(), light="matched")
        flow = variflow.estimate(pair.frame0, faded(pair.frame1, 0.8), matched).flow
    assert np.hypot(*np.moveaxis(flow - (1.3, -0.6), 2, 0))[8:-8, 8:-8].mean() < 0.1


def test_what_energies_forgive():
    brightness, gradient = BrightnessConstancy(), GradientConstancy()
    assert find_forgiven_changes(brightness + Smoothness()) == find_forgiven_changes(2 * (brightness + 0 * gradient))
    assert find_forgiven_changes(brightness + gradient) != find_forgiven_changes(brightness + Smoothness())
    for forgiving in (gradient + Smoothness(), 0.0 * brightness + gradient, CensusConstancy(), lambda d, at: 0.0):
        assert find_forgiven_changes(forgiving) is None


INVERTED = [lambda frame: 255 - frame, lambda frame: -frame.astype(np.float32), np.invert, lambda frame: 9 - frame / 2]


@pytest.mark.parametrize("inverted", INVERTED)
@pytest.mark.parametrize("name", ["realtime", "fast", "horn-schunck", "tv-l1"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_negative_is_told(pair, inverted, name, which):
    frames = [pair.frame0, pair.frame1]
    frames[which] = inverted(frames[which])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = variflow.estimate(*frames, name)
    assert sum("frame1 looks like the negative of frame0" in str(warning.message) for warning in caught) == 1
    assert "looks like the negative" in result.reason


def test_a_negative_in_a_video_is_told_by_its_number(pair):
    with pytest.warns(variflow.VariflowWarning, match="frame 2 looks like the negative of frame 1"):
        list(variflow.estimate_video([pair.frame0, pair.frame1, 255 - pair.frame0], "realtime"))


def test_fine_stripes_are_no_negative():
    x = np.arange(500)
    frames = [np.tile(127 + 100 * np.sin(2 * np.pi * (x - shift) / 7), (375, 1)) for shift in (0, 1)]
    variflow.estimate(*frames, "fast")


def test_what_moved_is_no_negative(pair):
    y, x = np.mgrid[:60, :80]
    random = np.random.default_rng(0)
    gray = pair.frame0.mean(axis=2)
    blob, texture = np.exp(-((x - 20) ** 2 + (y - 30) ** 2) / 90), gray[:60, :80] / 255
    pairs = [(gray, np.roll(gray, 40, 1)), (gray, gray[::-1]), (gray, gray), (blob, np.roll(blob, 40, 1))]
    pairs += [(random.random((9, 9)), random.random((9, 9))) for _ in range(20)]
    pairs += [(np.zeros((30, 40)), np.zeros((30, 40))), (x > 40, x < 40), ((x + y) % 2, (x + y + 1) % 2)]
    for period in (8, 16, 24, 40):
        for shift in (0.4, 0.5):
            pairs.append([np.sin(2 * np.pi * (x / period - part)) + texture for part in (0, shift)])
    for pair in pairs:
        assert not are_negatives(*(np.asarray(frame, np.float32)[None] for frame in pair))


def test_light_beyond_what_can_be_matched_is_told(pair):
    gray = pair.frame1.astype(float)
    for fainter in (gray * 0.34 + 80, gray * 0.4, 255 - (255 - gray) * 0.38):
        with pytest.warns(variflow.VariflowWarning, match="the light differs"):
            variflow.estimate(pair.frame0, fainter.astype(np.uint8), "horn-schunck")
