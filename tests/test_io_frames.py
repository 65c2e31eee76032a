"""Frames from folders, patterns, lists, stacks, arrays, animations and videos."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import struct
from itertools import pairwise
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from PIL import Image

import variflow
from variflow import VariflowWarning
from variflow.io import Frames, ImageFileError, extras, read_frames, read_image, write_image
from variflow.io.reading import ENDINGS

random = np.random.default_rng(0)


def needs(library: str) -> pytest.MarkDecorator:
    absent = importlib.util.find_spec(library) is None
    return pytest.mark.skipif(absent, reason=f"{library} is not installed")


def same(frames: Frames, wanted: np.ndarray) -> None:
    """The sequence is these frames, in every way of asking."""
    assert isinstance(frames, Frames)
    assert len(frames) == len(wanted)
    assert [np.array_equal(frame, true) for frame, true in zip(frames, wanted, strict=True)] == [True] * len(wanted)
    for index in (-1, 0, len(wanted) // 2, -len(wanted)):
        assert np.array_equal(frames[index], wanted[index])
        assert frames[index].dtype == wanted.dtype.newbyteorder("=")
        assert frames[index].flags["WRITEABLE"]
    frames[0][:] = 0  # belongs to the caller
    assert np.array_equal(frames[0], wanted[0])
    part = frames[1:][::-1]
    assert np.array_equal(part[0], wanted[-1])
    assert len(part) == len(wanted) - 1
    for index in (len(wanted), -len(wanted) - 1):
        with pytest.raises(IndexError, match=f"index is {index}, wanted one of the {len(wanted)} frames"):
            frames[index]


# ---- one image a file -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for time in (0, 2, 10, 100):
        write_image(tmp_path / f"frame{time}.png", np.full((4, 6), time, np.uint8))
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / ".frame1.png").write_bytes(b"left by a file manager")
    (tmp_path / "more.png").mkdir()
    return tmp_path


def test_a_folder_is_read_in_the_order_of_its_numbers(folder):
    wanted = np.stack([np.full((4, 6), time, np.uint8) for time in (0, 2, 10, 100)])
    same(read_frames(folder), wanted)
    same(read_frames(f"{folder}/frame*.png"), wanted)
    same(variflow.read_frames([folder / f"frame{time}.png" for time in (100, 0)]), wanted[[3, 0]])
    same(read_frames(folder / "**" / "frame1*.png"), wanted[2:])
    assert read_frames(folder / "frame2.png")[0].max() == 2
    assert len(read_frames(str(folder / "frame2.png"))) == 1


def test_a_name_that_looks_like_a_pattern_is_a_name_first(tmp_path):
    write_image(tmp_path / "a[1].png", np.full((4, 6), 7, np.uint8))
    assert read_frames(tmp_path / "a[1].png")[0].max() == 7


def test_brackets_in_the_name_of_a_folder_are_brackets(tmp_path):
    for name in ("shot[1]", "[red]"):
        (tmp_path / name).mkdir()
        for time in (2, 10):
            write_image(tmp_path / name / f"a{time}.png", np.full((4, 5), time, np.uint8))
        assert [frame.max() for frame in read_frames(f"{tmp_path}/{name}/*.png")] == [2, 10]
    (tmp_path / "shot1").mkdir()
    write_image(tmp_path / "shot1" / "b.png", np.zeros((4, 5), np.uint8))
    assert read_frames(f"{tmp_path}/shot[0-9]/*.png").names == ["b.png"]


def test_frames_are_read_when_they_are_asked_for(folder):
    (folder / "frame10.png").write_bytes(b"damaged")
    frames = read_frames(folder)
    assert frames[3].max() == 100
    with pytest.raises(ImageFileError, match=r"frame10\.png: is a text file"):
        frames[2]


def test_a_folder_takes_every_kind_of_image(tmp_path):
    for ending in itertools.chain(*ENDINGS):  # the content says how to read it
        folder = tmp_path / ending[1:]
        folder.mkdir()
        for time in (0, 2, 10):
            write_image(folder / "written.png", np.full((4, 6), time, np.uint8))
            (folder / "written.png").rename(folder / f"frame{time}{ending.upper() if time else ending}")
        assert [frame.max() for frame in read_frames(folder)] == [0, 2, 10], ending


def test_what_may_be_something_else_is_no_frame_beside_pictures(folder):
    for name in ("icon.ico", "frame1.pfm", "frame2.psd", "frames.nc"):
        (folder / name).write_bytes(b"something else")
    assert read_frames(folder).names == [f"frame{time}.png" for time in (0, 2, 10, 100)]


def test_the_docs_list_the_endings_of_frames_in_a_folder():
    page = Path(__file__).resolve().parents[1] / "docs" / "files.md"
    text = page.read_text().split("**Folders.**")[1].split(" may follow")[0]
    assert re.findall(r"`(\.\w+)`", text) == [*itertools.chain(*ENDINGS), ".gz", ".bz2", ".xz"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
def test_a_link_that_leads_nowhere_and_a_pipe_are_frames_that_cannot_be_read(folder):
    (folder / "frame3.png").symlink_to("gone.png")
    os.mkfifo(folder / "frame4.png")  # to open it would wait for ever
    named = [folder / f"frame{time}.png" for time in (0, 2, 3, 4, 10, 100)]
    for source in (folder, f"{folder}/frame*.png", named):
        frames = read_frames(source)
        assert [int(frames[place].max()) for place in (0, 1, 4, 5)] == [0, 2, 10, 100]
        with pytest.raises(FileNotFoundError, match=r"frame3\.png: a link to gone\.png, and there is no such file"):
            frames[2]
        with pytest.raises(ImageFileError, match=r"frame4\.png: not a file"):
            frames[3]
    with pytest.raises(FileNotFoundError, match=r"a link to gone\.png"):
        read_frames(folder / "frame3.png")


def test_what_holds_no_frames(tmp_path):
    for source in (tmp_path / "gone.png", tmp_path / "*.png", [tmp_path / "gone.png"]):
        with pytest.raises(FileNotFoundError, match="no such file"):
            read_frames(source)
    with pytest.raises(ImageFileError, match="a folder without images"):
        read_frames(tmp_path)
    with pytest.raises(ValueError, match="source is empty"):
        read_frames([])
    for name in ("a.png", "a.jpg", "a.tif", "a.npy"):
        (tmp_path / name).write_bytes(b"no frame at all")
        with pytest.raises(ImageFileError, match="is a text file, no image"):
            read_frames(tmp_path / name)[0]


# ---- TIFF -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i2", "f2", "f4", "f8"])
@pytest.mark.parametrize(
    "how", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"bigtiff": True}, {"tile": (16, 16)}, {"metadata": None}]
)
def test_a_stack_of_pages(tmp_path, kind, how):
    stack = random.integers(0, 99, (5, 6, 7)).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", **how)
    same(read_frames(tmp_path / "a.tif"), stack)


def test_stacks_of_colours_planes_and_one_page(tmp_path):
    path = tmp_path / "a.tif"
    color = random.integers(0, 255, (5, 6, 7, 3), np.uint8)
    for how in ({}, {"compression": "zlib"}):
        tifffile.imwrite(path, color, photometric="rgb", **how)
        same(read_frames(path), color)
        tifffile.imwrite(path, np.moveaxis(color, -1, 1), photometric="rgb", planarconfig="separate", **how)
        same(read_frames(path), color)
        tifffile.imwrite(path, np.moveaxis(color[..., :2], -1, 1), imagej=not how, metadata={"axes": "TCYX"}, **how)
        same(read_frames(path), color[..., :2])
    alpha = np.concatenate([color, color[..., :1]], axis=-1)
    tifffile.imwrite(path, alpha, photometric="rgb", extrasamples=["unassalpha"])
    same(read_frames(path), color)
    tifffile.imwrite(path, color[0], photometric="rgb")
    assert np.array_equal(read_frames(path)[0], color[0])
    assert len(read_frames(path)) == 1
    tifffile.imwrite(path, np.moveaxis(color[..., :2], -1, 1), metadata={"axes": "TZYX"}, photometric="minisblack")
    with pytest.raises(ImageFileError, match="frames have one axis beside y, x and C"):
        read_frames(path)


def test_a_stack_that_lost_its_end(tmp_path):
    stack = random.integers(0, 255, (5, 60, 70)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageFileError, match="truncated"):
        read_frames(tmp_path / "a.tif")
    with pytest.raises(ImageFileError, match="truncated"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("how", [{"imagej": True, "metadata": {"axes": "TYX"}}, {"metadata": None, "bigtiff": True}])
def test_a_stack_whose_later_pages_were_cut_off(tmp_path, how):
    """Without them it would look like one image."""
    stack = random.integers(0, 255, (5, 20, 30)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", **how)
    content = (tmp_path / "a.tif").read_bytes()
    for tenth in range(1, 10):
        (tmp_path / "a.tif").write_bytes(content[: len(content) * tenth // 10])
        for read in (read_frames, read_image):
            with pytest.raises(ImageFileError, match="truncated"):
                read(tmp_path / "a.tif")


@pytest.mark.parametrize("bigtiff", [False, True])
def test_a_stack_that_lost_what_it_says_of_its_axes(tmp_path, bigtiff):
    stack = random.integers(0, 255, (5, 2, 20, 30)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, ome=True, metadata={"axes": "TCYX"}, bigtiff=bigtiff)
    same(read_frames(tmp_path / "a.ome.tif"), np.moveaxis(stack, 1, -1))
    os.truncate(tmp_path / "a.ome.tif", (tmp_path / "a.ome.tif").stat().st_size - 100)
    with pytest.raises(ImageFileError, match="and its description at byte"):
        read_frames(tmp_path / "a.ome.tif")


# ---- arrays ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 6, 17), (5, 6, 17, 3), (5, 6, 17, 1), (1, 20, 30)])
@pytest.mark.parametrize("kind", ["u1", ">u2", "f4", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numpy_stacks(tmp_path, shape, kind, order):
    stack = random.integers(0, 99, shape).astype(kind, order=order)
    np.save(tmp_path / "a.npy", stack)
    if len(stack) > 1:
        same(read_frames(tmp_path / "a.npy"), stack[..., 0] if shape[-1] == 1 else stack)
    with pytest.raises(ImageFileError, match="wanted one"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(6, 17), (6, 17, 3), (6, 17, 16)])
def test_one_frame_as_an_array(tmp_path, shape):
    frame = random.random(shape)
    np.save(tmp_path / "a.npy", frame)
    assert np.array_equal(read_frames(tmp_path / "a.npy")[0], frame)
    assert np.array_equal(read_image(tmp_path / "a.npy"), frame)
    assert len(read_frames(tmp_path / "a.npy")) == 1


@pytest.mark.parametrize("shape", [(17,), (), (5, 6, 7, 17), (2, 5, 6, 7, 3)])
def test_arrays_that_are_no_frames(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(ImageFileError, match="with C up to 16"):
        read_frames(tmp_path / "a.npy")


@needs("zarr")
def test_zarr_stacks(tmp_path):
    import zarr

    stack = random.integers(0, 999, (5, 60, 70)).astype(np.uint16)
    zarr.create_array(tmp_path / "a.zarr", data=stack, chunks=(2, 32, 32))
    same(read_frames(tmp_path / "a.zarr"), stack)
    with pytest.raises(ImageFileError, match="wanted one image"):
        read_image(tmp_path / "a.zarr")
    zarr.create_array(tmp_path / "b.zarr", data=stack[0], chunks=(32, 32))
    assert np.array_equal(read_image(tmp_path / "b.zarr"), stack[0])
    zarr.create_group(tmp_path / "c.zarr").create_array("video", data=stack)
    with pytest.raises(ImageFileError, match=r"a group of Zarr arrays \(video\)"):
        read_frames(tmp_path / "c.zarr")
    same(read_frames(tmp_path / "c.zarr" / "video"), stack)


# ---- animations and videos ------------------------------------------------------------------------------------------


def test_animations(tmp_path):
    gray = np.repeat(np.arange(5, dtype=np.uint8) * 40, 30 * 40).reshape(5, 30, 40)
    imageio.imwrite(tmp_path / "a.gif", gray)
    same(read_frames(tmp_path / "a.gif"), np.stack([gray] * 3, axis=-1))
    with pytest.raises(ImageFileError, match="holds 5 images"):
        read_image(tmp_path / "a.gif")
    imageio.imwrite(tmp_path / "a.webp", np.stack([gray] * 3, axis=-1), lossless=True)
    assert len(read_frames(tmp_path / "a.webp")) == 5
    write_image(tmp_path / "a.jpg", gray[0])
    assert np.array_equal(read_frames(tmp_path / "a.jpg")[0], gray[0])


def test_an_animation_whose_later_picture_lies_about_its_size(tmp_path):
    gray = random.integers(0, 255, (3, 30, 40), np.uint8)
    imageio.imwrite(tmp_path / "a.gif", gray)
    content = bytearray((tmp_path / "a.gif").read_bytes())
    place = content.rindex(struct.pack("<BHHHH", 0x2C, 0, 0, 40, 30))
    struct.pack_into("<HH", content, place + 5, 9000, 9000)
    (tmp_path / "a.gif").write_bytes(content)
    frames = read_frames(tmp_path / "a.gif")
    assert frames[1].shape == (30, 40, 3)
    with pytest.raises(ImageFileError, match=r"its header says 9000 x 9000, .* too much for"):
        frames[2]


def encode(path, frames, codec: str, pixels: str, given: str = "rgb24", rotation: int = 0, **options: str) -> None:
    import av

    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if rotation:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write a rotation")
            stream.set_display_rotation(rotation)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, given)))
        container.mux(stream.encode())


@needs("av")
def test_videos_without_loss(tmp_path):
    color = random.integers(0, 255, (7, 32, 48, 3), np.uint8)
    encode(tmp_path / "a.mkv", color, "ffv1", "bgr0")
    same(read_frames(tmp_path / "a.mkv"), color)
    encode(tmp_path / "b.mkv", color[..., 0], "ffv1", "gray", "gray")
    same(read_frames(tmp_path / "b.mkv"), color[..., 0])
    deep = random.integers(0, 65535, (4, 32, 48)).astype(np.uint16)
    encode(tmp_path / "c.mkv", deep, "ffv1", "gray16le", "gray16le", level="3")
    same(read_frames(tmp_path / "c.mkv"), deep)


@needs("av")
def test_frames_of_a_video_keep_their_order(tmp_path):
    """Frames that are coded out of order, as most videos have them; each is white up to a column of its own."""
    wanted = [np.repeat(255 * (np.arange(48)[None, :, None] < 2 * time), 32, 0).astype(np.uint8) for time in range(24)]
    encode(tmp_path / "a.mp4", [np.repeat(frame, 3, 2) for frame in wanted], "mpeg4", "yuv420p", bf="2")

    def times(frames) -> list[int]:
        return [round(frame.mean() / 255 * 24) for frame in frames]

    frames = read_frames(tmp_path / "a.mp4")
    assert times(frames) == list(range(24))
    assert len(frames) == 24
    assert times(frames[time] for time in (5, 4, 20, 3, -1)) == [5, 4, 20, 3, 23]
    assert [times(pair) for pair in pairwise(frames[5:9])] == [[5, 6], [6, 7], [7, 8]]


@needs("av")
@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_video_is_turned_as_players_turn_it(tmp_path, rotation):
    image = np.zeros((32, 64, 3), np.uint8)
    image[:16, :32] = 255
    encode(tmp_path / "a.mp4", [image] * 3, "mpeg4", "yuv420p", rotation=rotation)
    frame = read_frames(tmp_path / "a.mp4")[0]
    wanted = np.rot90(image, rotation // 90)
    assert frame.shape == wanted.shape
    assert np.abs(frame.astype(int) - wanted).mean() < 5


@needs("av")
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.avi", "ffv1", {}), ("a.mkv", "ffv1", {}), ("a.mov", "png", {"movflags": "faststart"})],
)
def test_a_video_that_lost_its_end_is_said(tmp_path, name, codec, options):
    av = pytest.importorskip("av")
    with av.open(tmp_path / name, "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "rgb24" if codec == "png" else "bgr0"
        for image in random.integers(0, 255, (20, 32, 48, 3), np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    assert len(read_frames(tmp_path / name)) == 20
    content = (tmp_path / name).read_bytes()
    for share in (0.4, 0.6, 0.8):
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        with pytest.warns(VariflowWarning, match=r"its video has 0\.8 s, and ends after .* s; it may be truncated"):
            assert len(read_frames(tmp_path / name)) == pytest.approx(20 * share, abs=2)


def test_a_damaged_frame_of_a_video_is_said(tmp_path):
    av = pytest.importorskip("av")
    with av.open(tmp_path / "a.mpg", "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for image in random.integers(0, 255, (6, 32, 48, 3), np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    assert len(read_frames(tmp_path / "a.mpg")) == 6
    os.truncate(tmp_path / "a.mpg", (tmp_path / "a.mpg").stat().st_size * 2 // 3)
    with pytest.warns(VariflowWarning, match="s after the start is damaged, and may be wrong"):
        assert list(read_frames(tmp_path / "a.mpg"))


def test_what_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"this is no video")
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    encode(tmp_path / "b.mp4", random.integers(0, 255, (5, 32, 48, 3), np.uint8), "mpeg4", "yuv420p")
    content = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(content[: len(content) // 2])
    (tmp_path / "c.wav").write_bytes(
        b"RIFF"
        + struct.pack("<I4s4sIHHIIHH4sI", 1036, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", 1000)
        + bytes(1000)
    )
    for name, reason in (
        ("a.mp4", "is a text file"),
        ("a.m3u8", "."),
        ("b.mp4", "."),
        ("c.wav", "has no video stream"),
    ):
        with pytest.raises(ImageFileError, match=reason) as caught:
            read_frames(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")


def test_pyav_is_asked_for_by_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x10ftypisom some video")
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs PyAV: pip install 'variflow\[video\]'"):
        read_frames(tmp_path / "a.mp4")


@needs("av")
@pytest.mark.parametrize(
    ("name", "count", "shape"), [("carphone_pristine.mp4", 120, (144, 176, 3)), ("tree.avi", 68, (240, 320, 3))]
)
def test_real_videos(data, name, count, shape):
    path = data / "video" / name
    if not path.is_file():
        pytest.skip(f"no video at {path}")
    frames = read_frames(path)
    kept = list(frames)
    assert len(kept) == len(frames) == count
    assert {frame.shape for frame in kept} == {shape}
    for index in (0, 40, 7, count - 1):
        assert np.array_equal(frames[index], kept[index])


def test_published_sequences(data):
    frames = read_frames(data / "middlebury" / "RubberWhale" / "frame??.png")
    assert len(frames) == 8
    assert frames[3].shape == (388, 584, 3)


# ---- what cameras write ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_jpeg_and_not_of_png_and_tiff(tmp_path, orientation):
    from PIL import Image, ImageOps

    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16] = 255
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for extension in ("jpg", "webp", "png", "tif"):
        image.save(tmp_path / f"a.{extension}", exif=exif)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    for extension in ("jpg", "webp"):
        assert np.abs(read_image(tmp_path / f"a.{extension}").astype(int) - shown).max() < 60
    for extension in ("png", "tif"):
        assert np.array_equal(read_image(tmp_path / f"a.{extension}"), pixels)


def test_alpha_is_dropped_and_the_colours_under_it_are_kept(tmp_path):
    from PIL import Image

    pixels = random.integers(0, 255, (6, 7, 4), np.uint8)
    pixels[:3, :, 3] = 0
    for extension in ("png", "tif"):
        Image.fromarray(pixels).save(tmp_path / f"a.{extension}")
        assert np.array_equal(read_image(tmp_path / f"a.{extension}"), pixels[..., :3])
        assert np.array_equal(read_frames(tmp_path / f"a.{extension}")[0], pixels[..., :3])


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i4", "f4", "f8"])
def test_tiff_of_every_depth(tmp_path, kind):
    image = random.integers(0, 99, (6, 7, 3)).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    assert np.array_equal(read_image(tmp_path / "a.tif"), image)
    assert read_image(tmp_path / "a.tif").dtype == kind


# ---- what a sequence says of itself ---------------------------------------------------------------------------------


def test_pictures_in_a_folder_have_names(folder):
    frames = read_frames(folder)
    assert frames.names == ["frame0.png", "frame2.png", "frame10.png", "frame100.png"]
    assert (frames.shape, frames.fps, frames.times) == ((4, 6), None, None)
    assert repr(frames) == "<4 frames of 'frame0.png' to 'frame100.png'>"
    part = frames[2:0:-1]
    assert part.names == ["frame10.png", "frame2.png"]
    assert repr(part).startswith("<2 frames of 'frame0.png' to")
    assert (frames[:0].names, frames[:0].shape, len(frames[:0])) == ([], None, 0)


def test_one_file_has_no_names(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 6, 2), np.uint8))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4, 6), np.uint16), photometric="minisblack")
    write_image(tmp_path / "a.png", np.zeros((4, 6), np.uint8))
    for name, shape, said in (
        ("a.npy", (4, 6, 2), "3 frames"),
        ("a.tif", (4, 6), "3 frames"),
        ("a.png", (4, 6), "1 f"),
    ):
        frames = read_frames(tmp_path / name)
        assert (frames.shape, frames.names, frames.fps, frames.times) == (shape, None, None, None)
        assert repr(frames).startswith(f"<{said}")
        assert name in repr(frames)
        assert frames != frames[:]
        assert len({frames, frames}) == 1


def test_animations_know_when_their_frames_are_shown(tmp_path):
    pictures = [np.full((8, 9, 3), 30 * time, np.uint8) for time in range(4)]
    imageio.imwrite(tmp_path / "even.gif", pictures, duration=50, loop=0)
    imageio.imwrite(tmp_path / "uneven.gif", pictures, duration=[50, 100, 50, 50], loop=0)
    even, uneven = read_frames(tmp_path / "even.gif"), read_frames(tmp_path / "uneven.gif")
    assert even.fps == pytest.approx(20)
    assert even.times == pytest.approx([0, 0.05, 0.1, 0.15])
    assert even[1::2].times == pytest.approx([0, 0.1])
    assert even[1::2].fps == pytest.approx(10)
    assert uneven.fps is None
    assert uneven.times == pytest.approx([0, 0.05, 0.15, 0.2])
    assert "20 per second" in repr(even)


@pytest.mark.parametrize("name", ["a.webp", "a.avif", "a.png"])
def test_animations_of_every_kind_know_when_their_frames_are_shown(tmp_path, name):
    pictures = [Image.fromarray(np.full((8, 10, 3), 30 * time, np.uint8)) for time in range(4)]
    durations = [50, 100, 50, 50]
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=durations)
    frames = read_frames(tmp_path / name)
    assert frames.times == pytest.approx([0, 0.05, 0.15, 0.2])
    assert frames.fps is None
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=40)
    assert read_frames(tmp_path / name).fps == pytest.approx(25)


@needs("av")
def test_videos_know_when_their_frames_are_shown(tmp_path):
    encode(tmp_path / "a.mkv", random.integers(0, 255, (5, 32, 48, 3), np.uint8), "ffv1", "bgr0")
    frames = read_frames(tmp_path / "a.mkv")
    assert repr(frames) == "<frames of 'a.mkv', 10 per second>"  # how many is known once all have been decoded
    assert frames.shape == (32, 48, 3)
    assert frames.fps == pytest.approx(10)
    assert frames.times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert frames.names is None
    assert repr(frames) == "<5 frames of 'a.mkv', 10 per second>"
    assert frames[1:4:2].times == pytest.approx([0, 0.2])
    assert frames[1:4:2].fps == pytest.approx(5)


@pytest.mark.parametrize("index", ["a", 1.0, None, (0, 1), np.array([0, 1])])
def test_what_is_no_number_is_no_frame(folder, index):
    with pytest.raises(TypeError, match=r"index is .*, wanted a whole number or a slice"):
        read_frames(folder)[index]


def test_a_sequence_in_a_name_of_odd_characters_is_shown_in_one_line(tmp_path):
    write_image(tmp_path / "a\nb[red].png", np.zeros((4, 6), np.uint8))
    assert "\n" not in repr(read_frames(tmp_path))
