"""What cannot be an array of the right numbers is refused by its name, with what to do."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import variflow
from variflow import flowops, metrics, view
from variflow.base.arrays import read
from variflow.base.kinds import name_kind
from variflow.compat import opencv, skimage
from variflow.matching.dense import densify

FRAME = np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype(np.uint8)
GRAY, FLOW = FRAME[..., 0], np.ones((20, 24, 2))
MATCHES = variflow.Matches([(3, 4)], [(1, 1)])

# Public functions of one argument, the others being right; its name; what reads it from a file.
IMAGES = {
    "estimate": (lambda given: variflow.estimate(given, FRAME), "frame0"),
    "estimate second": (lambda given: variflow.estimate(FRAME, given), "frame1"),
    "iterate": (lambda given: variflow.iterate(FRAME, given), "frame1"),
    "match": (lambda given: variflow.match(given, FRAME), "frame0"),
    "estimate_video": (lambda given: list(variflow.estimate_video([FRAME, given])), "frame 1"),
    "densify": (lambda given: densify(MATCHES, given), "frame0"),
    "warp": (lambda given: variflow.warp(given, FLOW), "image"),
    "splat": (lambda given: flowops.splat(given, FLOW), "image"),
    "fill": (lambda given: flowops.fill(FLOW, given), "image"),
    "interpolate": (lambda given: flowops.interpolate(FRAME, given, FLOW, FLOW), "frame1"),
    "interpolation_error": (lambda given: metrics.interpolation_error(given, FRAME), "frame"),
    "interpolation_error truth": (lambda given: metrics.interpolation_error(FRAME, given), "truth"),
    "in_between": (lambda given: metrics.in_between(FRAME, given, FLOW), "frame1"),
    "arrows": (lambda given: view.arrows(given, FLOW), "image"),
    "figure": (lambda given: view.figure(FRAME, given, FLOW), "frame1"),
    "warping": (lambda given: view.warping(given, FRAME, FLOW), "frame0"),
    "opencv": (lambda given: opencv.DISOpticalFlow_create().calc(FRAME, given, None), "I1"),
    "write_image": (lambda given: variflow.write_image("picture.png", given), "image"),
    "save": (lambda given: view.save("picture.png", given), "image"),
}
FLOWS = {
    "init": (lambda given: variflow.estimate(FRAME, FRAME, init=given), "init"),
    "iterate": (lambda given: variflow.iterate(FRAME, FRAME, init=given), "init"),
    "warp": (lambda given: variflow.warp(FRAME, given), "flow"),
    "splat": (lambda given: flowops.splat(FRAME, given), "flow"),
    "coverage": (flowops.coverage, "flow"),
    "compose": (lambda given: flowops.compose(FLOW, given), "second"),
    "consistency": (lambda given: flowops.consistency(given, FLOW), "forward"),
    "invert": (flowops.invert, "flow"),
    "fill": (flowops.fill, "flow"),
    "interpolate": (lambda given: flowops.interpolate(FRAME, FRAME, FLOW, given), "backward"),
    "resize": (lambda given: flowops.resize(given, (3, 4)), "flow"),
    "rotate": (lambda given: flowops.rotate(given, 90), "flow"),
    "jacobian": (flowops.jacobian, "flow"),
    "fit_planes": (lambda given: flowops.fit_planes(given, 3), "flow"),
    "strain": (flowops.strain, "flow"),
    "to_xarray": (flowops.to_xarray, "flow"),
    "to_torch": (flowops.to_torch, "flow"),
    "to_napari": (flowops.to_napari, "flow"),
    "track": (lambda given: flowops.track([given], [(1, 1)]), "flows[0]"),
    "endpoint_error": (lambda given: metrics.endpoint_error(given, FLOW), "flow"),
    "outliers": (lambda given: metrics.outliers(FLOW, given), "truth"),
    "speed_between": (lambda given: metrics.speed_between(given, 0), "truth"),
    "motion_boundaries": (metrics.motion_boundaries, "truth"),
    "complete": (metrics.complete, "flow"),
    "color": (view.color, "flow"),
    "error_map": (lambda given: view.error_map(FLOW, given), "truth"),
    "write_flow": (lambda given: variflow.write_flow("flow.flo", given), "flow"),
}
OTHERS = {
    "mask": (lambda given: variflow.estimate(FRAME, FRAME, mask=given), "mask"),
    "mask of both": (lambda given: variflow.estimate(FRAME, FRAME, mask=(None, given)), "mask"),
    "weights": (lambda given: variflow.match(FRAME, FRAME, mask=given), "mask"),
    "weights of estimate": (lambda given: variflow.estimate(FRAME, FRAME, weights=given), "weights"),
    "coverage": (lambda given: flowops.coverage(FLOW, given), "weights"),
    "points": (lambda given: flowops.track([FLOW], given), "points"),
    "matches": (lambda given: variflow.Matches(given, [(1, 1)]), "points"),
    "grid": (flowops.from_torch_grid, "grid"),
    "valid": (lambda given: metrics.outliers(FLOW, FLOW, given), "valid"),
    "near": (metrics.near, "mask"),
    "coarsen": (lambda given: flowops.coarsen(given, 2), "values"),
    "confidence": (lambda given: flowops.to_xarray(FLOW, confidence=given), "confidence"),
    "occlusion": (lambda given: flowops.to_xarray(FLOW, occlusion=given), "occlusion"),
    "robustness": (lambda given: metrics.robustness(given, 1), "error"),
    "skimage": (lambda given: skimage.optical_flow_tvl1(given, GRAY), "reference_image"),
}
ALL = {f"{home}: {name}": case for home, cases in globals().items() if home.isupper() and isinstance(cases, dict)
       for name, case in cases.items()}  # fmt: skip


def said(function, given, error):
    with pytest.raises(error) as caught:
        function(given)
    return str(caught.value)


@pytest.mark.parametrize("path", ["a.png", Path("folder/a.tif"), b"a.png"], ids=["str", "Path", "bytes"])
@pytest.mark.parametrize("case", ALL)
def test_a_path_is_told_what_reads_it(case, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, name = ALL[case]
    message = said(function, path, TypeError)
    reader = "read_flow" if case.startswith("FLOWS") or name == "grid" else "read_image"
    assert message.startswith(f"{name} is the path")
    assert f"variflow.{reader}" in message
    assert not list(tmp_path.iterdir())


def test_sequences_of_paths():
    with pytest.raises(TypeError, match=r"frame 0 is the path 'a.png'.*variflow.read_image"):
        next(variflow.estimate_video(["a.png", "b.png"]))
    for path in ("a.mp4", b"a.mp4", Path("a.mp4")):
        with pytest.raises(TypeError, match=r"frames is the path .*read_frames"):
            variflow.estimate_video(path)
        with pytest.raises(TypeError, match=r"flows is the path .*read_flow"):
            flowops.track(path, [(1, 1)])
    for paths in (["a.png", "b.png"], [Path("a.png")], np.array(["a.png"])):
        with pytest.raises(TypeError, match=r"frame0 has dtype .*read_image"):
            variflow.estimate(paths, FRAME)


class OnDevice:
    """What is in the memory of a GPU, and refuses to come of itself, as tensors and CuPy's arrays do."""

    def __dlpack__(self, **how):
        raise BufferError("no")

    def __dlpack_device__(self):
        return 2, 0


