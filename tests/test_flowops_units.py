"""A flow as a data set: positions, units and signs by hand, squares, gaps, what is missing, and files read back."""

import sys

import numpy as np
import pytest

import variflow
from variflow import flowops, io
from variflow.datasets import synthetic

xarray = pytest.importorskip("xarray")

SHAPE = (32, 48)
Y, X = np.indices(SHAPE)
# Turns clockwise as seen, stretches along x and y, and shears: du/dx 0.04, du/dy -0.1, dv/dx 0.3, dv/dy 0.02.
AFFINE = np.stack([0.04 * X - 0.1 * Y + 2, 0.3 * X + 0.02 * Y - 1], axis=2)
ALL = ("speed", "vorticity", "divergence", "strain")


def test_in_pixels_nothing_changes():
    data = flowops.to_xarray(AFFINE)
    assert list(data.data_vars) == ["u", "v", "mask"]
    np.testing.assert_array_equal(np.stack([data.u, data.v], axis=2), AFFINE.astype(np.float32))
    np.testing.assert_array_equal(data.x, np.arange(48.0))
    np.testing.assert_array_equal(data.y, np.arange(32.0))
    assert data.u.dims == data.mask.dims == ("y", "x")
    assert (data.u.dtype, data.x.dtype, data.mask.dtype) == (np.float32, np.float64, np.int8)
    assert data.u.units == data.v.units == data.x.units == data.y.units == "pixel"
    assert data.attrs == {
        "Conventions": "CF-1.11",
        "title": "Flow from one frame to the next",
        "source": f"variflow {variflow.__version__}",
        "y_axis": "down",
    }


def test_velocities_and_rates_in_units_by_hand():
    data = flowops.to_xarray(AFFINE, pixel_size=(25, "um"), dt=2e-4, fields=ALL)
    per_frame, per_second = 25 / 2e-4, 1 / 2e-4
    np.testing.assert_allclose(data.u, AFFINE[..., 0] * per_frame, rtol=1e-6)
    np.testing.assert_allclose(data.v, AFFINE[..., 1] * per_frame, rtol=1e-6)
    np.testing.assert_allclose(data.speed, np.hypot(AFFINE[..., 0], AFFINE[..., 1]) * per_frame, rtol=1e-5)
    for name, wanted in {
        "vorticity": 0.4, "divergence": 0.06, "strain_xx": 0.04, "strain_yy": 0.02, "strain_xy": 0.1,
    }.items():  # fmt: skip
        np.testing.assert_allclose(data[name], wanted * per_second, rtol=1e-4, err_msg=name)
        assert data[name].units == "s-1"
        assert data[name].dtype == np.float32
    assert data.u.units == data.v.units == data.speed.units == "um s-1"
    assert data.x.units == data.y.units == "um"
    np.testing.assert_allclose(data.x, np.arange(48) * 25)
    assert {name: data.attrs[name] for name in ("pixel_size", "pixel_size_unit", "dt", "dt_unit")} == {
        "pixel_size": 25.0, "pixel_size_unit": "um", "dt": 2e-4, "dt_unit": "s",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "unit", "rate", "motion"),
    [
        ({}, "pixel", "1", "displacement"),
        ({"dt": 0.5}, "pixel s-1", "s-1", "velocity"),
        ({"pixel_size": 25e-6}, "m", "1", "displacement"),
        ({"pixel_size": (1, "km"), "dt": 300}, "km s-1", "s-1", "velocity"),
        ({"pixel_size": (0.65, "µm")}, "um", "1", "displacement"),
        ({"pixel_size": (0.65, "μm")}, "um", "1", "displacement"),
    ],
)
def test_units_follow_what_is_known(given, unit, rate, motion):
    data = flowops.to_xarray(AFFINE, fields="divergence", **given)
    assert (data.u.units, data.divergence.units) == (unit, rate)
    assert data.u.long_name == f"{motion} along x, to the right"
    assert ("dt" in data.attrs, "pixel_size" in data.attrs) == ("dt" in given, "pixel_size" in given)


