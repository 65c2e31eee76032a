"""The command ``variflow stabilise``: what it writes, and one clear line when something is wrong."""

import numpy as np
import pytest
from typer.testing import CliRunner

import variflow
from variflow import cli
from variflow.datasets import synthetic


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shake = np.random.default_rng(0).uniform(-2, 2, (6, 2))
    frames = [synthetic.translation((48, 64), shift=tuple(place)).frame1 for place in shake]
    variflow.write_frames("film.npy", frames)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, ["stabilise", "film.npy", *map(str, arguments)])


def test_a_film_is_stabilised(folder):
    result = run("-o", "steady.npy", "-m", "realtime", "--motion", "translation", "--smoothing", "3", "--fill", "0")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == ["wrote steady.npy"]
    frames = np.load("film.npy")
    wanted = variflow.stabilise(frames, "realtime", motion="translation", smoothing=3, fill=0)
    np.testing.assert_array_equal(np.load("steady.npy"), list(wanted))


def test_smoothing_may_be_in_seconds(folder):
    pytest.importorskip("av")
    import av

    with av.open("film.mkv", "w") as file:
        stream = file.add_stream("ffv1", rate=20, width=64, height=48, pix_fmt="bgr0")
        for frame in np.load("film.npy"):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        file.mux(stream.encode())
    written = []
    for smoothing in ("0.1s", "2"):
        command = ["stabilise", "film.mkv", "-o", "steady.npy", "-m", "realtime", "--smoothing", smoothing]
        result = CliRunner().invoke(cli.app, command)
        assert result.exit_code == 0, result.output
        written.append(np.load("steady.npy"))
    np.testing.assert_array_equal(*written)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "film.npy"), "--output film.npy is the same as IN film.npy, which would be overwritten"),
        (("-o", "o.npy", "--smoothing", "x"), "--smoothing is 'x', wanted a number of frames, or of seconds as 0.5s"),
        (
            ("-o", "o.npy", "--smoothing", "1s"),
            "--smoothing is '1s', wanted a number of frames: they do not say how long one lasts",
        ),
        (("-o", "o.npy", "--smoothing", "0"), "--smoothing is 0.0, wanted a number of frames above 0 and up to 100"),
        (("-o", "o.npy", "--motion", "all"), "--motion is 'all', wanted one of 'translation', 'rigid'"),
        (("-o", "o.npy", "--fill", "nan"), "--fill is nan, wanted a whole number from 0 to 255 for frames of uint8"),
        (("-o", ""), "variflow: .: the name for frames to write ends with .tif"),
        (("-o", "o.xyz"), "o.xyz: the name for frames to write ends with .tif"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(folder, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["film.npy"]
