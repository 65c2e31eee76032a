"""Every flow format: exact round trips, the published bytes, and headers that lie."""

from __future__ import annotations

import importlib.util
import math
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from variflow.io import FlowFileError, check_flow_path, extras, read_flow, write_flow, write_image

random = np.random.default_rng(0)

NEEDS = {".flo5": "h5py", ".h5": "h5py", ".exr": "OpenEXR", ".zarr": "zarr"}


def installed(extension: str) -> pytest.MarkDecorator:
    library = NEEDS.get(extension)
    absent = library is not None and importlib.util.find_spec(library) is None
    return pytest.mark.skipif(absent, reason=f"{library} is not installed")


def formats(*extensions: str) -> list:
    return [pytest.param(extension, marks=installed(extension)) for extension in extensions]


EXACT = formats(".flo", ".pfm", ".flo5", ".h5", ".npy", ".npz", ".tif", ".exr", ".zarr")
FILES = formats(".flo", ".png", ".pfm", ".flo5", ".npy", ".npz", ".tif", ".exr")


def sample() -> np.ndarray:
    flow = random.normal(0, 20, (6, 7, 2)).astype(np.float32)
    flow[2, 3] = np.nan
    return flow


def refused(path: Path, reason: str = ".") -> None:
    with pytest.raises(FlowFileError, match=reason) as caught:
        read_flow(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


# ---- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", EXACT)
@settings(max_examples=12, deadline=None)
@given(
    flow=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(2)),
        elements=st.floats(-(2.0**29), 2.0**29, width=32) | st.just(np.nan),
    )
)
def test_round_trip_is_exact(extension, flow, tmp_path_factory):
    path = tmp_path_factory.mktemp("flow") / f"a{extension}"
    write_flow(path, flow)
    back = read_flow(path)
    unknown = np.isnan(flow).any(axis=-1)
    assert back.dtype == np.float32
    assert back.shape == flow.shape
    assert back.flags["C_CONTIGUOUS"]
    assert back.flags["WRITEABLE"]
    assert np.isnan(back[unknown]).all()
    # As bits: the sign of zero and subnormal numbers survive too.
    assert np.array_equal(back[~unknown].view(np.uint32), flow[~unknown].view(np.uint32))


@settings(max_examples=40, deadline=None)
@given(
    steps=arrays.arrays(
        np.uint16, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(2)), elements=st.integers(0, 65535)
    ),
    unknown=st.booleans(),
)
def test_png_round_trip_is_exact_in_its_steps(steps, unknown, tmp_path_factory):
    path = tmp_path_factory.mktemp("flow") / "a.png"
    flow = (steps.astype(np.float32) - 32768) / 64
    flow[0, 0] = np.nan if unknown else flow[0, 0]
    write_flow(path, flow)
    assert np.array_equal(read_flow(path), flow, equal_nan=True)


@pytest.mark.parametrize("extension", [*EXACT, ".png"])
def test_replacing_leaves_one_complete_file(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    for shape in ((9, 5, 2), (3, 8, 2)):
        flow = random.integers(-99, 99, shape).astype(np.float64)
        write_flow(path, flow[::-1, ::-1][::-1, ::-1])
        assert np.array_equal(read_flow(path), flow)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("extension", [*EXACT, ".png"])
def test_failing_leaves_what_was_there(tmp_path, extension, monkeypatch):
    path = tmp_path / f"a{extension}"
    flow = np.ones((3, 4, 2))
    write_flow(path, flow)
    for wrong in (np.full((3, 4, 2), np.inf), np.full((3, 4, 2), 1e300)):
        with pytest.raises(ValueError, match="flow"):
            write_flow(path, wrong)

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="fire"):
        write_flow(path, 2 * flow)
    assert np.array_equal(read_flow(path), flow)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("extension", FILES)
def test_the_content_says_the_format(tmp_path, extension):
    write_flow(tmp_path / f"a{extension}", np.ones((3, 4, 2)))
    (tmp_path / f"a{extension}").rename(tmp_path / "flow.data")
    assert (read_flow(tmp_path / "flow.data") == 1).all()
    other = tmp_path / ("a.flo" if extension != ".flo" else "a.npy")
    (tmp_path / "flow.data").rename(other)
    refused(other, f"not a {other.suffix} file: its content is that of {extension}")


