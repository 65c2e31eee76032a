"""The functions of scikit-image: its own tests where it ships them, and their equivalents."""

import importlib
import inspect
import warnings

import numpy as np
import pytest

from variflow.compat import skimage as door

SHAPE = (256, 256)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).normal(size=SHAPE)


@pytest.fixture(scope="module")
def waves(noise):
    """White noise moved along its rows by a sine: the flow, and both images."""
    ndimage = pytest.importorskip("scipy.ndimage")
    rows, columns = np.indices(SHAPE)
    flow = np.zeros((2, *SHAPE))
    flow[0] = 4.5 * np.sin(rows / (SHAPE[0] - 1) * 5 * np.pi)
    moved = ndimage.map_coordinates(noise, [rows - flow[0], columns], order=1, mode="nearest")
    return flow, noise, moved


def tvl1(*images, **arguments):
    return door.optical_flow_tvl1(*images, **{"attachment": 5, **arguments})


FUNCTIONS = [tvl1, door.optical_flow_ilk]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("prefilter", [True, False])
def test_motion_of_noise(waves, function, dtype, prefilter):
    flow, first, second = waves
    wanted = np.float32 if dtype == np.float16 else dtype
    estimated = function(first, second.astype(dtype), prefilter=prefilter, dtype=wanted)
    assert estimated.dtype == wanted
    assert estimated.shape == (2, *SHAPE)
    assert abs(estimated - flow).mean() < 0.5


@pytest.mark.parametrize("radius", [3, 7])
def test_motion_of_noise_in_gaussian_windows(waves, radius):
    flow, first, second = waves
    assert abs(door.optical_flow_ilk(first, second, radius=radius, gaussian=True) - flow).mean() < 0.5


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_motion_is_exactly_none(noise, function):
    assert not function(noise, noise).any()


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float16, np.int64, "int", np.longdouble, complex])
def test_other_dtypes_are_refused(noise, function, dtype):
    with pytest.raises(ValueError, match=r"dtype is .* wanted float32 or float64"):
        function(noise, noise, dtype=dtype)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_shapes(noise, function):
    with pytest.raises(ValueError, match=r"moving_image has shape \(255, 256\)"):
        function(noise, noise[1:])
    for shape in ((9, 10, 11), (64, 64, 3), (20,)):
        with pytest.raises(NotImplementedError, match="a third axis is space here, as in scikit-image"):
            function(np.zeros(shape), np.zeros(shape))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_integers_are_scaled_by_their_type(noise, function):
    byte = np.clip(noise[:64, :64] * 40 + 128, 0, 255).astype(np.uint8)
    moved = np.roll(byte, 1, axis=0)
    mixed = function(byte, moved.astype(np.uint16) * 257)
    np.testing.assert_array_equal(mixed, function(byte, moved))


def roughness(flow):
    return float(abs(np.diff(flow, axis=1)).mean() + abs(np.diff(flow, axis=2)).mean())


def test_every_argument_of_tvl1_acts(waves):
    _, first, second = (part[..., :96, :96] for part in waves)
    usual = door.optical_flow_tvl1(first, second)
    changes = {"attachment": 3, "tightness": 0.05, "num_warp": 2, "num_iter": 3, "tol": 0.1, "prefilter": True}
    for name, value in changes.items():
        assert not np.array_equal(door.optical_flow_tvl1(first, second, **{name: value}), usual), name
    roughnesses = [roughness(door.optical_flow_tvl1(first, second, attachment=value)) for value in (1, 5, 15)]
    assert roughnesses == sorted(roughnesses)
    once = door.optical_flow_tvl1(first, second, num_warp=1)
    np.testing.assert_array_equal(door.optical_flow_tvl1(first, second, tol=1e9), once)