def test_with_y_up_what_holds_in_the_picture_holds_in_the_new_axes():
    down, up = (flowops.to_xarray(AFFINE, pixel_size=2.0, fields=ALL, axes=axes) for axes in ("down", "up"))
    assert (down.y_axis, up.y_axis) == ("down", "up")
    for name in ("v", "vorticity", "strain_xy"):
        np.testing.assert_array_equal(up[name], -down[name])
    for name in ("u", "speed", "divergence", "strain_xx", "strain_yy"):
        np.testing.assert_array_equal(up[name], down[name])
    # The derivatives along the coordinates of the data set say the same.
    for data in (down, up):
        rotation = data.v.differentiate("x") - data.u.differentiate("y")
        np.testing.assert_allclose(rotation, data.vorticity, atol=1e-5)
        shear = (data.v.differentiate("x") + data.u.differentiate("y")) / 2
        np.testing.assert_allclose(shear, data.strain_xy, atol=1e-5)
    # The row below has the smallest y, which is 0.
    assert (float(up.y[0]), float(up.y[-1])) == (62.0, 0.0)
    assert "upwards" in up.y.long_name
    assert "upwards" in up.v.long_name
    assert "counter-clockwise" in up.vorticity.long_name
    assert "turns clockwise" in down.vorticity.long_name


def test_the_origin_is_the_centre_of_the_first_pixel():
    down, up = (
        flowops.to_xarray(AFFINE, pixel_size=0.5, origin=(10, 20), axes=axes, grid=grid)
        for axes, grid in (("down", None), ("up", 4))
    )
    assert (float(down.x[0]), float(down.y[0]), float(down.y[1])) == (10.0, 20.0, 20.5)
    # The first square of four pixels has its centre 1.5 pixels further, each of 0.5.
    assert (float(up.x[0]), float(up.y[0]), float(up.y[1])) == (10.75, 19.25, 17.25)


def test_squares_of_an_affine_flow_have_the_flow_at_their_centres():
    data = flowops.to_xarray(AFFINE, grid=5, fields=ALL)
    assert dict(data.sizes) == {"y": 6, "x": 9}
    np.testing.assert_allclose(data.x, 2 + 5 * np.arange(9))
    at = 0.04 * data.x - 0.1 * data.y + 2
    np.testing.assert_allclose(data.u, at.transpose("y", "x"), atol=1e-5)
    np.testing.assert_allclose(data.vorticity, 0.4, atol=1e-5)
    np.testing.assert_allclose(data.speed, np.hypot(data.u, data.v), rtol=1e-6)
    assert (data["count"] == 25).all()
    assert data["count"].dtype == np.int32
    assert data.u.cell_methods == "y: x: mean"
    assert flowops.to_xarray(AFFINE, grid=5, statistic="median").u.cell_methods == "y: x: median"


