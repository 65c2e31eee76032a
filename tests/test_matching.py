"""Matching: what is found, how surely, and the dense flow that follows from it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

import variflow
from variflow import _core, models
from variflow.datasets.texture import Texture
from variflow.filters import WeightedMedian
from variflow.images.resampling import smooth
from variflow.matching.dense import densify
from variflow.matching.matches import Matches
from variflow.matching.matching import match

Array = NDArray[np.float32]
CORE: Any = _core  # for calls that a type checker refuses


def texture(height: int, width: int, channels: int = 1) -> Array:
    noise = np.random.default_rng(7).standard_normal((channels, height, width)).astype(np.float32)
    plane = smooth(noise, 1.2)
    return np.moveaxis((plane - plane.min()) / np.ptp(plane), 0, 2)[:, :, 0 if channels == 1 else slice(None)]


def translated(shift: tuple[int, int], size: tuple[int, int] = (150, 200)) -> tuple[Array, Array]:
    u, v = shift
    whole = texture(size[0] + 200, size[1] + 200)
    return whole[100 : 100 + size[0], 100 : 100 + size[1]], whole[100 - v :, 100 - u :][: size[0], : size[1]]


def test_translation_is_found_everywhere() -> None:
    frame0, frame1 = translated((37, -21))
    matches = match(frame0, frame1)
    np.testing.assert_allclose(np.median(matches.flow, axis=0), (37, -21), atol=0.05)
    here, there = matches.points, matches.points + np.array([37, -21])
    stays = ((here >= 10) & (here < (190, 140)) & (there >= 10) & (there < (190, 140))).all(axis=1)
    assert np.abs(matches.flow[stays] - (37, -21)).max() < 0.5
    assert matches.confidence[stays].mean() > 0.9
    # Points every 3 pixels of what is 10 pixels from the border in both frames.
    assert stays.sum() == pytest.approx((190 - 10 - 37) * (140 - 10 - 21) / 9, rel=0.05)


def test_identical_frames_do_not_move() -> None:
    frame = texture(60, 80, channels=3)
    matches = match(frame, frame)
    assert len(matches) > 400
    np.testing.assert_array_equal(matches.flow, 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 9))
def test_any_size(height: int, width: int, spacing: int) -> None:
    frame0, frame1 = np.random.default_rng(height * 71 + width).uniform(size=(2, height, width))
    matches = match(frame0, frame1, spacing=spacing)
    x, y = matches.points.T
    assert ((x >= 0) & (x < width) & (y >= 0) & (y < height)).all()
    assert ((matches.confidence > 0) & (matches.confidence < 1)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 47)])
def test_constant_frames_have_no_matches(size: tuple[int, int]) -> None:
    assert len(match(np.zeros(size), np.zeros(size))) == 0
    assert len(match(np.zeros(size), np.ones(size))) == 0


def test_result_does_not_depend_on_the_threads() -> None:
    frame0, frame1 = translated((9, 4), (130, 170))
    frame1 = frame1 + 0.05 * np.random.default_rng(0).standard_normal(frame1.shape)
    threads = variflow.get_threads()
    results = []
    try:
        for count in (1, 2, 3):
            variflow.set_threads(count)
            matches = match(frame0, frame1)
            results.append((matches, densify(matches, frame0)))
    finally:
        variflow.set_threads(threads)
    for matches, flow in results[1:]:
        np.testing.assert_array_equal(matches.points, results[0][0].points)
        np.testing.assert_array_equal(matches.flow, results[0][0].flow)
        np.testing.assert_array_equal(matches.confidence, results[0][0].confidence)
        np.testing.assert_array_equal(flow, results[0][1])


def test_missing_pixels_match_nothing() -> None:
    frame0, frame1 = (np.array(frame) for frame in translated((6, 3)))
    frame0[50:90, 60:110] = np.nan
    mask1 = np.ones(frame1.shape, bool)
    mask1[100:140, 20:60] = False
    matches = match(frame0, frame1, mask=(np.ones(frame0.shape, bool), mask1))
    assert len(matches) > 1500
    x, y = matches.points.T
    assert not ((x >= 60) & (x < 110) & (y >= 50) & (y < 90)).any()
    to_x, to_y = np.rint(matches.points + matches.flow).astype(int).T
    assert mask1[to_y, to_x].mean() > 0.995  # rounded, some touch the rim
    np.testing.assert_allclose(np.median(matches.flow, axis=0), (6, 3), atol=0.1)


def test_unit_of_intensity_does_not_matter() -> None:
    frame0, frame1 = (np.rint(frame * 255).astype(np.uint8) for frame in translated((5, 2), (60, 80)))
    first, second = match(frame0, frame1), match(frame0 * 100.0 - 7, frame1 * 100.0 - 7)
    np.testing.assert_array_equal(first.flow, second.flow)


# Matches of one's own, and the dense flow


def scattered(count: int, size: tuple[int, int]) -> Array:
    return np.random.default_rng(3).uniform((0, 0), (size[1] - 1, size[0] - 1), (count, 2)).astype(np.float32)


def affine(points: NDArray[Any]) -> NDArray[Any]:
    return points @ np.array([[0.05, -0.02], [0.03, 0.04]]) + (7, -3)


def test_affine_motion_is_continued() -> None:
    """A few matches in one part of the frame tell an affine motion everywhere."""
    size = (90, 120)
    points = scattered(300, (60, 60))
    flow = densify(Matches(points, affine(points)), np.zeros(size))
    y, x = np.indices(size)
    np.testing.assert_allclose(flow, affine(np.stack([x, y], axis=-1)), atol=0.15)
    np.testing.assert_allclose(flow[:60, :60], affine(np.stack([x, y], axis=-1))[:60, :60], atol=0.02)


def test_large_frames_have_a_coarser_grid() -> None:
    points = scattered(2000, (1100, 1200))
    flow = densify(Matches(points, affine(points)), np.zeros((1100, 1200)))
    y, x = np.indices((1100, 1200))
    np.testing.assert_allclose(flow, affine(np.stack([x, y], axis=-1)), atol=0.1)


def test_outliers_and_unsure_matches_count_little() -> None:
    size = (90, 120)
    points = scattered(900, size)
    flow = affine(points)
    wrong = np.random.default_rng(1).uniform(size=len(points)) < 0.15
    flow[wrong] += 40
    dense = densify(Matches(points, flow, np.where(wrong, 0.05, 0.9)), np.zeros(size))
    y, x = np.indices(size)
    assert np.abs(dense - affine(np.stack([x, y], axis=-1))).mean() < 0.2


def test_dense_flow_breaks_at_image_edges() -> None:
    frame = np.zeros((80, 100, 3))
    frame[:, 50:] = (0.9, 0.5, 0.1)
    points = scattered(400, (80, 100))
    points = points[abs(points[:, 0] - 50) > 8]  # nothing is known near the edge
    flow = np.where(points[:, :1] < 50, (10, 0), (-5, 2))
    dense = densify(Matches(points, flow), frame)
    np.testing.assert_allclose(dense[:, :46].reshape(-1, 2), np.broadcast_to((10, 0), (80 * 46, 2)), atol=0.4)
    np.testing.assert_allclose(dense[:, 54:].reshape(-1, 2), np.broadcast_to((-5, 2), (80 * 46, 2)), atol=0.4)


def test_one_match_moves_everything() -> None:
    flow = densify(Matches([(3, 2)], [(1.5, -2)]), texture(20, 30))
    np.testing.assert_allclose(flow, np.broadcast_to((1.5, -2), (20, 30, 2)), atol=1e-4)


@pytest.mark.parametrize(
    ("points", "flow", "confidence", "message"),
    [
        ([1, 2], [(0, 0)], None, "points"),
        ([(1, 2)], [(0, 0), (1, 1)], None, "flow"),
        ([(1, 2)], [(0, np.nan)], None, "flow"),
        ([(1, 2)], [(0, 0)], [2.0], "confidence"),
        ([(1, 2)], [(0, 0)], [0.5, 0.5], "confidence"),
    ],
)
def test_matches_are_checked(points: Any, flow: Any, confidence: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Matches(points, flow, confidence)


def test_arguments_are_checked() -> None:
    with pytest.raises(TypeError, match="points"):
        Matches(["a"], [(0, 0)])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="spacing"):
        match(np.zeros((9, 9)), np.zeros((9, 9)), spacing=0)
    with pytest.raises(ValueError, match="none with confidence"):
        densify(Matches(np.zeros((0, 2)), np.zeros((0, 2))), np.zeros((9, 9)))


def test_core_checks_its_arguments() -> None:
    plane = np.zeros((1, 9, 12), np.float32)
    described = _core.descriptors(plane, 0.01)
    assert described.shape == (9, 12, 64)
    with pytest.raises(TypeError, match="plane"):
        CORE.descriptors(plane.astype(float), 0.01)
    with pytest.raises(ValueError, match="noise"):
        _core.descriptors(plane, 0.0)
    with pytest.raises(ValueError, match="valid1"):
        _core.search_matches(described, described, plane, plane[:, 1:].copy(), None, 3, 2, 0, 0.0, 0.0)
    with pytest.raises(TypeError, match="uint8"):
        CORE.search_matches(plane, described, plane, plane, None, 3, 2, 0, 0.0, 0.0)
    with pytest.raises(ValueError, match="start"):
        _core.search_matches(described, described, plane, plane, np.zeros((2, 9, 12), np.float32), 3, 2, 0, 0.0, 0.0)
    rule: Any = {"contrast": 1.0, "tolerance": 1.0, "ridge": 1.0, "rounds": 1, "turns": 1}
    with pytest.raises(ValueError, match="matches"):
        _core.fill_affine(np.zeros((5, 9, 11), np.float32), plane, reach=1.0, **rule)
    with pytest.raises(ValueError, match="reach"):
        _core.fill_affine(np.zeros((5, 9, 12), np.float32), plane, reach=0.0, **rule)
    with pytest.raises(ValueError, match="rounds"):
        _core.fill_affine(np.zeros((5, 9, 12), np.float32), plane, reach=1.0, **{**rule, "rounds": 0})
    with pytest.raises(ValueError, match="backward"):
        _core.match_confidence(np.zeros((3, 4, 5), np.float32), np.zeros((3, 4, 4), np.float32), 3)


# The start of an estimate


def jumping_square() -> tuple[Array, Array, tuple[slice, slice]]:
    """A still background before which a square moves by more than its size."""
    background, thing = texture(240, 320), texture(300, 300)[200:260, 100:160]
    frame0, frame1 = background.copy(), background.copy()
    frame0[60:120, 40:100] = thing
    frame1[80:140, 130:190] = thing
    return frame0, frame1, (slice(62, 118), slice(42, 98))


def test_start_from_matches_finds_small_things_that_move_far() -> None:
    frame0, frame1, inside = jumping_square()
    model = models.brox()
    lost = variflow.estimate(frame0, frame1, model).flow[inside]
    found = variflow.estimate(frame0, frame1, replace(model, start="matches")).flow[inside]
    given = variflow.estimate(frame0, frame1, model, init=match(frame0, frame1)).flow[inside]
    assert np.abs(np.median(lost, axis=(0, 1)) - (90, 20)).max() > 5
    np.testing.assert_allclose(np.median(found, axis=(0, 1)), (90, 20), atol=0.1)
    np.testing.assert_allclose(np.median(given, axis=(0, 1)), (90, 20), atol=0.1)


@pytest.mark.parametrize("distance", [30, 40])
def test_start_from_matches_finds_one_thing_in_a_large_frame(distance: int) -> None:
    """So little of the frame moves that 95 % of the matches are like those around them."""
    draw = np.random.default_rng(0)
    frame0, thing = (ndimage.gaussian_filter(draw.normal(size=size), 1.5) for size in ((480, 640), (100, 100)))
    frame1 = frame0.copy()
    frame0[100:200, 50:150] = thing
    frame1[100:200, 50 + distance : 150 + distance] = thing
    flow = variflow.estimate(frame0, frame1).flow[110:190, 60:140]
    assert np.mean(np.hypot(*np.moveaxis(flow - (distance, 0), 2, 0)) > 1) < 0.1


@pytest.mark.parametrize("name", ["RubberWhale", "Venus"])
def test_start_from_matches_changes_nothing_where_motion_is_small(middlebury: Any, name: str) -> None:
    pair, model = middlebury[name], models.horn_schunck()
    zero = variflow.estimate(pair.frame0, pair.frame1, model).flow
    np.testing.assert_array_equal(
        variflow.estimate(pair.frame0, pair.frame1, replace(model, start="matches")).flow, zero
    )


@pytest.mark.parametrize("model", ["balanced", "accurate"])
@pytest.mark.parametrize(("shift", "size"), [((64, 0), (220, 260)), ((-45, 45), (220, 260)), ((8, 0), (32, 602))])
def test_a_whole_frame_that_moves_far_is_followed(model: str, shift: tuple[int, int], size: tuple[int, int]) -> None:
    """The coarsest level of a pyramid does not see such motion, and matches that are all alike are not rough."""
    frame0, frame1 = translated(shift, size)
    flow = variflow.estimate(frame0, frame1, model).flow
    rows, columns = np.mgrid[: size[0], : size[1]]
    x, y = columns + shift[0], rows + shift[1]
    inside = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    error = np.hypot(flow[..., 0] - shift[0], flow[..., 1] - shift[1])
    assert error[inside].mean() < 0.05
    assert error.mean() < 1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (25, 31)])
def test_start_from_matches_of_any_frames(size: tuple[int, int]) -> None:
    model = replace(models.brox(), start="matches")
    for frame in (np.zeros(size), texture(31, 40)[: size[0], : size[1]]):
        np.testing.assert_array_equal(variflow.estimate(frame, frame, model).flow, 0)


def test_a_smaller_window_of_the_filter_keeps_a_small_disc_that_moves_far() -> None:
    rows, columns = np.mgrid[:200, :280].astype(float)
    ground = Texture(1)(columns, rows)[..., 0]
    first, second = (
        np.where(np.hypot(columns - 80 - shift, rows - 100) < 20, Texture(2)(columns - shift, rows)[..., 0], ground)
        for shift in (0, 30)
    )
    model = replace(models.balanced(), filter=WeightedMedian(window=9))
    flow = variflow.estimate(first, second, model, init=match(first, second)).flow
    assert np.abs(np.median(flow[90:111, 70:91], axis=(0, 1)) - (30, 0)).max() < 0.1


def test_start_is_checked() -> None:
    with pytest.raises(ValueError, match="start"):
        replace(models.brox(), start="guess")  # type: ignore[arg-type]


# Real pairs


def pair(data: Path, name: str) -> tuple[Any, Any, Array]:
    """Two frames and the true flow, NaN where unknown."""
    import imagecodecs
    import imageio.v3 as iio

    if name.startswith("kitti"):
        folder, number = data / "kitti2015" / "training", name.split()[1]
        coded = imagecodecs.imread(str(folder / "flow_occ" / f"{number}_10.png")).astype(np.float32)
        truth = np.where(coded[:, :, 2:] > 0, (coded[:, :, :2] - 32768) / 64, np.float32(np.nan))
        return *(iio.imread(folder / "image_2" / f"{number}_{k}.png") for k in (10, 11)), truth
    render, scene, number = name.split()
    folder = data / "sintel" / "training"
    frames = [iio.imread(folder / render / scene / f"frame_{int(number) + k:04d}.png") for k in (0, 1)]
    return *frames, variflow.read_flow(folder / "flow" / scene / f"frame_{number}.flo")


# Measured, rounded up by about a fifth: the mean end-point error of the dense flow, and the part of the matches that
# are more than 3 pixels off.
REAL = [
    ("kitti 000002", 0.8, 0.05),
    ("kitti 000004", 2.3, 0.14),
    ("clean alley_1 0001", 0.4, 0.05),
    ("final cave_2 0002", 1.9, 0.09),
]


@pytest.mark.parametrize(("name", "error", "outliers"), REAL)
def test_real_pairs(data: Path, name: str, error: float, outliers: float) -> None:
    frame0, frame1, truth = pair(data, name)
    matches = match(frame0, frame1)
    x, y = matches.points.astype(int).T
    wrong = np.hypot(*(matches.flow - truth[y, x]).T)
    known = np.isfinite(wrong)
    assert (wrong[known] > 3).mean() < outliers
    sure = matches.confidence
    assert sure[wrong > 3].mean() < sure[wrong < 3].mean() - 0.05
    off = np.hypot(*np.moveaxis(densify(matches, frame0) - truth, 2, 0))
    assert np.nanmean(off) < error


@pytest.mark.parametrize(("name", "error"), [("kitti 000000", 14.0), ("final cave_2 0002", 1.3)])
def test_start_from_matches_on_real_pairs(data: Path, name: str, error: float) -> None:
    frame0, frame1, truth = pair(data, name)
    model = replace(models.classic_nl(brightness=0.3), start="matches")
    flow = variflow.estimate(frame0, frame1, model).flow
    assert np.nanmean(np.hypot(*np.moveaxis(flow - truth, 2, 0))) < error