class Converting(OnDevice):
    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


class Old:
    __cuda_array_interface__ = {"shape": (2, 2)}  # noqa: RUF012

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no")


@pytest.mark.parametrize("given", [OnDevice(), Converting(), Old()])
@pytest.mark.parametrize("case", ALL)
def test_what_is_on_another_device_is_to_be_brought(case, given):
    function, name = ALL[case]
    message = said(function, given, TypeError)
    assert message.startswith(f"{name} is {name_kind(given)} in the memory of another device")
    assert ".cpu() of PyTorch" in message


@pytest.mark.parametrize(
    "given",
    [
        np.ones((20, 24, 3), complex),
        np.ones((20, 24, 2), object),
        np.full((20, 24), "2026-01-01", "M8[D]"),
        np.ones((20, 24), "m8[s]"),
        np.zeros((20, 24), [("u", float), ("v", float)]),
        np.full((20, 24), "text"),
        [[datetime(2026, 1, 1)]],
        {"frame": 1},
        {1, 2},
        None,
        [[1, 2], [3]],
        object(),
    ],
    ids=lambda given: str(getattr(given, "dtype", type(given).__name__)),
)
@pytest.mark.parametrize("case", ALL)
def test_what_holds_no_real_numbers_is_refused(case, given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, name = ALL[case]
    optional = {"init", "mask", "weights", "valid", "confidence", "occlusion"}
    if given is None and (name in optional or (name == "image" and "fill" in case)):
        pytest.skip("None is none")
    message = said(function, given, TypeError)
    assert message.startswith((f"{name} has dtype", f"{name} is a", f"{name} is None, wanted an array of "))
    assert "\n" not in message


@pytest.mark.parametrize("name", IMAGES)
def test_channels_that_come_first(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, argument = IMAGES[name]
    message = said(function, np.ascontiguousarray(np.moveaxis(FRAME, 2, 0)), ValueError)
    assert message.startswith(f"{argument} has shape (3, 20, 24)")
    assert f"channels come last: np.moveaxis({argument.partition(' ')[0]}, 0, 2)" in message


@pytest.mark.parametrize("name", FLOWS)
def test_components_that_come_first(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, argument = FLOWS[name]
    message = said(function, np.ones((2, 20, 24)), ValueError)
    assert message.startswith(f"{argument} has shape (2, 20, 24)")
    assert f"components come last: np.moveaxis({argument}, 0, 2)" in message


def test_components_that_come_last_where_they_come_first():
    for function in (flowops.from_torch, flowops.from_skimage, flowops.from_pysteps):
        with pytest.raises(ValueError, match=r"components come first: np.moveaxis\((flow|velocity), 2, 0\)"):
            function(FLOW)


def test_the_remedy_works_for_what_is_no_array_of_numpy():
    frame = np.moveaxis(FRAME, 2, 0).tolist()
    with pytest.raises(ValueError, match=r"np.moveaxis\(np.asarray\(frame0\), 0, 2\)"):
        variflow.estimate(frame, FRAME)
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"np.moveaxis\(np.asarray\(flow\), 0, 2\)"):
        variflow.warp(FRAME, torch.ones(2, 20, 24))


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3), (20, 24, 4), (20, 24, 1), (20, 24, 16), (24,)])
def test_one_picture_is_no_video(shape):
    picture = np.zeros(shape, np.uint8)
    with pytest.raises(ValueError, match=r"^frames has shape .*, which looks like one frame"):
        variflow.estimate_video(picture)
    with pytest.raises(ValueError, match=r"^frames has shape"):
        variflow.estimate_video(np.ma.array(picture))
    with pytest.raises(ValueError, match=r"^frames ends after 1 frame, wanted two or more"):
        list(variflow.estimate_video([FRAME]))