@pytest.mark.parametrize("extension", FILES)
def test_truncation_is_refused_unless_all_pixels_are_there(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    flow = np.round(sample() * 64) / 64
    write_flow(path, flow)
    whole = path.read_bytes()
    for length in sorted({0, 1, 3, 7, len(whole) // 2, len(whole) - 20, len(whole) - 1}):
        path.write_bytes(whole[:length])
        if extension in (".png", ".tif") and length == len(whole) - 1:  # a checksum, or the resolution in dots per inch
            assert np.array_equal(read_flow(path), flow, equal_nan=True)
        else:
            refused(path)


@pytest.mark.parametrize("extension", [".flo", ".png", ".pfm", ".npy"])
def test_trailing_data_is_refused(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    write_flow(path, sample())
    path.write_bytes(path.read_bytes() + b"\0")
    refused(path, "trailing data")


def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    (tmp_path / "a.flo5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    for extension, extra in ((".flo5", "hdf5"), (".exr", "exr"), (".zarr", "zarr")):
        with pytest.raises(ImportError, match=rf"pip install 'variflow\[{extra}\]'"):
            check_flow_path(tmp_path / f"a{extension}")
    with pytest.raises(ImportError, match=r"variflow\[hdf5\]"):
        read_flow(tmp_path / "a.flo5")


def test_the_page_names_tests_that_exist():
    here = Path(__file__).resolve().parent
    named = set(re.findall(r"`(test_\w+)`", (here.parent / "docs" / "files.md").read_text()))
    defined = set(re.findall(r"^def (test_\w+)", "".join(file.read_text() for file in here.glob("test_*.py")), re.M))
    assert len(named) > 15
    assert named <= defined


# ---- .png -----------------------------------------------------------------------------------------------------------


def test_png_is_that_of_kitti(tmp_path):
    path = tmp_path / "a.png"
    write_flow(path, [[[0, 0], [1, -0.5]], [[511.984375, -512], [np.nan, 3]]])
    stored = imagecodecs.png_decode(path.read_bytes())
    assert stored.tolist() == [[[32768, 32768, 1], [32832, 32736, 1]], [[65535, 0, 1], [0, 0, 0]]]
    path.write_bytes(imagecodecs.png_encode(np.array([[[32768, 32769, 1], [40000, 5, 0], [0, 0, 9]]], np.uint16)))
    assert np.array_equal(read_flow(path), [[[0, 1 / 64], [np.nan, np.nan], [-512, -512]]], equal_nan=True)


@settings(max_examples=50, deadline=None)
@given(value=st.floats(-512, 511.5, width=32))
def test_png_rounds_to_the_nearest_step(value, tmp_path_factory):
    path = tmp_path_factory.mktemp("flow") / "a.png"
    write_flow(path, [[[value, 0]]])
    assert abs(read_flow(path)[0, 0, 0] - value) <= 1 / 128


@pytest.mark.parametrize("value", [-512.01, 511.995, 600, -1e9])
def test_png_refuses_what_it_cannot_hold(tmp_path, value):
    with pytest.raises(ValueError, match="1 pixels that move by less than -512 or more"):
        write_flow(tmp_path / "a.png", [[[value, 0], [0, 0]]])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 5, 3), np.uint8),
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5), np.uint16),
        np.zeros((4, 5, 4), np.uint16),
    ],
)
def test_a_picture_is_no_flow(tmp_path, picture):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(picture))
    refused(tmp_path / "a.png", "a picture .*, no flow: that has three channels of 16 bits")


@pytest.mark.parametrize("name", ["a.flo", "a.png", "a.npy", "a.dat"])
def test_an_empty_file_is_said_to_be_empty(tmp_path, name):
    (tmp_path / name).touch()
    refused(tmp_path / name, "truncated: the file is empty$")


def test_a_picture_of_16_bits_is_no_flow(tmp_path):
    ramp = np.arange(60, dtype=np.uint16).reshape(4, 5, 3)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(ramp * 257))
    refused(tmp_path / "a.png", "a picture .*16 bits.*, no flow: the third channel of that is 0 or 1")


