"""Flow and image files: exact round trips, and every way in which a file can be wrong."""

from __future__ import annotations

import os
import pickle
import stat
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from variflow.io import FlowFileError, ImageFileError, atomic, read_flow, read_image, write_flow, write_image

random = np.random.default_rng(0)


def flo(width: int, height: int, values: np.ndarray | bytes, magic: float = 202021.25) -> bytes:
    body = values if isinstance(values, bytes) else np.asarray(values, "<f4").tobytes()
    return struct.pack("<fii", magic, width, height) + body


# ---- flows ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    flow=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 7), st.integers(1, 7), st.just(2)),
        elements=st.floats(-(2.0**29), 2.0**29, width=32) | st.just(np.nan),
    )
)
def test_flo_round_trip_is_exact(flow, tmp_path_factory):
    path = tmp_path_factory.mktemp("flo") / "a.flo"
    write_flow(path, flow)
    back = read_flow(path)
    unknown = np.isnan(flow).any(axis=-1)
    assert back.dtype == np.float32
    assert back.shape == flow.shape
    assert np.isnan(back[unknown]).all()
    # As bits: the sign of zero and subnormal numbers survive too.
    assert np.array_equal(back[~unknown].view(np.uint32), flow[~unknown].view(np.uint32))


def test_flo_bytes_are_the_published_layout(tmp_path):
    path = tmp_path / "a.flo"
    write_flow(path, [[[1.0, 2.0], [np.nan, 5.0]]])
    assert path.read_bytes() == b"PIEH" + struct.pack("<iiffff", 2, 1, 1.0, 2.0, 1.6666668e9, 1.6666668e9)


@pytest.mark.parametrize("marker", [1.6666668e9, -2e9, 1e10, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("component", [0, 1])
def test_flo_unknown_in_either_component_is_unknown_in_both(tmp_path, marker, component):
    values = np.zeros((2, 2, 2), np.float32)
    values[1, 0, component] = marker
    (tmp_path / "a.flo").write_bytes(flo(2, 2, values))
    back = read_flow(tmp_path / "a.flo")
    assert np.isnan(back[1, 0]).all()
    assert np.isnan(back).sum() == 2


def test_flo_keeps_the_largest_known_value(tmp_path):
    write_flow(tmp_path / "a.flo", [[[1e9, -1e9]]])
    assert read_flow(tmp_path / "a.flo").tolist() == [[[1e9, -1e9]]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "truncated"),
        (b"PIEH", "truncated"),
        (flo(3, 2, np.zeros(11)), "truncated"),
        (flo(3, 2, np.zeros(13)), "trailing data"),
        (flo(3, 2, np.zeros(12), magic=1.0), "not a .flo file"),
        (struct.pack(">fii", 202021.25, 3, 2) + bytes(48), "not a .flo file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "not a .flo file"),
        (flo(0, 2, b""), "at least 1"),
        (flo(-1, -1, bytes(8)), "at least 1"),
        (flo(2**31 - 1, 2**31 - 1, bytes(100)), "truncated"),
        (flo(2**31 - 1, 1, bytes(100)), "truncated"),
    ],
)
def test_hostile_flo_is_refused_with_path_and_reason(tmp_path, content, reason):
    path = tmp_path / "bad.flo"
    path.write_bytes(content)
    with pytest.raises(FlowFileError, match=reason) as caught:
        read_flow(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.path == path
    assert isinstance(caught.value, ValueError)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=80), magic=st.booleans())
def test_any_bytes_are_a_flow_or_a_flow_file_error(content, magic, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "a.flo"
    path.write_bytes(b"PIEH" + content if magic else content)
    try:
        flow = read_flow(path)
    except FlowFileError:
        return
    assert flow.shape[2] == 2


def test_missing_flow_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.flo: no such file"):
        read_flow(tmp_path / "gone.flo")
    (tmp_path / "folder.flo").mkdir()
    with pytest.raises(FlowFileError, match="not a file"):
        read_flow(tmp_path / "folder.flo")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        write_flow(tmp_path / "nowhere" / "a.flo", np.zeros((1, 1, 2)))


@pytest.mark.parametrize("name", ["a.xyz", "flow", "flo"])
def test_unknown_extension_lists_the_known_ones(tmp_path, name):
    with pytest.raises(FlowFileError, match=r"known are .*\.flo"):
        write_flow(tmp_path / name, np.zeros((1, 1, 2)))
    (tmp_path / name).write_bytes(b"no flow at all")
    with pytest.raises(FlowFileError, match=r"known are .*\.flo"):
        read_flow(tmp_path / name)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int16, np.uint8, np.dtype(">f4")])
