"""The flows of many pairs as one field along time: in Python, in a NetCDF file, and on the command line."""

import numpy as np
import pytest
from typer.testing import CliRunner

import variflow
from variflow import cli, flowops, video
from variflow.base.errors import VariflowWarning
from variflow.datasets import synthetic
from variflow.io import read_fields, write_fields

xarray = pytest.importorskip("xarray", reason="fields need xarray")
pytest.importorskip("h5netcdf", reason="fields need h5netcdf")

SCENE = [synthetic.translation((48, 64), shift=(1.5 * time, 0)).frame1 for time in range(4)]
UNITS = {"pixel_size": 25e-6, "dt": 2e-4, "axes": "up", "grid": 16, "fields": ("vorticity",), "validate": True}


@pytest.fixture
def shot(tmp_path, monkeypatch):
    """A folder of double frames, the second pair of which is damaged."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shot").mkdir()
    for number, frame in enumerate([*SCENE, *SCENE[:2]]):
        variflow.write_image(f"shot/frame{number}.png", frame[:40] if number == 3 else frame)
    return tmp_path


def test_each_field_is_that_of_its_pair():
    found = video.to_xarray(video.flows(SCENE, "fast"), interval=0.5, **UNITS)
    assert found.time.values.tolist() == [0, 0.5, 1]
    assert found.time.units == "s"
    for place, pair in enumerate(video.flows(SCENE, "fast")):
        wanted = pair.result.to_xarray(**UNITS)
        field = found.isel(time=place, drop=True)
        xarray.testing.assert_equal(field, wanted)
        assert field.attrs == wanted.attrs
        assert {name: list(field[name].attrs) for name in field} == {name: list(wanted[name].attrs) for name in wanted}
        np.testing.assert_array_equal(flowops.from_xarray(field), flowops.from_xarray(wanted))


RATES = {"pixel_size": 25e-6, "dt": 2e-4, "fields": ("speed", "vorticity", "divergence", "strain")}


@pytest.mark.parametrize(
    ("chosen", "seconds", "title"),
    [
        ({"step": 2}, [4e-4], "Flow from one frame to that 2 frames later"),
        ({"reference": 0}, [2e-4, 4e-4, 6e-4], "Flow from frame 0 to each other frame"),
        ({"reference": 2}, [-4e-4, -2e-4, 2e-4], "Flow from frame 2 to each other frame"),
        ({"pairs": True}, [2e-4, 2e-4], "Flow from one frame to the next"),
    ],
)
def test_a_flow_is_divided_by_the_time_between_its_two_frames(chosen, seconds, title):
    found = video.to_xarray(video.flows(SCENE, "fast", **chosen), **RATES)
    assert found.title == title
    for place, pair in enumerate(video.flows(SCENE, "fast", **chosen)):
        wanted = pair.result.to_xarray(**RATES | {"dt": abs(seconds[place])})
        field = found.isel(time=place)
        for name in ("u", "v", "vorticity", "divergence", "strain_xx", "strain_yy", "strain_xy"):
            np.testing.assert_allclose(field[name], np.sign(seconds[place]) * wanted[name], rtol=1e-6)
        np.testing.assert_allclose(field.speed, wanted.speed, rtol=1e-6)
        np.testing.assert_array_equal(field.confidence, wanted.confidence)
        assert np.median(field.u) == pytest.approx(1.5 * 25e-6 / 2e-4, rel=0.02)
        np.testing.assert_allclose(flowops.from_xarray(field), pair.flow, rtol=1e-5)


def test_flows_from_a_reference_say_the_time_of_each(tmp_path):
    write_fields(tmp_path / "a.nc", video.to_xarray(video.flows(SCENE, "fast", reference=2), **UNITS))
    found = read_fields(tmp_path / "a.nc")
    assert "dt" not in found.attrs
    np.testing.assert_allclose(found["dt"], [-4e-4, -2e-4, 2e-4])
    assert found["dt"].units == "s"
    assert found.u.long_name.endswith("mean over the time between both frames")
    write_fields(tmp_path / "a.csv", found.isel(time=0))
    assert read_fields(tmp_path / "a.csv").attrs["dt"] == pytest.approx(-4e-4)
    still = video.to_xarray(video.flows(SCENE, "fast", reference=2), grid=16)
    assert (still.u.units, "dt" in still.coords) == ("pixel", False)
    assert np.median(still.u, axis=(1, 2)).round(1).tolist() == [-3, -1.5, 1.5]


def test_names_of_fields_may_come_from_an_iterator():
    found = video.to_xarray(video.flows(SCENE, "realtime"), grid=16, fields=iter(["vorticity"]))
    assert found.vorticity.dims == ("time", "y", "x")


def test_a_pair_without_a_flow_is_named_and_missing(shot):
    with pytest.warns(VariflowWarning, match="no flow of the frames 2 and 3: frame 3 has shape"):
        found = video.to_xarray(video.flows("shot", "fast", pairs=True), **UNITS)
    assert found.time.values.tolist() == [0, 2, 4]  # numbers of frames: nothing says when they were taken
    assert "units" not in found.time.attrs
    missing, others = found.isel(time=1), found.isel(time=[0, 2])
    for name in ("u", "v", "vorticity", "confidence"):
        assert np.isnan(missing[name]).all()
        assert np.isfinite(others[name]).all()
    assert (missing["mask"] == 1).all()
    assert (missing["count"] == 0).all()
    assert not missing.occlusion.any()
    assert (others["count"] == 256).all()


def test_the_times_of_a_film_are_those_of_the_fields(tmp_path):
    pytest.importorskip("av")
    variflow.write_frames(tmp_path / "film.mkv", SCENE, fps=10)
    found = video.to_xarray(video.flows(tmp_path / "film.mkv", "realtime"), grid=16)
    np.testing.assert_allclose(found.time, [0, 0.1, 0.2], atol=1e-3)
    assert found.time.units == "s"


def test_a_field_in_time_comes_back_from_netcdf_alone(tmp_path):
    field = video.to_xarray(video.flows(SCENE, "realtime"), interval=0.1, **UNITS)
    write_fields(tmp_path / "a.nc", field.transpose("x", "y", "time"))
    found = read_fields(tmp_path / "a.nc")
    xarray.testing.assert_equal(found, field)
    assert found.u.dims == ("time", "y", "x")
    assert found.time.attrs == field.time.attrs
    hint = r"along \('time', 'y', 'x'\), wanted real numbers along \('y', 'x'\); one field of several is dataset.isel"
    with pytest.raises(ValueError, match=hint):
        write_fields(tmp_path / "a.csv", field)
    with pytest.raises(ValueError, match=hint):
        flowops.from_xarray(field)
    with pytest.raises(ValueError, match=r"vorticity of float32 along \('y', 'x'\), wanted .* \('time', 'y', 'x'\)$"):
        write_fields(tmp_path / "a.nc", field.assign(vorticity=field.vorticity.isel(time=0, drop=True)))


def test_what_cannot_be_is_refused_before_anything_is_estimated():
    def never():
        raise AssertionError("a flow was asked for")
        yield

    with pytest.raises(ValueError, match="interval is 0, wanted a finite number of seconds above 0"):
        video.to_xarray(never(), interval=0)
    with pytest.raises(ValueError, match="fields has 'vortices'"):
        video.to_xarray(never(), fields="vortices")
    with pytest.raises(ValueError, match="flows holds no flow"):
        video.to_xarray(())


def run(*arguments):
    return CliRunner().invoke(cli.app, ["video", "shot", "-m", "fast", *map(str, arguments)])


def test_one_command_writes_the_fields_of_all_pairs(shot):
    done = run(
        "--pairs", "-o", "out.nc", "--pixel-size", "25um", "--dt", "2e-4", "--interval", "0.1", "--axes", "up",
        "--grid", "16", "--fields", "vorticity", "--validate",
    )  # fmt: skip
    assert done.exit_code == 1  # one pair is damaged
    assert done.stdout == "wrote 2 flows to out.nc\n"
    assert done.stderr.count("no flow of the frames 2 and 3: frame 3 has shape") == 1
    with pytest.warns(VariflowWarning, match="no flow of the frames 2 and 3"):
        wanted = video.to_xarray(
            video.flows("shot", "fast", pairs=True), **UNITS | {"pixel_size": (25, "um")}, interval=0.1
        )
    xarray.testing.assert_equal(read_fields("out.nc"), wanted)


@pytest.mark.parametrize("axes", ["down", "up"])
def test_a_region_and_another_size_stay_where_they_are_in_the_frame(shot, axes):
    """The pixel size is that of the frames in the file."""
    units = ("--pixel-size", "2mm", "--dt", "0.5", "--axes", axes, "--end", "3")
    assert run("-o", "whole.nc", *units).exit_code == 0
    assert run("-o", "part.nc", *units, "--region", "8,16,32,40", "--resize", "20x16").exit_code == 0
    whole, part = read_fields("whole.nc"), read_fields("part.nc")
    assert {name: list(part.attrs[name]) for name in ("region", "resize")} == {
        "region": [8, 16, 32, 40],
        "resize": [20, 16],
    }
    assert part.attrs["pixel_size"] == 4
    np.testing.assert_allclose(part.x, (whole.x[16:56:2].values + whole.x[17:56:2].values) / 2)
    np.testing.assert_allclose(part.y, (whole.y[8:40:2].values + whole.y[9:40:2].values) / 2)
    assert np.median(part.u) == pytest.approx(1.5 * 2 / 0.5, rel=0.05)
    assert run("-o", "plain.nc", "--region", "8,16,32,40", "--resize", "40x16", "--end", "3").exit_code == 0
    plain = read_fields("plain.nc")
    np.testing.assert_allclose(plain.x, np.arange(16, 56))
    np.testing.assert_allclose(2 * plain.y, np.arange(8, 40, 2) + 0.5)
    assert "region" not in whole.attrs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["-o", "out.nc", "--pixel-size", "1mm", "--resize", "32x48"],
            "--resize is 32x48 of 64 x 48 pixels, wanted the same share of both",
        ),
        (
            ["-o", "out.zarr", "--grid", "16"],
            "--grid is given, and --output is out.zarr, wanted one that ends with .nc",
        ),
        (["-o", "flows", "--validate"], "--validate is given, and --output is flows, wanted one that ends with .nc"),
        (["-o", "flows", "--interval", "1"], "--interval is given, and --output is flows"),
        (["-o", "out.nc", "--interval", "0"], "--interval is 0.0, wanted a finite number of seconds above 0"),
        (["-o", "out.nc", "--grid", "160"], "--grid is 160, wanted a whole number of pixels from 1 to 48"),
    ],
)
def test_options_that_cannot_be_are_refused(shot, options, message):
    done = run(*options)
    assert done.exit_code == 1
    assert message in done.stderr
    assert [path.name for path in shot.iterdir()] == ["shot"]


def test_a_pair_of_another_size_is_named_and_its_neighbours_are_done(tmp_path):
    scene = [*SCENE[:2], *(frame[:40] for frame in SCENE[:2]), *SCENE[2:]]
    with pytest.warns(VariflowWarning, match="frames 2 and 3: it is 64 x 40 pixels, and the first flow 64 x 48"):
        found = video.to_xarray(video.flows(scene, "fast", pairs=True), grid=16)
    assert np.isnan(found.u.values).all(axis=(1, 2)).tolist() == [False, True, False]
    (other,) = video.write(tmp_path / "flows.zarr", video.flows(scene, "fast", pairs=True))
    assert (other.first.number, other.flow, "64 x 40" in other.fault) == (2, None, True)
    array = pytest.importorskip("zarr").open_array(tmp_path / "flows.zarr")
    assert np.isnan(array[:]).all(axis=(1, 2, 3)).tolist() == [False, True, False]
    assert [bool(fault) for fault in array.attrs["faults"]] == [False, True, False]


def test_a_square_is_masked_only_where_no_pixel_is_known():
    flow = np.ones((32, 48, 2), np.float32)
    flow[:16, 16:28] = np.nan  # most of a square
    flow[16:, 32:] = np.nan  # all of one
    flags = np.where(np.isnan(flow[..., 0]), 1, 0).astype(np.int8)
    for given in (flags, None):
        data = flowops.to_xarray(flow, flags=given, grid=16)
        np.testing.assert_array_equal(data.mask, [[0, 0, 0], [0, 0, 1]])
        np.testing.assert_array_equal(np.isnan(data.u), data.mask == 1)