@pytest.mark.parametrize("known", [1, 255, 65535])
def test_any_one_value_marks_what_a_png_knows(tmp_path, known):
    pixels = np.full((4, 5, 3), 32768, np.uint16)
    pixels[..., 2] = known
    pixels[1, 2] = 0
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    flow = read_flow(tmp_path / "a.png")
    assert np.isnan(flow[1, 2]).all()
    assert np.isnan(flow).sum() == 2
    assert np.nanmax(np.abs(flow)) == 0


def png(width: int, height: int, bits: int = 16, kind: int = 2) -> bytes:
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (2**32 - 1, 4), (60000, 60000), (0, 4)])
def test_png_with_a_size_that_cannot_be(tmp_path, size):
    (tmp_path / "a.png").write_bytes(png(*size))
    refused(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(png(4, 4, bits=3))
    refused(tmp_path / "a.png", "which PNG has not")


def test_published_flows_of_kitti(data):
    flow = read_flow(data / "kitti2015" / "training" / "flow_occ" / "000000_10.png")
    assert flow.shape == (375, 1242, 2)
    assert 0.1 < np.isfinite(flow).all(axis=-1).mean() < 0.3
    assert 150 < np.nanmax(np.abs(flow)) < 200


# ---- .pfm -----------------------------------------------------------------------------------------------------------


def test_pfm_is_bottom_up_in_both_byte_orders(tmp_path):
    path = tmp_path / "a.pfm"
    write_flow(path, [[[1, 2]], [[3, 4]], [[np.nan, 5]]])
    rows = [math.inf, math.inf, 0, 3, 4, 0, 1, 2, 0]
    assert path.read_bytes() == b"PF\n1 3\n-1.0\n" + struct.pack("<9f", *rows)
    path.write_bytes(b"PF\n1 3\n1\n" + struct.pack(">9f", *rows))
    assert np.array_equal(read_flow(path), [[[1, 2]], [[3, 4]], [[np.nan, np.nan]]], equal_nan=True)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"Pf\n2 2\n-1\n", "one channel"),
        (b"PF\n2 2\n-0.5\n", "its scale is -0.5"),
        (b"PF\n2 2\n0\n", "its scale is 0"),
        (b"PF\n2 2\n-1e999\n", "its scale is -inf"),
        (b"PF\n0 2\n-1\n", "at least 1"),
        (b"PF\n-2 2\n-1\n", "not a .pfm"),
        (b"PF\n2147483647 2147483647\n-1\n", "truncated"),
        (b"PF\n2147483647 1\n-1\n", "truncated"),
        (b"PF\n99999999999999999999 1\n-1\n", "not a .pfm"),
        (b"PF\n1 1\n-1\n", "trailing"),
        (b"PF\n" + b" " * 500, "not a .pfm"),
    ],
)
def test_pfm_that_lies(tmp_path, header, reason):
    (tmp_path / "a.pfm").write_bytes(header + bytes(2 * 2 * 12))
    refused(tmp_path / "a.pfm", reason)


# ---- .npy and .npz --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", ">f8", ">i2", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_real_type_and_order(tmp_path, kind, order):
    flow = random.integers(0, 99, (3, 4, 2)).astype(kind, order=order)
    np.save(tmp_path / "a.npy", flow)
    np.savez(tmp_path / "a.npz", flow=flow, other=flow[0])
    for name in ("a.npy", "a.npz"):
        assert np.array_equal(read_flow(tmp_path / name), flow)
        assert read_flow(tmp_path / name).dtype == np.float32


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 30, 40)), r"np\.moveaxis"),
        (np.zeros((30, 40)), r"\(H, W, 2\)"),
        (np.zeros((0, 4, 2)), "at least 1"),
        (np.zeros((3, 4, 2), complex), "real numbers"),
        (np.zeros((3, 4, 2), bool), "real numbers"),
        (np.full((3, 4, 2), "a"), "real numbers"),
        (np.full((3, 4, 2), None), "real numbers"),
        (np.zeros((3, 4), "f4,f4"), "real numbers"),
        (np.full((3, 4, 2), 1e300), "float32"),
    ],
)
def test_npy_that_is_no_flow(tmp_path, array, reason):
    for name, save in (("a.npy", np.save), ("a.npz", np.savez)):
        save(tmp_path / name, array)
        refused(tmp_path / name, reason)


