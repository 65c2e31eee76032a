"""Terms: exact small cases, NumPy against JAX, derivatives against finite differences, sums and weights."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from variflow.energy import (
    BrightnessConstancy,
    Charbonnier,
    GradientConstancy,
    Huber,
    ImageEdges,
    Lorentzian,
    Magnitude,
    Smoothness,
    Sum,
)
from variflow.linearisation.linearisation import Linearisation

SHAPE = (7, 9)
TERMS = [
    BrightnessConstancy(),
    BrightnessConstancy(Lorentzian(0.1), weight=2.0),
    GradientConstancy(Charbonnier(0.1)),
    Magnitude(Huber(0.3)),
    Magnitude(of="flow"),
    Smoothness(),
    Smoothness(Charbonnier(0.1), of="increment"),
    Smoothness(Charbonnier(0.1), per="pixel"),
    Smoothness(Charbonnier(0.1), edges=ImageEdges(0.2)),
    Smoothness(Charbonnier(0.1), per="pixel", edges=ImageEdges(0.2)),
    BrightnessConstancy(Charbonnier(0.1)) + 0.3 * Smoothness(Huber(0.1)),
]


def linearisation(dtype=np.float32, channels=2):
    rng = np.random.default_rng(3)

    def planes(count):
        return rng.random((count, *SHAPE)).astype(dtype)

    valid = rng.random(SHAPE) > 0.2
    return Linearisation(
        frame0=planes(channels),
        frame1=planes(channels),
        second=planes(channels),
        flow=(planes(1)[0], planes(1)[0]),
        valid=valid,
        weights=rng.random(SHAPE).astype(dtype) * valid,
        guide=planes(3),
    )


def increment(dtype=np.float32):
    rng = np.random.default_rng(4)
    return rng.normal(size=SHAPE).astype(dtype), rng.normal(size=SHAPE).astype(dtype)


def in_jax(at):
    arrays = {
        name: jax.tree.map(jnp.asarray, getattr(at, name))
        for name in ("frame0", "frame1", "second", "flow", "valid", "weights", "guide")
    }
    return Linearisation(**arrays, derivative=at.derivative)


@pytest.mark.parametrize("term", TERMS, ids=str)
def test_numpy_and_jax_agree(term):
    at, d = linearisation(), increment()
    assert float(term(d, at)) == pytest.approx(float(term(jax.tree.map(jnp.asarray, d), in_jax(at))), rel=1e-5)


@pytest.mark.parametrize("term", TERMS, ids=str)
def test_gradient_against_finite_differences(term):
    at = linearisation()
    d = increment(np.float64)
    direction = np.random.default_rng(5).normal(size=(2, *SHAPE))
    step = 1e-4
    ahead = term((d[0] + step * direction[0], d[1] + step * direction[1]), at)
    behind = term((d[0] - step * direction[0], d[1] - step * direction[1]), at)
    slope = (ahead - behind) / (2 * step)
    gradient = jax.grad(term)(tuple(jnp.asarray(plane, jnp.float32) for plane in d), in_jax(at))
    along = sum(float(np.sum(np.asarray(g, np.float64) * part)) for g, part in zip(gradient, direction, strict=True))
    assert along == pytest.approx(slope, rel=2e-4, abs=1e-4)


def test_brightness_by_hand():
    at = linearisation(channels=2)
    u, v = increment()
    expected = 0.0
    for y in range(SHAPE[0]):
        for x in range(SHAPE[1]):
            residuals = [at.Ix[c, y, x] * u[y, x] + at.Iy[c, y, x] * v[y, x] + at.It[c, y, x] for c in range(2)]
            expected += at.weights[y, x] * (residuals[0] ** 2 + residuals[1] ** 2) / 2
    assert float(BrightnessConstancy()((u, v), at)) == pytest.approx(expected, rel=1e-5)


def test_smoothness_by_hand():
    u, v = increment()
    per_edge, per_pixel = 0.0, 0.0
    penalty = Charbonnier(0.1)
    for y in range(SHAPE[0]):
        for x in range(SHAPE[1]):
            right = (u[y, x + 1] - u[y, x]) ** 2 + (v[y, x + 1] - v[y, x]) ** 2 if x + 1 < SHAPE[1] else 0.0
            down = (u[y + 1, x] - u[y, x]) ** 2 + (v[y + 1, x] - v[y, x]) ** 2 if y + 1 < SHAPE[0] else 0.0
            per_edge += penalty.value(right**0.5) + penalty.value(down**0.5)
            per_pixel += penalty.value((right + down) ** 0.5)
    assert float(Smoothness(penalty, of="increment")((u, v), None)) == pytest.approx(per_edge, rel=1e-5)
    assert float(Smoothness(penalty, of="increment", per="pixel")((u, v), None)) == pytest.approx(per_pixel, rel=1e-5)


def test_flow_terms_see_the_flow_so_far():
    at, d = linearisation(), increment()
    zero = (np.zeros(SHAPE, np.float32),) * 2
    assert float(Smoothness(of="increment")(zero, at)) == 0.0
    whole = (at.flow[0] + d[0], at.flow[1] + d[1])
    assert float(Smoothness()(d, at)) == pytest.approx(float(Smoothness(of="increment")(whole, at)), rel=1e-6)
    assert float(Magnitude(of="flow")(d, at)) == pytest.approx(float(Magnitude()(whole, at)), rel=1e-6)


def test_image_edges_let_the_flow_break_there():
    at = linearisation()
    step = np.zeros((1, *SHAPE), np.float32)
    step[..., 4:] = 1.0
    at = replace(at, guide=step)
    along_x, along_y = ImageEdges(contrast=1.0)(at)
    assert along_x[0, 3] == pytest.approx(np.exp(-1))
    assert (np.delete(along_x, 3, axis=1) == 1).all()
    assert (along_y == 1).all()


@pytest.mark.parametrize(("scale", "least"), [(1.0, 0.25), (0.8, 0.25), (0.4, 0.5), (0.2, 0.5**0.5)])
def test_no_image_edge_cuts_the_flow_apart(scale: float, least: float) -> None:
    step = np.zeros((1, *SHAPE), np.float32)
    step[..., 4:] = 100.0
    along_x, along_y = ImageEdges(1.0, least=0.25)(replace(linearisation(), guide=step, scale=(scale, scale)))
    assert along_x[0, 3] == pytest.approx(least)
    assert (along_y == 1).all()


def test_sums_and_weights():
    at, d = linearisation(), increment()
    data, smooth = BrightnessConstancy(), Smoothness()

    def own(d, at):
        return d[0].sum()

    total = data + 0.5 * smooth + own
    assert isinstance(total, Sum)
    assert len(total.terms) == 3
    expected = data(d, at) + 0.5 * smooth(d, at) + own(d, at)
    assert float(total(d, at)) == pytest.approx(float(expected), rel=1e-6)
    assert float((2 * total)(d, at)) == pytest.approx(2 * float(expected), rel=1e-6)
    assert float((own + data)(d, at)) == pytest.approx(float(own(d, at) + data(d, at)), rel=1e-6)
    assert (2 * total + data).terms[0].weight == 2.0


def test_weights_and_validity_silence_the_data():
    at = linearisation()
    silent = replace(at, weights=np.zeros(SHAPE, np.float32))
    assert float(BrightnessConstancy()(increment(), silent)) == 0.0
    invalid = replace(at, valid=np.zeros(SHAPE, bool))
    for name in ("Ix", "Iy", "It", "Ixx", "Ixy", "Iyy", "Ixt", "Iyt"):
        assert not getattr(invalid, name).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Smoothness(of="flwo"), "of is 'flwo', wanted one of 'flow', 'increment'"),
        (lambda: Smoothness(per="face"), "per is 'face', wanted one of 'edge', 'pixel'"),
        (lambda: Magnitude(of="x"), "of is 'x'"),
        (lambda: ImageEdges(contrast=0), "contrast of ImageEdges is 0"),
        (lambda: ImageEdges(least=1.5), "least of ImageEdges is 1.5"),
    ],
)
def test_choices_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_adding_what_is_no_energy_fails():
    with pytest.raises(TypeError):
        BrightnessConstancy() + 3