def test_real_types_are_written_and_the_extension_ignores_case(tmp_path, kind):
    write_flow(tmp_path / "A.FLO", np.full((2, 3, 2), 7, kind))
    assert (read_flow(tmp_path / "A.FLO") == 7).all()


@pytest.mark.parametrize(
    ("flow", "error"),
    [
        (np.zeros((3, 4)), ValueError),
        (np.zeros((2, 3, 4)), ValueError),
        (np.zeros((0, 3, 2)), ValueError),
        (np.zeros((2, 3, 2), complex), TypeError),
        (np.zeros((2, 3, 2), bool), TypeError),
        (np.full((2, 3, 2), "a"), TypeError),
        (np.full((2, 3, 2), np.inf), ValueError),
        (np.full((2, 3, 2), 2e9), ValueError),
        (np.full((2, 3, 2), 1e300), ValueError),
    ],
)
def test_what_is_no_flow_is_not_written(tmp_path, flow, error):
    with pytest.raises(error, match="flow"):
        write_flow(tmp_path / "a.flo", flow)
    assert list(tmp_path.iterdir()) == []


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(FlowFileError("a.flo", "bad")))
    assert (str(error), error.path, error.reason) == ("a.flo: bad", "a.flo", "bad")


def test_published_flows_and_frames(middlebury):
    pair = middlebury["RubberWhale"]
    assert pair.frame0.shape == (388, 584, 3)
    assert pair.frame0.dtype == np.uint8
    assert pair.flow.shape == (388, 584, 2)
    assert 0 < np.isnan(pair.flow).any(axis=-1).mean() < 0.1
    assert np.nanmax(np.abs(pair.flow)) < 10
    assert not np.isnan(middlebury["Venus"].flow).any()
    assert len(middlebury) == 8


# ---- atomic writing -------------------------------------------------------------------------------------------------


