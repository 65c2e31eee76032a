"""Numbers that stand for missing data become NaN: in TIFF, NetCDF and HDF5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from variflow import VariflowWarning
from variflow.io import read_flow, read_frames, read_image

random = np.random.default_rng(0)


def same(path: Path, wanted: np.ndarray) -> None:
    for image in (read_image(path), read_frames(path)[0]):
        assert image.dtype == wanted.dtype
        assert np.array_equal(image, wanted, equal_nan=True)


def geotiff(path: Path, image: np.ndarray, text: str, **how: object) -> None:
    tifffile.imwrite(path, image, extratags=[(42113, "s", 0, text, True)], **{"metadata": None} | how)


# ---- GDAL_NODATA of TIFF --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "stored"),
    [
        ("u1", "0", 0),
        ("u1", "255", 255),
        ("i1", "-128", -128),
        ("u2", "65535", 65535),
        ("u2", "65535.0", 65535),
        ("i2", "-9999", -9999),
        ("i2", " -32768 ", -32768),
        ("u4", "4294967295", 4294967295),
        ("i4", "-2147483648", -2147483648),
        ("i4", "-2.147483648e+09", -2147483648),
        ("f4", "-9999", -9999),
        ("f4", "0", 0),
        ("f4", "-0.1", np.float32(-0.1)),
        ("f4", "-3.4028234663852886e+38", np.finfo("f4").min),
        ("f4", "-3.40282346638529e+38", np.finfo("f4").min),
        ("f4", "-3.4028235e+38", np.finfo("f4").min),
        ("f4", "-3.40282e+38", np.float32(-3.40282e38)),
        ("f4", "1e+20", np.float32(1e20)),
        ("f4", "-inf", -np.inf),
        ("f8", "-1.7976931348623157e+308", np.finfo("f8").min),
        ("f8", "-1.79769313486232e+308", np.finfo("f8").min),
        ("f8", "-3.4028234663852886e+38", np.float64(np.finfo("f4").min)),
        ("f4", "-1.7976931348623157e+308", np.finfo("f4").min),
        ("f8", "1.79769313486232e+308", np.finfo("f8").max),
        ("f2", "-9999", np.float16(-9999)),
    ],
)
@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"tile": (16, 16)}])
def test_nodata_is_missing_in_every_type(tmp_path, kind, text, stored, how):
    image = random.integers(1, 99, (6, 7)).astype(kind)
    wanted = image.astype({"u4": "f8", "i4": "f8"}.get(kind, "f4" if kind[0] != "f" else kind))
    image[2, 3] = image[4, :2] = stored
    wanted[2, 3] = wanted[4, :2] = np.nan
    geotiff(tmp_path / "a.tif", image, text, photometric="minisblack", **how)
    same(tmp_path / "a.tif", wanted)


@pytest.mark.parametrize(
    ("kind", "text"), [("u1", "-9999"), ("u1", "256"), ("u1", "0.5"), ("i2", "nan"), ("f4", "nan")]
)
def test_nodata_that_no_pixel_can_hold_changes_nothing(tmp_path, kind, text):
    image = random.integers(0, 99, (6, 7)).astype(kind)
    if kind == "f4":
        image[1, 1] = np.nan
    geotiff(tmp_path / "a.tif", image, text)
    same(tmp_path / "a.tif", image)


def test_a_number_near_nodata_is_not_missing(tmp_path):
    image = np.float32([[-9999, -9999.01, -9998.99, 0]])
    geotiff(tmp_path / "a.tif", image, "-9999")
    assert np.isnan(read_image(tmp_path / "a.tif")).tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("text", ["nothing", "-9999,0", ""])
def test_nodata_that_is_no_number_is_said(tmp_path, text):
    image = random.integers(0, 99, (6, 7)).astype("f4")
    geotiff(tmp_path / "a.tif", image, text or " ")
    with pytest.warns(VariflowWarning, match="GDAL_NODATA is .* which is no number"):
        assert np.array_equal(read_image(tmp_path / "a.tif"), image)


def test_nodata_of_bands_of_colours_and_of_palettes(tmp_path):
    bands = random.integers(1, 9, (6, 7, 5), np.uint8)
    bands[1, 2, 3] = 0
    geotiff(tmp_path / "a.tif", bands, "0", photometric="minisblack", planarconfig="contig")
    same(tmp_path / "a.tif", np.where(bands == 0, np.float32(np.nan), bands))
    geotiff(tmp_path / "a.tif", np.moveaxis(bands, -1, 0), "0", photometric="minisblack", planarconfig="separate")
    same(tmp_path / "a.tif", np.where(bands == 0, np.float32(np.nan), bands))
    color = random.integers(1, 9, (6, 7, 3), np.uint8)
    color[1, 2, 1] = 0  # magenta is a colour
    color[3, 3] = 0
    wanted = color.astype(np.float32)
    wanted[3, 3] = np.nan
    geotiff(tmp_path / "a.tif", color, "0", photometric="rgb")
    same(tmp_path / "a.tif", wanted)
    indices, colors = random.integers(0, 4, (6, 7), np.uint8), random.integers(0, 65536, (3, 256)).astype(np.uint16)
    geotiff(tmp_path / "a.tif", indices, "3", photometric="palette", colormap=colors)
    wanted = (colors.T >> 8)[indices].astype(np.float32)
    wanted[indices == 3] = np.nan
    same(tmp_path / "a.tif", wanted)


@pytest.mark.parametrize("metadata", [None, {}])
def test_nodata_of_one_page_speaks_for_all(tmp_path, metadata):
    stack = random.integers(0, 4, (5, 6, 7), np.int16)
    tags = [(42113, "s", 0, "3", True)]
    tifffile.imwrite(tmp_path / "a.tif", stack, extratags=tags, photometric="minisblack", metadata=metadata)
    frames = read_frames(tmp_path / "a.tif")
    assert np.array_equal(list(frames), np.where(stack == 3, np.float32(np.nan), stack), equal_nan=True)
    with tifffile.TiffWriter(tmp_path / "c.tif") as writer:
        for time, image in enumerate(stack):
            writer.write(image, extratags=tags if time == 2 else [], photometric="minisblack", metadata=metadata)
    frames = read_frames(tmp_path / "c.tif")
    assert np.array_equal(list(frames), np.where(stack == 3, np.float32(np.nan), stack), equal_nan=True)
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:  # and each for itself, if it has its own
        for time, image in enumerate(stack):
            tags = [(42113, "s", 0, str(time), True)]
            writer.write(image, extratags=tags, photometric="minisblack", metadata=metadata)
    for time, frame in enumerate(read_frames(tmp_path / "b.tif")):
        assert np.array_equal(frame, np.where(stack[time] == time, np.float32(np.nan), stack[time]), equal_nan=True)


@pytest.mark.parametrize("text", ["-9999", "-3.4028234663852886e+38"])
def test_tiles_left_out_are_nodata(tmp_path, text):
    image = random.random((32, 48)).astype(np.float32)
    geotiff(tmp_path / "a.tif", image, text, tile=(16, 16))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        page = file.pages[0]
        for tag, values in ((324, page.dataoffsets), (325, page.databytecounts)):
            page.tags[tag].overwrite([0 if place == 4 else value for place, value in enumerate(values)])
    image[16:, 16:32] = np.nan
    same(tmp_path / "a.tif", image)


def test_the_mask_of_a_page_is_applied(tmp_path):
    image, usable = random.integers(0, 99, (16, 24), np.uint8), random.random((16, 24)) < 0.7
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(image, photometric="minisblack", metadata=None)
        writer.write(usable, photometric="mask", subfiletype=4, metadata=None)
    same(tmp_path / "a.tif", np.where(usable, image, np.float32(np.nan)))
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        writer.write(image, photometric="minisblack", metadata=None)
        writer.write(usable[::2], photometric="mask", subfiletype=4, metadata=None)
    with pytest.warns(VariflowWarning, match="1 masks do not fit its 1 images"):
        assert np.array_equal(read_image(tmp_path / "b.tif"), image)


def test_nodata_of_a_flow_is_unknown(tmp_path):
    flow = random.random((2, 6, 7)).astype(np.float32)
    flow[0, 1, 2] = flow[1, 3, 3] = -9999
    wanted = np.moveaxis(np.where((flow == -9999).any(0), np.float32(np.nan), flow), 0, -1)
    geotiff(tmp_path / "a.tif", flow, "-9999", photometric="minisblack")
    assert np.array_equal(read_flow(tmp_path / "a.tif"), wanted, equal_nan=True)
    geotiff(tmp_path / "a.tif", flow, "-9999", photometric="minisblack", planarconfig="separate")
    assert np.array_equal(read_flow(tmp_path / "a.tif"), wanted, equal_nan=True)