@pytest.mark.parametrize("shape", [(2**31 - 1, 2**31 - 1, 2), (2**40, 2**40, 2), (-3, 4, 2), (3, 5, 2), (3, 3, 2)])
def test_npy_whose_header_lies(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 2), "f4"))
    content = (tmp_path / "a.npy").read_bytes()
    start = content.index(b"{")
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(127 - start) + b"\n"
    lie = content[:start] + header + content[128:]
    (tmp_path / "a.npy").write_bytes(lie)
    refused(tmp_path / "a.npy", "truncated|trailing|at least 1")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("flow.npy", lie)
    refused(tmp_path / "a.npz", "truncated|trailing|at least 1")


def test_npz_of_two_components_and_of_others(tmp_path):
    u, v = random.random((2, 3, 4))
    np.savez(tmp_path / "a.npz", u=u, v=v)
    assert np.array_equal(read_flow(tmp_path / "a.npz"), np.stack([u, v], axis=-1).astype(np.float32))
    np.savez(tmp_path / "a.npz", u=u, v=v[1:])
    refused(tmp_path / "a.npz", "wanted the same")
    np.savez(tmp_path / "a.npz", vectors=np.ones((3, 4, 2)))
    assert (read_flow(tmp_path / "a.npz") == 1).all()
    np.savez(tmp_path / "a.npz", a=u, b=v)
    refused(tmp_path / "a.npz", "holds a, b")


def test_npz_that_expands_beyond_its_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("flow.npy", b"\x93NUMPY")
    content = bytearray((tmp_path / "a.npz").read_bytes())
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = struct.pack("<I", 2**32 - 2)
    (tmp_path / "a.npz").write_bytes(content)
    refused(tmp_path / "a.npz", "too much for")
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("flow.npy", bytes(99))
    refused(tmp_path / "a.npz", "NumPy never writes")


# ---- .tif -----------------------------------------------------------------------------------------------------------


def test_tiff_of_every_layout(tmp_path):
    planes = random.random((2, 6, 7)).astype(np.float32)
    layouts = [
        (planes, {"metadata": None}),
        (planes, {"planarconfig": "separate", "byteorder": ">"}),
        (planes, {"compression": "zlib", "predictor": True}),
        (planes, {"tile": (16, 16)}),
        (planes, {"bigtiff": True}),
        (np.moveaxis(planes, 0, -1), {"planarconfig": "contig"}),
        (planes.astype(np.float64), {}),
        (planes, {"imagej": True}),
    ]
    for array, how in layouts:
        tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", **how)
        assert np.array_equal(read_flow(tmp_path / "a.tif"), np.moveaxis(planes, 0, -1)), how
    write_flow(tmp_path / "b.tif", np.moveaxis(planes, 0, -1))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert [page.shape for page in file.pages] == [(6, 7), (6, 7)]
        assert file.series[0].axes == "CYX"


@pytest.mark.parametrize(
    ("shape", "kind"), [((2, 6, 7), "u2"), ((6, 7), "f4"), ((3, 6, 7), "f4"), ((2, 2, 6, 7), "f4")]
)
def test_a_tiff_of_pictures_is_no_flow(tmp_path, shape, kind):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, kind), photometric="minisblack")
    refused(tmp_path / "a.tif", "a flow is two planes of float")


@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength"])
@pytest.mark.parametrize("length", [2**31 - 1, 2**32 - 1, 0, 10**6])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_whose_header_lies(tmp_path, tag, length, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((2, 6, 7), "f4"), photometric="minisblack", metadata=None, compression=compression)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        places = [page.tags[tag].offset for page in file.pages]
    for place in places:
        struct.pack_into("<HII", content, place + 2, 4, 1, length)
    path.write_bytes(content)
    refused(path)


