"""Pictures most of which have one value: the flow is that of the outlines, also far from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import variflow

MARGIN, SIZE, MOTION = 16, 144, (4, -2)  # motion along x and y
INSIDE = np.s_[8:-8, 8:-8]


def cut(picture: Any, motion: tuple[int, int] = (0, 0)) -> Any:
    """Return the middle of a picture that has moved."""
    x, y = motion
    return picture[MARGIN - y : MARGIN - y + SIZE, MARGIN - x : MARGIN - x + SIZE]


@pytest.mark.parametrize("values", ["mask", "steps", "below"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("model", ["fast", "balanced", "accurate", "smooth"])
def test_flat_ground_moves_with_its_outlines(model: str, seed: int, values: str) -> None:
    noise = np.random.default_rng(seed).standard_normal(2 * [SIZE + 2 * MARGIN])
    pattern = gaussian_filter(noise, 9)
    pattern = np.clip((pattern - np.quantile(pattern, 0.7)) / np.ptp(pattern), 0, None)
    picture = {
        "mask": pattern > 0,
        "steps": np.ceil(pattern * 12),
        "below": np.where(pattern > 0, 60 * pattern, -32),
    }[values].astype(np.float32)
    flow = variflow.estimate(cut(picture), cut(picture, MOTION), model).flow
    error = np.hypot(*np.moveaxis(flow - np.float32(MOTION), 2, 0))
    assert (error[INSIDE] > 1).mean() < 0.001
    assert error.max() < 4


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("model", ["realtime", "fast", "balanced", "accurate", "smooth"])
def test_blank_paper_moves_with_what_little_is_written_on_it(model: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    height, width = 256, 320
    page = np.full((height, width), 240, np.uint8)
    for top, left, letters in ((60, 90, 9), (180, 150, 6)):
        for letter in range(letters):
            for row, column, down, right in draw.integers((0, 0, 2, 2), (12, 5, 14, 6), (3, 4)):
                y, x = top + row, left + 10 * letter + column
                page[y : y + down, x : x + right] = 20
    moved = np.roll(page, MOTION[::-1], (0, 1))
    error = np.hypot(*np.moveaxis(variflow.estimate(page, moved, model).flow - np.float32(MOTION), 2, 0))
    assert (error[INSIDE] > 1).mean() < 0.001
    assert error.max() < 4


def test_realtime_takes_cycles_on_flat_ground_alone() -> None:
    model = variflow.models.realtime()
    without = replace(model, solver=replace(model.solver, cycles=0))
    for flat in (0, 100):
        frames = np.random.default_rng(0).integers(1, 255, (2, 96, 128), np.uint8)
        frames[:, :, :flat] = 7
        flows = [variflow.estimate(*frames, each).flow for each in (model, without)]
        assert np.array_equal(*flows) == (flat == 0)
