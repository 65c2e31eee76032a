"""Arrows: how many there are, where, how long, and what their key says; films draw the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variflow import view
from variflow.video.painting import draw_arrows
from variflow.view import sparse
from variflow.view.units import round_down

random = np.random.default_rng(0)


def take_apart(figure):
    """Return the outlines of the arrows of a figure, their colours, the dots, and the outline of the key."""
    (axes,) = figure.axes
    _, arrows, key = axes.collections
    outlines = np.array([path.vertices[:7] for path in arrows.get_paths()]).reshape(-1, 7, 2)
    (dots,) = axes.lines
    return outlines, arrows.get_facecolors(), dots.get_xydata(), key.get_paths()[0].vertices[:7]


def span(outlines):
    """Return the ends and the tips of arrows."""
    return (outlines[:, 0] + outlines[:, 6]) / 2, outlines[:, 3]


def test_at_true_length_each_arrow_leads_from_its_pixel_to_where_that_goes():
    y, x = np.mgrid[:20, :30]
    flow = np.stack([2 + 0.01 * x, -1 + 0.01 * y], axis=2)
    flow[0, 0] = np.nan
    figure = view.arrows(random.random((20, 30, 3)), flow, step=1, magnify=1)
    ends, tips = span(take_apart(figure)[0])
    places = np.stack([x, y], axis=2).reshape(-1, 2)[1:]
    np.testing.assert_allclose(ends, places, atol=1e-12)
    np.testing.assert_allclose(tips, places + flow.reshape(-1, 2)[1:], atol=1e-12)
    assert figure.axes[0].get_ylim() == (19.5, -0.5)  # y points down
    assert view.arrows(np.zeros((20, 30)), flow, axes=figure.axes[0]) is figure


def test_an_automatic_scale_lets_no_arrow_reach_another_square():
    angles = random.uniform(0, 2 * np.pi, (4, 6))
    flow = 0.003 * np.stack([np.cos(angles), np.sin(angles)], axis=2).repeat(5, 0).repeat(5, 1)
    outlines = take_apart(view.arrows(np.zeros((20, 30)), flow, step=5))[0]
    y, x = np.mgrid[2:20:5, 2:30:5]
    middles = np.stack([x, y], axis=2).reshape(-1, 1, 2)
    assert len(outlines) == 4 * 6
    assert np.linalg.norm(outlines - middles, axis=2).max() <= 0.5 * 5
    ends, tips = span(outlines)
    np.testing.assert_allclose(np.linalg.norm(tips - ends, axis=1), 0.9 * 5)
    np.testing.assert_allclose((tips - ends) / (0.9 * 5), flow[2::5, 2::5].reshape(-1, 2) / 0.003, atol=1e-9)


@pytest.mark.parametrize("speed", [1.0, 0.2, 0.05])
def test_the_head_of_an_arrow_is_seen_at_any_length(speed):
    """At a twentieth of full scale it is a head alone, a third of the distance between arrows long."""
    flow = np.zeros((40, 40, 2))
    flow[..., 1] = 1.0
    flow[:10, :10] = [-speed, 0]
    outlines = take_apart(view.arrows(np.zeros((40, 40)), flow, step=10))[0]
    arrow = outlines[0] - (4.5, 4.5)
    length = max(9 * speed, 3.2)
    assert arrow[3] == pytest.approx([-length / 2, 0])
    assert np.ptp(arrow[:, 1]) >= 2.3
    assert np.ptp(arrow[:, 0]) == pytest.approx(length)


def test_what_is_still_has_a_dot_and_what_is_unknown_nothing():
    flow = np.zeros((30, 50, 2))
    flow[:, 10:20] = [3, 4]
    flow[10:20, 30:] = np.nan
    outlines, _, dots, _ = take_apart(view.arrows(np.zeros((30, 50)), flow, step=10))
    assert len(outlines) == 3
    assert sorted(map(tuple, dots)) == [(4.5, 4.5), (4.5, 14.5), (4.5, 24.5)] + [
        (x, y) for x in (24.5, 34.5, 44.5) for y in (4.5, 14.5, 24.5) if (x, y) not in ((34.5, 14.5), (44.5, 14.5))
    ]
    for empty in (np.zeros((9, 9, 2)), np.full((9, 9, 2), np.nan)):
        outlines, _, dots, _ = take_apart(view.arrows(np.zeros((9, 9)), empty))
        assert len(outlines) == 0
        assert len(dots) == (81 if np.isfinite(empty).all() else 0)


def test_a_few_that_are_much_faster_are_cut_and_the_others_keep_their_length():
    flow = np.zeros((100, 200, 2))
    flow[..., 0] = 1.0
    flow[:10, :10, 0] = 80.0
    outlines, colors, _, _ = take_apart(view.arrows(np.zeros((100, 200)), flow, step=10))
    ends, tips = span(outlines)
    lengths = np.linalg.norm(tips - ends, axis=1)
    assert lengths[0] == pytest.approx(20)
    assert lengths[1:] == pytest.approx(9)
    assert (colors[0] != colors[1]).any()
    assert (colors[1:] == colors[1]).all()


def test_a_small_fast_thing_over_noise_sets_the_scale():
    flow = random.normal(scale=0.01, size=(200, 200, 2))
    flow[50:70, 50:70] = [30, 0]
    thin = sparse.thin_out(flow, 10)
    assert sparse.choose_speed(thin) == pytest.approx(30)


@pytest.mark.parametrize(
    ("units", "text", "displacement"),
    [
        ({}, "2 px", 2.0),
        ({"pixel_size": 25e-6, "dt": 2e-4}, "200 mm/s", 1.6),
        ({"pixel_size": 1e-7}, "200 nm", 2.0),
        ({"pixel_size": (25, "um"), "dt": 2e-4}, "200 mm/s", 1.6),
        ({"pixel_size": 1000, "dt": 300}, "5 m/s", 1.5),
        ({"dt": 0.5}, "5 px/s", 2.5),
    ],
)
def test_the_key_is_as_long_as_what_it_says(units, text, displacement):
    flow = np.full((40, 60, 2), [1.3, 0.0])
    figure = view.arrows(np.zeros((40, 60)), flow, step=8, **units)
    _, _, _, key = take_apart(figure)
    (said,) = figure.axes[0].texts
    assert said.get_text() == text
    assert said.xy == pytest.approx((key[3, 0], key[3, 1]))  # at the tip
    assert key[:, 1].min() > 39.5  # below the image
    assert key[3, 0] - key[0, 0] == pytest.approx(displacement * 0.9 * 8 / 1.3)
    enlarged = view.arrows(np.zeros((40, 60)), flow, step=8, magnify=3)
    key, value = take_apart(enlarged)[3], float(enlarged.axes[0].texts[0].get_text().split()[0])
    assert key[3, 0] - key[0, 0] == pytest.approx(3 * value)


@given(st.floats(1e-9, 1e9))
def test_numbers_of_a_key_are_round_and_at_most_what_is_wanted(value):
    rounded = round_down(value)
    assert rounded <= value < 2.5 * rounded * (1 + 1e-9)
    assert f"{rounded:e}"[0] in "125"
    assert f"{rounded:e}"[1:8] == ".000000"


def test_density_fits_the_picture_and_not_the_frame():
    """A figure has about as many arrows whatever the frame's size; in smaller axes there are fewer."""
    numbers = [
        len(take_apart(view.arrows(np.zeros(shape), np.ones((*shape, 2))))[0]) for shape in ((60, 80), (600, 800))
    ]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.25)
    assert 100 < numbers[1] < 300
    figure = view.arrows(np.zeros((600, 800)), np.ones((600, 800, 2)))
    figure.clear()
    panel = figure.subplots(2, 2)[0, 0]
    view.arrows(np.zeros((600, 800)), np.ones((600, 800, 2)), axes=panel)
    assert len(panel.collections[1].get_paths()) < numbers[1] / 2.5
    assert len(take_apart(view.arrows(np.zeros((5, 5)), np.ones((5, 5, 2))))[0]) == 25