def test_tiff_whose_pages_go_in_a_circle(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((2, 6, 7), "f4"), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        places = [page.offset for page in file.pages]
        last = places[1] + 2 + 12 * len(file.pages[1].tags)
    for target in places:
        content = bytearray(path.read_bytes())
        struct.pack_into("<I", content, last, target)
        (tmp_path / "b.tif").write_bytes(content)
        refused(tmp_path / "b.tif", "go in a circle")


# ---- .flo5 ----------------------------------------------------------------------------------------------------------


@installed(".flo5")
def test_flo5_is_that_of_spring(tmp_path):
    import h5py

    flow = sample()
    write_flow(tmp_path / "a.flo5", flow)
    with h5py.File(tmp_path / "a.flo5") as file:
        assert list(file) == ["flow"]
        assert file["flow"].dtype == np.dtype("<f4")
        assert file["flow"].compression == "gzip"
        assert np.array_equal(file["flow"], flow, equal_nan=True)
    for options in ({}, {"dtype": ">f4"}, {"dtype": "f8", "compression": "lzf", "shuffle": True}):
        with h5py.File(tmp_path / "b.h5", "w") as file:
            file.create_dataset("flow", data=flow, **options)
        assert np.array_equal(read_flow(tmp_path / "b.h5"), flow, equal_nan=True)


@installed(".flo5")
def test_hdf5_that_is_no_flow(tmp_path):
    import h5py

    path = tmp_path / "a.h5"
    huge = (2**31 - 1, 2**31 - 1, 2)

    def make(fill) -> None:
        with h5py.File(path, "w") as file:
            fill(file)

    make(lambda file: None)
    refused(path, "has no dataset flow; it holds nothing")
    make(lambda file: file.create_group("flow"))
    refused(path, "no dataset with values")
    make(lambda file: file.create_dataset("flow", data=h5py.Empty("f4")))
    refused(path, "no dataset with values")
    make(lambda file: file.create_dataset("flow", data=np.zeros((4, 5, 3))))
    refused(path, r"\(H, W, 2\)")
    make(lambda file: file.create_dataset("flow", data=["text"]))
    refused(path, "real numbers")
    make(lambda file: file.create_dataset("flow", shape=huge, dtype="f4", chunks=(8, 8, 2)))
    refused(path, "too much for")
    make(lambda file: file.create_dataset("flow", shape=(4, 5, 2), maxshape=huge, dtype="f4", chunks=(2**14, 2**14, 2)))
    refused(path, "too much for")
    make(lambda file: file.__setitem__("flow", h5py.ExternalLink("/etc/passwd", "/")))
    refused(path, "has no dataset flow")
    make(lambda file: file.create_dataset("flow", (4, 5, 2), "f4", external=[("/dev/zero", 0, 160)]))
    refused(path, "is stored in other files")


# ---- .exr -----------------------------------------------------------------------------------------------------------


@installed(".exr")
def test_exr_channels(tmp_path):
    import OpenEXR

    flow = sample()
    u, v = (np.ascontiguousarray(flow[..., index]) for index in (0, 1))

    def make(channels, name: str = "a.exr", **more) -> Path:
        with OpenEXR.File({"type": OpenEXR.scanlineimage, **more}, channels) as file:
            file.write(str(tmp_path / name))
        return tmp_path / name

    for compression in (OpenEXR.NO_COMPRESSION, OpenEXR.ZIPS_COMPRESSION, OpenEXR.PIZ_COMPRESSION):
        path = make({"R": u, "G": v, "B": 0 * u}, compression=compression)
        assert np.array_equal(read_flow(path), flow, equal_nan=True)
    path = make({"u": u.astype(np.float16), "v": v.astype(np.float16)})
    assert np.array_equal(read_flow(path), flow.astype(np.float16), equal_nan=True)
    refused(make({"Z": u}), "has the channels Z; a flow has u and v, or R and G")
    refused(make({"u": np.zeros((6, 7), np.uint32), "v": np.zeros((6, 7), np.uint32)}), "no flow")


@installed(".exr")
@pytest.mark.parametrize("corner", [(2**31 - 2, 2**31 - 2), (2**31 - 2, 5), (10**6, 10**6), (-5, 5)])
def test_exr_whose_header_lies(tmp_path, corner):
    path = tmp_path / "a.exr"
    write_flow(path, sample())
    content = bytearray(path.read_bytes())
    place = content.index(b"dataWindow\0box2i\0") + 17 + 4 + 8
    struct.pack_into("<ii", content, place, *corner)
    path.write_bytes(content)
    refused(path)


# ---- Zarr -----------------------------------------------------------------------------------------------------------


@installed(".zarr")
@pytest.mark.parametrize("version", [2, 3])
def test_zarr_of_both_versions_byte_orders_and_with_chunks_left_out(tmp_path, version):
    import zarr

    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        path, shape=(9, 8, 2), chunks=(4, 5, 2), dtype=">f8", fill_value=np.nan, zarr_format=version
    )
    array[:4, :5] = 1.5
    flow = np.full((9, 8, 2), np.nan)
    flow[:4, :5] = 1.5
    assert np.array_equal(read_flow(path), flow, equal_nan=True)
    path.rename(tmp_path / "folder")
    assert np.array_equal(read_flow(tmp_path / "folder"), flow, equal_nan=True)
    refused_name = tmp_path / "folder.flo"
    (tmp_path / "folder").rename(refused_name)
    refused(refused_name, "its content is that of .zarr")


