"""Rendered scenes: the flow is the formula, the frames agree along it, and the occlusion is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variflow.datasets import demo
from variflow.datasets.synthetic import Ellipse, Layer, Motion, Polygon, Texture, render, translation


def rectangle(left: float, top: float, right: float, bottom: float) -> Polygon:
    return Polygon(((left, top), (right, top), (right, bottom), (left, bottom)))


motions = st.builds(
    Motion,
    translation=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    rotation=st.floats(-180, 180),
    scale=st.floats(0.5, 2),
    center=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)


@settings(max_examples=50, deadline=None)
@given(motion=motions, x=st.floats(-300, 300), y=st.floats(-300, 300))
def test_motion_and_its_inverse(motion, x, y):
    there = motion(x, y)
    assert np.allclose(motion.inverse(*there), (x, y), atol=1e-9)
    assert np.allclose(np.subtract(there, (x, y)), motion.displacement(x, y), atol=1e-9)


def test_motion_by_hand():
    quarter = Motion(rotation=90, center=(10, 20))
    assert np.allclose(quarter(13, 20), (10, 23))  # from the x axis to the y axis
    assert np.allclose(Motion((1, 2), scale=2, center=(10, 20))(13, 20), (17, 22))


def test_flow_of_a_pure_rotation_is_the_formula():
    angle, (x0, y0) = np.deg2rad(5.0), (30.0, 22.0)
    scene = render([Layer(Texture(0), Motion(rotation=5.0, center=(x0, y0)))], (48, 64))
    y, x = np.mgrid[:48, :64]
    u = (np.cos(angle) - 1) * (x - x0) - np.sin(angle) * (y - y0)
    v = np.sin(angle) * (x - x0) + (np.cos(angle) - 1) * (y - y0)
    assert np.abs(scene.flow - np.stack([u, v], axis=-1)).max() < 1e-5
    leaves = (x + u < 0) | (x + u > 63) | (y + v < 0) | (y + v > 47)
    assert np.array_equal(scene.occlusion, leaves)


def test_frames_agree_along_the_flow():
    back = Layer(Texture(1), Motion((1.3, -0.6), rotation=1.0, scale=1.02, center=(40, 30)))
    front = Layer(Texture(2), Motion((-3.2, 2.4), rotation=-4.0, center=(45, 32)), Ellipse((45, 32), (20, 14), 30))
    scene = render([back, front], (70, 90), dtype="float32")
    y, x = np.mgrid[:70, :90].astype(float)
    for layer in (back, front):
        inside = front.region.contains(x, y) == (layer is front)
        # The texture is given in the first frame, so at a pixel centre both frames are one evaluation of it.
        assert np.abs(scene.frame0 - layer.texture(x, y))[inside & interior(x, y, front.region)].max() < 1e-6
        to_x, to_y = x + scene.flow[..., 0], y + scene.flow[..., 1]
        at_target = layer.texture(*layer.motion.inverse(to_x, to_y))
        assert np.abs(at_target - layer.texture(x, y))[inside].max() < 1e-4  # float32 displacements


def interior(x, y, region):
    """Away from the outline, where a pixel belongs to one layer alone."""
    probes = [region.contains(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    return np.all(probes, axis=0) | ~np.any(probes, axis=0)


def test_second_frame_interpolated_along_the_flow_is_the_first():
    from variflow.flowops import warp

    disk = Layer(Texture(4), Motion((4.4, -3.3), scale=1.05, center=(60, 50)), Ellipse((60, 50), (25, 20)))
    scene = render([Layer(Texture(3), Motion((-1.5, 0.5), rotation=0.5)), disk], (110, 130))
    back = np.asarray(warp(scene.frame1, scene.flow))
    y, x = np.mgrid[:110, :130].astype(float)
    shifted = interior(x + scene.flow[..., 0], y + scene.flow[..., 1], Ellipse((64.4, 46.7), (26.25, 21)))
    seen = ~scene.occlusion & interior(x, y, disk.region) & shifted
    difference = np.abs(back - scene.frame0)[seen]
    assert seen.mean() > 0.8
    assert difference.mean() < 2
    assert np.percentile(difference, 99.9) < 16
    wrong = np.abs(scene.frame1.astype(float) - scene.frame0)[seen]
    assert wrong.mean() > 10 * difference.mean()


def test_whole_pixel_shift_moves_the_values_exactly():
    scene = translation((40, 50), (3, -2), seed=5)
    assert np.array_equal(scene.frame0[2:, :-3], scene.frame1[:-2, 3:])
    assert scene.frame0.shape == (40, 50, 3)
    assert scene.frame0.dtype == np.uint8
    assert scene.flow.dtype == np.float32
    assert (scene.flow == (3, -2)).all()
    leaves = np.ones((40, 50), bool)
    leaves[2:, :-3] = False
    assert np.array_equal(scene.occlusion, leaves)


def test_occlusion_of_a_sliding_rectangle_is_the_strip_before_it():
    slide = Layer(Texture(1), Motion((5, 0)), rectangle(19.5, 9.5, 39.5, 29.5))
    scene = render([Layer(Texture(0)), slide], (40, 60))
    strip = np.zeros((40, 60), bool)
    strip[10:30, 40:45] = True
    assert np.array_equal(scene.occlusion, strip)
    moving = np.zeros((40, 60), bool)
    moving[10:30, 20:40] = True
    assert np.array_equal((scene.flow == (5, 0)).all(axis=-1), moving)
    assert np.array_equal((scene.flow == 0).all(axis=-1), ~moving)
    # The uncovered strip shows the background in the second frame; nothing else of it changed.
    still = render([Layer(Texture(0))], (40, 60)).frame0
    untouched = ~(moving | strip)
    untouched[10:30, 20:25] = True
    assert np.array_equal(scene.frame1[untouched], still[untouched])


def test_a_layer_that_slides_behind_another_is_occluded():
    behind = Layer(Texture(1), Motion((4, 0)), rectangle(4.5, 4.5, 14.5, 14.5))
    front = Layer(Texture(2), Motion(), rectangle(14.5, -0.5, 29.5, 19.5))
    scene = render([Layer(Texture(0)), behind, front], (20, 30))
    strip = np.zeros((20, 30), bool)
    strip[5:15, 11:15] = True
    assert np.array_equal(scene.occlusion, strip)


@pytest.mark.parametrize("supersampling", [1, 4])
def test_outlines_are_smoothed_by_their_coverage(supersampling):
    white = Texture(0, ((1.0, 1.0, 1.0),) * 4)
    black = Texture(0, ((0.0, 0.0, 0.0),) * 4)
    # The rectangle ends a quarter of a pixel beyond the edge of pixel 9, so it covers a quarter of pixel 10.
    scene = render([Layer(black), Layer(white, Motion((0.5, 0)), rectangle(4.5, 4.5, 9.75, 9.5))], (14, 16),
                   supersampling=supersampling, dtype="float32")  # fmt: skip
    rows = scene.frame0[:, :, 0]
    assert rows[5, 4:12].tolist() == [0, 1, 1, 1, 1, 1, 0.25 if supersampling == 4 else 0, 0]
    assert scene.frame1[5, 4:12, 0].tolist() == [0, 0.5 if supersampling == 4 else 1, 1, 1, 1, 1,
                                                0.75 if supersampling == 4 else 1, 0]  # fmt: skip


def test_regions_by_hand():
    x, y = np.mgrid[-6:7, -6:7].astype(float)
    disk = Ellipse((0, 0), (4, 2), 90)
    assert disk.contains(np.array(0.0), np.array(3.9))
    assert not disk.contains(np.array(3.9), np.array(0.0))
    notch = Polygon(((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (0, 0), (-4.5, 4.5)))  # concave
    # 9 x 9 pixels, less 1 + 3 + 5 + 7 within the notch and, as a right side does not belong to a region, 4 on its left.
    assert notch.contains(x, y).sum() == 81 - 16 - 4
    assert not notch.contains(np.array(0.0), np.array(1.0))
    assert notch.contains(np.array(-4.0), np.array(3.0))
    for region in (disk, notch):
        left, top, right, bottom = region.bounds()
        held = region.contains(x, y)
        assert (x[held].min() >= left) & (x[held].max() <= right)
        assert (y[held].min() >= top) & (y[held].max() <= bottom)


def test_textures_are_repeatable_bounded_and_resolved_by_the_pixels():
    y, x = np.mgrid[:128, :128].astype(float)
    values = Texture(9)(x, y)
    assert np.array_equal(values, Texture(9)(x, y))
    assert not np.array_equal(values, Texture(10)(x, y))
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.std() > 0.1
    # Little power above three quarters of the highest frequency that the pixels can carry.
    window = np.hanning(128)[:, None] * np.hanning(128)
    power = np.abs(np.fft.fft2((values[..., 1] - values[..., 1].mean()) * window)) ** 2
    frequency = np.abs(np.fft.fftfreq(128))
    high = np.maximum(frequency[:, None], frequency) > 0.375
    assert power[high].sum() / power.sum() < 0.002


def test_types_and_noise():
    clean = translation((60, 80), (0.5, 0.25), dtype="float32")
    assert clean.frame0.dtype == np.float32
    for kind in ("uint8", "uint16"):
        other = translation((60, 80), (0.5, 0.25), dtype=kind)
        largest = np.iinfo(kind).max
        assert other.frame1.dtype == kind
        assert np.abs(other.frame1 / largest - clean.frame1).max() < 0.51 / largest + 1e-6
    noisy = translation((60, 80), (0.5, 0.25), noise=0.05, dtype="float32")
    added = [noisy.frame0 - clean.frame0, noisy.frame1 - clean.frame1]
    assert np.std(added, axis=(1, 2, 3)) == pytest.approx([0.05, 0.05], rel=0.05)
    assert abs(np.corrcoef(added[0].ravel(), added[1].ravel())[0, 1]) < 0.05
    again = translation((60, 80), (0.5, 0.25), noise=0.05, dtype="float32")
    assert np.array_equal(noisy.frame0, again.frame0)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: render([], (4, 4)), "layers"),
        (lambda: render([Layer(Texture(0), Motion(), Ellipse((2, 2), (1, 1)))], (4, 4)), "layers"),
        (lambda: render([Layer(Texture(0))], (0, 4)), "shape"),
        (lambda: render([Layer(Texture(0))], (4, 4, 3)), "shape"),
        (lambda: render([Layer(Texture(0))], (4, 4), supersampling=0), "supersampling"),
        (lambda: render([Layer(Texture(0))], (4, 4), dtype="int8"), "dtype"),
        (lambda: translation((4, 4), noise=-1), "noise"),
        (lambda: Motion(scale=0), "scale"),
        (lambda: Motion((np.nan, 0)), "translation"),
        (lambda: Motion((1, 2, 3)), "translation"),
        (lambda: Motion(rotation="90"), "rotation"),
        (lambda: Motion(center=3), "center"),
        (lambda: translation(10), "shape"),
        (lambda: translation((10.0, 10)), "shape"),
        (lambda: translation(("10", 10)), "shape"),
        (lambda: translation((4, 4), shift=3), "shift"),
        (lambda: translation((4, 4), noise=np.zeros(2)), "noise"),
        (lambda: translation((4, 4), seed=-1), "seed"),
        (lambda: render([Layer(Texture(0))], None), "shape"),
        (lambda: Ellipse(3, (1, 1)), "center"),
        (lambda: Ellipse((0, 0), (1, np.nan)), "radii"),
        (lambda: Ellipse((0, 0), 1), "radii"),
        (lambda: Ellipse((0, 0), (1, 1), "9"), "angle"),
        (lambda: Polygon(3), "points"),
        (lambda: Polygon([1, 2, 3]), "points"),
        (lambda: Polygon([(0, 0), (1, 1), (2, np.nan)]), "points"),
        (lambda: Texture("a"), "seed"),
        (lambda: Texture(0, wavelengths=3), "wavelengths"),
        (lambda: Texture(0, wavelengths=(9, 3)), "wavelengths"),
        (lambda: Texture(0, contrast=np.nan), "contrast"),
        (lambda: Texture(0, slope="a"), "slope"),
        (lambda: Texture(0, wavelengths=(0, 3)), "wavelengths"),
        (lambda: Texture(0, waves=0), "waves"),
        (lambda: Texture(0, colors=((2, 0, 0),) * 4), "colors"),
        (lambda: Ellipse((0, 0), (0, 1)), "radii"),
        (lambda: Polygon(((0, 0), (1, 1))), "points"),
    ],
)
def test_what_cannot_be_rendered_is_named(call, name):
    with pytest.raises(ValueError, match=f"^{name} (is|has) "):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: render(Layer(Texture(0)), (4, 4)), "layers is a Layer, wanted a list of Layer"),
        (lambda: render([Layer(Texture(0)), 3], (4, 4)), r"layers\[1\] is an int, wanted a Layer"),
        (lambda: Texture(0, colors=[["a"] * 3] * 4), "colors has dtype"),
        (lambda: Texture(0, colors=[[0.1] * 3] * 3 + [[0.1] * 2]), "colors is a list that NumPy cannot read"),
    ],
)
def test_what_is_of_another_kind_is_named(call, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        call()


def test_layers_outside_the_frame_and_single_pixels():
    away = Layer(Texture(1), Motion((3, 3)), Ellipse((-50, -50), (4, 4)))
    assert render([Layer(Texture(0)), away], (1, 1)).flow.tolist() == [[[0, 0]]]
    entering = Layer(Texture(1), Motion((53, 53)), Ellipse((-50, -50), (4, 4)))
    assert render([Layer(Texture(0)), entering], (8, 8)).occlusion[2, 2]


def test_the_pair_of_the_package():
    sample = demo()
    assert sample.frame0.shape == sample.frame1.shape == (480, 640, 3)
    assert sample.frame0.dtype == np.uint8
    assert sample.flow.shape == (480, 640, 2)
    assert np.isfinite(sample.flow).all()
    assert 10 < np.hypot(*np.moveaxis(sample.flow, -1, 0)).max() < 14
    assert 0.02 < sample.occlusion.mean() < 0.08
    assert np.array_equal(sample.frame1, demo().frame1)
