"""Frames in the variables of NetCDF, HDF5 and Zarr, and in files that are compressed as a whole."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tracemalloc
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.io import netcdf_file

from variflow.io import ImageFileError, netcdf, read_frames, read_image, write_image

random = np.random.default_rng(0)
STACK = random.integers(0, 200, (4, 6, 8)).astype(np.int16)
NOTHING = np.full((1, 3), np.nan, np.float32)
KINDS = [
    ".nc",
    pytest.param(".nc4", marks=pytest.mark.skipif(not find_spec("h5py"), reason="h5py")),
]


def write(path: Path, variables: dict[str, tuple]) -> Path:
    """Write variables, each (axes, values, attributes), as NetCDF of version 3, or 4, which is HDF5."""
    lengths = {axis: n for axes, values, _ in variables.values() for axis, n in zip(axes, values.shape, strict=True)}
    if path.suffix == ".nc":
        with netcdf_file(path, "w") as file:
            for axis, length in lengths.items():
                file.createDimension(axis, None if axis == "time" else length)
            for name, (axes, values, attributes) in variables.items():
                variable = file.createVariable(name, values.dtype, axes)
                variable[:] = values
                for key, value in attributes.items():
                    setattr(variable, key, value)
        return path
    import h5py

    with h5py.File(path, "w") as file:
        for axis, length in lengths.items():
            if axis not in variables:
                file[axis] = np.zeros(length, "f4")
            else:
                file[axis] = variables[axis][1]
            file[axis].make_scale(axis)
        for name, (axes, values, attributes) in variables.items():
            if name not in file:
                file.create_dataset(name, data=values, compression="gzip")
            for place, axis in enumerate(axes):
                if name != axis:
                    file[name].dims[place].attach_scale(file[axis])
            file[name].attrs.update(attributes)
    return path


def frames(source: str | Path, wanted: np.ndarray) -> None:
    """The frames are those wanted; one of them is what `read_image` returns."""
    found = read_frames(source)
    assert len(found) == len(wanted)
    assert [frame.dtype for frame in found] == [wanted.dtype] * len(wanted)
    assert np.array_equal(list(found), wanted, equal_nan=True)
    if len(wanted) == 1:
        assert np.array_equal(read_image(source), wanted[0], equal_nan=True)
    else:
        with pytest.raises(ImageFileError, match="wanted one image"):
            read_image(source)


# ---- the axes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_two_axes_are_an_image_and_three_a_stack(tmp_path, kind):
    path = write(tmp_path / f"a{kind}", {"t2m": (("time", "lat", "lon"), STACK, {})})
    frames(path, STACK)
    frames(f"{path}:t2m", STACK)
    frames(f"{path}:/t2m", STACK)
    path = write(tmp_path / f"b{kind}", {"t2m": (("lat", "lon"), STACK[0], {})})
    frames(path, STACK[:1])
    path = write(tmp_path / f"c{kind}", {"t2m": (("time", "level", "lat", "lon"), STACK[:, None], {})})
    frames(path, STACK)
    path = write(tmp_path / f"d{kind}", {"t2m": (("time", "lat", "lon"), STACK[:1], {})})
    frames(path, STACK[:1])
    path = write(tmp_path / f"e{kind}", {"rgb": (("y", "x", "band"), STACK[..., :3], {})})
    frames(path, STACK[None, ..., :3])
    path = write(tmp_path / f"f{kind}", {"rgb": (("time", "y", "x", "band"), np.stack([STACK] * 3, -1), {})})
    frames(path, np.stack([STACK] * 3, -1))
    path = write(tmp_path / f"g{kind}", {"t": (("time", "level", "lat", "lon"), np.stack([STACK] * 3, 1), {})})
    with pytest.raises(ImageFileError, match=r"has the axes time 4, level 3, lat 6, lon 8, wanted "):
        read_frames(path)


@pytest.mark.parametrize("kind", KINDS)
def test_several_variables_are_listed_and_near_names_are_said(tmp_path, kind):
    path = write(
        tmp_path / f"a{kind}",
        {
            "temperature": (("time", "y", "x"), STACK, {"coordinates": "lat lon"}),
            "wind": (("time", "y", "x"), STACK + 1, {}),
            "lat": (("y", "x"), STACK[0].astype("f4"), {}),
            "lon": (("y", "x"), STACK[0].astype("f4"), {}),
            "time": (("time",), np.arange(4.0), {}),
        },
    )
    for read in (read_image, read_frames):
        with pytest.raises(
            ImageFileError, match=r"holds temperature \(time 4, y 6, x 8\), wind \(.*\); name one, as a"
        ):
            read(path)
        with pytest.raises(ImageFileError, match=r"has no variable temprature; it has temperature$"):
            read(f"{path}:temprature")
        with pytest.raises(ImageFileError, match=r"has no variable zzz; it has temperature, wind$"):
            read(f"{path}:zzz")
    frames(f"{path}:wind", STACK + 1)
    frames(f"{path}:lat", STACK[:1].astype("f4"))
    with pytest.raises(ImageFileError, match=r"variable time has the axes (time )?4"):
        read_frames(f"{path}:time")
    path = write(tmp_path / f"b{kind}", {"wind": (("time",), np.arange(4.0), {})})
    with pytest.raises(ImageFileError, match="holds no variable of numbers with two axes or more"):
        read_frames(path)


@pytest.mark.parametrize("kind", KINDS)
def test_patterns_lists_and_folders_of_one_variable_each(tmp_path, kind):
    for time in (1, 2, 10):
        variables = {name: (("y", "x"), STACK[0] + time + at, {}) for at, name in enumerate(("rain", "hail"))}
        write(tmp_path / f"radar{time}{kind}", variables)
    wanted = np.stack([STACK[0] + time + 1 for time in (1, 2, 10)])
    named = [f"{tmp_path}/radar{time}{kind}:hail" for time in (1, 2, 10)]
    for source in (f"{tmp_path}/radar*{kind}:hail", named, (Path(name) for name in named)):
        assert np.array_equal(list(read_frames(source)), wanted)
    with pytest.raises(ImageFileError, match=r"holds (rain|hail) "):
        read_frames(tmp_path)[0]
    for time in (1, 2, 10):
        write(tmp_path / f"radar{time}{kind}", {"rain": (("y", "x"), STACK[0] + time, {})})
    assert np.array_equal(list(read_frames(tmp_path)), wanted - 1)
    write_image(tmp_path / "a.png", np.zeros((3, 4), np.uint8))
    assert len(read_frames(tmp_path)) == 1  # images come first, as ever


def test_what_is_named_after_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.nc", {"b:c": (("y", "x"), STACK[0], {}), "d": (("y", "x"), STACK[1], {})})
    frames("a.nc:b:c", STACK[:1])
    frames("a.nc:d", STACK[1:2])
    for missing in (r"C:\data\x.nc", "C:/data/x.nc", "x.nc:d", r"C:\data\x.nc:d", "http://example.org/a.nc"):
        for read in (read_image, read_frames):
            with pytest.raises(FileNotFoundError) as caught:
                read(missing)
            assert missing in str(caught.value)
    write_image("a.png", np.zeros((3, 4), np.uint8))
    with pytest.raises(ImageFileError, match="is a PNG, which has no variables, and so no 'd'"):
        read_image("a.png:d")
    if os.name != "nt":
        (tmp_path / "a.nc").rename("a.nc:d")  # a file of that name is that file
        frames("a.nc:d:d", STACK[1:2])
        with pytest.raises(ImageFileError, match="name one"):
            read_image("a.nc:d")


def test_groups_of_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/er/pressure"] = STACK[0].astype("f8")
        file["deep/er/time"] = np.arange(4)
        file["deep/er/name"] = "a text"
    frames(tmp_path / "a.h5", STACK[:1].astype("f8"))
    frames(f"{tmp_path}/a.h5:/deep/er/pressure", STACK[:1].astype("f8"))
    frames(f"{tmp_path}/a.h5:deep", STACK[:1].astype("f8"))
    with pytest.raises(ImageFileError, match="has no variable presure; it has deep/er/pressure"):
        read_image(f"{tmp_path}/a.h5:presure")
    with h5py.File(tmp_path / "b.h5", "w") as file:  # without names, a short last axis is channels, as in .npy
        file["video"] = STACK[..., None].repeat(20, -1)[..., 0].repeat(3, -1)
        file["image"] = STACK
    frames(f"{tmp_path}/b.h5:video", STACK.repeat(3, -1))
    frames(f"{tmp_path}/b.h5:image", STACK[None])


def test_hdf5_that_leads_elsewhere_or_lies(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = STACK[0]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["outside"] = h5py.ExternalLink("other.h5", "a")
    with pytest.raises(ImageFileError, match="holds no variable"):
        read_image(tmp_path / "a.h5")
    with pytest.raises(ImageFileError, match="has no variable outside"):
        read_image(f"{tmp_path}/a.h5:outside")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        layout = h5py.VirtualLayout((6, 8), "i2")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "a", (6, 8))
        file.create_virtual_dataset("a", layout)
    with pytest.raises(ImageFileError, match="its dataset a is stored in other files"):
        read_image(tmp_path / "b.h5")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("a", (100_000, 100_000), "f4", chunks=(100, 100))
    with pytest.raises(ImageFileError, match="too much for"):
        read_image(tmp_path / "c.h5")
    content = (tmp_path / "other.h5").read_bytes()
    (tmp_path / "d.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageFileError, match="cannot be read"):
        read_image(tmp_path / "d.h5")


def test_names_that_are_links_within_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = STACK[0]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/instrument/detector"] = STACK[0]
        file["entry/second"] = file["entry/instrument/detector"]
        file["entry/data"] = h5py.SoftLink("instrument/detector")
        file["short"] = h5py.SoftLink("/entry/instrument")
        file["long"] = h5py.SoftLink("/short/../short/detector")
        file["circle"] = h5py.SoftLink("/circle")
        file["nowhere"] = h5py.SoftLink("/gone")
        file["outside"] = h5py.ExternalLink("other.h5", "a")
        file["around"] = h5py.SoftLink("/outside")
    frames(tmp_path / "a.h5", STACK[:1])
    for name in ("entry/second", "/entry/data", "short/detector", "entry/instrument/detector"):
        frames(f"{tmp_path}/a.h5:{name}", STACK[:1])
    for name in ("circle", "nowhere", "outside", "around", "short", "entry/data/deeper", "long"):
        with pytest.raises(ImageFileError, match=f"has no variable {name}"):
            read_frames(f"{tmp_path}/a.h5:{name}")


def test_records_of_several_variables_that_take_turns(tmp_path):
    rows, other = STACK[0].astype("f4"), STACK[1:, 0, 0].astype("i2")
    path = write(
        tmp_path / "a.nc",
        {
            "rain": (("time", "x"), rows[:3], {}),
            "gauge": (("time",), other, {}),
            "wind": (("time", "y", "x"), STACK[:3].astype("f8"), {}),
            "level": (("one", "y", "x"), STACK[:1], {}),
        },
    )
    frames(f"{path}:rain", rows[None, :3])
    frames(f"{path}:wind", STACK[:3].astype("f8"))
    frames(f"{path}:level", STACK[:1])


def test_a_netcdf_that_is_shortened_while_it_is_read(tmp_path, monkeypatch):
    """A map of it would end the process."""
    path = write(tmp_path / "a.nc", {"rain": (("time", "y", "x"), STACK.repeat(99, 1), {})})
    found = read_frames(path)
    monkeypatch.setattr(netcdf, "refuse_another", lambda *same: os.truncate(path, 4096))
    with pytest.raises(ImageFileError, match="was written to while it was read"):
        found[3]


def test_a_netcdf_that_claims_what_it_has_not(tmp_path):
    path = write(tmp_path / "a.nc", {"rain": (("y", "x"), STACK[0], {"scale_factor": 0.5})})
    content = path.read_bytes()
    place = content.index(b"scale_factor") + 12 + 4
    assert content[place : place + 4] == b"\0\0\0\1"
    path.write_bytes(content[:place] + b"\x20\0\0\1" + content[place + 4 :])
    tracemalloc.start()
    try:
        with pytest.raises(ImageFileError, match="cannot be read"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


def test_netcdf_that_lost_its_end_or_is_of_another_kind(tmp_path):
    path = write(tmp_path / "a.nc", {"t": (("time", "y", "x"), STACK, {})})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageFileError, match="cannot be read"):
        read_frames(path)
    path.write_bytes(b"CDF\5" + content[4:])
    with pytest.raises(ImageFileError, match="of the kind CDF-5"):
        read_frames(path)


# ---- what the numbers mean ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("stored", "attributes", "wanted"),
    [
        (np.int16([[1, -9, 3]]), {"_FillValue": np.int16(-9)}, np.float32([[1, np.nan, 3]])),
        (np.int16([[1, -9, 3]]), {"missing_value": np.int16(-9)}, np.float32([[1, np.nan, 3]])),
        (np.int16([[1, -9, 3]]), {"missing_value": np.float32(-9)}, np.float32([[1, np.nan, 3]])),
        (np.int16([[1, -9, 3]]), {"_FillValue": np.int16(1), "missing_value": np.int16([-9, 3])}, NOTHING),
        (np.int16([[1, -9, 3]]), {"scale_factor": 0.5, "add_offset": 10.0}, np.float32([[10.5, 5.5, 11.5]])),
        (np.int16([[1, -9, 3]]), {"scale_factor": 0.5, "_FillValue": np.int16(3)}, np.float32([[0.5, -4.5, np.nan]])),
        (np.int32([[1, -9, 3]]), {"add_offset": 0.25}, np.float64([[1.25, -8.75, 3.25]])),
        (np.int16([[1, -9, 3]]), {"valid_range": np.int16([0, 2])}, np.float32([[1, np.nan, np.nan]])),
        (np.int16([[1, -9, 3]]), {"valid_min": np.int16(0)}, np.float32([[1, np.nan, 3]])),
        (np.int16([[1, -9, 3]]), {"valid_max": np.int16(2), "scale_factor": 2.0}, np.float32([[2, -18, np.nan]])),
        (np.int16([[1, 9, 3]]), {"valid_max": 5.0, "scale_factor": 0.5}, np.float32([[0.5, 4.5, 1.5]])),
        (np.float32([[1, 1e20, 3]]), {"_FillValue": np.float32(1e20)}, np.float32([[1, np.nan, 3]])),
        (np.float32([[1, 1e20, 3]]), {"missing_value": 1e20}, np.float32([[1, np.nan, 3]])),
        (np.float32([[1, 9.96921e36, 3]]), {}, np.float32([[1, np.nan, 3]])),
        (np.float64([[1, 9.969209968386869e36, 3]]), {}, np.float64([[1, np.nan, 3]])),
        (np.float64([[1, -999, 3]]), {"_FillValue": -999.0, "scale_factor": 2.0}, np.float64([[2, np.nan, 6]])),
        (np.int8([[1, -1, -2]]), {"_Unsigned": "true"}, np.uint8([[1, 255, 254]])),
        (np.int8([[1, -1, -2]]), {"_Unsigned": "true", "_FillValue": np.int8(-1)}, np.float32([[1, np.nan, 254]])),
        (np.int16([[1, -9, 3]]), {}, np.int16([[1, -9, 3]])),
        (np.int16([[1, -9, 3]]), {"_FillValue": np.int16(77)}, np.float32([[1, -9, 3]])),
    ],
)  # fmt: skip
def test_missing_numbers_scale_and_offset(tmp_path, kind, stored, attributes, wanted):
    stored, wanted = stored.repeat(2, 0), wanted.repeat(2, 0)
    path = write(tmp_path / f"a{kind}", {"rain": (("y", "x"), stored, attributes)})
    image = read_image(path)
    assert image.dtype == wanted.dtype
    assert np.array_equal(image, wanted, equal_nan=True)
    stack = np.stack([stored, stored[::-1]])
    path = write(tmp_path / f"b{kind}", {"rain": (("time", "y", "x"), stack, attributes)})
    assert np.array_equal(read_frames(path)[1], wanted[::-1], equal_nan=True)


@pytest.mark.parametrize(("engine", "kind"), [("scipy", "NETCDF3_64BIT"), ("h5netcdf", "NETCDF4")])
def test_as_xarray_reads_them(tmp_path, engine, kind):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip(engine)
    values = random.normal(280, 10, (4, 6, 8)).round(2)
    values[1, 2, 3] = np.nan
    data = xarray.Dataset({"t2m": (("time", "lat", "lon"), values)}, {"time": np.arange(4.0), "lat": np.arange(6.0)})
    encoding = {"t2m": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 273.15, "_FillValue": -32768}}
    data.to_netcdf(tmp_path / "a.nc", engine=engine, format=kind, encoding=encoding)
    with xarray.open_dataset(tmp_path / "a.nc", engine=engine) as read:
        wanted = read["t2m"].values
    found = np.stack(list(read_frames(tmp_path / "a.nc")))
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    assert np.nanmax(np.abs(found - wanted)) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"scale_factor": 0.0}, "its scale is 0, wanted"),
        ({"scale_factor": np.nan}, "its scale_factor is nan, wanted one finite number"),
        ({"scale_factor": np.float64([0.5, 0.25])}, "its scale_factor is "),
        ({"scale_factor": "much"}, "its scale_factor is much"),
        ({"scale_factor": 2.0, "add_offset": np.inf}, "its add_offset is inf"),
    ],
)
def test_numbers_of_which_nobody_knows_what_they_mean(tmp_path, kind, attributes, said):
    path = write(tmp_path / f"a{kind}", {"rain": (("y", "x"), STACK[0], attributes)})
    with pytest.raises(ImageFileError, match=f"frame 0 of rain cannot be read: .*{said}"):
        read_image(path)


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_as_xarray_writes_it(tmp_path, version):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("zarr")
    values = random.normal(280, 10, (4, 6, 8)).round(2)
    values[1, 2, 3] = np.nan
    data = xarray.Dataset({"t2m": (("time", "lat", "lon"), values), "rain": (("time", "lat", "lon"), values.round())})
    encoding = {
        "t2m": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 273.15, "_FillValue": -32768},
        "rain": {"dtype": "float32", "_FillValue": -999.0},
    }
    data.to_zarr(tmp_path / "a.zarr", zarr_format=version, consolidated=False, encoding=encoding)
    found = np.stack(list(read_frames(f"{tmp_path}/a.zarr:t2m")))
    assert np.allclose(found, values, atol=0.006, equal_nan=True)
    assert np.array_equal(list(read_frames(tmp_path / "a.zarr" / "rain")), values.round().astype("f4"), equal_nan=True)
    with pytest.raises(ImageFileError, match="rain, t2m"):
        read_frames(tmp_path / "a.zarr")


# ---- weather radar --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("above", [False, True])
def test_radar_in_the_layout_of_odim(tmp_path, above):
    h5py = pytest.importorskip("h5py")
    codes = np.uint8([[0, 1, 100], [254, 255, 10]])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("dataset1/data1/data", data=codes, compression="gzip")
        place = "dataset1/what" if above else "dataset1/data1/what"
        file.require_group("dataset1/data1/what").attrs["quantity"] = "DBZH"
        file.require_group(place).attrs.update({"gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": 0.0})
    wanted = np.float32([[[-32, -31.5, 18], [95, np.nan, -27]]])
    frames(tmp_path / "a.h5", wanted)
    frames(f"{tmp_path}/a.h5:/dataset1/data1/data", wanted)
    frames(f"{tmp_path}/a.h5:/dataset1", wanted)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.create_dataset("dataset1/quality1/data", data=codes)
    with pytest.raises(ImageFileError, match=r"dataset1/data1/data \(2, 3\), dataset1/quality1/data"):
        read_image(tmp_path / "a.h5")
    frames(f"{tmp_path}/a.h5:/dataset1/quality1/data", (wanted if above else codes[None]))


@pytest.mark.parametrize(
    ("kind", "undetect", "lowest"),
    [("u1", 254, -32.0), ("u2", 65534, -32.0), ("f4", -8888000, -27.0), ("i2", -9, -27.0)],
)
def test_what_a_radar_did_not_detect_is_the_lowest_value(tmp_path, kind, undetect, lowest):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dataset1/data1/data"] = np.array([[undetect, 10], [100, undetect]], kind)
        what = {"gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": float(undetect)}
        file.require_group("dataset1/data1/what").attrs.update(what)
    frames(tmp_path / "a.h5", np.float32([[[lowest, -27], [18, lowest]]]))


# ---- compressed as a whole ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("extension", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_packed_files_of_every_kind(tmp_path, extension, pack):
    image = random.integers(0, 255, (6, 7, 3), np.uint8)
    for name in ("a.png", "a.tif", "a.jpg"):
        write_image(tmp_path / name, image)
        wanted = read_image(tmp_path / name)
        packed = tmp_path / f"{name}.{extension}"
        packed.write_bytes(pack((tmp_path / name).read_bytes()))
        frames(packed, wanted[None])
    np.save(tmp_path / "a.npy", STACK[..., None].astype(np.int16))
    (tmp_path / f"a.npy.{extension}").write_bytes(pack((tmp_path / "a.npy").read_bytes()))
    frames(tmp_path / f"a.npy.{extension}", STACK)
    two = {name: (("time", "y", "x"), STACK, {}) for name in ("rain", "hail")}
    path = write(tmp_path / "a.nc", two)
    packed = tmp_path / f"a.nc.{extension}"
    packed.write_bytes(pack(path.read_bytes()))
    frames(f"{packed}:hail", STACK)
    with pytest.raises(ImageFileError, match="holds rain") as caught:
        read_frames(packed)
    assert str(caught.value).startswith(f"{packed}: ")


def test_folders_of_packed_files(tmp_path):
    for time in (1, 2, 10):
        write_image(tmp_path / "x.png", np.full((3, 4), time, np.uint8))
        (tmp_path / f"a{time}.png.gz").write_bytes(gzip.compress((tmp_path / "x.png").read_bytes()))
    (tmp_path / "x.png").unlink()
    assert [frame.max() for frame in read_frames(tmp_path)] == [1, 2, 10]


def test_packed_files_that_are_damaged_or_hostile(tmp_path, monkeypatch):
    from variflow.io import packed

    path = tmp_path / "a.png.gz"
    path.write_bytes(gzip.compress(b"no image at all"))
    with pytest.raises(ImageFileError, match="is a text file, no image") as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    path.write_bytes(gzip.compress(random.bytes(1000))[:500])
    with pytest.raises(ImageFileError, match="cannot be unpacked"):
        read_image(path)
    path.write_bytes(gzip.compress(gzip.compress(b"once more")))
    with pytest.raises(ImageFileError, match="packed twice"):
        read_image(path)
    monkeypatch.setattr(packed, "_HARMLESS", 1000)
    path.write_bytes(gzip.compress(bytes(10_000_000)))
    with pytest.raises(ImageFileError, match=r"unpacks to more than .* times its size"):
        read_image(path)


def test_nothing_stays_of_what_was_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "unpacked"))
    (tmp_path / "unpacked").mkdir()
    np.save(tmp_path / "a.npy", STACK[..., None])
    (tmp_path / "a.npy.gz").write_bytes(gzip.compress((tmp_path / "a.npy").read_bytes()))
    opened = read_frames(tmp_path / "a.npy.gz")
    assert np.array_equal(opened[2:][0], STACK[2])
    assert len(list((tmp_path / "unpacked").iterdir())) == 1
    del opened
    assert not list((tmp_path / "unpacked").iterdir())


# ---- what is no image -----------------------------------------------------------------------------------------------


def test_what_is_no_image_says_what_it_is_and_what_reads_it(tmp_path):
    from variflow import write_flow

    flow = np.ones((6, 7, 2), np.float32)
    for extension in ("flo", "npz"):
        write_flow(tmp_path / f"a.{extension}", flow)
        for read in (read_image, read_frames):
            with pytest.raises(
                ImageFileError, match=r"`variflow show` paints a flow, and variflow\.read_flow reads it"
            ):
                read(tmp_path / f"a.{extension}")
    if pytest.importorskip("h5py"):
        write_flow(tmp_path / "a.flo5", flow)
        with pytest.raises(ImageFileError, match=r"holds a flow, .* variflow\.read_flow reads"):
            read_image(tmp_path / "a.flo5")
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    with pytest.raises(ImageFileError, match=r"is a video \(MP4.*\), no single image; variflow\.read_frames"):
        read_image(tmp_path / "a.mp4")
    (tmp_path / "a.png").write_text("u, v\n1, 2\n")
    for read in (read_image, read_frames):
        with pytest.raises(ImageFileError, match="is a text file, no image that can be read"):
            read(tmp_path / "a.png")