@installed(".zarr")
def test_zarr_that_is_no_flow(tmp_path):
    import zarr

    path = tmp_path / "a.zarr"
    path.mkdir()
    refused(path, "not the folder of a Zarr array")
    (path / "zarr.json").write_text("{")
    refused(path, "cannot be opened")
    for shape, chunks, dtype, reason in (
        ((4, 5, 3), (4, 5, 3), "f4", r"\(H, W, 2\)"),
        ((4, 5, 2), (4, 5, 2), "c8", "real numbers"),
        ((2**31 - 1, 2**31 - 1, 2), (8, 8, 2), "f4", "too much for"),
        ((4, 5, 2), (2**20, 2**20, 2), "f4", "too much for"),
    ):
        zarr.create_array(path, shape=shape, chunks=chunks, dtype=dtype, overwrite=True)
        refused(path, reason)
    array = zarr.create_array(path, data=np.ones((4, 5, 2), "f4"), chunks=(4, 5, 2), overwrite=True)
    next(file for file in path.rglob("0") if file.is_file()).write_bytes(b"damaged")
    refused(path, "cannot be read")
    assert array.shape == (4, 5, 2)


@installed(".zarr")
def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    import zarr

    flow = np.zeros((3, 4, 2))
    (tmp_path / "thesis.zarr").mkdir()
    (tmp_path / "thesis.zarr" / "chapter.txt").write_text("one")
    zarr.create_group(tmp_path / "group.zarr").create_array("flow", data=flow)
    zarr.create_group(tmp_path / "old.zarr", zarr_format=2).create_array("flow", data=flow)
    (tmp_path / "file.zarr").write_text("text")
    for name in ("thesis", "group", "old", "file"):
        for write in (lambda path: write_flow(path, flow), check_flow_path):
            with pytest.raises(FlowFileError, match="is not replaced"):
                write(tmp_path / f"{name}.zarr")
    assert (tmp_path / "thesis.zarr" / "chapter.txt").read_text() == "one"
    assert np.array_equal(zarr.open(tmp_path / "group.zarr", mode="r")["flow"], flow)
    for write in (lambda path: write_flow(path, flow), check_flow_path):
        with pytest.raises(FileNotFoundError, match="does not exist"):
            write(tmp_path / "no" / "a.zarr")


# ---- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of memory is that of Linux")
def test_lies_take_no_memory(tmp_path):
    """Under a limit of memory that the claims exceed by far, each is refused for its reason and not for the limit."""
    (tmp_path / "a.flo").write_bytes(struct.pack("<fii", 202021.25, 2**31 - 1, 2**31 - 1) + bytes(99))
    (tmp_path / "a.pfm").write_bytes(b"PF\n2147483647 2147483647\n-1\n" + bytes(99))
    (tmp_path / "a.png").write_bytes(png(2**31 - 1, 2**31 - 1))
    write_image(tmp_path / "b.tif", np.zeros((4, 5), np.uint16))
    code = (
        "import resource, sys, imagecodecs, tifffile, variflow\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, used + 2**27))\n"
        "for name in sys.argv[1:]:\n"
        "    try: variflow.read_flow(name)\n"
        "    except variflow.FlowFileError as error: print(error)\n"
    )
    names = [str(tmp_path / name) for name in ("a.flo", "a.pfm", "a.png", "b.tif")]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 4
    assert "allocate" not in done.stdout
