"""Every public function takes every kind of array, and gives what it gives for a plain one, to the last bit."""

import importlib
import inspect
import tempfile
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

import variflow
from variflow import evaluation, filters, flowops, matching, metrics, view
from variflow.compat import opencv, skimage
from variflow.datasets import Sample, synthetic
from variflow.images.warping import prepare, warp_planes, warp_prepared

PAIR = synthetic.translation((24, 30), shift=(1.5, -0.5), dtype="float32")
FRAME0, FRAME1 = (frame.astype(float) for frame in (PAIR.frame0, PAIR.frame1))
GRAY0, GRAY1 = FRAME0.mean(axis=2), FRAME1.mean(axis=2)
BYTES = (255 * FRAME0).astype(np.uint8)
Y, X = np.mgrid[:24, :30].astype(float)
FLOW = np.stack([1.5 + 0.05 * X, -0.5 + 0.04 * Y - 0.02 * X], axis=2)
FLOWS = np.stack([FLOW, FLOW[::-1]])
GAPS = FLOW.copy()
GAPS[5:9, 4:20] = np.nan
MASK = (X + Y) % 7 != 0
WEIGHTS = 1 + 0.1 * X
POINTS = np.array([(3.5, 4.0), (11.0, 20.25), (17.0, 2.0)])
ERRORS = np.hypot(*np.moveaxis(FLOW, 2, 0))
PLANES = np.ascontiguousarray(np.moveaxis(FRAME0, 2, 0))
U, V = (np.ascontiguousarray(FLOW[..., component]) for component in range(2))
MODEL = variflow.Model(variflow.models.horn_schunck().energy, warps=1, factor=0.5)


def drawn(figure):
    """What a figure shows: its pictures, arrows and limits."""
    parts = []
    for axes in figure.axes:
        parts += [image.get_array() for image in axes.images]
        parts += [path.vertices for part in axes.collections for path in part.get_paths()]
        parts.append(np.array([*axes.get_xlim(), *axes.get_ylim()]))
    return tuple(np.ma.getdata(part) for part in parts)


def written(write, name):
    """A function that writes an array and returns the bytes of the file."""

    def call(array, folder):
        write(folder / name, array)
        return np.frombuffer((folder / name).read_bytes(), np.uint8)

    return call


def estimated(frame0, frame1, init, mask, weights):
    return variflow.estimate(frame0, frame1, MODEL, init=init, mask=mask, weights=weights).flow


def watched(frame0, frame1, init, mask0, mask1, weights0, weights1):
    states = variflow.iterate(
        frame0, frame1, MODEL, init=init, mask=(mask0, mask1), weights=[weights0, weights1], intensity_range=(0, 1)
    )
    return tuple(state.flow for state in states)


def followed(frame0, frame1):
    return tuple(result.flow for result in variflow.estimate_video([frame0, frame1, frame0], MODEL))


def fitted(flow):
    fit = flowops.fit_planes(flow, 5)
    return fit.jacobian, fit.residual, fit.known, fit.flags


def labelled(flow, mask, confidence, occlusion):
    data = flowops.to_xarray(
        flow, mask=mask, confidence=confidence, occlusion=occlusion, pixel_size=2.0, dt=0.1, fields=["strain"], grid=3
    )
    return tuple(variable.values for variable in data.data_vars.values())


def registered(frame0, frame1):
    return tuple(part for each in variflow.register([frame0, frame1], MODEL) for part in (each.frame, each.flow))


def steadied(frame0, frame1):
    return tuple(variflow.stabilise([frame0, frame1, frame0], MODEL))


def tiled(frame0, frame1, mask):
    with tempfile.TemporaryDirectory() as folder:
        return variflow.estimate_tiled(frame0, frame1, f"{folder}/flow.zarr", MODEL, tile=64, mask=mask).flow[...]


def matched(matches):
    return matches.points, matches.flow, matches.confidence


def weighed(u, v):
    at = variflow.Linearisation(
        *(PLANES.astype(np.float32),) * 3,
        (U.astype(np.float32), V.astype(np.float32)),
        MASK,
        WEIGHTS.astype(np.float32),
        PLANES.astype(np.float32),
    )
    return filters.WeightedMedian()((u, v), at)


def calculated(create, frame0, frame1):
    return create.calc(frame0, frame1, None)