def test_what_is_a_video(tmp_path):
    for frames in (np.stack([GRAY] * 3), np.stack([FRAME] * 3), [GRAY] * 3, (GRAY for _ in range(3))):
        assert len(list(variflow.estimate_video(frames, "horn-schunck"))) == 2
    narrow = [np.arange(60.0).reshape(20, 3)] * 2
    assert len(list(variflow.estimate_video(narrow, "horn-schunck"))) == 1
    variflow.write_frames(tmp_path / "stack.npy", [FRAME] * 3)  # a sequence that says the shape of each frame
    frames = variflow.read_frames(tmp_path / "stack.npy")
    assert frames.shape == FRAME.shape
    assert len(list(variflow.estimate_video(frames, "horn-schunck"))) == 2


def test_tensors():
    torch = pytest.importorskip("torch")
    frame = torch.rand(6, 5, requires_grad=True)
    for given in (frame, torch.nn.Parameter(frame.detach()), frame.bfloat16(), frame.half(), frame.double()):
        array, known = read(given, "x")
        np.testing.assert_array_equal(array, given.detach().double().numpy())
        assert known is None
    for given in (torch.zeros(3, 4, device="meta"), torch.zeros(3, 4).to_sparse(), torch.zeros(3, 4).cfloat()):
        with pytest.raises(TypeError, match=r"^x (is a Tensor|has dtype complex)"):
            read(given, "x")


def test_arrays_of_jax():
    jax = pytest.importorskip("jax")
    frame = jax.numpy.asarray(GRAY, jax.numpy.bfloat16)
    array, _ = read(frame, "frame")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.asarray(frame).astype(np.float32))
    frames, jax_frames = (GRAY, GRAY[::-1]), (jax.numpy.asarray(GRAY), jax.numpy.asarray(GRAY[::-1]))
    wanted = variflow.estimate(*frames, "horn-schunck").flow
    np.testing.assert_array_equal(variflow.estimate(*jax_frames, "horn-schunck").flow, wanted)


def test_tables_of_pandas():
    pandas = pytest.importorskip("pandas")
    one = variflow.estimate(pandas.DataFrame(GRAY), pandas.DataFrame(GRAY[::-1]), "horn-schunck").flow
    np.testing.assert_array_equal(one, variflow.estimate(GRAY, GRAY[::-1], "horn-schunck").flow)
    mixed = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    with pytest.raises(TypeError, match=r"frame0 is a DataFrame that NumPy cannot read .*'x'"):
        variflow.estimate(mixed, GRAY)
    holes = pandas.DataFrame(GRAY).astype("Int64")
    holes.iloc[3, 4] = pandas.NA
    usable = np.ones(GRAY.shape, bool)
    usable[3, 4] = False
    masked = variflow.estimate(GRAY, GRAY, "horn-schunck", mask=(usable, None), intensity_range=(0, 255))
    found = variflow.estimate(holes, GRAY, "horn-schunck", intensity_range=(0, 255))
    np.testing.assert_array_equal(found.flow, masked.flow)


