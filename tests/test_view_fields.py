"""Fields of numbers in colours, the key of the wheel, and panels that can be compared."""

from __future__ import annotations

import numpy as np
import pytest

from variflow import view

random = np.random.default_rng(0)


def shown(figure):
    """Return the picture of the first panel, and what its bar says."""
    axes, (bar,) = figure.axes[0], figure.axes[0].child_axes
    return axes.images[0], bar


def test_a_field_with_a_sign_is_centred_on_zero():
    field = np.full((10, 20), 0.5)
    field[0, 0] = -4
    picture, bar = shown(view.scalar(field, unit="1/s", name="vorticity"))
    assert picture.get_clim() == (-0.5, 0.5)  # one of two hundred pixels does not count
    red, _, blue, _ = picture.to_rgba(np.array([[0.5, -0.5, 0.0]]))[0, 0]
    assert red > blue
    middle = picture.to_rgba(np.array([[0.5, -0.5, 0.0]]))[0, 2, :3]
    assert middle.min() > 0.95
    assert np.ptp(middle) < 0.02
    assert bar.get_ylabel() == "1/s"
    assert view.scalar(field, name="vorticity").axes[0].get_title() == "vorticity"


def test_a_field_without_a_sign_begins_at_zero():
    field = np.linspace(1, 2, 200).reshape(10, 20)
    picture, _ = shown(view.scalar(field))
    assert picture.get_clim() == (0, pytest.approx(2, abs=0.02))
    assert shown(view.scalar(field, limit=5))[0].get_clim() == (0, 5)
    assert shown(view.scalar(field, limit=5, signed=True))[0].get_clim() == (-5, 5)
    assert shown(view.scalar(np.zeros((3, 4))))[0].get_clim() == (0, 1)
    assert shown(view.scalar(np.full((3, 4), np.nan)))[0].get_clim() == (0, 1)


@pytest.mark.parametrize("signed", [False, True])
def test_unknown_pixels_are_gray_and_no_known_one_is(signed):
    field = random.random((10, 20)) - (0.5 if signed else 0)
    field[2, 3] = np.nan
    picture, _ = shown(view.scalar(field))
    colors = np.rint(255 * picture.to_rgba(picture.get_array())[..., :3])
    assert np.ptp(colors[2, 3]) == 0
    assert 100 < colors[2, 3, 0] < 180
    assert (np.abs(colors - colors[2, 3]).sum(axis=2) < 10).sum() == 1


@pytest.mark.parametrize(
    ("values", "limit", "extend"),
    [((0, 1), 1, "neither"), ((0, 2), 1, "max"), ((-2, 0), 1, "min"), ((-2, 2), 1, "both")],
)
def test_the_bar_has_a_point_where_values_lie_beyond(values, limit, extend):
    field = np.array([values, values], float)
    picture, _ = shown(view.scalar(field, limit=limit))
    assert picture.colorbar.extend == extend


def test_name_and_unit_of_an_array_of_xarray_are_taken():
    xarray = pytest.importorskip("xarray", reason="the optional xarray")
    field = xarray.DataArray(np.ones((3, 4)), attrs={"long_name": "vorticity", "units": "s-1"})
    figure = view.scalar(field)
    assert figure.axes[0].get_title() == "vorticity"
    assert shown(figure)[1].get_ylabel() == "s-1"
    assert shown(view.scalar(field, unit="1/s"))[1].get_ylabel() == "1/s"


def test_a_few_large_errors_do_not_hide_the_others():
    truth = np.zeros((50, 40, 2))
    flow = truth.copy()
    flow[..., 0] = np.linspace(0, 0.1, 2000).reshape(50, 40)
    flow[:2, :10] = 90.0
    truth[5] = np.nan
    flow[7] = np.nan
    frame = random.random((50, 40))
    error = view.figure(frame, frame, flow, truth).axes[5]
    (picture,) = error.images
    low, high = picture.get_clim()
    assert low == 0
    assert 0.09 < high < 0.11
    assert picture.colorbar.extend == "max"
    assert np.argwhere(np.ma.getmaskarray(picture.get_array()).all(axis=1)).ravel().tolist() == [5, 7]
    same = view.figure(frame, frame, np.ones((50, 40, 2)), np.ones((50, 40, 2))).axes[5].images[0]
    assert same.get_clim() == (0, 1)
    rare = np.zeros((50, 40, 2))
    rare[0, 0, 0] = 3
    assert view.figure(frame, frame, rare, np.zeros_like(rare)).axes[5].images[0].get_clim() == (0, 3)


@pytest.mark.parametrize("shape", [(30, 40), (60, 20), (20, 90)])
@pytest.mark.parametrize("with_truth", [False, True])
def test_panels_have_one_size(shape, with_truth):
    frame, flow = random.random(shape), random.standard_normal((*shape, 2))
    figure = view.figure(frame, frame, flow, flow + 0.1 if with_truth else None)
    figure.draw_without_rendering()
    boxes = {axes.get_title(): axes.get_window_extent() for axes in figure.axes}
    panels = [box for title, box in boxes.items() if not title.startswith("rim") or with_truth]
    assert len(panels) == (6 if with_truth else 3)
    for box in panels:
        assert box.size == pytest.approx(panels[0].size, rel=1e-6)
        assert box.height / box.width == pytest.approx(shape[0] / shape[1], rel=1e-6)
    (key,) = (box for title, box in boxes.items() if title.startswith("rim"))
    assert key.height == pytest.approx(panels[0].height, rel=0.01)
    assert not any(a.overlaps(b) for a in panels for b in panels if a is not b)


def test_the_key_stands_beside_the_flow_and_hides_nothing():
    flow = random.standard_normal((150, 200, 2)).astype(np.float32)
    plain, keyed = view.color(flow, 2.5), view.color(flow, 2.5, key=True)
    np.testing.assert_array_equal(keyed[:150, :200], plain)
    beside = keyed[:, 201:]
    wheel = view.wheel(51)
    places = [
        (y, x)
        for y in range(len(beside) - 50)
        for x in range(beside.shape[1] - 50)
        if (beside[y : y + 51, x : x + 51] == wheel).all()
    ]
    assert len(places) == 1
    below = beside[places[0][0] + 51 :]
    assert (below < 128).all(axis=2).sum() > 20  # the speed is written there
    assert (view.color(flow, 5.0, key=True)[:, 200:] != keyed[:, 200:]).any()


@pytest.mark.parametrize("shape", [(1, 1), (20, 20), (400, 3), (3, 400), (2000, 3000)])
def test_a_key_fits_beside_flows_of_any_size(shape):
    plain = view.color(np.zeros((*shape, 2)))
    keyed = view.color(np.zeros((*shape, 2)), key=True)
    np.testing.assert_array_equal(keyed[: shape[0], : shape[1]], plain)
    height, width = np.array(keyed.shape[:2]) - shape
    assert height == max(0, keyed.shape[0] - shape[0])
    assert 51 < width < 420
    assert (keyed[:, -1] == 255).all()  # neither wheel nor text reaches the border


def test_outliers_do_not_make_a_flow_white():
    flow = np.zeros((100, 100, 2))
    flow[..., 0] = 3.0
    flow[0, :10, 0] = 1e5
    assert (view.color(flow)[1:] == (255, 0, 0)).all()
    flow[0, :11, 0] = 1e5  # more than one in a thousand
    assert (view.color(flow)[1:] > 250).all()
    flow[0, :11, 0] = 5.9
    assert (view.color(flow)[0, 0] == (255, 0, 0)).all()
