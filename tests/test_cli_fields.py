"""``variflow estimate -o out.nc``: units, squares and fields on the command line, and one line when one is wrong."""

import numpy as np
import pytest
from typer.testing import CliRunner

import variflow
from variflow import cli
from variflow.datasets import synthetic

xarray = pytest.importorskip("xarray")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = synthetic.translation((40, 50), shift=(1.0, 0.0), seed=1)
    variflow.write_image("a.png", pair.frame0)
    variflow.write_image("b.png", pair.frame1)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, ["estimate", "a.png", "b.png", "-m", "lucas-kanade", *map(str, arguments)])


def load(path):
    return xarray.load_dataset(path, engine="h5netcdf")


def test_units_squares_and_fields(folder):
    done = run(
        "-o", "out.nc", "--pixel-size", "25e-6", "--dt", "2e-4", "--grid", "16", "--fields", "vorticity,speed",
        "--fields", "divergence", "--axes", "up",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.output.strip() == "wrote out.nc"
    frames = variflow.read_image("a.png"), variflow.read_image("b.png")
    wanted = variflow.estimate(*frames, "lucas-kanade").to_xarray(
        pixel_size=25e-6, dt=2e-4, grid=16, fields=["vorticity", "speed", "divergence"], axes="up"
    )
    data = load("out.nc")
    xarray.testing.assert_equal(data, wanted)
    assert data.u.units == "m s-1"
    assert data.vorticity.units == "s-1"
    assert data.attrs == wanted.attrs


@pytest.mark.parametrize(
    ("text", "size", "unit"),
    [("25e-6", 25e-6, "m"), ("0.65um", 0.65, "um"), ("0.65 µm", 0.65, "um"), (".5mm", 0.5, "mm"), ("1E3 m", 1e3, "m")],
)
def test_the_size_of_a_pixel_may_have_a_unit(folder, text, size, unit):
    assert run("-o", "out.nc", "--pixel-size", text).exit_code == 0
    assert (load("out.nc").pixel_size, load("out.nc").pixel_size_unit) == (size, unit)


def test_without_options_a_nc_file_is_in_pixels(folder):
    assert run("-o", "out.nc").exit_code == 0
    assert load("out.nc").u.units == "pixel"
    assert load("out.nc").u.shape == (40, 50)


def test_masked_pixels_are_missing(folder):
    mask = np.full((40, 50), 255, np.uint8)
    mask[:10] = 0
    variflow.write_image("mask.png", mask)
    assert run("-o", "out.nc", "--mask", "mask.png", "--grid", "10", "--show", "out.png").exit_code == 0
    assert load("out.nc").mask.values.tolist() == [[1] * 5, *[[0] * 5] * 3]
    assert (folder / "out.png").exists()


def test_wrong_vectors_are_flagged_on_request(folder):
    noise = np.random.default_rng(0).integers(0, 255, (12, 12, 3), np.uint8)  # which the second frame does not show
    frame = variflow.read_image("a.png").copy()
    frame[14:26, 20:32] = noise
    variflow.write_image("a.png", frame)
    assert run("-o", "as_it_is.csv").exit_code == 0
    assert run("-o", "valid.csv", "--validate").exit_code == 0
    as_it_is, valid = (variflow.io.read_fields(name)["mask"].values for name in ("as_it_is.csv", "valid.csv"))
    assert not as_it_is.any()
    frames = variflow.read_image("a.png"), variflow.read_image("b.png")
    _, flags = variflow.flowops.validate(variflow.estimate(*frames, "lucas-kanade").flow, *frames)
    np.testing.assert_array_equal(valid, flags)
    assert (valid[16:24, 22:30] == 2).mean() > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fields", "speed,vortcity"], "--fields has 'vortcity', wanted some of 'speed', 'vorticity', 'divergence', "
         "'strain'; did you mean 'vorticity'?"),
        (["--pixel-size", "wide"], "--pixel-size is 'wide', wanted a number of metres such as 25e-6, or one"),
        (["--pixel-size", "3inch"], "--pixel-size unit is 'inch', wanted one of 'm', 'km'"),
        (["--pixel-size", "0"], "--pixel-size is 0.0, wanted a finite number of metres"),
        (["--dt", "-1"], "--dt is -1.0, wanted a finite number of seconds above 0"),
        (["--grid", "41"], "--grid is 41, wanted a whole number of pixels from 1 to 40"),
        (["--axes", "left"], "--axes is 'left', wanted one of 'down', 'up'"),
        (["--validate", "--tile", "64"], "--tile is given, and in tiles there is no --validate"),
        (["--grid", "8", "--tile", "64"], "--tile is given, and in tiles there is no --grid"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_leaves_nothing(folder, arguments, message):
    done = run("-o", "out.nc", *arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert not (folder / "out.nc").exists()


def test_a_file_of_a_flow_has_no_units(folder):
    done = run("-o", "out.flo", "--pixel-size", "25e-6")
    assert done.exit_code == 1
    assert "out.flo: " in done.output
    assert ".nc" in done.output
    assert not (folder / "out.flo").exists()


@pytest.mark.parametrize(
    ("command", "option"),
    [(["estimate", "a.png", "b.png"], "--dt"), (["video", "shot"], "--dt"), (["video", "shot"], "--interval")],
)
def test_an_interval_that_is_no_number_is_shown(command, option):
    done = CliRunner().invoke(cli.app, [*command, "-o", "f.nc", option, "0.1s"])
    assert done.exit_code == 2
    assert f"'{option}': '0.1s', wanted a number" in " ".join(done.output.replace("│", "").split())
