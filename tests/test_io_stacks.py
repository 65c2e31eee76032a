"""Writing images of every type and many frames: the same numbers come back."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile

import variflow
from variflow.io import ImageFileError, extras, read_frames, read_image, write_frames, write_image

random = np.random.default_rng(0)
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "?"]


def needs_zarr(name: str) -> object:
    missing = extras.importlib.util.find_spec("zarr") is None
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason="needs zarr"))


WHOLE = ["a.tif", "a.npy", needs_zarr("a.zarr")]


def numbers(shape: tuple, kind: str) -> np.ndarray:
    """Numbers with all their bits, NaN and both zeros among those of floating point."""
    values = random.integers(0, 256, (*shape, np.dtype(kind).itemsize), np.uint8).view(kind)[..., 0]
    if kind == "?":
        return random.random(shape) < 0.5
    if kind[0] == "f":
        values = random.normal(0, 1000, shape).astype(kind)
        values.ravel()[:3] = [np.nan, 0.0, -0.0][: values.size]
    return values


# ---- one image ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4), (5, 7, 16), (1, 1)])
def test_tiff_takes_every_real_type(tmp_path, kind, shape):
    image = numbers(shape, kind)
    write_image(tmp_path / "a.tif", image)
    wanted = image.astype(np.float32) if kind[0] == "f" else image * np.uint8(255) if kind == "?" else image
    back = read_image(tmp_path / "a.tif")
    assert back.dtype == wanted.dtype
    wanted = wanted[..., 0] if shape[2:] == (1,) else wanted
    assert back.shape == wanted.shape
    assert back.tobytes() == np.ascontiguousarray(wanted).tobytes()


def test_a_tiff_of_floats_is_read_by_others(tmp_path):
    image = random.random((5, 7))
    write_image(tmp_path / "a.tif", image)
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), image.astype("f4"))
    with pytest.raises(ValueError, match=r"has numbers beyond 3\.4e38, and \.tif stores floating point with 32 bits"):
        write_image(tmp_path / "b.tif", np.array([[1e39, 0]]))
    write_image(tmp_path / "b.tif", np.array([[np.inf, -np.inf]]))
    assert np.array_equal(read_image(tmp_path / "b.tif"), np.float32([[np.inf, -np.inf]]))


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("a.png", "f4", r"takes uint8, uint16, bool; .* \(65535 \* image\)\.round\(\)\.astype\('uint16'\), and"),
        ("a.png", "f8", "float64, .png takes"),
        ("a.jpg", "f4", r"\(255 \* image\)\.round\(\)\.astype\('uint8'\), and \.tif takes"),
        ("a.jpeg", "u2", r"numbers from 0 to 255 become that by image\.astype\('uint8'\)"),
        ("a.png", "i4", r"numbers from 0 to 65535 become that by image\.astype\('uint16'\)"),
        ("a.tif", "c8", "complex64, wanted real numbers"),
        ("a.png", "c8", "complex64, wanted real numbers"),
    ],
)  # fmt: skip
def test_other_formats_say_how_to_convert(tmp_path, name, kind, said):
    with pytest.raises(TypeError, match=said):
        write_image(tmp_path / name, np.zeros((3, 4), kind))
    assert not list(tmp_path.iterdir())


# ---- many -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "shape", [(4, 6, 30), (1, 6, 7), (3, 6, 7), (3, 6, 7, 3), (2, 20, 3, 5), (3, 1, 1), (2, 5, 40, 1)]
)
def test_frames_come_back_bit_for_bit(tmp_path, name, kind, shape):
    frames = numbers(shape, kind)
    write_frames(tmp_path / name, frames)
    back = read_frames(tmp_path / name)
    frames = frames[..., 0] if shape[3:] == (1,) else frames
    if name == "a.tif":
        frames = frames.astype(np.float32) if kind[0] == "f" else frames * np.uint8(255) if kind == "?" else frames
    assert len(back) == shape[0]
    for frame, wanted in zip(back, frames, strict=True):
        assert (frame.dtype, frame.shape) == (wanted.dtype, wanted.shape)
        assert frame.tobytes() == np.ascontiguousarray(wanted).tobytes()


@pytest.mark.parametrize("name", [*WHOLE, "shot/frame*.png", "shot/*.tif"])
def test_frames_may_be_a_generator_or_a_sequence(tmp_path, name):
    frames = random.integers(0, 256, (12, 5, 30), np.uint8)
    write_frames(tmp_path / name, (frame for frame in frames))
    again = read_frames(tmp_path / name)
    assert np.array_equal(list(again), frames)
    if name == "a.tif":  # one of unknown length may grow beyond four gigabytes
        assert (tmp_path / name).read_bytes()[2] == 43
    (tmp_path / "copy").mkdir()
    write_frames(tmp_path / "copy" / name, again[2:])
    assert np.array_equal(list(read_frames(tmp_path / "copy" / name)), frames[2:])
    if name == "a.tif":
        assert (tmp_path / "copy" / name).read_bytes()[2] == 42
    big = frames.astype(">u2")[:, ::-1, ::2]
    (tmp_path / "view").mkdir()
    write_frames(tmp_path / "view" / name, list(big))
    assert np.array_equal(list(read_frames(tmp_path / "view" / name)), big)


def test_a_folder_of_numbered_images(tmp_path):
    frames = random.integers(0, 256, (12, 5, 30), np.uint8)
    write_frames(tmp_path / "shot" / "a*b.png", frames)
    names = sorted(file.name for file in (tmp_path / "shot").iterdir())
    assert names[:2] == ["a000000b.png", "a000001b.png"]
    assert np.array_equal(list(read_frames(tmp_path / "shot")), frames)
    with pytest.raises(FileExistsError, match="is there and not empty"):
        write_frames(tmp_path / "shot" / "a*b.png", frames[:3])
    assert len(list((tmp_path / "shot").iterdir())) == 12
    (tmp_path / "empty").mkdir()
    write_frames(tmp_path / "empty" / "*.png", frames)
    assert len(read_frames(tmp_path / "empty")) == 12


@pytest.mark.parametrize("name", [*WHOLE, "shot/frame*.png"])
def test_frames_that_cannot_be_written_leave_nothing(tmp_path, name):
    frames = random.integers(0, 256, (3, 5, 30), np.uint8)

    def fails():
        yield from frames
        raise RuntimeError("no more")

    for given, error, said in (
        ([], ValueError, "frames is empty, wanted"),
        ([frames[0], frames[0, 1:]], ValueError, "frame 1 is uint8 of shape .*, wanted uint8 of shape"),
        ([frames[0], frames[0].astype("u2")], ValueError, "frame 1 is uint16"),
        (fails(), RuntimeError, "no more"),
        ([frames[0, 0]], ValueError, "frame 0 has shape"),
        ([frames[0].astype("c8")], TypeError, "frame 0 has dtype complex64"),
        (np.zeros((2, 4, 5, 17), np.uint8), ValueError, "frame 0 has shape"),
        ("film.mp4", TypeError, "frames is the path 'film.mp4', wanted arrays"),
    ):
        with pytest.raises(error, match=said):
            write_frames(tmp_path / name, given)
        assert not list(tmp_path.iterdir())
    write_frames(tmp_path / name, frames)
    if "*" not in name:
        with pytest.raises(RuntimeError):
            write_frames(tmp_path / name, fails())
    assert np.array_equal(list(read_frames(tmp_path / name)), frames)


def test_names_that_say_no_format(tmp_path):
    frames = np.zeros((3, 5, 30), np.uint8)
    for name in ("a", "a.gif", "a.avi", "a.png"):
        with pytest.raises(ImageFileError, match=r"ends with \.tif, .* or is a pattern as shot/\*\.png"):
            write_frames(tmp_path / name, frames)
    with pytest.raises(ImageFileError, match="the name of an image to write ends with"):
        write_frames(tmp_path / "shot" / "*.gif", frames)
    for name in ("*/a.png", "shot/*a*.png"):
        with pytest.raises(ValueError, match="wanted one star, in the name"):
            write_frames(tmp_path / name, frames)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        write_frames(tmp_path / "no" / "where" / "*.png", frames)
    if extras.importlib.util.find_spec("zarr"):
        (tmp_path / "other.zarr").mkdir()
        with pytest.raises(variflow.FlowFileError, match="is no Zarr array"):
            write_frames(tmp_path / "other.zarr", frames)


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is one of POSIX")
@pytest.mark.parametrize("name", ["a.tif", "a.npy", "shot/*.tif"])
def test_a_disk_that_is_full_is_said(tmp_path, name):
    code = (
        "import resource, signal, numpy as np, variflow\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"try: variflow.write_frames({str(tmp_path / name)!r}, np.random.default_rng(0).random((5, 200, 200)))\n"
        "except OSError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert not list(tmp_path.iterdir())