@pytest.mark.parametrize("step", [1, 2, 5, 8])
def test_an_arrow_is_the_median_of_what_is_known_around_it(step):
    flow = random.normal(size=(37, 53, 2))
    flow[random.random((37, 53)) < 0.3] = np.nan
    flow[:14, :20] = np.nan
    thin = sparse.thin_out(flow, step)
    wanted, top, left = [], 37 % step // 2, 53 % step // 2
    for y in range(top, 37 - step + 1, step):
        for x in range(left, 53 - step + 1, step):
            cell = flow[y : y + step, x : x + step]
            rows, columns = np.nonzero(np.isfinite(cell[..., 0]))
            known = cell[rows, columns]
            if len(known):
                wanted.append((len(known), x + columns.mean(), y + rows.mean(), *np.median(known, axis=0)))
    counts = np.array([count for count, *_ in wanted])
    enough = np.array([rest for count, *rest in wanted if count >= np.median(counts) / 2])
    np.testing.assert_allclose(np.stack([thin.x, thin.y, thin.u, thin.v], axis=1), enough, atol=1e-12)


def test_wild_pixels_do_not_show_in_large_squares():
    flow = np.full((300, 400, 2), [3.0, -2.0])
    flow[random.random((300, 400)) < 0.005] = 1e6
    thin = sparse.thin_out(flow, 30)
    assert len(thin.u) == 10 * 13
    np.testing.assert_allclose([thin.u.mean(), thin.v.mean()], [3, -2])
    assert np.ptp(thin.u) == np.ptp(thin.v) == 0


def test_few_known_pixels_far_apart_have_arrows_where_they_are():
    flow = np.full((60, 60, 2), np.nan)
    flow[3::20, 5::20] = [1, 1]
    thin = sparse.thin_out(flow, 20)
    assert sorted(set(thin.x)) == pytest.approx([5, 25, 45], abs=1)  # the middle of a block
    assert sorted(set(thin.y)) == pytest.approx([3, 23, 43], abs=1)
    assert (thin.u == 1).all()


def test_a_film_has_the_arrows_of_a_figure():
    flow = np.full((64, 96, 2), [2.0, 0.0], np.float32)
    flow[32:, :48] = np.nan
    flow[:32, :48] = 0
    drawn = draw_arrows(np.zeros((64, 96, 3), np.uint8), flow, scale=2.0)
    thin = sparse.thin_out(flow, 16)
    outlines, still, _ = sparse.outline(thin, 0.9 * 16 / 2)
    red = (drawn == (255, 45, 18)).all(axis=2)
    assert still.sum() == 2 * 3
    assert not drawn[:, :46].any()
    for outline in outlines[~still]:
        (left, top), (right, bottom) = (
            np.rint(outline.min(axis=0)).astype(int),
            np.rint(outline.max(axis=0)).astype(int),
        )
        arrow = red[top : bottom + 1, left : right + 1]
        assert arrow.any(axis=0).sum() >= arrow.shape[1] - 1  # as long as it should be, to a pixel
        assert arrow.any(axis=1).all()
    assert red.sum() < 3 * 4 * 60
    again = draw_arrows(np.zeros((64, 96, 3), np.uint8), 2 * flow, scale=2.0)
    assert not (again == (122, 0, 96)).all(axis=2).any()
    assert (draw_arrows(drawn, 5 * flow, scale=2.0) == (122, 0, 96)).all(axis=2).any()