def test_every_argument_of_ilk_acts(waves):
    _, first, second = (part[..., :96, :96] for part in waves)
    usual = door.optical_flow_ilk(first, second)
    for name, value in {"radius": 4, "num_warp": 2, "gaussian": True, "prefilter": True}.items():
        assert not np.array_equal(door.optical_flow_ilk(first, second, **{name: value}), usual), name
    roughnesses = [roughness(door.optical_flow_ilk(first, second, radius=value)) for value in (12, 7, 3)]
    assert roughnesses == sorted(roughnesses)


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        (door.optical_flow_tvl1, {"attachment": 0}, ValueError, "attachment is 0, wanted a number above 0"),
        (door.optical_flow_tvl1, {"tightness": -1}, ValueError, "tightness is -1"),
        (door.optical_flow_tvl1, {"num_warp": -1}, ValueError, "num_warp is -1"),
        (door.optical_flow_tvl1, {"num_iter": 2.5}, TypeError, "num_iter is 2.5, wanted a whole number"),
        (door.optical_flow_tvl1, {"tol": -1}, ValueError, "tol is -1"),
        (door.optical_flow_tvl1, {"prefilter": "yes"}, TypeError, "prefilter is 'yes'"),
        (door.optical_flow_ilk, {"radius": -1}, ValueError, "radius is -1"),
        (door.optical_flow_ilk, {"gaussian": 3}, TypeError, "gaussian is 3"),
    ],
)
def test_errors_name_the_argument(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(np.zeros((20, 20)), np.zeros((20, 20)), **arguments)


@pytest.mark.parametrize("offset", [2, 4])
def test_a_change_of_light_hardly_matters(middlebury, offset):
    sample = middlebury["RubberWhale"]
    first, second = (frame.mean(axis=2)[100:228, 100:228] for frame in (sample.frame0, sample.frame1))
    for function in (door.optical_flow_tvl1, door.optical_flow_ilk):
        steady, changed = (function(first, second + light) for light in (0, offset))
        assert abs(changed - steady).mean() < 0.05


def test_values_that_scikit_image_takes(waves):
    _, first, second = (part[..., :64, :64] for part in waves)
    for function in FUNCTIONS:
        assert not function(first, second, num_warp=0).any()
        filtered = function(first, second, prefilter=True)
        np.testing.assert_array_equal(function(first, second, prefilter=1), filtered)
    assert not tvl1(first, second, num_iter=0).any()


# Beside scikit-image itself


@pytest.fixture
def registration():
    return pytest.importorskip("skimage.registration")


@pytest.mark.parametrize("name", ["optical_flow_tvl1", "optical_flow_ilk"])
def test_signatures_are_the_same(registration, name):
    theirs, ours = (inspect.signature(getattr(module, name)).parameters for module in (registration, door))
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize("name", ["optical_flow_tvl1", "optical_flow_ilk"])
def test_results_are_better_than_theirs(registration, middlebury, name):
    sample = middlebury["RubberWhale"]
    first, second = (frame.mean(axis=2)[100:228, 100:228] / 255 for frame in (sample.frame0, sample.frame1))
    truth = np.moveaxis(sample.flow[100:228, 100:228, ::-1], 2, 0)
    errors = []
    for module in (door, registration):
        error = np.hypot(*(getattr(module, name)(first, second) - truth))
        errors.append(np.nanmean(error))
    assert errors[0] < errors[1]


def published(module):
    """Return a module of tests that the installed scikit-image ships; wheels up to 0.25 do."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(f"skimage.registration.tests.{module}")
    except ImportError:
        return None


def cases(module):
    """Yield its tests of two dimensions, with the arguments that pytest gives them."""
    tests = [(name, test) for name, test in vars(module).items() if name.startswith("test_") and "3d" not in name]
    for name, test in tests:
        choices = [{}]
        for mark in getattr(test, "pytestmark", []):
            argument, values = mark.args
            choices = [{**choice, argument: value} for choice in choices for value in values]
        for choice in choices:
            yield pytest.param(module, test, choice, id=f"{name}-{'-'.join(map(str, choice.values()))}")


PUBLISHED = [case for name in ("test_tvl1", "test_ilk") if (module := published(name)) for case in cases(module)]


@pytest.mark.skipif(not PUBLISHED, reason="the installed scikit-image ships no tests")
@pytest.mark.parametrize(("module", "test", "arguments"), PUBLISHED or [(None, None, None)])
def test_published_tests_pass(monkeypatch, module, test, arguments):
    for name in ("optical_flow_tvl1", "optical_flow_ilk"):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, getattr(door, name))
    test(**arguments)
