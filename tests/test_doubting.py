"""An energy of one's own whose slope is fine, but which is wrong, is told by the frames that it does not match."""

from __future__ import annotations

import re
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import variflow
from variflow import datasets
from variflow.datasets import synthetic
from variflow.datasets.synthetic import Ellipse, Layer, Motion, Texture
from variflow.energy import Smoothness

SMOOTH = Smoothness()


def right(d, at):
    u, v = d
    return (at.weights * (at.Ix * u + at.Iy * v + at.It) ** 2).sum() + 0.01 * SMOOTH(d, at)


def robust(d, at):
    u, v = d
    residual = at.Ix * u + at.Iy * v + at.It
    return (at.weights * jnp.log1p(residual**2 / (2 * 0.03**2))).sum() + SMOOTH(d, at)


def stiff(d, at):
    u, v = d
    return (at.weights * (at.Ix * u + at.Iy * v + at.It) ** 2).sum() + 10.0 * SMOOTH(d, at)


def with_the_sign_flipped(d, at):
    u, v = d
    return (at.weights * (at.Ix * u + at.Iy * v - at.It) ** 2).sum() + 0.01 * SMOOTH(d, at)


def with_u_and_v_swapped(d, at):
    v, u = d
    return (at.weights * (at.Ix * u + at.Iy * v + at.It) ** 2).sum() + 0.01 * SMOOTH(d, at)


def shifted(shift, shape=(96, 128)):
    pair = synthetic.translation(shape, shift=shift)
    return pair.frame0.astype(np.float32), pair.frame1.astype(np.float32)


def disc_on_still_ground():
    disc = Layer(Texture(2), Motion((5, 2)), Ellipse((60, 50), (10, 8), 0))
    sample = synthetic.render([Layer(Texture(1), Motion((0, 0))), disc], (96, 128))
    return sample.frame0, sample.frame1


def moving_light():
    """Texture that moves, under a lamp that moves the other way."""
    first, second = shifted((1.5, -0.75))
    x = np.arange(128)[:, None]
    return tuple(0.6 * frame + 90 * np.exp(-((x - lamp) ** 2) / 400) for frame, lamp in ((first, 60), (second, 50)))


def same(noise):
    first, _ = shifted((1.5, -0.75))
    return tuple(first + noise * np.random.default_rng(1).standard_normal((2, *first.shape)))


def between_masks():
    first, second = shifted((1.5, -0.75))
    first[20:60, 30:70] = second[:30] = np.nan
    return first, second


def demo():
    sample = datasets.demo()
    return sample.frame0, sample.frame1


FRAMES = {
    "small shift": lambda: shifted((1.5, -0.75)),
    "large shift": lambda: shifted((6.0, 4.0)),
    "tiny": lambda: shifted((1.0, 0.5), (18, 20)),
    "demo": demo,
    "disc": disc_on_still_ground,
    "moving light": moving_light,
    "identical": lambda: same(0.0),
    "still, with noise": lambda: same(10.0),
    "noise alone": lambda: tuple(np.random.default_rng(0).random((2, 64, 80))),
    "missing pixels": between_masks,
}


@pytest.mark.parametrize("energy", [right, robust, stiff])
@pytest.mark.parametrize("frames", FRAMES)
def test_a_right_energy_is_not_doubted(frames, energy):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        variflow.estimate(*FRAMES[frames](), energy)
    assert not [str(one.message) for one in caught if "match worse" in str(one.message)]


@pytest.mark.parametrize("energy", [with_the_sign_flipped, with_u_and_v_swapped])
@pytest.mark.parametrize("frames", ["small shift", "large shift", "demo", "disc", "moving light", "missing pixels"])
def test_a_wrong_energy_is_doubted(frames, energy):
    said = (
        r"the frames match worse along the flow than if nothing moved: they differ by \d+ % of their range there, and "
        r"by \d+ % at rest. Is the energy right: the sign of at.It, .* the order of u and v"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        variflow.estimate(*FRAMES[frames](), energy)
    assert [one.filename for one in caught if re.match(said, str(one.message))] == [__file__]


def test_terms_of_the_library_are_not_asked(monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr("variflow.doubting.find_nearest_level", fail)
    variflow.estimate(*FRAMES["small shift"](), "brox")
    with pytest.raises(AssertionError):
        variflow.estimate(*FRAMES["small shift"](), right)