def measured(flow, truth, valid, occlusion, foreground, frame0, frame1, between):
    sample = Sample("of mine", frame0, frame1, truth, occlusion, valid, foreground, between)
    return np.array(list(evaluation.measure(flow, sample).values()))


def parted(truth, valid, occlusion):
    return tuple(evaluation.regions(Sample("of mine", FRAME0, FRAME1, truth, occlusion, valid)).values())


def motion(x, y):
    turn = synthetic.Motion((2, 1), 10)
    return turn(x, y) + turn.displacement(x, y) + turn.inverse(x, y)


# By public name: a function of arrays, and those arrays.
TABLE = {
    "variflow.estimate": (
        estimated,
        {"frame0": FRAME0, "frame1": FRAME1, "init": GAPS, "mask": MASK, "weights": WEIGHTS},
    ),
    "variflow.iterate": (
        watched,
        {"frame0": GRAY0, "frame1": GRAY1, "init": FLOW, "mask0": MASK, "mask1": MASK, "weights0": WEIGHTS}
        | {"weights1": WEIGHTS},
    ),
    "variflow.estimate_video": (followed, {"frame0": FRAME0, "frame1": FRAME1}),
    "variflow.estimate_tiled": (tiled, {"frame0": FRAME0, "frame1": FRAME1, "mask": MASK}),
    "variflow.register": (registered, {"frame0": FRAME0, "frame1": FRAME1}),
    "variflow.stabilise": (steadied, {"frame0": FRAME0, "frame1": FRAME1}),
    "variflow.match": (
        lambda frame0, frame1, mask: matched(variflow.match(frame0, frame1, mask=mask)),
        {"frame0": FRAME0, "frame1": FRAME1, "mask": MASK},
    ),
    "variflow.Matches": (
        lambda points, flow, confidence: matched(variflow.Matches(points, flow, confidence)),
        {"points": POINTS, "flow": -POINTS, "confidence": POINTS[:, 0] / 20},
    ),
    "variflow.warp": (variflow.warp, {"image": FRAME1, "flow": GAPS}),
    "variflow.write_flow": (written(variflow.write_flow, "flow.flo"), {"array": GAPS}),
    "variflow.write_frames": (
        written(lambda path, frame: variflow.write_frames(path, [frame, frame]), "stack.npy"),
        {"array": FRAME0},
    ),
    "variflow.write_image": (written(variflow.write_image, "image.png"), {"array": BYTES}),
    "matching.densify": (
        lambda frame0: matching.densify(variflow.Matches(POINTS, -POINTS), frame0),
        {"frame0": FRAME0},
    ),
    "flowops.change_frame_rate": (partial(flowops.change_frame_rate, rate=2, new_rate=3), {"flow": GAPS}),
    "flowops.coarsen": (partial(flowops.coarsen, grid=5, statistic="median"), {"values": GAPS}),
    "flowops.compose": (flowops.compose, {"first": GAPS, "second": FLOW}),
    "flowops.consistency": (flowops.consistency, {"forward": GAPS, "backward": -FLOW}),
    "flowops.correlation": (flowops.correlation, {"frame0": FRAME0, "frame1": FRAME1, "flow": GAPS}),
    "flowops.coverage": (flowops.coverage, {"flow": GAPS, "weights": WEIGHTS}),
    "flowops.crop": (partial(flowops.crop, window=(1, 2, 20, 9)), {"flow": GAPS}),
    "flowops.divergence": (flowops.divergence, {"flow": GAPS}),
    "flowops.fill": (flowops.fill, {"flow": GAPS, "image": FRAME0}),
    "flowops.find_outliers": (flowops.find_outliers, {"flow": GAPS}),
    "flowops.flip": (partial(flowops.flip, axis="x"), {"flow": GAPS}),
    "flowops.from_itk": (flowops.from_itk, {"field": GAPS, "direction": np.array([[0.0, -1.0], [1.0, 0.0]])}),
    "flowops.from_opencv": (flowops.from_opencv, {"flow": GAPS}),
    "flowops.from_pysteps": (flowops.from_pysteps, {"velocity": np.ascontiguousarray(np.moveaxis(GAPS, 2, 0))}),
    "flowops.from_skimage": (flowops.from_skimage, {"flow": np.ascontiguousarray(np.moveaxis(GAPS, 2, 0))}),
    "flowops.from_torch": (flowops.from_torch, {"flow": np.ascontiguousarray(np.moveaxis(GAPS, 2, 0))}),
    "flowops.from_torch_grid": (flowops.from_torch_grid, {"grid": GAPS[None]}),
    "flowops.fit": (
        lambda flow, weights: flowops.fit(flow, "affine", weights),
        {"flow": FLOW, "weights": WEIGHTS},
    ),
    "flowops.fit_planes": (fitted, {"flow": GAPS}),
    "flowops.from_matrix": (lambda matrix: flowops.from_matrix(matrix, FLOW.shape[:2]), {"matrix": np.eye(3) + 0.01}),
    "flowops.interpolate": (
        flowops.interpolate,
        {"frame0": FRAME0, "frame1": FRAME1, "flow": FLOW, "backward": GAPS},
    ),
    "flowops.invert": (flowops.invert, {"flow": GAPS}),
    "flowops.is_consistent": (flowops.is_consistent, {"forward": GAPS, "backward": -FLOW}),
    "flowops.jacobian": (flowops.jacobian, {"flow": GAPS}),
    "flowops.precision": (flowops.precision, {"frame": FRAME0}),
    "flowops.resize": (partial(flowops.resize, shape=(11, 40)), {"flow": GAPS}),
    "flowops.rotate": (partial(flowops.rotate, degrees=33), {"flow": GAPS}),
    "flowops.splat": (flowops.splat, {"image": FRAME0, "flow": GAPS, "weights": WEIGHTS}),
    "flowops.strain": (flowops.strain, {"flow": GAPS}),
    "flowops.streamlines": (partial(flowops.streamlines, steps=3), {"flow": GAPS, "points": POINTS}),
    "flowops.to_itk": (flowops.to_itk, {"flow": FLOW, "direction": np.array([[0.0, -1.0], [1.0, 0.0]])}),
    "flowops.to_napari": (flowops.to_napari, {"flow": GAPS}),
    "flowops.to_opencv": (flowops.to_opencv, {"flow": GAPS}),
    "flowops.to_pysteps": (flowops.to_pysteps, {"flow": FLOW}),
    "flowops.to_skimage": (flowops.to_skimage, {"flow": GAPS}),
    "flowops.to_torch": (flowops.to_torch, {"flow": GAPS}),
    "flowops.to_torch_grid": (flowops.to_torch_grid, {"flow": FLOW}),
    "flowops.to_xarray": (
        labelled,
        {"flow": GAPS, "mask": MASK, "confidence": WEIGHTS / WEIGHTS.max(), "occlusion": ~MASK},
    ),
    "flowops.track": (
        lambda flow0, flow1, points: flowops.track([flow0, flow1], points),
        {"flow0": GAPS, "flow1": FLOW, "points": POINTS},
    ),
    "flowops.validate": (flowops.validate, {"flow": GAPS, "frame0": FRAME0, "frame1": FRAME1, "mask": MASK}),
    "flowops.vorticity": (flowops.vorticity, {"flow": GAPS}),
    "warping.warp_planes": (
        lambda planes, u, v: warp_planes(planes, (u, v), "bicubic"),
        {"planes": PLANES, "u": U, "v": V},
    ),
    "warping.prepare": (partial(prepare, interpolation="spline"), {"planes": PLANES}),
    "warping.warp_prepared": (
        lambda planes, u, v: warp_prepared(planes, (u, v), "bilinear"),
        {"planes": PLANES, "u": U, "v": V},
    ),
    "metrics.accuracy": (partial(metrics.accuracy, percent=70), {"error": ERRORS}),
    "metrics.angular_error": (metrics.angular_error, {"flow": FLOW, "truth": GAPS, "valid": MASK}),
    "metrics.angular_error_map": (metrics.angular_error_map, {"flow": FLOW, "truth": -GAPS}),
    "metrics.ause": (metrics.ause, {"error": ERRORS, "uncertainty": WEIGHTS}),
    "metrics.complete": (metrics.complete, {"flow": GAPS}),
    "metrics.endpoint_error": (metrics.endpoint_error, {"flow": -FLOW, "truth": GAPS, "valid": MASK}),
    "metrics.endpoint_error_map": (metrics.endpoint_error_map, {"flow": FLOW, "truth": -GAPS}),
    "metrics.in_between": (metrics.in_between, {"frame0": FRAME0, "frame1": FRAME1, "flow": FLOW}),
    "metrics.interpolation_error": (
        partial(metrics.interpolation_error, normalized=True),
        {"frame": FRAME0, "truth": FRAME1},
    ),
    "metrics.motion_boundaries": (partial(metrics.motion_boundaries, jump=0.05), {"truth": GAPS}),
    "metrics.near": (metrics.near, {"mask": ~MASK}),
    "metrics.outliers": (metrics.outliers, {"flow": -FLOW, "truth": GAPS, "valid": MASK}),
    "metrics.robustness": (partial(metrics.robustness, above=2), {"error": ERRORS}),
    "metrics.speed_between": (partial(metrics.speed_between, slowest=2, fastest=3), {"truth": GAPS}),
    "view.arrows": (lambda image, flow: drawn(view.arrows(image, flow)), {"image": FRAME0, "flow": GAPS}),
    "view.color": (view.color, {"flow": GAPS}),
    "view.error_map": (view.error_map, {"flow": GAPS, "truth": -FLOW}),
    "view.figure": (
        lambda frame0, frame1, flow, truth: drawn(view.figure(frame0, frame1, flow, truth)),
        {"frame0": FRAME0, "frame1": GRAY1, "flow": GAPS, "truth": FLOW},
    ),
    "view.scalar": (lambda field: drawn(view.scalar(field)), {"field": GAPS[..., 0].copy()}),
    "view.save": (written(view.save, "picture.png"), {"array": BYTES}),
    "view.warping": (
        lambda frame0, frame1, flow: drawn(view.warping(frame0, frame1, flow)),
        {"frame0": FRAME0, "frame1": GRAY1, "flow": GAPS},
    ),
    "filters.Median": (lambda u, v: filters.Median(3)((u, v), None), {"u": U, "v": V}),
    "filters.WeightedMedian": (weighed, {"u": U, "v": V}),
    "filters.median": (lambda u, v: filters.median((u, v), 5), {"u": U, "v": V}),
    "evaluation.measure": (
        measured,
        {"flow": GAPS, "truth": -FLOW, "valid": MASK, "occlusion": ~MASK, "foreground": MASK[::-1].copy()}
        | {"frame0": FRAME0, "frame1": FRAME1, "between": FRAME0},
    ),
    "evaluation.regions": (parted, {"truth": GAPS, "valid": MASK, "occlusion": ~MASK}),
    "synthetic.Motion": (motion, {"x": X, "y": Y}),
    "synthetic.Texture": (synthetic.Texture(1), {"x": X, "y": Y}),
    "skimage.optical_flow_tvl1": (
        partial(skimage.optical_flow_tvl1, num_warp=1),
        {"reference_image": GRAY0, "moving_image": GRAY1},
    ),
    "skimage.optical_flow_ilk": (
        partial(skimage.optical_flow_ilk, num_warp=1),
        {"reference_image": GRAY0, "moving_image": GRAY1},
    ),
    "opencv.DISOpticalFlow": (
        partial(calculated, opencv.DISOpticalFlow_create(opencv.DISOpticalFlow_PRESET_ULTRAFAST)),
        {"frame0": FRAME0, "frame1": FRAME1},
    ),
    "opencv.DualTVL1OpticalFlow": (
        partial(calculated, opencv.DualTVL1OpticalFlow_create(warps=1, outerIterations=1)),
        {"frame0": FRAME0, "frame1": FRAME1},
    ),
    "opencv.FarnebackOpticalFlow": (
        partial(calculated, opencv.FarnebackOpticalFlow_create(numIters=1)),
        {"frame0": FRAME0, "frame1": FRAME1},
    ),
    "opencv.calcOpticalFlowFarneback": (
        lambda frame0, frame1: opencv.calcOpticalFlowFarneback(frame0, frame1, None, 0.5, 1, 9, 1, 5, 1.2, 0),
        {"frame0": FRAME0, "frame1": FRAME1},
    ),
    "opencv.VariationalRefinement": (
        lambda frame0, frame1: opencv.VariationalRefinement_create().calc(frame0, frame1, FLOW.astype(np.float32)),
        {"frame0": FRAME0, "frame1": FRAME1},
    ),
    "opencv.writeOpticalFlow": (written(opencv.writeOpticalFlow, "flow.flo"), {"array": GAPS}),
}