def test_where_masked_all_is_missing_and_nothing_else():
    mask = np.ones(SHAPE, bool)
    mask[:8, :8] = False
    mask[20, 30] = False
    flow = AFFINE.copy()
    flow[~mask] = 1e6
    flow[16, 16] = np.nan, 3.0
    confidence, occlusion = np.full(SHAPE, 0.5), np.zeros(SHAPE, bool)
    occlusion[:16, :16] = True
    data = flowops.to_xarray(flow, mask=mask, confidence=confidence, occlusion=occlusion, fields=ALL)
    missing = ~mask
    missing[16, 16] = True
    for name in ("u", "v", "confidence", *("speed", "vorticity", "divergence", "strain_xx", "strain_xy")):
        np.testing.assert_array_equal(np.isnan(data[name]), missing, err_msg=name)
    np.testing.assert_allclose(data.vorticity.values[~missing], 0.4, atol=1e-5)  # no derivative looked at 1e6
    np.testing.assert_array_equal(data.mask, missing)
    np.testing.assert_array_equal(data.occlusion, occlusion & ~missing)

    coarse = flowops.to_xarray(flow, mask=mask, confidence=confidence, occlusion=occlusion, grid=8)
    assert coarse["count"].values[0, 0] == 0
    assert coarse["count"].values[2, 3] == coarse["count"].values[2, 2] == 63
    assert coarse["count"].values.sum() == (~missing).sum()
    np.testing.assert_array_equal(np.isnan(coarse.u), coarse["count"] == 0)
    np.testing.assert_array_equal(np.isnan(coarse.confidence), coarse["count"] == 0)
    np.testing.assert_array_equal(coarse.mask, coarse["count"] == 0)
    np.testing.assert_array_equal(coarse.occlusion[:3, :3], [[0, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_a_square_is_hidden_where_half_of_its_pixels_are():
    occlusion = np.zeros(SHAPE, bool)
    occlusion[:2, :4] = True  # half of the first square of four
    occlusion[0, 4:8] = True  # a quarter of the second
    data = flowops.to_xarray(AFFINE, occlusion=occlusion, grid=4)
    assert data.occlusion.values[0, :3].tolist() == [1, 0, 0]
    assert data.occlusion.dtype == np.int8


def test_flags_say_what_they_mean():
    data = flowops.to_xarray(AFFINE, confidence=np.ones(SHAPE), occlusion=np.zeros(SHAPE, bool), grid=4, model="brox")
    assert data.mask.flag_meanings.split() == ["measured", "masked", "replaced", "rejected"]
    assert data.mask.flag_values.tolist() == [0, 1, 2, 3]
    assert data.mask.flag_values.dtype == data.mask.dtype
    assert data.u.ancillary_variables.split() == ["confidence", "mask", "count"]
    assert data.attrs["source"].endswith(", model brox")
    for name, variable in {**data.data_vars, **data.coords}.items():
        assert variable.long_name, name
        assert "units" in variable.attrs or "flag_meanings" in variable.attrs, name
    assert (data.x.axis, data.y.axis) == ("X", "Y")


def test_flags_of_a_validation_come_along():
    flags = np.zeros(SHAPE, np.int8)
    flags[0, 0], flags[0, 1], flags[0, 2] = 1, 2, 3
    flow = AFFINE.copy()
    flow[0, [0, 2, 3]] = np.nan
    assert flowops.to_xarray(flow, flags=flags).mask[0, :5].values.tolist() == [1, 2, 3, 1, 0]
    flags[:4, :4], flags[:3, 4:8] = 2, 3
    squares = flowops.to_xarray(AFFINE, flags=flags, grid=4).mask
    assert squares[0, :3].values.tolist() == [2, 3, 0]
    assert not squares[1:].any()


def test_wrong_arguments_are_named():
    for arguments, message in (
        ({"pixel_size": 0}, "pixel_size is 0, wanted a finite number of metres, or a pair such as"),
        ({"pixel_size": "25um"}, "pixel_size is '25um', wanted a finite number of metres"),
        ({"pixel_size": (np.inf, "m")}, "pixel_size is inf, wanted"),
        ({"pixel_size": (1, "inch")}, "pixel_size unit is 'inch', wanted one of 'm', 'km', 'cm', 'mm', 'um', 'nm'"),
        ({"dt": -1}, "dt is -1, wanted a finite number of seconds above 0"),
        ({"axes": "left"}, "axes is 'left', wanted one of 'down', 'up'"),
        ({"origin": 3}, r"origin is 3, wanted a pair \(x, y\) of numbers"),
        ({"origin": (0, np.nan)}, "y of origin is nan, wanted a finite number"),
        ({"fields": "vortex"}, "fields has 'vortex', wanted some of 'speed', .*'strain'$"),
        ({"fields": ["speed", "Divergance"]}, ".*did you mean 'divergence'"),
        ({"fields": [3]}, "fields has 3, wanted some of"),
        ({"grid": 33}, "grid is 33, wanted a whole number of pixels from 1 to 32"),
        ({"statistic": "mode"}, "statistic is 'mode', wanted one of"),
        ({"mask": np.ones((3, 3), bool)}, r"mask has shape \(3, 3\), wanted \(32, 48\)"),
        ({"flags": np.ones((3, 3), int)}, r"flags has shape \(3, 3\), wanted that of flow"),
        ({"flags": np.full(SHAPE, 4)}, "flags holds int64 values other than 0, 1, 2 and 3"),
        ({"confidence": np.ones((3, 3))}, r"confidence has shape \(3, 3\), wanted that of flow"),
        ({"occlusion": np.ones((3, 3), bool)}, r"occlusion has shape \(3, 3\), wanted \(32, 48\)"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            flowops.to_xarray(AFFINE, **arguments)


def test_without_xarray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"a data set with units needs xarray: pip install 'variflow\[fields\]'"):
        flowops.to_xarray(AFFINE)


@pytest.fixture(scope="module")
def result():
    pair = synthetic.translation(SHAPE, shift=(1.5, -0.5), seed=2)
    mask = np.ones(SHAPE, bool)
    mask[:10, :12] = False
    return variflow.estimate(pair.frame0, pair.frame1, "brox", mask=mask), mask


def test_a_result_has_its_confidence_occlusion_and_mask(result):
    estimate, mask = result
    data = estimate.to_xarray(pixel_size=25e-6, dt=2e-4, fields="vorticity")
    assert list(data.data_vars) == ["u", "v", "confidence", "occlusion", "mask", "vorticity"]
    assert data.attrs["source"] == f"variflow {variflow.__version__}, model brox"
    np.testing.assert_array_equal(data.mask, ~mask)
    np.testing.assert_array_equal(np.isnan(data.u), ~mask)
    np.testing.assert_array_equal(data.confidence.values[mask], estimate.confidence[mask])
    np.testing.assert_array_equal(data.occlusion.values[mask], estimate.occlusion[mask])
    np.testing.assert_allclose(data.u.values[mask], estimate.flow[mask][:, 0] * 0.125, rtol=1e-6)
    everywhere = estimate.to_xarray(mask=np.ones(SHAPE, bool))
    np.testing.assert_array_equal(everywhere.u, estimate.flow[..., 0])


def test_a_result_passes_every_argument_on(result):
    estimate, mask = result
    how = {
        "pixel_size": (2, "mm"), "dt": 0.1, "origin": (5, 6), "axes": "up", "fields": ["strain", "speed"], "grid": 4,
        "statistic": "median",
    }  # fmt: skip
    wanted = flowops.to_xarray(
        estimate.flow, confidence=estimate.confidence, occlusion=estimate.occlusion, mask=mask, model="brox", **how
    )
    xarray.testing.assert_identical(estimate.to_xarray(**how), wanted)


def test_a_result_is_validated_with_its_own_frames_and_mask(result):
    estimate, mask = result
    frames = estimate._problem.images.images
    flow, flags = flowops.validate(estimate.flow, *frames, mask=(mask, mask))
    data = estimate.to_xarray(validate=True)
    np.testing.assert_array_equal(data.u, flow[..., 0])
    np.testing.assert_array_equal(data.mask, flags)
    assert (flags[~mask] == 1).all()


def test_a_file_holds_all_of_it(result, tmp_path):
    data = result[0].to_xarray(pixel_size=25e-6, dt=2e-4, grid=4, fields=ALL, axes="up")
    io.write_fields(tmp_path / "flow.nc", data)
    with xarray.open_dataset(tmp_path / "flow.nc", engine="h5netcdf") as file:
        again = file.load()
    xarray.testing.assert_equal(again, data)
    for name in (*data.data_vars, *data.coords):
        assert again[name].dtype == data[name].dtype
        for key, value in data[name].attrs.items():
            np.testing.assert_array_equal(again[name].attrs[key], value)
    assert again.attrs == data.attrs
    assert again.y.encoding.get("_FillValue") is None
    assert [path.name for path in tmp_path.iterdir()] == ["flow.nc"]
    np.testing.assert_array_equal(io.read_image(f"{tmp_path}/flow.nc:u"), data.u)


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path):
    path = tmp_path / "flow.nc"
    io.write_fields(path, flowops.to_xarray(AFFINE))
    before = path.read_bytes()
    broken = flowops.to_xarray(AFFINE)
    broken["object"] = (("y", "x"), np.full(SHAPE, {}, object))
    with pytest.raises(Exception, match=r"object|dtype|serialize"):
        io.write_fields(path, broken)
    with pytest.raises(TypeError, match=r"^dataset is an ndarray, wanted an xarray.Dataset"):
        io.write_fields(path, AFFINE)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["flow.nc"]
    with pytest.raises(io.FieldsFileError, match=r"\.nc"):
        io.write_fields(tmp_path / "flow.flo", broken)


def test_importing_flowops_does_not_import_xarray():
    import subprocess

    code = "import sys, variflow.flowops, variflow.io, variflow.result; print('xarray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