def test_a_failing_writer_leaves_nothing_new(tmp_path):
    path = tmp_path / "a.bin"

    def write_half() -> None:
        with atomic(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_codec_leaves_the_old_picture(tmp_path, monkeypatch):
    import imagecodecs

    path = tmp_path / "a.png"
    write_image(path, np.zeros((2, 2), np.uint8))
    before = path.read_bytes()

    def fail(*_: object) -> bytes:
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(imagecodecs, "png_encode", fail)
    with pytest.raises(RuntimeError):
        write_image(path, np.ones((2, 2), np.uint8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_atomic_keeps_default_permissions_links_and_devices(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic(tmp_path / "ours") as file:
        file.write(b"1")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    with atomic(tmp_path / "link") as file:
        file.write(b"2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "ours").read_bytes() == b"2"
    with atomic(os.devnull) as file:
        file.write(b"3")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(IsADirectoryError, match="is a folder"), atomic(tmp_path):
        pass


# ---- images ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["png", "tif", "tiff", "PNG"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 1), (1, 3, 3), (3, 1)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_lossless_round_trip(tmp_path, extension, shape, kind):
    image = random.integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)
    path = tmp_path / f"a.{extension}"
    write_image(path, image)
    back = read_image(path)
    assert back.dtype == kind
    assert np.array_equal(back, image)
    assert back.flags["C_CONTIGUOUS"]
    assert back.flags["WRITEABLE"]


@settings(max_examples=30, deadline=None)
@given(
    image=arrays.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 9), st.integers(1, 9)) | st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)),
    ),
    extension=st.sampled_from(["png", "tif"]),
)
def test_lossless_round_trip_of_any_image(image, extension, tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / f"a.{extension}"
    write_image(path, image)
    back = read_image(path)
    assert back.dtype == image.dtype
    assert np.array_equal(back, image)


def test_views_bool_and_single_channels_are_written(tmp_path):
    image = random.integers(0, 255, (8, 10, 3), np.uint8)
    write_image(tmp_path / "view.png", image[::-2, ::3, ::-1])
    assert np.array_equal(read_image(tmp_path / "view.png"), image[::-2, ::3, ::-1])
    for extension in ("png", "tif", "jpg"):
        mask = np.zeros((16, 16), bool)
        mask[:, 8:] = True
        write_image(tmp_path / f"mask.{extension}", mask[..., None])
        assert np.array_equal(read_image(tmp_path / f"mask.{extension}") > 127, mask)
    big = image[..., 0].astype(">u2") * 256
    write_image(tmp_path / "big.png", big)
    assert np.array_equal(read_image(tmp_path / "big.png"), big)


def test_jpeg_is_close(tmp_path):
    y, x = np.mgrid[:32, :48]
    image = np.stack([4 * x, 3 * y, x + y], axis=-1).astype(np.uint8)
    for picture in (image, image[..., 0]):
        write_image(tmp_path / "a.jpeg", picture)
        back = read_image(tmp_path / "a.jpeg")
        assert back.shape == picture.shape
        assert back.dtype == np.uint8
        assert np.abs(back.astype(int) - picture).mean() < 2


@pytest.mark.parametrize(
    ("name", "image", "error"),
    [
        ("a.gif", np.zeros((2, 2), np.uint8), ImageFileError),
        ("a", np.zeros((2, 2), np.uint8), ImageFileError),
        ("a.png", np.zeros((2, 2)), TypeError),
        ("a.jpg", np.zeros((2, 2), np.uint16), TypeError),
        ("a.png", np.zeros((2, 2, 2), np.uint8), ValueError),
        ("a.png", np.zeros((2, 2, 4), np.uint8), ValueError),
        ("a.tif", np.zeros((0, 2), np.uint8), ValueError),
        ("a.tif", np.zeros(3, np.uint8), ValueError),
    ],
)
def test_what_is_no_image_is_not_written(tmp_path, name, image, error):
    with pytest.raises(error):
        write_image(tmp_path / name, image)
    assert list(tmp_path.iterdir()) == []


def test_alpha_is_dropped_and_a_palette_becomes_its_colours(tmp_path):
    image = random.integers(0, 255, (6, 7, 4), np.uint8)
    for name in ("a.png", "a.webp", "a.tif"):
        kwargs = {"lossless": True} if name == "a.webp" else {}
        imageio.imwrite(tmp_path / name, image, **kwargs)
    image[..., 3] = 255
    imageio.imwrite(tmp_path / "opaque.webp", image, lossless=True)
    assert np.array_equal(read_image(tmp_path / "opaque.webp"), image[..., :3])
    for name in ("a.png", "a.tif"):
        assert np.array_equal(read_image(tmp_path / name), image[..., :3])
    assert read_image(tmp_path / "a.webp").shape == (6, 7, 3)

    from PIL import Image

    colors = Image.fromarray(image[..., :3]).quantize(8)
    wanted = np.asarray(colors.convert("RGB"))
    for name in ("p.png", "p.gif", "p.bmp", "p.tif"):
        colors.save(tmp_path / name)
        assert np.array_equal(read_image(tmp_path / name), wanted), name
    Image.fromarray(image[..., :2], "LA").save(tmp_path / "la.png")
    assert np.array_equal(read_image(tmp_path / "la.png"), image[..., 0])
    Image.fromarray(image[..., 0] > 100).save(tmp_path / "bit.png")
    assert np.array_equal(read_image(tmp_path / "bit.png"), 255 * (image[..., 0] > 100))


def test_camera_orientation_is_applied_and_cmyk_becomes_rgb(tmp_path):
    from PIL import Image

    image = Image.new("RGB", (32, 16), (200, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (32, 16, 3)
    image.convert("CMYK").save(tmp_path / "print.jpg")
    assert np.abs(read_image(tmp_path / "print.jpg")[8, 16].astype(int) - (200, 30, 30)).max() < 12


@pytest.mark.parametrize(
    ("image", "how"),
    [
        (random.random((4, 5)).astype(np.float32), {}),
        (random.random((4, 5)), {"byteorder": ">"}),
        (random.integers(0, 99, (4, 5, 5), np.uint16), {"photometric": "minisblack", "planarconfig": "contig"}),
        (random.integers(-9, 99, (4, 5), np.int16), {"compression": "zlib"}),
        (random.integers(0, 4000, (4, 5), np.uint16), {"bitspersample": 12}),
    ],
)
def test_tiff_keeps_measured_numbers(tmp_path, image, how):
    tifffile.imwrite(tmp_path / "a.tif", image, **how)
    back = read_image(tmp_path / "a.tif")
    assert back.dtype == image.dtype
    assert np.array_equal(back, image)


def test_tiff_planes_and_zero_that_is_white(tmp_path):
    planes = random.integers(0, 255, (3, 4, 5), np.uint8)
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_image(tmp_path / "planes.tif"), np.moveaxis(planes, 0, -1))
    tifffile.imwrite(tmp_path / "white.tif", planes[0], photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "white.tif"), planes[0])


def test_netpbm_keeps_sixteen_bits(tmp_path):
    image = random.integers(0, 65535, (4, 5, 3), np.uint16)
    (tmp_path / "a.ppm").write_bytes(b"P6\n# made by hand\n5 4\n65535\n" + image.astype(">u2").tobytes())
    assert np.array_equal(read_image(tmp_path / "a.ppm"), image)
    (tmp_path / "a.pgm").write_bytes(b"P5 5 4 255\n" + image[..., 0].astype(np.uint8).tobytes())
    assert np.array_equal(read_image(tmp_path / "a.pgm"), image[..., 0].astype(np.uint8))


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = b"IDAT"
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 0)
        + end
        + struct.pack(">I", zlib.crc32(end))
    )


