"""The colour wheel at its anchors, and figures that draw what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import variflow
from variflow import view
from variflow.io import ImageFileError, read_image

random = np.random.default_rng(0)


def pointing(position: float, speed: float = 1.0) -> list[list[list[float]]]:
    """A one-pixel flow whose direction is `position` steps of 55 from the x axis towards the y axis."""
    angle = 2 * np.pi * position / 55
    return [[[speed * np.cos(angle), speed * np.sin(angle)]]]


# The published wheel by hand: 15 steps red to yellow, then 6 to green, 4 to cyan, 11 to blue, 13 to magenta, 6 to red.
ANCHORS = {
    0: (255, 0, 0),
    5: (255, 85, 0),  # 255 * 5 / 15
    15: (255, 255, 0),
    18: (127.5, 255, 0),  # 255 - 255 * 3 / 6
    21: (0, 255, 0),
    24: (0, 255, 191.25),  # 255 * 3 / 4
    25: (0, 255, 255),
    36: (0, 0, 255),
    49: (255, 0, 255),
    52: (255, 0, 127.5),
    54: (255, 0, 42.5),
    54.5: (255, 0, 21.25),  # between the last colour and the first
}


@pytest.mark.parametrize("position", sorted(ANCHORS))
def test_wheel_at_its_anchors(position):
    wanted = np.array(ANCHORS[position])
    assert np.abs(view.color(pointing(position), 1.0000001)[0, 0] - wanted).max() <= 0.51
    # Half the speed is half way to white, twice the speed is darker by a quarter.
    half = view.color(pointing(position, 0.5), 1.0)[0, 0]
    assert np.abs(half - (255 + wanted) / 2).max() <= 0.51
    beyond = view.color(pointing(position, 2.0), 1.0)[0, 0]
    assert np.abs(beyond - 0.75 * wanted).max() <= 0.51


def test_axes_of_the_wheel():
    right, down, left, up = (view.color([[direction]], 1)[0, 0] for direction in ((1, 0), (0, 1), (-1, 0), (0, -1)))
    assert right.tolist() == [255, 0, 0]
    assert np.abs(down - [255, 233.75, 0]).max() <= 0.51  # step 13.75
    assert np.abs(left - [0, 255 - 255 * 2.5 / 11, 255]).max() <= 0.51  # step 27.5
    assert np.abs(up - [255 * 5.25 / 13, 0, 255]).max() <= 0.51  # step 41.25


def test_wheel_is_continuous_and_has_no_seam():
    angle = np.linspace(-np.pi, np.pi, 2001)
    ring = view.color(np.stack([np.cos(angle), np.sin(angle)], axis=-1)[None], scale=2.0)[0].astype(int)
    assert np.abs(np.diff(ring, axis=0)).max() <= 3
    assert np.abs(ring[0] - ring[-1]).max() <= 1
    seam = [[[-1, 0.0], [-1, -0.0], [1, 0.0], [1, -0.0], [1, 1e-320], [1, -1e-320], [1, -1e-17]]]
    colors = view.color(seam).astype(int)[0]
    assert np.ptp(colors[:2], axis=0).max() == 0
    assert np.ptp(colors[2:], axis=0).max() == 0


def test_rest_is_white_unknown_is_black_and_the_scale_ignores_the_unknown():
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, 1] = [2, 0]
    flow[0, 2] = [np.nan, 9]
    flow[0, 3] = [np.inf, 0]
    assert view.color(flow)[0].tolist() == [[255, 255, 255], [255, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert (view.color(np.zeros((3, 4, 2))) == 255).all()
    assert (view.color(np.full((3, 4, 2), np.nan)) == 0).all()


def test_a_fixed_scale_gives_the_same_colour_in_every_frame():
    slow, both = np.array([[[1.0, 0.5], [0, 0]]]), np.array([[[1.0, 0.5], [8, 0]]])
    assert (view.color(slow, 4)[0, 0] == view.color(both, 4)[0, 0]).all()
    assert (view.color(slow)[0, 0] != view.color(both)[0, 0]).any()
    assert (view.color(3 * slow, 12) == view.color(slow, 4)).all()


def test_key():
    key = view.wheel(101)
    assert key.shape == (101, 101, 3)
    assert key.dtype == np.uint8
    assert key[50, 50].tolist() == key[0, 0].tolist() == [255, 255, 255]
    assert key[50, 100].tolist() == [255, 0, 0]
    assert view.wheel(1).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: view.color(np.zeros((3, 3))), "flow"),
        (lambda: view.color(np.zeros((3, 3, 2)), scale=0), "scale"),
        (lambda: view.color(np.zeros((3, 3, 2)), scale=np.nan), "scale"),
        (lambda: view.wheel(0), "size"),
        (lambda: view.arrows(np.zeros((3, 4)), np.zeros((3, 3, 2))), "image"),
        (lambda: view.arrows(np.zeros((3, 3)), np.zeros((3, 3, 2)), step=0), "step"),
        (lambda: view.arrows(np.zeros((3, 3)), np.zeros((3, 3, 2)), magnify=0), "magnify"),
        (lambda: view.arrows(np.zeros((3, 3)), np.zeros((3, 3, 2)), pixel_size=0), "pixel_size"),
        (lambda: view.arrows(np.zeros((3, 3)), np.zeros((3, 3, 2)), dt=-1), "dt"),
        (lambda: view.scalar(np.zeros((3, 3, 2))), "field"),
        (lambda: view.scalar(np.zeros((3, 3)), limit=0), "limit"),
        (lambda: view.figure(np.zeros((3, 3)), np.zeros((3, 4)), np.zeros((3, 3, 2))), "frame1"),
        (lambda: view.warping(np.zeros((3, 3)), np.zeros((3, 3)), np.full((3, 3, 2), np.nan)), "flow"),
        (lambda: view.warping(np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((3, 3, 2)), point=(3, 0)), "point"),
    ],
)
def test_what_cannot_be_drawn_is_named(call, name):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        call()


def test_error_map_doubles_from_colour_to_colour():
    """Of 8 px: 0.5 and less is the deepest blue, above 128 px and a missing estimate the deepest red."""
    errors = [0.0, 0.5, 0.6, 8.0, 8.1, 128.0, 128.1, np.nan]
    flow, truth = np.zeros((2, 1, 9, 2))
    flow[0, :8, 0] = errors
    truth[0, 8] = np.nan
    picture = [bytes(pixel).hex() for pixel in view.error_map(flow, truth, limit=8)[0]]
    assert picture[:2] == ["313695"] * 2
    assert picture[2:6] == ["4575b4", "e0f3f8", "fee090", "d73027"]
    assert picture[6:] == ["a50026"] * 2 + ["000000"]
    with pytest.raises(ValueError, match="limit"):
        view.error_map(flow, truth, limit=0)


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (2, 300), (200, 3)])
def test_figures_of_any_shape_are_written(tmp_path, shape):
    frame, flow = random.random(shape), random.standard_normal((*shape, 2))
    flow[0, 0] = 0
    figures = {
        "plain.png": view.figure(frame, frame, flow),
        "truth.png": view.figure(frame, frame, flow, np.zeros((*shape, 2)), scale=3.0),
        "arrows.pdf": view.arrows(frame, flow),
        "warping.svg": view.warping(frame, frame, flow),
        "scalar.png": view.scalar(flow[..., 0], unit="px"),
        "key.png": view.color(flow, key=True),
        "color.png": view.color(flow),
    }
    for name, picture in figures.items():
        view.save(tmp_path / name, picture, dpi=40)
        assert (tmp_path / name).stat().st_size > 50
    assert read_image(tmp_path / "color.png").shape == (*shape, 3)
    assert len(list(tmp_path.iterdir())) == len(figures)


def test_figure_states_the_mean_error_and_one_scale():
    flow, truth = np.full((8, 9, 2), 2.0), np.full((8, 9, 2), 2.0)
    flow[..., 0] += 0.25
    truth[0] = np.nan
    frame = random.integers(0, 255, (8, 9, 3), np.uint8)
    titles = [axes.get_title() for axes in view.figure(frame, frame, flow, truth).axes]
    assert "error, mean 0.250 px" in titles
    assert f"rim: {np.hypot(2.25, 2):.3g} px" in titles
    wild = [axes.get_title() for axes in view.figure(frame, frame, 9 * flow, truth).axes]
    assert f"rim: {1.25 * np.hypot(2, 2):.3g} px" in wild
    slow = [axes.get_title() for axes in view.figure(frame, frame, flow / 9, truth).axes]
    assert f"rim: {np.hypot(2, 2):.3g} px" in slow
    titles = [axes.get_title() for axes in view.figure(frame, frame, flow, np.full_like(truth, np.nan)).axes]
    assert "error unknown" in titles


def test_warping_shows_the_second_frame_back_on_the_first():
    y, x = np.mgrid[:40, :50].astype(float)
    first, second = np.sin(x / 4) + np.cos(y / 5), np.sin((x - 3) / 4) + np.cos((y + 2) / 5)
    flow = np.full((40, 50, 2), [3.0, -2.0])
    drawn = view.warping(first, second, flow, point=(20, 20))
    shown = [np.asarray(axes.images[0].get_array()) for axes in drawn.axes]
    assert np.abs(shown[2] - shown[0])[4:-4, 4:-4].max() < 1e-5
    arrow = drawn.axes[1].collections[1].get_paths()[0].vertices
    np.testing.assert_allclose([(arrow[0] + arrow[6]) / 2, arrow[3]], [(20, 20), (23, 18)])


@pytest.mark.parametrize("motion", [(0, 0), (40, -30), (500, 0)])
def test_warping_shows_what_lies_in_the_frame(motion):
    flow = np.full((60, 40, 2), motion, float)
    drawn = view.warping(np.zeros((60, 40)), np.zeros((60, 40)), flow, point=(2, 55))
    left, right = drawn.axes[0].get_xlim()
    bottom, top = drawn.axes[0].get_ylim()
    assert left <= 2 <= right
    assert top <= 55 <= bottom
    assert -0.5 <= top < bottom <= 59.5
    if right - left <= 40:
        assert -0.5 <= left < right <= 39.5


def test_energies_are_drawn_through_their_steps_and_level_by_level():
    frames = np.random.default_rng(0).random((2, 36, 48))
    result = variflow.estimate(*frames, "horn-schunck")
    (axes,) = view.energies(result).axes
    marked = [line.get_ydata() for line in axes.lines if line.get_marker() == "o"]
    first = {record.level: record.before for record in reversed(result.energies)}
    shares = [np.array([record.before, record.after]) / first[record.level] for record in result.energies]
    np.testing.assert_allclose(marked, shares)
    assert marked[0][0] == 1
    assert [text.get_text().split("\n")[0] for text in axes.texts] == ["level 1", "level 0"]
    assert [float(text.get_text().split("\n")[1]) for text in axes.texts] == pytest.approx(
        [first[1], first[0]], rel=0.06
    )
    jumps = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert len(jumps) == len(result.energies) - 2  # there is none from level to level
    assert list(jumps[0].get_ydata()) == pytest.approx([shares[0][1], shares[1][0]])


def test_energies_that_fall_far_are_on_a_logarithmic_scale_and_those_below_zero_as_they_are():
    result = variflow.estimate(*np.random.default_rng(0).random((2, 8, 8)), "horn-schunck")

    def draw(before, after, steps):
        record = variflow.EnergyRecord(0, 0, before, after, np.array(steps, np.float32))
        (axes,) = view.energies(replace(result, _energies=[record])).axes
        return axes.get_yscale(), axes.lines[0].get_ydata().tolist()

    assert draw(4.0, 1.0, [3, 2]) == ("linear", [1, 0.75, 0.5, 0.25])
    assert draw(4.0, 0.25, [2]) == ("log", [1, 0.5, 0.0625])
    assert draw(4.0, -1.0, [3, 1, -1]) == ("linear", [4, 3, 1, -1, -1])


def test_energies_of_what_is_no_result_are_refused():
    with pytest.raises(TypeError, match="result is an ndarray, wanted the Result of an estimate"):
        view.energies(np.zeros((3, 4, 2)))


def test_a_failing_picture_leaves_nothing(tmp_path, monkeypatch):
    drawn = view.arrows(np.zeros((3, 3)), np.zeros((3, 3, 2)))
    with pytest.raises(ImageFileError, match="ends with"):
        view.save(tmp_path / "a.xyz", drawn)
    with pytest.raises(ImageFileError):
        view.save(tmp_path / "a.xyz", np.zeros((3, 3), np.uint8))

    def fail(file, **_):
        file.write(b"half")
        raise RuntimeError

    monkeypatch.setattr(drawn, "savefig", fail)
    with pytest.raises(RuntimeError):
        view.save(tmp_path / "a.png", drawn)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scale", [0.7, 3.0, 1e-50, 1e300])
def test_colors_are_those_of_the_definition(scale):
    flow = np.random.default_rng(1).normal(scale=2.0, size=(37, 301, 2)).astype(np.float32)
    flow[3, 5], flow[4, 6, 0] = np.nan, np.inf
    corners = np.array([(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0)], float)
    places = np.cumsum((0, 15, 6, 4, 11, 13, 6))
    known = np.isfinite(flow).all(axis=2)
    u, v = np.where(known[..., None], flow, 0).transpose(2, 0, 1).astype(float)
    place = np.arctan2(v, u) / (2 * np.pi) % 1 * 55
    hue = np.stack([np.interp(place, places, corner) for corner in corners.T], axis=2)
    speed = np.minimum(np.hypot(u, v) / scale, 2)[..., None]
    wanted = 255 * np.where(speed <= 1, 1 - speed * (1 - hue), 0.75 * hue)
    wanted[~known] = 0
    painted = view.color(flow, scale)
    near = np.abs(speed[..., 0] - 1) < 1e-5  # there the colour jumps
    assert np.abs(painted - wanted)[~near].max() < 0.51
    np.testing.assert_array_equal(view.color(np.asfortranarray(flow), scale), painted)
