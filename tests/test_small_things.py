"""Small things that move by themselves are not outvoted by what is around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import variflow
from variflow import models
from variflow.datasets.synthetic import Ellipse, Layer, Motion, Texture, render

SHAPE, MIDDLE = (200, 260), (130.0, 100.0)


def find_error(model, radius, motion, seed):
    """Return the mean error over a disc whose texture is like that of the ground, which rests."""
    ground, own = (Texture(2 * seed + number, wavelengths=(4.5, 15.0)) for number in (0, 1))
    scene = render([Layer(ground), Layer(own, Motion(motion), Ellipse(MIDDLE, (radius, radius)))], SHAPE)
    inside = (scene.flow == motion).all(axis=2)
    flow = variflow.estimate(scene.frame0, scene.frame1, model).flow
    return float(np.hypot(*(flow - motion)[inside].T).mean())


@pytest.mark.parametrize("name", ["fast", "balanced", "accurate"])
def test_a_disc_over_the_same_texture_moves(name):
    model = models.get(name)
    outvoted = replace(model, filter=replace(model.filter, worse=np.inf))
    seeds = range(3)
    with_matches, without = (
        sum(find_error(each, 30.0, (8.0, 0.0), seed) for seed in seeds) / len(seeds) for each in (model, outvoted)
    )
    assert with_matches < 0.3 * 8.0
    assert with_matches < 0.8 * without


def test_a_smaller_disc_is_kept_at_finer_levels():
    model = models.balanced()
    errors = [
        find_error(replace(model, filter=replace(model.filter, small=small)), 12.0, (4.0, 2.0), seed)
        for small in (0.6, 0.45)
        for seed in range(4)
    ]
    assert sum(errors[:4]) < 0.9 * sum(errors[4:])


@pytest.mark.parametrize("name", ["balanced", "accurate", "smooth"])
@pytest.mark.parametrize(("radius", "motion"), [(20, (30, 12)), (30, (40, 0)), (12, (24, 10))])
def test_a_lone_disc_on_flat_ground_moves_far(name, radius, motion):
    rows, columns = np.indices(SHAPE)

    def draw(x, y):
        return np.where(np.hypot(columns - x, rows - y) < radius, 180, 100).astype(np.uint8)

    flow = variflow.estimate(draw(100, 90), draw(100 + motion[0], 90 + motion[1]), name).flow
    inside = np.hypot(columns - 100, rows - 90) < radius
    np.testing.assert_allclose(np.median(flow[inside], axis=0), motion, atol=0.2)
