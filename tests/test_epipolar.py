"""Epipolar lines: how they are found, how depths are searched along them, and what they do for a flow."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import variflow
from variflow import _core, models
from variflow.frames.checking import check_frames
from variflow.images.resampling import smooth
from variflow.matching import rigid
from variflow.matching.dense import DenseFlow
from variflow.matching.epipolar import EpipolarLines, find_lines
from variflow.matching.search import Axis
from variflow.metrics import endpoint_error
from variflow.problem import Problem
from variflow.start.from_flow import FromFlow
from variflow.start.from_model import FromModel
from variflow.start.scene import SceneFlow

Reals = NDArray[np.float64]
CORE: Any = _core  # for calls that a type checker refuses

SHAPE = 300, 400
FOCAL = 350.0


def turn(x: float, y: float, z: float) -> Reals:
    """Return the matrix of small turns about three axes, one after the other."""
    a, b, c = (np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in (x, y, z))
    turns = np.tile(np.eye(3), (3, 1, 1))
    turns[0][1:, 1:], turns[1][::2, ::2], turns[2][:2, :2] = a, b, c
    return turns[2] @ turns[1] @ turns[0]


def look(points: Reals, distance: Reals, rotation: Reals, shift: Reals) -> Reals:
    """Return where a camera that has moved sees points that the first sees at these distances, ``(N, 2)``."""
    centre = np.array([(SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2])
    rays = np.concatenate([(points - centre) / FOCAL, np.ones((len(points), 1))], axis=1)
    seen = (rays * distance[:, None]) @ rotation.T + shift
    return FOCAL * seen[:, :2] / seen[:, 2:] + centre


CAMERAS = {
    "forward": (turn(0.01, -0.02, 0.005), np.array([0.1, 0.05, -1.5])),
    "sideways": (turn(0, 0, 0), np.array([0.8, 0, 0])),
    "backward, turning": (turn(-0.03, 0.05, 0.08), np.array([-0.3, 0.2, 1.0])),
}


def scene(camera: str, count: int = 3000) -> tuple[Reals, Reals]:
    """Return points of a ground, and of things before it, and where a camera that has moved sees them."""
    random = np.random.default_rng(3)
    points = random.uniform((0, 0), (SHAPE[1] - 1, SHAPE[0] - 1), (count, 2))
    distance = np.where(random.random(count) < 0.5, 1 / (0.05 + 4e-4 * points[:, 1]), random.uniform(6, 20, count))
    return points, look(points, distance, *CAMERAS[camera])


def find(points: Reals, targets: Reals) -> EpipolarLines | None:
    """Return the lines of matches all of which are sure."""
    return find_lines(points, targets, np.ones(len(points), bool), SHAPE)


def match_badly(targets: Reals) -> Reals:
    """Return where matches are: at whole pixels, a third of them anywhere."""
    random = np.random.default_rng(4)
    matches = np.rint(targets)
    wrong = random.random(len(targets)) < 0.35
    matches[wrong] = random.uniform((0, 0), (SHAPE[1], SHAPE[0]), (wrong.sum(), 2))
    return matches


@pytest.mark.parametrize("camera", CAMERAS)
def test_lines_pass_through_where_points_are_seen(camera: str) -> None:
    points, targets = scene(camera)
    lines = find(points, targets)
    assert lines is not None
    placed = lines.place(points, lines.find_depth(points, targets))
    np.testing.assert_allclose(placed, targets, atol=1e-4)


@pytest.mark.parametrize("camera", CAMERAS)
def test_lines_are_found_among_rounded_and_wrong_matches(camera: str) -> None:
    points, targets = scene(camera)
    lines = find(points, match_badly(targets))
    assert lines is not None
    missed = lines.place(points, lines.find_depth(points, targets)) - targets
    assert np.quantile(np.hypot(*missed.T), 0.9) < 0.8


@pytest.mark.parametrize("camera", CAMERAS)
def test_lines_hardly_change_if_one_match_is_no_longer_sure(camera: str) -> None:
    points, targets = scene(camera, 20000)
    matches, sure = match_badly(targets), np.ones(len(points), bool)
    whole = find_lines(points, matches, sure, SHAPE)
    assert whole is not None
    for lost in (0, 777, 10000, 19999):
        without = sure.copy()
        without[lost] = False
        unknown = np.where(without[:, None], matches, np.nan)
        lines = find_lines(points, unknown, without, SHAPE)
        assert lines is not None
        moved = lines.place(points, lines.find_depth(points, targets)) - whole.place(
            points, whole.find_depth(points, targets)
        )
        assert np.hypot(*moved.T).max() < 0.02


def test_depth_is_linear_in_a_plane() -> None:
    points, targets = scene("forward")
    lines = find(points, targets)
    assert lines is not None
    distance = 1 / (0.05 + points @ (1e-4, 2e-4))  # a plane: the inverse of its distance is linear
    depth = lines.find_depth(points, look(points, distance, *CAMERAS["forward"]))
    columns = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    fitted = columns @ np.linalg.lstsq(columns, depth, rcond=None)[0]
    np.testing.assert_allclose(fitted, depth, atol=1e-4 * np.ptp(depth))


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_plane_of_most_points_has_little_depth(camera: str) -> None:
    random = np.random.default_rng(5)
    points = random.uniform((0, 0), (SHAPE[1] - 1, SHAPE[0] - 1), (2000, 2))
    nearer = random.random(2000) < 0.25
    distance = np.where(nearer, 0.6, 1) / (0.05 + 4e-4 * points[:, 1])
    targets = look(points, distance, *CAMERAS[camera])
    lines = find(points, targets)
    assert lines is not None
    off = np.hypot(*(lines.place(points, np.zeros(len(points))) - targets).T)
    assert np.median(off[~nearer]) < 0.3 * np.median(off[nearer])


@pytest.mark.parametrize("camera", CAMERAS)
def test_lines_of_the_second_frame_lead_back(camera: str) -> None:
    points, targets = scene(camera)
    lines = find(points, targets)
    assert lines is not None
    back = lines.reverse()
    returned = back.place(targets, back.find_depth(targets, points))
    np.testing.assert_allclose(returned, points, atol=1e-4)
    depth, depth_back = lines.find_depth(points, targets), back.find_depth(targets, points)
    off_plane = np.abs(depth) > 0.2 * np.abs(depth).max()
    assert np.quantile(np.abs(depth_back / depth - 1)[off_plane], 0.9) < 0.5


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-3, 3))
def test_depth_is_found_again(seed: int, depth: float) -> None:
    random = np.random.default_rng(seed)
    homography = np.eye(3) + random.normal(scale=[[0.02], [0.02], [1e-5]], size=(3, 3))
    lines = EpipolarLines(homography, np.array([*random.normal(scale=3, size=2), random.normal(scale=1e-3)]))
    points = random.uniform(0, 100, (20, 2))
    depths = np.full(20, depth)
    away = lines.measure_stretch(points, depths, 1e-4) > 1e-2
    found = lines.find_depth(points, lines.place(points, depths))
    np.testing.assert_allclose(found[away], depth, atol=1e-6)


def test_few_matches_show_no_lines() -> None:
    assert find(*scene("forward", 49)) is None


POINTS: dict[str, Any] = {
    "anywhere": lambda random, count: random.uniform((0, 0), (399, 299), (count, 2)),
    "whole": lambda random, count: random.integers((0, 0), (400, 300), (count, 2)).astype(float),
    "in one column": lambda random, count: np.stack([np.full(count, 7.0), random.uniform(0, 299, count)], axis=1),
    "in one place": lambda random, count: np.full((count, 2), random.uniform(0, 299)),
    "in two places": lambda random, count: random.uniform(0, 299, (2, 2))[random.integers(0, 2, count)],
}
MOTIONS: dict[str, Any] = {
    "none": lambda points, random: points,
    "one": lambda points, random: points + random.uniform(-50, 50, 2),
    "zoom": lambda points, random: 1.1 * points,
    "collapse": lambda points, random: np.zeros_like(points),
    "any": lambda points, random: random.uniform((0, 0), (399, 299), points.shape),
    "mirrored": lambda points, random: points[:, ::-1].copy(),
}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(POINTS)), st.sampled_from(list(MOTIONS)), st.integers(50, 400), st.integers(0, 2**32 - 1))
def test_odd_matches_show_none_or_usable_lines(where: str, how: str, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    points = POINTS[where](random, count)
    targets = MOTIONS[how](points, random)
    lines = find(points, targets)
    if lines is not None:
        for each in (lines, lines.reverse()):
            assert np.isfinite(each.as_matrix()).all()
        lines.measure_stretch(points, lines.find_depth(points, targets), 1e-3)


# --- the search along the lines


def take_census(plane: Reals) -> NDArray[np.bool_]:
    """Return the bits of each pixel, and of a rim of one around the plane, ``(H + 2, W + 2, 35)``."""
    height, width = plane.shape[0] + 2, plane.shape[1] + 2
    wide = np.pad(plane, ((3, 3), (4, 4)), mode="edge")
    centre = wide[2:-2, 3:-3] - np.float32(1 / 512)
    return np.stack([wide[j : j + height, i : i + width] < centre for j, i in product(range(5), range(7))], axis=-1)


def search_by_brute_force(planes: Any, valid: Any, lines: Any, depths: Any, step: int) -> Reals:
    """Return the depth of each seed of the first frame: all costs, then paths from eight sides, one seed at a time."""
    height, width = planes.shape[1:]
    here, there = take_census(planes[0]), take_census(planes[1])
    rows, columns = (np.arange((size - 1) % step // 2, size, step) for size in (height, width))
    costs = np.full((len(rows), len(columns), len(depths)), 60)
    for (j, y), (i, x), (k, depth) in product(enumerate(rows), enumerate(columns), enumerate(depths)):
        a, b, c = lines[:, :3] @ (x, y, 1) + depth * lines[:, 3]
        column, row = np.floor(a / c + 0.5), np.floor(b / c + 0.5)
        if valid[0, y, x] and 0 <= column < width and 0 <= row < height and valid[1, int(row), int(column)]:
            seen = there[int(row) : int(row) + 3, int(column) : int(column) + 3]
            costs[j, i, k] = (here[y : y + 3, x : x + 3] != seen)[::2, ::2].sum() + (
                here[y + 1, x + 1] != seen[1, 1]
            ).sum()
    sums = np.zeros_like(costs)
    for dy, dx in product((-1, 0, 1), repeat=2):
        if dy == dx == 0:
            continue
        paths: dict[tuple[int, int], Reals] = {}
        for j in range(len(rows))[:: dy or 1]:
            for i in range(len(columns))[:: dx or 1]:
                before = paths.get((j - dy, i - dx))
                path = costs[j, i].astype(float)
                if before is not None:
                    change = abs(planes[0, rows[j], columns[i]] - planes[0, rows[j - dy], columns[i - dx]])
                    jump = max(100, int(400 / (1 + 6 * change)))
                    beside = np.pad(before, 1, constant_values=np.inf)
                    best = np.minimum(before, np.minimum(beside[:-2], beside[2:]) + 30)
                    path += np.minimum(best, before.min() + jump) - before.min()
                paths[j, i] = path
                sums[j, i] += path.astype(int)
    found = np.full(sums.shape[:2], np.nan)
    for j, i in np.ndindex(found.shape):
        if valid[0, rows[j], columns[i]]:
            k = int(sums[j, i].argmin())
            left, right = (sums[j, i, k + d] - sums[j, i, k] if 0 <= k + d < len(depths) else 0 for d in (-1, 1))
            between = 0 < k < len(depths) - 1 and left + right > 0
            found[j, i] = depths[k] + (depths[1] - depths[0]) * (
                0.5 * (left - right) / (left + right) if between else 0
            )
    return found


def make_search(shape: tuple[int, int], seed: int) -> tuple[Any, Any, Any]:
    """Return two planes, the second moved by about two pixels, which pixels are valid, and lines that go sideways."""
    random = np.random.default_rng(seed)
    whole = smooth(random.random((1, shape[0], shape[1] + 4), dtype=np.float32), 0.8)[0]
    planes = np.stack([whole[:, 2:-2], whole[:, :-4]])
    valid = (random.random(planes.shape) < 0.95).astype(np.float32)
    homography = np.eye(3) + random.normal(scale=[[2e-3], [2e-3], [1e-5]], size=(3, 3))
    lines = EpipolarLines(homography, np.array([1.0, 0.05, 1e-3]))
    return planes, valid, np.stack([lines.as_matrix(), lines.reverse().as_matrix()])


@pytest.mark.parametrize(("shape", "step", "seed"), [((13, 18), 2, 0), ((9, 21), 3, 1), ((6, 7), 1, 2), ((1, 9), 1, 3)])
def test_search_is_that_by_brute_force(shape: tuple[int, int], step: int, seed: int) -> None:
    planes, valid, lines = make_search(shape, seed)
    depths = np.arange(-4, 5, 0.75)
    found = CORE.search_lines(planes, valid, lines, depths[0], 0.75, len(depths), step)
    np.testing.assert_allclose(
        found[0], search_by_brute_force(planes, valid, lines[0].astype(float), depths, step), atol=1e-5
    )
    np.testing.assert_allclose(
        found[1], search_by_brute_force(planes[::-1], valid[::-1], lines[1].astype(float), depths, step), atol=1e-5
    )


def test_search_does_not_depend_on_threads() -> None:
    planes, valid, lines = make_search((60, 80), 4)
    threads = variflow.get_threads()
    found = []
    try:
        for count in (1, 2, 3):
            variflow.set_threads(count)
            found.append(CORE.search_lines(planes, valid, lines, -4.0, 0.5, 17, 3))
    finally:
        variflow.set_threads(threads)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_search_refuses_what_it_cannot_take() -> None:
    planes, valid, lines = make_search((10, 12), 5)
    for wrong, match in (
        ((planes[:1], valid, lines, 0.0, 1.0, 5, 2), "planes has shape"),
        ((planes, valid[:, 1:], lines, 0.0, 1.0, 5, 2), "valid has shape"),
        ((planes, valid, lines[:, :2], 0.0, 1.0, 5, 2), "lines has shape"),
        ((planes, valid, lines, 0.0, 0.0, 5, 2), "interval"),
        ((planes, valid, lines, 0.0, 1.0, 1, 2), "count"),
        ((planes, valid, lines, 0.0, 1.0, 5, 0), "step"),
    ):
        with pytest.raises(ValueError, match=match):
            CORE.search_lines(*wrong)


# --- what they do for a flow


def test_a_scene_is_where_all_points_around_are_of_it() -> None:
    rows, columns = Axis(13, 3), Axis(16, 3)
    scene = np.zeros((rows.count, columns.count), bool)
    scene[1:4, 2:5] = True
    found = DenseFlow(np.zeros((2, *scene.shape), np.float32), rows, columns, scene).find_scene()
    expected = np.zeros((13, 16), bool)
    expected[rows.positions[1] : rows.positions[3] + 1, columns.positions[2] : columns.positions[4] + 1] = True
    np.testing.assert_array_equal(found, expected)


def test_a_scene_is_taken_again_unless_the_frames_match_better_otherwise() -> None:
    whole = smooth(np.random.default_rng(9).random((1, 80, 140), dtype=np.float32), 1.5)[0]
    whole[:20] = 0.5  # flat ground, where nothing tells
    problem = Problem(check_frames(whole[:, 4:124], whole[:, 1:121], None, None, None), models.balanced())
    right, wrong = ((np.full((80, 120), u, np.float32), np.zeros((80, 120), np.float32)) for u in (3, 0))
    where = np.zeros((80, 120), bool)
    where[:, 40:] = True
    middle = np.s_[25:, 45:115]
    u, _ = SceneFlow(0, right, where).take_again(problem, wrong)
    assert (u[:, :40] == 0).all()
    assert (u[middle] == 3).all()
    u, _ = SceneFlow(0, wrong, where).take_again(problem, right)
    assert (u[:, :40] == 3).all()
    assert (u[middle] == 3).mean() > 0.99
    assert (u[:5, 40:] == 0).all()


def test_an_estimate_takes_a_scene_again_at_the_level_where_it_was_found(data: Any) -> None:
    if not (data / "kitti2015").is_dir():
        pytest.skip(f"no {data / 'kitti2015'}")
    pair = next(iter(variflow.datasets.kitti2015(data / "kitti2015")))
    problem = Problem(check_frames(pair.frame0, pair.frame1, None, None, None), models.balanced())
    start = FromModel().start(problem)
    assert start.scene is not None
    assert start.scene.level == 0 < start.level
    assert start.scene.where.mean() > 0.5
    given = FromFlow(np.zeros((*problem.levels[0].shape, 2), np.float32)).start(problem)
    assert given.scene is not None  # the frames refuse this flow, so that it starts from matches


@pytest.mark.parametrize("name", ["000000", "000004"])
def test_a_drive_is_better_along_lines(data: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (data / "kitti2015").is_dir():
        pytest.skip(f"no {data / 'kitti2015'}")
    pair = next(pair for pair in variflow.datasets.kitti2015(data / "kitti2015") if pair.name.startswith(name))
    along = variflow.estimate(pair.frame0, pair.frame1).flow
    monkeypatch.setattr(rigid, "_find_scene", lambda grid: None)
    without = variflow.estimate(pair.frame0, pair.frame1).flow
    error, error_without = (endpoint_error(flow, pair.flow, pair.valid) for flow in (along, without))
    assert error < 0.9 * error_without


def test_a_scene_shows_in_motions_that_differ_much() -> None:
    """Things that move along rows, each at its own speed, are on lines; slow ones are so by chance."""
    speeds = np.random.default_rng(0).uniform(-1, 1, (4, 5)).repeat(8, axis=0).repeat(8, axis=1)

    def find(fastest: float) -> Any:
        found = np.stack([fastest * speeds, 0 * speeds, 0 * speeds]).astype(np.float32)
        return rigid._find_scene(rigid.GridMatches((96, 120), 3, (found, found), np.ones((2, 32, 40), np.float32)))

    assert find(4) is None
    assert find(20).on_line.all()


def test_motion_is_continued_by_half_of_the_range_of_the_matches_at_most() -> None:
    random = np.random.default_rng(10)
    found = random.uniform(0, 10, (3, 5, 6)).astype(np.float32)
    confidence = np.full((1, 5, 6), 0.9, np.float32)
    confidence[0, :2] = 0.1
    sure = confidence[0] > 0.5
    grid = rigid.GridMatches((13, 16), 3, (found, found), confidence)
    lowest, highest = np.percentile(found[:2, sure], (0.5, 99.5), axis=1)
    wild = DenseFlow(random.normal(0, 100, (2, 5, 6)).astype(np.float32), *grid.axes)
    limited = rigid._limit(wild, grid).flow
    beyond = 0.5 * (highest - lowest)
    np.testing.assert_allclose(limited[:, ~sure].min(axis=1), lowest - beyond, rtol=1e-5)
    np.testing.assert_allclose(limited[:, ~sure].max(axis=1), highest + beyond, rtol=1e-5)
    np.testing.assert_array_equal(limited[:, sure], wild.flow[:, sure])  # as of one small thing that moves far
    calm = DenseFlow(found[:2], *grid.axes)
    np.testing.assert_array_equal(rigid._limit(calm, grid).flow, calm.flow)


@pytest.mark.parametrize("model", ["balanced", "smooth"])
def test_flat_ground_beside_a_drive_stays_calm(data: Any, model: str) -> None:
    if not (data / "kitti2015").is_dir():
        pytest.skip(f"no {data / 'kitti2015'}")
    pair = next(iter(variflow.datasets.kitti2015(data / "kitti2015")))
    frames = [frame.copy() for frame in (pair.frame0, pair.frame1)]
    for frame in frames:
        frame[:, :621] = 0
    speed = np.linalg.norm(variflow.estimate(*frames, model).flow[:, :590], axis=-1)
    assert np.median(speed) < 10
    assert speed.max() < 50


def test_a_frame_that_moves_as_a_plane_shows_no_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = smooth(np.random.default_rng(8).random((1, 200, 320), dtype=np.float32), 1.2)[0]
    frame0, frame1 = whole[:150, :200], whole[20:170, 60:260]
    found = []
    search = rigid._find_scene
    monkeypatch.setattr(rigid, "_find_scene", lambda grid: found.append(search(grid)) or found[-1])
    variflow.estimate(frame0, frame1)
    assert found == [None]