# Public names that take no arrays: paths, settings, or what the library itself made.
WITHOUT = {
    "variflow": "EnergyRecord FlowFileError Linearisation Model Registered Result State TiledFlow VariflowWarning "
    "get_threads set_threads explain read_flow read_frames read_image release_memory",
    # `warp` is in the table by its shorter name, as are two of matching.
    "flowops": "PlaneFit from_xarray validate_xarray warp",
    "metrics": "",
    "view": "energies wheel",
    "filters": "filtered",
    "evaluation": "Table evaluate",
    "matching": "Start Matches match start start_from",
    "synthetic": "Ellipse Layer Polygon Region render translation",
    "skimage": "",
    "opencv": "DISOpticalFlow_create DualTVL1OpticalFlow_create FarnebackOpticalFlow_create createOptFlow_DualTVL1 "
    "VariationalRefinement_create readOpticalFlow",
}


def public(module):
    """The functions and classes that a module makes public."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    for name in names:
        value = getattr(module, name)
        own = getattr(value, "__module__", "").startswith(module.__name__) or hasattr(module, "__all__")
        if own and (inspect.isfunction(value) or inspect.isclass(value)):
            yield name


def test_every_public_function_is_in_the_table():
    homes = {
        "synthetic": "datasets.synthetic",
        "skimage": "compat.skimage",
        "opencv": "compat.opencv",
        "variflow": "",
    }
    for short, without in WITHOUT.items():
        module = importlib.import_module(f"variflow.{homes.get(short, short)}".rstrip("."))
        known = {name.partition(".")[2] for name in TABLE if name.partition(".")[0] == short} | set(without.split())
        assert set(public(module)) <= known, f"{short}: say in the table or in WITHOUT what takes arrays"


class Exporter:
    """An array that is known through DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **how):
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def sparse(array):
    """Every second element of a larger array along every axis."""
    wide = np.full([2 * size for size in array.shape], 77, array.dtype)
    part = wide[(slice(1, None, 2),) * array.ndim]
    part[...] = array
    return part


