"""The command ``variflow interpolate``: what it keeps, adds and refuses."""

import numpy as np
import pytest
from typer.testing import CliRunner

import variflow
from variflow import cli, flowops
from variflow.datasets.synthetic import translation


def run(*arguments):
    return CliRunner().invoke(cli.app, ["interpolate", *map(str, arguments)])


@pytest.fixture
def film(tmp_path):
    """Four frames of a plane that moves by (2, 0.5) pixels from one to the next."""
    frames = [translation((40, 50), (2.0 * number, 0.5 * number)).frame1 for number in range(4)]
    variflow.write_frames(tmp_path / "in" / "*.png", frames)
    return tmp_path


def test_the_command_keeps_the_frames_and_adds_new_ones(film):
    result = run(film / "in", "--times", 4, "-o", film / "slow.npy")
    assert result.exit_code == 0, result.output
    assert "wrote 13 frames to" in result.output
    given, made = variflow.read_frames(film / "in"), np.load(film / "slow.npy")
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made[::4], np.stack(list(given)))
    for number in range(13):
        truth = translation((40, 50), (0.5 * number, 0.125 * number)).frame1
        assert np.sqrt(np.mean((made[number].astype(float) - truth) ** 2)) < 2.5


def test_the_command_writes_what_the_function_makes(film):
    assert run(film / "in" / "*.png", "-m", "fast", "-o", film / "out" / "*.png").exit_code == 0
    frames = list(variflow.read_frames(film / "in"))
    made = list(variflow.read_frames(film / "out"))
    assert len(made) == 7
    results = list(variflow.estimate_video(frames, "fast"))
    for number, result in enumerate(results):
        between = flowops.interpolate(frames[number], frames[number + 1], result.flow, result.backward)
        np.testing.assert_array_equal(made[2 * number + 1], between)


def test_a_film_is_shown_in_the_same_time(film):
    pytest.importorskip("av", reason="films need PyAV")
    frames = list(variflow.read_frames(film / "in"))
    variflow.write_frames(film / "in.mkv", frames, fps=10)
    result = run(film / "in.mkv", "--times", 3, "-m", "fast", "-o", film / "slow.mkv")
    assert result.exit_code == 0, result.output
    slow = variflow.read_frames(film / "slow.mkv")
    assert slow.fps == pytest.approx(30)
    assert len(slow) == 10
    np.testing.assert_array_equal(slow[9], frames[3])


def test_a_film_that_is_read_twice_warns_once(film):
    pytest.importorskip("av", reason="films need PyAV")
    variflow.write_frames(film / "in.mkv", np.random.default_rng(0).integers(0, 255, (9, 32, 48), np.uint8))
    content = (film / "in.mkv").read_bytes()
    (film / "in.mkv").write_bytes(content[: len(content) * 2 // 3])
    result = run(film / "in.mkv", "-m", "fast", "-o", film / "slow.mkv")
    assert result.exit_code == 0, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("variflow: warning: ")
    assert line.endswith("; it may be truncated")


def test_frames_at_uneven_times_have_new_ones_evenly_between_them(film):
    pytest.importorskip("av", reason="films need PyAV")
    frames = list(variflow.read_frames(film / "in"))
    variflow.write_frames(film / "in.mkv", frames, times=[0, 0.1, 0.4, 0.5])
    result = run(film / "in.mkv", "--times", 2, "-m", "fast", "-o", film / "slow.mkv")
    assert result.exit_code == 0, result.output
    slow = variflow.read_frames(film / "slow.mkv")
    np.testing.assert_allclose(slow.times, [0, 0.05, 0.1, 0.25, 0.4, 0.45, 0.5], atol=1e-3)
    np.testing.assert_array_equal(slow[4], frames[2])


def test_nothing_is_made_of_two_scenes(film):
    before, after = (
        [translation((96, 64), (2.0 * number, 0.0), seed=seed, dtype="float32").frame1 for number in range(3)]
        for seed in (1, 5)
    )
    scenes = before + [np.clip(2 * frame - 0.7, 0, 1) ** 2 for frame in after]
    variflow.write_frames(film / "scenes.npy", scenes)
    result = run(film / "scenes.npy", "--times", 4, "-m", "fast", "-o", film / "slow.npy")
    assert "another scene begins at frame 3; frames are repeated there" in result.output
    made = np.load(film / "slow.npy")
    for number, scene in ((9, 2), (10, 3), (11, 3), (12, 3)):
        np.testing.assert_array_equal(made[number], scenes[scene])
    assert not (made[5] == scenes[1]).all()


def test_what_the_command_refuses(film):
    before = sorted(film.rglob("*"))
    for arguments, said in (
        (("-o", film / "slow.npy", "--times", 1), "--times is 1, wanted a whole number of at least 2"),
        (("-o", film / "slow.txt"), "slow.txt"),
        (("-o", film / "slow.npy", "-m", "nothing"), "--model is 'nothing'"),
        (("-o", film / "in" / "*.png"), "is there and not empty; numbered images are written into a new folder"),
        (("-o", film / "a*" / "*.png"), "wanted one star, in the name of the files"),
    ):
        result = run(film / "in", *arguments)
        assert result.exit_code == 1
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
    variflow.write_frames(film / "one.npy", np.zeros((1, 4, 5), np.uint8))
    result = run(film / "one.npy", "-o", film / "slow.npy")
    assert "one.npy has fewer than two frames, wanted two or more" in result.stderr
    assert "is the same as IN" in run(film / "one.npy", "-o", film / "one.npy").stderr
    assert sorted(film.rglob("*")) == sorted([*before, film / "one.npy"])