def hostile_images() -> dict[str, bytes]:
    import imagecodecs

    png = imagecodecs.png_encode(random.integers(0, 255, (40, 50, 3), np.uint8))
    jpeg = imageio.imwrite("<bytes>", random.integers(0, 255, (40, 50), np.uint8), extension=".jpg")
    damaged = bytearray(png)
    damaged[200:260] = bytes(60)
    return {
        "empty.png": b"",
        "text.png": b"no image at all",
        "text.tif": b"no image at all",
        "signature.png": png[:8],
        "cut.png": png[: len(png) // 2],
        "damaged.png": bytes(damaged),
        "huge.png": png_header(60000, 60000),
        "impossible.png": png_header(2**32 - 1, 2**32 - 1),
        "zero.png": png_header(0, 5),
        "start.tif": b"II*\0\x08\0\0\0",
        "start.jpg": jpeg[:100],
        "cut.ppm": b"P6 5 4 255\n" + bytes(59),
        "header.ppm": b"P6 5 four 255\n" + bytes(60),
        "digits.ppm": b"P6 " + b"9" * 5000 + b" 4 255\n",
        "huge.ppm": b"P6 999999999999 999999999999 255\n" + bytes(60),
        "depth.pgm": b"P5 2 2 70000\n" + bytes(60),
    }


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_png_is_called_so(tmp_path, share):
    write_image(tmp_path / "a.png", random.integers(0, 255, (40, 50, 3), np.uint8))
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageFileError, match=r"a\.png: truncated"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("name", sorted(hostile_images()))
def test_hostile_image_is_refused_with_path_and_reason(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(hostile_images()[name])
    with pytest.raises(ImageFileError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_several_images_in_one_file_are_refused(tmp_path):
    frames = random.integers(0, 255, (4, 6, 7), np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", frames, photometric="minisblack")
    imageio.imwrite(tmp_path / "film.gif", frames)
    for name in ("stack.tif", "film.gif"):
        with pytest.raises(ImageFileError, match=r"wanted one"):
            read_image(tmp_path / name)


def test_missing_image_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageFileError, match="not a file"):
        read_image(tmp_path)


def test_importing_loads_no_codec():
    code = (
        "import sys, variflow.io, variflow.metrics, variflow.view, variflow.datasets;"
        "print([m for m in ('jax', 'matplotlib', 'imageio', 'imagecodecs', 'tifffile') if m in sys.modules])"
    )
    paths = os.pathsep.join([str(Path(sys.modules["variflow"].__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