def unaligned(array):
    record = np.zeros(array.shape, [("before", np.uint8), ("value", array.dtype)])
    record["value"] = array
    return record["value"]


def in_dask(array):
    return pytest.importorskip("dask.array").from_array(array, chunks=7)


def in_zarr(array):
    return pytest.importorskip("zarr").array(array)


def in_torch(array):
    return pytest.importorskip("torch").from_numpy(array.copy())


KINDS = {
    "fortran": np.asfortranarray,
    "rotated": lambda array: np.rot90(np.ascontiguousarray(np.rot90(array)), -1) if array.ndim > 1 else array,
    "backwards": lambda array: np.flip(np.flip(array).copy()),
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "read-only": read_only,
    "sparse": sparse,
    "unaligned": unaligned,
    "masked": np.ma.array,
    "masked nowhere": lambda array: np.ma.array(array, mask=np.zeros(array.shape, bool)),
    "list": np.ndarray.tolist,
    "memoryview": lambda array: memoryview(array.copy()),
    "DLPack": Exporter,
    "xarray": lambda array: pytest.importorskip("xarray").DataArray(array),
    "dask": in_dask,
    "zarr": in_zarr,
    "torch": in_torch,
}


@cache
def plain(name, folder):
    function, arrays = TABLE[name]
    return call(function, arrays, folder)


def call(function, arrays, folder):
    if "array" in arrays:
        return function(**arrays, folder=folder)
    return function(**arrays)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TABLE)
def test_any_kind_of_array_gives_the_same(name, kind, tmp_path_factory):
    function, arrays = TABLE[name]
    if kind == "list" and any(array.dtype == np.uint8 for array in arrays.values()):
        pytest.skip("a list has no type, and a file of an image needs one")
    folder = Path(tmp_path_factory.getbasetemp())
    found = call(function, {argument: KINDS[kind](array) for argument, array in arrays.items()}, folder)
    for one, other in zip(as_tuple(found), as_tuple(plain(name, folder)), strict=True):
        assert type(one) is type(other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_sequence_in_one_array(kind):
    frames = np.stack([GRAY0, GRAY1, GRAY0])
    for found, wanted in zip(
        variflow.estimate_video(KINDS[kind](frames), MODEL), variflow.estimate_video(frames, MODEL), strict=True
    ):
        np.testing.assert_array_equal(found.flow, wanted.flow)
    np.testing.assert_array_equal(flowops.track(KINDS[kind](FLOWS), POINTS), flowops.track(FLOWS, POINTS))


def as_tuple(found):
    return found if isinstance(found, tuple) else (found,)
