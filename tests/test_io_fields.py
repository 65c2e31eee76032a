"""Fields of vectors: every format there and back, read by the programs they are for, and refused where damaged."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variflow import flowops
from variflow.io import FieldsFileError, check_fields_path, extras, read_fields, write_fields

xarray = pytest.importorskip("xarray", reason="fields need xarray")
pytest.importorskip("h5netcdf", reason="fields need h5netcdf")

ALL = [".nc", ".h5", ".csv", ".vti", ".mat"]
# What keeps u, v and the flags alone.
VECTORS = [(".txt", "openpiv"), (".txt", "pivlab"), (".mat", "pivlab")]


def make(shape=(3, 4), y_axis="down", seed=0, units=("m", "m s-1")):
    """A field of all variables, with each flag, and missing vectors where masked and rejected."""
    rng = np.random.default_rng(seed)
    height, width = shape
    sign = 1 if y_axis == "down" else -1
    mask = rng.permutation(np.arange(height * width) % 4).reshape(shape).astype(np.int8)
    missing = np.isin(mask, (1, 3))
    planes = {
        name: np.where(missing, np.float32(np.nan), rng.normal(size=shape).astype(np.float32))
        for name in ("u", "v", "vorticity", "divergence", "strain_xy")
    }
    variables = {name: (("y", "x"), plane, {"units": units[1]}) for name, plane in planes.items()}
    variables["confidence"] = (("y", "x"), rng.random(shape, np.float32), {"units": "1"})
    variables["occlusion"] = (("y", "x"), rng.integers(0, 2, shape).astype(np.int8), {"units": "1"})
    variables["count"] = (("y", "x"), rng.integers(0, 257, shape).astype(np.int32), {"units": "1"})
    meaning = {"flag_values": np.arange(4, dtype=np.int8), "flag_meanings": "measured masked replaced rejected"}
    variables["mask"] = (("y", "x"), mask, meaning)
    step = 4e-4 if units[0] == "m" else 16.0
    x = ("x", 0.01 + step * np.arange(width), {"units": units[0], "long_name": "x", "axis": "X"})
    y = ("y", sign * step * np.arange(height), {"units": units[0], "long_name": "y", "axis": "Y"})
    attributes = {"Conventions": "CF-1.11", "title": "a field, of Ä", "y_axis": y_axis}
    if units[0] == "m":
        attributes |= {"pixel_size": 2.5e-5, "pixel_size_unit": "m", "dt": 2e-4, "dt_unit": "s"}
    return xarray.Dataset(variables, {"x": x, "y": y}, attributes)


def upright(field):
    """The same field with y up, by hand."""
    if field.y_axis == "up":
        return field
    turned = field.assign_coords(y=("y", -field.y.values, field.y.attrs)).assign_attrs(y_axis="up")
    for name in ("v", "vorticity", "strain_xy"):
        turned[name] = (field[name].dims, -field[name].values, field[name].attrs)
    return turned


def check_same(found, wanted, *, exact=True):
    for name, variable in wanted.variables.items():
        assert found[name].dims == variable.dims, name
        assert found[name].dtype == variable.dtype, name
        if exact and name not in ("x", "y"):
            np.testing.assert_array_equal(found[name].values, variable.values, err_msg=name)
        else:
            np.testing.assert_allclose(found[name].values, variable.values, rtol=1e-12, atol=1e-15, err_msg=name)
    assert set(found.variables) == set(wanted.variables)


@pytest.mark.parametrize("y_axis", ["down", "up"])
@pytest.mark.parametrize("shape", [(3, 4), (1, 5), (6, 1), (1, 1)])
@pytest.mark.parametrize("extension", ALL)
def test_every_variable_comes_back(tmp_path, extension, shape, y_axis):
    field = make(shape, y_axis)
    write_fields(tmp_path / f"a{extension}", field)
    found = read_fields(tmp_path / f"a{extension}")
    wanted = upright(field) if extension == ".vti" else field
    check_same(found, wanted)
    assert found.attrs == wanted.attrs
    for name in field.variables:
        for key, value in field[name].attrs.items():
            np.testing.assert_array_equal(found[name].attrs[key], value)


@pytest.mark.parametrize("y_axis", ["down", "up"])
@pytest.mark.parametrize(("extension", "layout"), VECTORS)
def test_vectors_and_flags_come_back(tmp_path, extension, layout, y_axis):
    field = make(y_axis=y_axis)
    write_fields(tmp_path / f"a{extension}", field, layout=layout)
    found = read_fields(tmp_path / f"a{extension}")
    wanted = field[["u", "v", "mask"]]
    if layout == "openpiv":
        wanted = upright(field)[["u", "v", "mask"]]
        if y_axis == "down":  # counted from the last row
            wanted = wanted.assign_coords(y=("y", field.y.values[::-1]))
    check_same(found, wanted)
    assert found.y_axis == wanted.y_axis
    assert (found.u.units, found.x.units, found.pixel_size) == ("m s-1", "m", 2.5e-5)
    assert found.dt == pytest.approx(2e-4, rel=1e-12)


@given(seed=st.integers(0, 999), height=st.integers(1, 6), width=st.integers(1, 6), up=st.booleans())
@settings(max_examples=5, deadline=None)
def test_the_flow_of_every_file_is_that_of_the_field(tmp_path_factory, seed, height, width, up):
    folder = tmp_path_factory.mktemp("fields")
    field = make((height, width), "up" if up else "down", seed)
    flow = flowops.from_xarray(field)
    sign = -1 if up else 1
    wanted = np.stack([field.u.values, sign * field.v.values], axis=2) * 2e-4 / 2.5e-5
    np.testing.assert_allclose(flow, wanted, rtol=1e-6)
    for extension, layout in [*((extension, None) for extension in ALL), *VECTORS]:
        write_fields(folder / f"a{extension}", field, layout=layout)
        np.testing.assert_allclose(flowops.from_xarray(read_fields(folder / f"a{extension}")), flow, rtol=1e-6)


def test_a_flow_comes_in_pixels_and_v_points_down():
    field = make(units=("pixel", "pixel"))
    np.testing.assert_array_equal(flowops.from_xarray(field)[..., 1], field.v.values)
    np.testing.assert_array_equal(flowops.from_xarray(upright(field)), flowops.from_xarray(field))
    rows = upright(field).sortby("y")
    np.testing.assert_array_equal(flowops.from_xarray(rows), flowops.from_xarray(field))
    lengths = make().assign_attrs(pixel_size=0.5)
    lengths.u.attrs["units"] = "m"
    np.testing.assert_array_equal(flowops.from_xarray(lengths)[..., 0], 2 * lengths.u.values)


def test_rejected_vectors_with_a_value_are_no_flow():
    field = make(units=("pixel", "pixel"))
    field["u"] = (("y", "x"), np.ones((3, 4), np.float32), {"units": "pixel"})
    field["v"] = field["u"]
    missing = np.isnan(flowops.from_xarray(field)[..., 0])
    np.testing.assert_array_equal(missing, np.isin(field["mask"], (1, 3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.u.attrs.pop("units"), r"units of u is None, wanted 'pixel', or a length .* such as 'm s-1'"),
        (lambda f: f.attrs.pop("pixel_size"), "pixel_size of dataset is missing, wanted the size of a pixel in m"),
        (lambda f: f.attrs.update(pixel_size_unit="mm"), "is 2.5e-05 mm, wanted the size of a pixel in m"),
        (lambda f: f.attrs.pop("dt"), "dt of dataset is missing, wanted the time between the frames: u is in m s-1"),
    ],
)
def test_a_unit_that_is_unknown_is_asked_for(change, message):
    field = make()
    change(field)
    with pytest.raises(ValueError, match=message):
        flowops.from_xarray(field)


# What the programs read


def test_openpiv_reads_and_writes_the_same_text(tmp_path):
    tools = pytest.importorskip("openpiv.tools", reason="OpenPIV is not installed")
    rng = np.random.default_rng(0)
    x, y = np.meshgrid([16.0, 32, 48], [8.0, 24])
    u, v = rng.normal(size=(2, 2, 3)).astype(np.float32)
    flags, mask = np.array([[0, 1, 2], [0, 0, 0]]), np.array([[0, 0, 0], [0, 1, 0]])
    ours = np.array([[0, 3, 2], [0, 1, 0]], np.int8)
    field = xarray.Dataset(
        {"u": (("y", "x"), u, {"units": "pixel"}), "v": (("y", "x"), v), "mask": (("y", "x"), ours)},
        {"x": x[0], "y": y[:, 0]},
        {"y_axis": "down"},
    )
    field["u"][1, 1] = field["v"][1, 1] = np.nan
    tools.save(tmp_path / "theirs.txt", *tools.transform_coordinates(x, y, u.copy(), v.copy()), flags, mask, fmt="%.9g")
    write_fields(tmp_path / "ours.txt", field)
    first = (tmp_path / "ours.txt").read_text().splitlines()[0]
    assert first == (tmp_path / "theirs.txt").read_text().splitlines()[0]
    theirs, mine = (np.loadtxt(tmp_path / f"{name}.txt") for name in ("theirs", "ours"))
    theirs[4, 2:4] = np.nan
    np.testing.assert_allclose(mine, theirs, rtol=1e-7)
    found, again = (read_fields(tmp_path / f"{name}.txt") for name in ("theirs", "ours"))
    np.testing.assert_array_equal(found["mask"], ours)
    np.testing.assert_array_equal(again["mask"], ours)
    assert found.y_axis == again.y_axis == "up"
    found.u.attrs["units"] = "pixel"  # the text of OpenPIV has none
    np.testing.assert_allclose(flowops.from_xarray(found), flowops.from_xarray(again), rtol=1e-6)


def test_openpiv_draws_the_text(tmp_path):
    tools = pytest.importorskip("openpiv.tools", reason="OpenPIV is not installed")
    import matplotlib

    matplotlib.use("agg")
    write_fields(tmp_path / "a.txt", make(units=("pixel", "pixel")))
    figure, _ = tools.display_vector_field(tmp_path / "a.txt")
    assert figure.axes
    matplotlib.pyplot.close(figure)


CHART = """PIVlab, ASCII chart output - 12-Mar-2024\r
FRAME: 3, filenames: A.tif & B.tif, conversion factor xy (px -> m): 0.001, conversion factor uv (px/frame -> m/s): 0.5\r
x [m],y [m],u [m/s],v [m/s],Vector type [-],vorticity [1/s]\r
0.016,0.016,1,2,1,0\r
0.016,0.032,3,4,2,0\r
0.032,0.016,NaN,NaN,0,NaN\r
0.032,0.032,NaN,NaN,2,NaN\r
"""


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_chart_of_pivlab_is_read(tmp_path, delimiter):
    about, rows = CHART.split("x [m]")
    (tmp_path / "PIVlab_0001.txt").write_text(about + ("x [m]" + rows).replace(",", delimiter), newline="")
    found = read_fields(tmp_path / "PIVlab_0001.txt")
    np.testing.assert_array_equal(found.u, [[1, np.nan], [3, np.nan]])
    np.testing.assert_array_equal(found["mask"], [[0, 1], [2, 3]])
    assert found.y_axis == "down"
    assert found.u.units == "m s-1"
    assert (found.pixel_size, found.dt) == (0.001, 0.002)
    np.testing.assert_allclose(flowops.from_xarray(found)[:, 0], [[2, 4], [6, 8]])
    up = read_fields(tmp_path / "PIVlab_0001.txt", y_axis="up")
    np.testing.assert_array_equal(up.v, [[4, np.nan], [2, np.nan]])
    np.testing.assert_allclose(flowops.from_xarray(up)[:, 0], [[6, -8], [2, -4]])


def test_the_text_for_pivlab_has_its_lines(tmp_path):
    write_fields(tmp_path / "a.txt", make((2, 2), units=("pixel", "pixel")), layout="pivlab")
    lines = (tmp_path / "a.txt").read_bytes().decode().split("\r\n")
    assert lines[0].startswith("PIVlab, ASCII chart output - ")
    assert lines[2] == "x [px],y [px],u [px/frame],v [px/frame],Vector type [-]"
    assert [line.split(",")[1] for line in lines[3:7]] == ["0", "16", "0", "16"]  # a column after the other
    assert lines[7:] == [""]
    assert read_fields(tmp_path / "a.txt").u.units == "pixel"


@pytest.mark.parametrize("as_cells", [False, True])
def test_a_session_of_pivlab_is_read(tmp_path, as_cells):
    from scipy.io import savemat

    x, y = np.meshgrid([8.0, 24, 40], [8.0, 24])
    u = np.arange(6.0).reshape(2, 3)
    kinds = np.array([[1, 2, 0], [1, 1, 1]])
    matrices = {"x": x, "y": y, "u_original": u + 9, "v_original": u, "typevector_original": np.ones((2, 3))}
    matrices |= {"u_filtered": u, "v_filtered": -u, "typevector_filtered": kinds}
    matrices |= {"u_smoothed": np.zeros((0, 0)), "v_smoothed": np.zeros((0, 0))}
    if as_cells:
        for name, values in matrices.items():
            matrices[name] = np.empty((1, 1), object)
            matrices[name][0, 0] = values
    matrices |= {"units": "[px] respectively [px/frame]", "calxy": 1.0, "calu": 1.0, "calv": 1.0}
    savemat(tmp_path / "a.mat", matrices)
    found = read_fields(tmp_path / "a.mat")
    np.testing.assert_array_equal(found.u, np.where(kinds == 0, np.nan, u))
    np.testing.assert_array_equal(found["mask"], [[0, 2, 1], [0, 0, 0]])
    np.testing.assert_array_equal(flowops.from_xarray(found)[1, :, 1], -u[1])


def test_several_frames_of_pivlab_are_refused(tmp_path):
    from scipy.io import savemat

    cells = np.empty((2, 1), object)
    cells[:, 0] = [np.ones((2, 2)), np.ones((2, 2))]
    savemat(tmp_path / "a.mat", {"x": cells, "y": cells, "u_original": cells, "v_original": cells})
    with pytest.raises(FieldsFileError, match="holds 2 frames in x, wanted one: export a single frame"):
        read_fields(tmp_path / "a.mat")


@pytest.mark.parametrize("packed", [False, True])
def test_structures_of_matlab_are_left_out(tmp_path, packed):
    from scipy.io import savemat

    savemat(tmp_path / "a.mat", {"settings": {"u": 3}}, do_compression=packed)
    with pytest.raises(FieldsFileError, match="has nothing as x, wanted x, y, u and v as matrices of one shape"):
        read_fields(tmp_path / "a.mat")
    grid = np.ones((1, 2)) * [1, 2]
    matrices = {"x": grid, "y": 0 * grid, "u": grid, "v": grid, "settings": {"u": 3}, "note": "text", "no": [[]]}
    savemat(tmp_path / "a.mat", matrices, do_compression=packed)
    np.testing.assert_array_equal(read_fields(tmp_path / "a.mat", y_axis="up").u, grid)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (128, 99, "is damaged: a variable is of the unknown kind 99"),
        (136, 99, r"is damaged: a variable begins with elements of the kinds \[99, 5, 1\]"),
        (132, 200, "is damaged or truncated: an element claims"),
        (160, 9, r"is damaged: x does not hold what its size \[9, 4\] says"),
        (125, 2, "is no file of MATLAB 5 to 7"),
    ],
)
def test_damaged_elements_of_matlab_never_reach_scipy(tmp_path, place, value, message):
    from scipy.io import savemat

    savemat(tmp_path / "a.mat", {"x": np.arange(12.0).reshape(3, 4)})
    content = bytearray((tmp_path / "a.mat").read_bytes())
    assert content[160] == 3
    content[place] = value
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(FieldsFileError, match=message):
        read_fields(tmp_path / "a.mat")


def test_matlab_finds_matrices(tmp_path):
    from scipy.io import loadmat

    field = make()
    write_fields(tmp_path / "a.mat", field)
    content = loadmat(tmp_path / "a.mat")
    np.testing.assert_array_equal(content["u"], field.u)
    np.testing.assert_allclose(content["y"][:, 2], field.y)
    np.testing.assert_array_equal(content["typevector"] == 0, field["mask"] == 1)
    assert content["y_axis"].tolist() == ["down"]


@pytest.mark.parametrize("y_axis", ["down", "up"])
def test_vtk_reads_the_image(tmp_path, y_axis):
    vtk = pytest.importorskip("vtk", reason="VTK is not installed")
    from vtk.util.numpy_support import vtk_to_numpy

    field = make((3, 4), y_axis)
    write_fields(tmp_path / "a.vti", field)
    reader = vtk.vtkXMLImageDataReader()
    reader.SetFileName(str(tmp_path / "a.vti"))
    reader.Update()
    assert reader.GetErrorCode() == 0
    image = reader.GetOutput()
    assert image.GetDimensions() == (4, 3, 1)
    wanted = upright(field).sortby("y")
    np.testing.assert_allclose(image.GetBounds()[:4], [*wanted.x.values[[0, -1]], *wanted.y.values[[0, -1]]])
    vectors = vtk_to_numpy(image.GetPointData().GetVectors())
    assert image.GetPointData().GetVectors().GetName() == "velocity"
    np.testing.assert_array_equal(vectors[:, 0].reshape(3, 4), wanted.u)
    np.testing.assert_array_equal(vectors[:, 1].reshape(3, 4), wanted.v)
    for name in ("mask", "count", "confidence"):
        array = vtk_to_numpy(image.GetPointData().GetArray(name))
        np.testing.assert_array_equal(array.reshape(3, 4), wanted[name])
        assert array.dtype == wanted[name].dtype
    assert image.GetFieldData().GetAbstractArray("y_axis").GetValue(0) == "up"


@pytest.mark.parametrize("binary", [True, False])
def test_what_vtk_writes_is_read(tmp_path, binary):
    vtk = pytest.importorskip("vtk", reason="VTK is not installed")
    from vtk.util.numpy_support import numpy_to_vtk

    vectors = np.arange(18.0).reshape(6, 3)
    image = vtk.vtkImageData()
    image.SetDimensions(3, 2, 1)
    image.SetSpacing(2, 4, 1)
    array = numpy_to_vtk(vectors)
    array.SetName("wind")
    image.GetPointData().SetVectors(array)
    writer = vtk.vtkXMLImageDataWriter()
    writer.SetFileName(str(tmp_path / "a.vti"))
    writer.SetInputData(image)
    writer.SetCompressorTypeToNone()
    (writer.SetDataModeToBinary if binary else writer.SetDataModeToAscii)()
    writer.Write()
    found = read_fields(tmp_path / "a.vti")
    assert found.y.values.tolist() == [4, 0]
    np.testing.assert_array_equal(found.u.values[::-1], vectors[:, 0].reshape(2, 3))
    np.testing.assert_array_equal(found.v.values[::-1], vectors[:, 1].reshape(2, 3))


def test_image_data_by_the_published_layout_is_read(tmp_path):
    """Written by hand: a big-endian file with headers of 32 bits, and an array in text."""
    numbers = struct.pack(">I", 48) + struct.pack(">6d", 1, 2, 0, 3, 4, 0)
    (tmp_path / "a.vti").write_text(
        '<VTKFile type="ImageData" version="0.1" byte_order="BigEndian">'
        '<ImageData WholeExtent="0 1 0 0 0 0" Origin="5 7 0" Spacing="2 1 1"><Piece Extent="0 1 0 0 0 0"><PointData>'
        '<DataArray type="Float64" Name="w" NumberOfComponents="3" format="binary">'
        f"{base64.b64encode(numbers).decode()}</DataArray>"
        '<DataArray type="Int32" Name="mask" format="ascii">0 2</DataArray>'
        "</PointData></Piece></ImageData></VTKFile>"
    )
    found = read_fields(tmp_path / "a.vti")
    assert found.u.values.tolist() == [[1, 3]]
    assert found.v.values.tolist() == [[2, 4]]
    assert found["mask"].values.tolist() == [[0, 2]]
    assert found.x.values.tolist() == [5, 7]


def test_xarray_opens_the_netcdf_by_itself(tmp_path):
    field = make()
    write_fields(tmp_path / "a.nc", field)
    with xarray.open_dataset(tmp_path / "a.nc") as found:
        assert found.equals(field)
        assert found.attrs == field.attrs
        assert "_FillValue" not in found.x.encoding


def test_netcdf_of_version_3_is_read(tmp_path):
    field = make().drop_vars(["mask", "occlusion", "count"])
    field.to_netcdf(tmp_path / "a.nc", engine="scipy")
    assert (tmp_path / "a.nc").read_bytes().startswith(b"CDF")
    assert read_fields(tmp_path / "a.nc").equals(field)


def test_pandas_reads_the_table(tmp_path):
    pandas = pytest.importorskip("pandas")
    field = make()
    write_fields(tmp_path / "a.csv", field)
    table = pandas.read_csv(tmp_path / "a.csv", comment="#")
    assert table.columns[:4].tolist() == ["x [m]", "y [m]", "u [m s-1]", "v [m s-1]"]
    np.testing.assert_array_equal(table["u [m s-1]"].to_numpy(np.float32), field.u.values.ravel())
    assert (tmp_path / "a.csv").read_text().startswith("# y axis: down\n")


def test_places_that_a_table_leaves_out_are_masked(tmp_path):
    (tmp_path / "a.csv").write_text("# y axis: up\nx,y,u,v,count\n0,0,1,2,9\n1,0,3,4,9\n1,1,5,6,9\n")
    found = read_fields(tmp_path / "a.csv")
    np.testing.assert_array_equal(found.u, [[np.nan, 5], [1, 3]])
    np.testing.assert_array_equal(found["mask"], [[1, 0], [0, 0]])
    np.testing.assert_array_equal(found["count"], [[0, 9], [9, 9]])
    assert found.y.values.tolist() == [1, 0]


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty, wanted a line of names and a row for each vector"),
        ("x,y,u,v\n", "has no vectors, wanted a row for each"),
        ("x,y,u\n0,0,1\n", "has the columns 'x,y,u', wanted names, each once, with x, y, u and v"),
        ("x,y,u,v,u\n0,0,1,2,3\n", "wanted names, each once"),
        ("x,y,u,v\n0,0,1\n", "has 3 columns, wanted 4: x, y, u, v"),
        ("x,y,u,v\n0,0,a,1\n", "has a row that is not all numbers"),
        ("x,y,u,v\n0,nan,1,1\n", "has a vector without a place, wanted finite x and y"),
        ("x,y,u,v\n0,0,1,1\n0,0,2,2\n", "has two vectors at one place"),
        ("".join(["x,y,u,v\n", *(f"{k},{k},1,1\n" for k in range(9))]), "9 vectors at 9 x and 9 y, wanted them on a g"),
        ("# y axis: left\nx,y,u,v\n0,0,1,1\n", "says that y runs 'left', wanted 'up' or 'down'"),
        ("# variflow: [1]\nx,y,u,v\n0,0,1,1\n", "cannot be read: its description has no attributes and variables"),
        ("# variflow: {\nx,y,u,v\n0,0,1,1\n", "cannot be read: "),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, text, message):
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(FieldsFileError, match=message):
        read_fields(file, y_axis=None if "axis" in text else "up")


def test_a_file_that_does_not_say_which_way_y_runs(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,u,v\n0,0,1,1\n")
    with pytest.raises(FieldsFileError, match="does not say whether y runs up or down: pass y_axis='up' or"):
        read_fields(tmp_path / "a.csv")
    write_fields(tmp_path / "a.csv", make())
    with pytest.raises(FieldsFileError, match="says that y runs down, and y_axis is 'up': leave y_axis out"):
        read_fields(tmp_path / "a.csv", y_axis="up")
    with pytest.raises(ValueError, match="y_axis is 'north', wanted one of 'up', 'down'"):
        read_fields(tmp_path / "a.csv", y_axis="north")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "1 2 3 4 5 6\n", "has no first line '# x y u v flags mask' of OpenPIV, and none of PIVlab"),
        ("a.txt", "x y u v Vector type\n", "separates names by blanks, wanted commas or tabs"),
        ("a.txt", "x,u,v,y,Vector type\n", "has the columns x, u, v, y, Vector type, wanted x, y, u, v"),
        ("a.vti", "<a", "cannot be read: "),
        ("a.vti", "<a/>", "is no image data of VTK"),
        ("a.mat", "nothing", "is no file of MATLAB 5 to 7; save it with -v7, not -v7.3"),
        ("a.nc", "nothing", "cannot be read: "),
        ("a.h5", "", "cannot be read: "),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(FieldsFileError, match=message):
        read_fields(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('version="1.0"', 'version="1.0" compressor="vtkZLibDataCompressor"', "is compressed by vtkZLibDataCompressor"),
        ("0 3 0 2 0 0", "0 3 0 2 0 1", "has 4 x 3 x 2 points, wanted a plane of depth 1"),
        ("0 3 0 2 0 0", "0 3 0 9 0 0", "has 36 numbers in velocity, wanted 120"),
        ("AAAAAAAA", "AAAAAA", "cannot be read|has .* bytes"),
        ('NumberOfComponents="3"', 'NumberOfComponents="1"', "numbers in velocity, wanted 12"),
        ('format="binary"', 'format="appended"', "of type Float32, appended, wanted numbers inline"),
    ],
)
def test_damaged_image_data_is_refused(tmp_path, old, new, message):
    write_fields(tmp_path / "a.vti", make())
    text = (tmp_path / "a.vti").read_text()
    assert old in text
    (tmp_path / "a.vti").write_text(text.replace(old, new))
    with pytest.raises(FieldsFileError, match=message):
        read_fields(tmp_path / "a.vti")


@pytest.mark.parametrize(("extension", "layout"), [*((extension, None) for extension in ALL), *VECTORS])
def test_damaged_bytes_give_a_field_or_a_reason(tmp_path, extension, layout):
    file = tmp_path / f"a{extension}"
    write_fields(file, make(), layout=layout)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(12 if extension in (".nc", ".h5") else 40):
        content = bytearray(whole[: rng.integers(0, len(whole))] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, max(len(content), 1), rng.integers(1, 4)) if content else ():
            content[place] = rng.integers(0, 256)
        file.write_bytes(content)
        try:
            found = read_fields(file)
        except FieldsFileError as error:
            assert str(error).startswith(str(file))  # noqa: PT017
        else:
            assert {"u", "v"} <= set(found)
            assert found.u.dims == ("y", "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.u, "dataset is a DataArray, wanted an xarray.Dataset of the variables u and v"),
        (lambda f: f.drop_vars("x"), "dataset has no coordinate x along an axis x, wanted the axes y and x"),
        (lambda f: f[["u", "mask"]], "dataset has no variable v, it has u, mask, wanted u and v"),
        (lambda f: f.assign(t=3), "has the variable t of int64 along .., wanted real numbers along"),
        (lambda f: f.assign_attrs(y_axis="left"), "y_axis of dataset is 'left', wanted one of 'up', 'down'"),
    ],
)
def test_a_dataset_that_is_no_field_is_refused(tmp_path, change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        write_fields(tmp_path / "a.csv", change(make()))
    assert not list(tmp_path.iterdir())


def test_names_and_layouts_are_checked(tmp_path):
    field = make()
    for call in (
        lambda: write_fields(tmp_path / "a.dat", field),
        lambda: read_fields("a.dat"),
        lambda: check_fields_path(tmp_path / "a.dat"),
    ):
        with pytest.raises(FieldsFileError, match=r"has the extension '.dat', wanted .nc, .h5, .csv, .vti, .mat, .txt"):
            call()
    with pytest.raises(ValueError, match=r"layout is 'pivlab', wanted none for .csv: only .txt and .mat"):
        write_fields(tmp_path / "a.csv", field, layout="pivlab")
    with pytest.raises(ValueError, match="layout is 'openpiv', wanted one of 'pivlab'"):
        write_fields(tmp_path / "a.mat", field, layout="openpiv")
    with pytest.raises(FileNotFoundError, match=r"b\.csv: no such file"):
        read_fields(tmp_path / "b.csv")
    with pytest.raises(ValueError, match=r"y of dataset has steps from 1 to 2, wanted even ones in .vti"):
        write_fields(tmp_path / "a.vti", field.assign_coords(y=[0.0, 1, 3]).assign_attrs(y_axis="up"))


def test_a_path_is_checked_before_long_work(tmp_path, monkeypatch):
    check_fields_path(tmp_path / "a.NC")
    with pytest.raises(FileNotFoundError, match=r"the folder .* does not exist"):
        check_fields_path(tmp_path / "no" / "a.csv")
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None if name == "h5netcdf" else name)
    check_fields_path(tmp_path / "a.csv")
    with pytest.raises(ImportError, match=r"needs h5netcdf: pip install 'variflow\[fields\]'"):
        check_fields_path(tmp_path / "a.nc")


@pytest.mark.parametrize(("extension", "layout"), [*((extension, None) for extension in ALL), *VECTORS])
def test_a_full_disk_leaves_the_old_file(tmp_path, small_disk, extension, layout):
    file = tmp_path / f"a{extension}"
    write_fields(file, make(), layout=layout)
    before = file.read_bytes()
    with small_disk(200), pytest.raises(OSError, match=str(file)):
        write_fields(file, make((20, 30)), layout=layout)
    assert file.read_bytes() == before
    assert [entry.name for entry in Path(tmp_path).iterdir()] == [file.name]