def test_units_and_sparse_matrices():
    matrix = pytest.importorskip("scipy.sparse").eye_array(20)
    with pytest.raises(TypeError, match="frame0 is a dia_array, wanted an array of real numbers"):
        variflow.estimate(matrix, GRAY)


@pytest.mark.parametrize("given", [None, {"flow": 1}, variflow.estimate, {1, 2}, (x for x in GRAY)])
def test_what_is_no_array_at_all_is_called_by_its_type(given):
    what = "None" if given is None else f"a {type(given).__name__}"
    for call, name in (
        (lambda: variflow.estimate(GRAY, given), "frame1"),
        (lambda: variflow.warp(GRAY, given), "flow"),
        (lambda: flowops.divergence(given), "flow"),
    ):
        with pytest.raises(TypeError, match=f"^{name} is {what}, wanted an array of real numbers"):
            call()


def test_a_result_is_no_flow_to_start_from():
    result = variflow.estimate(GRAY, GRAY, "horn-schunck")
    with pytest.raises(TypeError, match=r"^init is a Result, wanted an array"):
        variflow.estimate(GRAY, GRAY, "fast", init=result)


@pytest.mark.parametrize("name", ["mask", "weights"])
def test_rows_of_unequal_length_within_a_pair(name):
    with pytest.raises(TypeError, match=f"^{name} is a list that NumPy cannot read"):
        variflow.estimate(GRAY, GRAY, "fast", **{name: [[[1, 0], [1]], None]})


@pytest.mark.parametrize("wanted", [(0, 10**400), (-(10**400), 0)])
def test_a_range_beyond_floats(wanted):
    with pytest.raises(ValueError, match=r"^intensity_range is .*, wanted a pair \(low, high\)"):
        variflow.estimate(GRAY, GRAY, "fast", intensity_range=wanted)


def test_other_names_of_arguments_are_kept():
    gray = GRAY.astype(float)
    nothing, far = np.full(gray.shape, np.nan), np.where(gray > 252, 1e30, gray)
    dis = opencv.DISOpticalFlow_create(opencv.DISOpticalFlow_PRESET_ULTRAFAST)
    for call, names in ((skimage.optical_flow_ilk, ("reference_image", "moving_image")), (dis.calc, ("I0", "I1"))):
        rest = (None,) if names[0] == "I0" else ()
        for number, name in enumerate(names):
            frames = [gray, gray]
            frames[number] = nothing
            with pytest.raises(ValueError, match=f"^{name} has no usable pixel"):
                call(*frames, *rest)
            frames[number] = far
            with pytest.warns(variflow.VariflowWarning, match=f"^{name} has .* far outside"):
                call(*frames, *rest)
    with pytest.raises(ValueError, match=r"^velocity has shape .*np.moveaxis\(velocity, 2, 0\)"):
        flowops.from_pysteps(np.zeros((20, 24, 2)))
    with pytest.raises(ValueError, match=r"^flow has shape \(2, 0, 4\), wanted \(2, H, W\)"):
        flowops.from_torch(np.zeros((2, 0, 4)))


def test_one_number_is_no_image(tmp_path):
    with pytest.raises(ValueError, match=r"^image has shape \(\), wanted"):
        variflow.write_image(tmp_path / "image.png", np.uint8(3))


def test_numbers_of_extended_precision_are_splatted():
    flow = np.ones((20, 24, 2))
    wanted = flowops.splat(GRAY, flow)
    np.testing.assert_array_equal(flowops.splat(GRAY.astype(np.longdouble), flow), wanted)


def test_the_buffers_of_opencv():
    dis = opencv.DISOpticalFlow_create()
    fixed = np.zeros((20, 24, 2), np.float32)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match=r"^flow is read-only"):
        dis.calc(GRAY, GRAY, fixed)


def test_named_axes_in_another_order():
    xarray = pytest.importorskip("xarray")
    square = FRAME[:, :20, 0]
    down, across = xarray.DataArray(square, dims=("y", "x")), xarray.DataArray(square.T, dims=("x", "y"))
    said = r"frame1 has the dimensions \(x, y\), wanted the order of frame0, \(y, x\); its method transpose"
    for function in (variflow.estimate, variflow.iterate, variflow.match):
        with pytest.raises(ValueError, match=said):
            function(down, across)
    other = xarray.DataArray(square, dims=("row", "column"))
    for second in (across.transpose("y", "x"), other, square):
        assert not variflow.estimate(down, second, "realtime").flow.any()


def test_a_frame_of_opencv_on_another_device_says_how_to_get_it():
    cv2 = pytest.importorskip("cv2")
    with pytest.raises(TypeError, match=r"^frame0 is a UMat, wanted an array .*, as its \.get\(\) returns$"):
        variflow.estimate(cv2.UMat(FRAME), FRAME)
