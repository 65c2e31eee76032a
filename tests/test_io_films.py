"""Films: what is written is read back, at its times; a fault leaves no file."""

import os
import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import variflow
from variflow import io

pytest.importorskip("av")


def paint(count=4, shape=(48, 64), dtype=np.uint8, channels=3):
    y, x = np.mgrid[: shape[0], : shape[1]]
    full = np.iinfo(dtype).max
    planes = [0.5 + 0.4 * np.sin((x * (1 + c) + y + 3.0) / 30) for c in range(channels)]
    frames = [(full * (1 - time / 20) * np.stack(planes, axis=2)).astype(dtype) for time in range(count)]
    return frames if channels == 3 else [frame[..., 0] for frame in frames]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(48, 64), (31, 45), (1, 1)])
def test_an_mkv_loses_nothing(tmp_path, dtype, channels, shape):
    frames = paint(4, shape, dtype, channels)
    io.write_frames(tmp_path / "film.mkv", frames, fps=30)
    back = io.read_frames(tmp_path / "film.mkv")
    np.testing.assert_array_equal(list(back), frames)
    assert back[0].dtype == dtype
    assert back.fps == pytest.approx(30)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(48, 64), (31, 45), (1, 1)])
def test_an_mp4_loses_little_and_has_an_even_size(tmp_path, channels, shape):
    frames = paint(4, shape, channels=channels)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        io.write_frames(tmp_path / "film.mp4", (frame for frame in frames), fps=12.5)
    odd = {(31, 45): "45 x 31 pixels become 46 x 32, as .mp4 wants", (1, 1): "1 x 1 pixels become 2 x 2"}
    assert len(caught) == (shape in odd)  # once a film
    assert all(odd[shape] in str(warning.message) for warning in caught)
    back = io.read_frames(tmp_path / "film.mp4")
    assert len(back) == 4
    assert back.fps == pytest.approx(12.5)
    height, width = shape
    assert back[0].shape[:2] == (height + height % 2, width + width % 2)
    for read, frame in zip(back, frames, strict=True):
        colors = frame if channels == 3 else np.repeat(frame[..., None], 3, axis=2)
        assert np.abs(read[:height, :width].astype(int) - colors).mean() < 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to CPUs")
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_pictures_are_the_same_on_any_number_of_cpus(tmp_path, extension):
    texture = gaussian_filter(np.random.default_rng(0).normal(128, 400, (712, 640, 3)), (2, 2, 0))
    texture = np.clip(texture, 0, 255).astype(np.uint8)
    frames = [texture[40 * number :][:272] for number in range(12)]  # threads look for motion less far down
    cpus = os.sched_getaffinity(0)
    read = []
    for some in (cpus, {min(cpus)}):
        os.sched_setaffinity(0, some)
        try:
            io.write_frames(tmp_path / f"film.{extension}", frames)
        finally:
            os.sched_setaffinity(0, cpus)
        read.append(np.array(list(io.read_frames(tmp_path / f"film.{extension}"))))
    np.testing.assert_array_equal(*read)


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_times_are_kept(tmp_path, extension):
    path = tmp_path / f"film.{extension}"
    times = [7.0, 7.1, 7.15, 8.0]
    io.write_frames(path, paint(), times=iter(times))
    assert io.read_frames(path).times == pytest.approx([0, 0.1, 0.15, 1.0], abs=1e-3)
    io.write_frames(path, paint(1), times=(number / 5 for number in range(1_000_000)))
    assert len(io.read_frames(path)) == 1
    io.write_frames(path, paint())
    assert io.read_frames(path).fps == pytest.approx(25)


def fail_after_two():
    yield from paint(2)
    raise RuntimeError("the camera is gone")


@pytest.mark.parametrize(
    ("frames", "settings", "error", "message"),
    [
        (paint(), {"fps": 0}, ValueError, "fps is 0"),
        (paint(), {"times": [0, 0, 1, 2]}, ValueError, r"times\[1\] is 0.0, wanted more than the one before"),
        (paint(), {"times": [0, 1]}, ValueError, "times has 2 values, wanted one for each frame"),
        (paint(), {"times": [0, "now"]}, (TypeError, ValueError), r"times\[1\] is 'now'"),
        (paint(), {"times": 3}, TypeError, "times is an int"),
        (paint(), {"times": [0, 1, 2, 3], "fps": 2}, ValueError, "both given"),
        ([], {}, ValueError, "frames is empty"),
        (paint(dtype=np.uint16), {}, TypeError, "frame 0 has dtype uint16, .mp4 takes uint8"),
        ([*paint(2), np.zeros((2, 2), np.uint8)], {}, ValueError, "frame 2 is uint8 of shape"),
        (fail_after_two(), {}, RuntimeError, "the camera is gone"),
    ],
)
def test_faults_are_named_and_leave_no_file(tmp_path, frames, settings, error, message):
    with pytest.raises(error, match=message):
        io.write_frames(tmp_path / "film.mp4", frames, **settings)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("start", [0, 0.0005])
def test_an_mkv_holds_a_thousand_frames_a_second(tmp_path, start):
    path = tmp_path / "film.mkv"
    io.write_frames(path, paint(12), times=[start + number / 1000 for number in range(12)])
    assert io.read_frames(path).times == pytest.approx(np.arange(12) / 1000)
    path.unlink()

    def never():
        raise AssertionError("asked for a frame")
        yield

    most = r"film\.mkv: \.mkv holds at most 1000 frames a second, and"
    for times in (np.array([0, 1e-3, 1.4e-3]), [0.1, 0.101, 0.1014]):
        with pytest.raises(
            io.ImageFileError, match=rf"{most} frame 2 is shown 0\.0004 s after the one before; \.mp4 takes"
        ):
            io.write_frames(path, never(), times=times)
    with pytest.raises(io.ImageFileError, match=most):
        io.write_frames(path, paint(), fps=2000)
    assert os.listdir(tmp_path) == []
    io.write_frames(tmp_path / "film.mp4", paint(), fps=2000)
    assert io.read_frames(tmp_path / "film.mp4").times == pytest.approx(np.arange(4) / 2000)


def test_only_films_have_times(tmp_path):
    with pytest.raises(ValueError, match="fps is given, and only a film"):
        io.write_frames(tmp_path / "stack.tif", paint(), fps=25)
    with pytest.raises(ValueError, match="times is given, and only a film"):
        io.write_frames(tmp_path / "stack.zarr", paint(), times=[1, 2, 3, 4])
    with pytest.raises(io.ImageFileError, match=r"ends with .tif, .tiff, .npy, .zarr, .mp4 or .mkv"):
        io.write_frames(tmp_path / "film.avi", paint())


def test_what_cannot_be_decoded_is_left_out_and_the_rest_is_read(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "film.avi"
    with av.open(path, "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number, pixels in enumerate(paint(6)):
            packets = stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuvj420p"))
            for packet in packets:
                if number == 2:
                    broken = av.Packet(b"\0" * packet.size)
                    broken.stream, broken.pts, broken.dts = packet.stream, packet.pts, packet.dts
                    broken.time_base, broken.duration = packet.time_base, packet.duration
                    packet = broken
                container.mux(packet)
        container.mux(stream.encode())
    with pytest.warns(variflow.VariflowWarning, match=r"a frame 0\.2 s after the start cannot be decoded"):
        frames = list(io.read_frames(path))
    assert len(frames) == 5
    with pytest.warns(variflow.VariflowWarning):
        assert io.read_frames(path).times == pytest.approx([0, 0.1, 0.3, 0.4, 0.5])
