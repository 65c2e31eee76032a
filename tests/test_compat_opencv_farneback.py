"""Farneback's flow and the variational refinement of OpenCV: arguments, flows in place, and beside OpenCV itself."""

import inspect
import re

import numpy as np
import pytest

from variflow import VariflowWarning, metrics
from variflow.compat import opencv as door
from variflow.datasets import synthetic

ARGUMENTS = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}


@pytest.fixture(scope="module")
def pair():
    return synthetic.translation((96, 128), shift=(2.5, -1.25), dtype="uint8")


def error(flow, pair):
    return float(np.hypot(*np.moveaxis(flow - pair.flow, 2, 0))[16:-16, 16:-16].mean())


def farneback(pair, flow=None, **changed):
    return door.calcOpticalFlowFarneback(pair.frame0, pair.frame1, flow, *{**ARGUMENTS, **changed}.values())


def refined(pair, flow, **settings):
    made = door.VariationalRefinement_create()
    for name, value in settings.items():
        getattr(made, f"set{name}")(value)
    return made.calc(pair.frame0, pair.frame1, flow)


def near(pair):
    return pair.flow + np.float32(0.4)


# Farneback


@pytest.mark.parametrize("flags", [0, door.OPTFLOW_FARNEBACK_GAUSSIAN])
def test_the_flow_is_right_and_written_in_place(pair, flags):
    flow = np.full_like(pair.flow, np.nan)  # not started from
    assert farneback(pair, flow, flags=flags) is flow
    assert error(flow, pair) < 0.03
    np.testing.assert_array_equal(farneback(pair, flags=flags), flow)


def test_arguments_may_be_named(pair):
    named = door.calcOpticalFlowFarneback(prev=pair.frame0, next=pair.frame1, flow=None, **ARGUMENTS)
    np.testing.assert_array_equal(named, farneback(pair))


@pytest.mark.parametrize(
    ("name", "value"),
    [("pyr_scale", 0.7), ("levels", 0), ("winsize", 7), ("iterations", 1), ("flags", door.OPTFLOW_FARNEBACK_GAUSSIAN)],
)
def test_every_argument_acts(pair, name, value):
    assert not np.array_equal(farneback(pair, **{name: value}), farneback(pair))


def test_arguments_of_the_polynomials_change_nothing(pair):
    np.testing.assert_array_equal(farneback(pair, poly_n=7, poly_sigma=1.5), farneback(pair))


def test_more_levels_follow_larger_motion():
    pair = synthetic.translation((200, 256), shift=(17, 6), dtype="uint8")
    assert error(farneback(pair, levels=0), pair) > 5
    assert error(farneback(pair, levels=2), pair) < 0.1


def test_an_initial_flow_is_started_from():
    pair = synthetic.translation((96, 128), shift=(20, 9), dtype="uint8")
    start = pair.flow + np.float32(0.5)
    start[10:20, 10:20] = np.nan
    assert error(farneback(pair, start.copy(), levels=1), pair) > 2
    assert error(farneback(pair, start, levels=1, flags=door.OPTFLOW_USE_INITIAL_FLOW), pair) < 0.1
    with pytest.raises(ValueError, match=r"^flow is None, wanted a flow to start from"):
        farneback(pair, flags=door.OPTFLOW_USE_INITIAL_FLOW)


def test_any_layout_of_frames_and_flow(pair):
    wanted = farneback(pair)
    wide = np.zeros((192, 128, 4), np.float32)
    flow = wide[::-2, :, 1::2]
    odd = [np.asfortranarray(frame)[::-1][::-1] for frame in (pair.frame0, pair.frame1)]
    assert door.calcOpticalFlowFarneback(*odd, flow, *ARGUMENTS.values()) is flow
    np.testing.assert_array_equal(flow, wanted)
    assert not wide[:, :, ::2].any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pyr_scale": 1}, "pyr_scale is 1"),
        ({"levels": -2}, "levels is -2"),
        ({"winsize": 0}, "winsize is 0"),
        ({"iterations": -1}, "iterations is -1"),
        ({"poly_n": 0}, "poly_n is 0"),
        ({"poly_sigma": 0}, "poly_sigma is 0"),
        ({"flags": 8}, "flags is 8, wanted a sum of OPTFLOW_USE_INITIAL_FLOW, 4, and OPTFLOW_FARNEBACK_GAUSSIAN, 256"),
    ],
)
def test_arguments_that_cannot_be_right(pair, changed, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        farneback(pair, **changed)


def test_frames_and_buffers_that_cannot_be_right(pair):
    with pytest.raises(ValueError, match=r"^next has shape"):
        door.calcOpticalFlowFarneback(pair.frame0, pair.frame1[1:], None, *ARGUMENTS.values())
    with pytest.raises(TypeError, match=r"^flow is float64, wanted a float32 array to write into, or None"):
        farneback(pair, np.zeros(pair.flow.shape), flags=door.OPTFLOW_USE_INITIAL_FLOW)


def test_the_object_is_the_function(pair):
    made = door.FarnebackOpticalFlow_create(3, 0.5, False, 15, 3)
    np.testing.assert_array_equal(made.calc(pair.frame0, pair.frame1, None), farneback(pair))
    settings = {"NumLevels": 1, "PyrScale": 0.7, "WinSize": 9, "NumIters": 2, "Flags": 256}
    for name, value in settings.items():
        getattr(made, f"set{name}")(value)
        assert getattr(made, f"get{name}")() == value
    as_function = farneback(pair, levels=1, pyr_scale=0.7, winsize=9, iterations=2, flags=256)
    np.testing.assert_array_equal(made.calc(pair.frame0, pair.frame1, None), as_function)
    made.setFlags(door.OPTFLOW_USE_INITIAL_FLOW)
    with pytest.raises(ValueError, match=r"^flow is None"):
        made.calc(pair.frame0, pair.frame1, None)


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [("polyN", "PolyN", 7), ("polySigma", "PolySigma", 1.5), ("fastPyramids", "FastPyramids", True)],
)
def test_settings_of_inner_workings_warn(argument, name, value):
    with pytest.warns(VariflowWarning, match=f"^{name} is {value}: it steers only.*; set ") as given:
        made = door.FarnebackOpticalFlow_create(**{argument: value})
    assert len(given) == 1
    assert given[0].filename == __file__
    assert getattr(made, f"get{name}")() == value


# Refinement


def test_a_flow_is_refined_in_place(pair):
    flow = near(pair)
    assert error(flow, pair) > 0.5
    assert refined(pair, flow) is flow
    assert error(flow, pair) < 0.03


def test_the_components_may_be_two_arrays(pair):
    flow = near(pair)
    flow[40:44, 50:60] = np.nan
    u, v = np.ascontiguousarray(flow[..., 0]), np.asfortranarray(flow[..., 1])
    found = door.VariationalRefinement.create().calcUV(pair.frame0, pair.frame1, u, v)
    assert found[0] is u
    assert found[1] is v
    np.testing.assert_array_equal(np.stack([u, v], axis=2), refined(pair, flow))
    assert error(flow, pair) < 0.03


def test_only_the_full_size_is_solved():
    pair = synthetic.translation((96, 128), shift=(12, 5), dtype="uint8")
    assert error(refined(pair, np.zeros_like(pair.flow)), pair) > 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Alpha", 60.0),
        ("Delta", 0.0),
        ("Gamma", 0.0),
        ("Epsilon", 0.1),
        ("Omega", 1.0),
        ("FixedPointIterations", 1),
        ("SorIterations", 1),
    ],
)
def test_every_setting_of_the_refinement_acts(pair, name, value):
    made = door.VariationalRefinement_create()
    usual = made.calc(pair.frame0, pair.frame1, near(pair))
    getattr(made, f"set{name}")(value)
    assert getattr(made, f"get{name}")() == value
    assert not np.array_equal(made.calc(pair.frame0, pair.frame1, near(pair)), usual)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"Alpha": -1}, "Alpha is -1"),
        ({"Delta": -1}, "Delta is -1"),
        ({"Gamma": -1}, "Gamma is -1"),
        ({"Epsilon": 0}, "Epsilon is 0"),
        ({"Omega": 2}, "Omega is 2"),
        ({"FixedPointIterations": -1}, "FixedPointIterations is -1"),
        ({"SorIterations": 0}, "SorIterations is 0"),
        ({"Delta": 0, "Gamma": 0}, "Delta and Gamma are 0, wanted one above 0"),
    ],
)
def test_settings_of_the_refinement_that_cannot_be_right(pair, settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        refined(pair, near(pair), **settings)


def test_flows_to_refine_that_cannot_be_right(pair):
    made = door.VariationalRefinement_create()
    with pytest.raises(TypeError, match=r"^flow is None, wanted the flow to refine"):
        refined(pair, None)
    with pytest.raises(ValueError, match=r"^flow_v has shape \(96, 127\), wanted \(96, 128\)"):
        made.calcUV(pair.frame0, pair.frame1, *(np.zeros((96, width), np.float32) for width in (128, 127)))
    with pytest.raises(TypeError, match=r"^flow_u is float64, wanted a float32 array to write into$"):
        made.calcUV(pair.frame0, pair.frame1, np.zeros((96, 128)), np.zeros((96, 128), np.float32))


def test_a_start_of_which_nothing_is_known_is_refused(pair):
    unknown = np.full_like(pair.flow, np.nan)
    for call in (
        lambda: refined(pair, unknown),
        lambda: farneback(pair, unknown, flags=door.OPTFLOW_USE_INITIAL_FLOW),
        lambda: door.DISOpticalFlow_create().calc(pair.frame0, pair.frame1, unknown),
    ):
        with pytest.raises(ValueError, match=r"^flow has no known pixel to start from"):
            call()
    half = np.where([True, False], unknown, np.float32(0))  # one component alone is no flow
    with pytest.raises(ValueError, match=r"^flow of flow_u and flow_v has no known pixel"):
        door.VariationalRefinement_create().calcUV(pair.frame0, pair.frame1, half[..., 0].copy(), half[..., 1].copy())


def test_values_that_opencv_takes(pair):
    np.testing.assert_array_equal(farneback(pair, levels=-1), farneback(pair, levels=0))
    assert not farneback(pair, iterations=0).any()
    start = near(pair)
    flow = farneback(pair, start.copy(), iterations=0, flags=door.OPTFLOW_USE_INITIAL_FLOW)
    np.testing.assert_array_equal(flow, start)
    for factor, nearest in ((0.3, 0.4), (0.99, 0.98)):
        with pytest.warns(VariflowWarning, match=f"^pyr_scale is {factor}, .*: {nearest} is taken"):
            flow = farneback(pair, pyr_scale=factor)
        np.testing.assert_array_equal(flow, farneback(pair, pyr_scale=nearest))
    for unfit in (np.zeros(pair.flow.shape), np.zeros_like(pair.frame0), np.zeros((9, 9, 2), np.float32)):
        np.testing.assert_array_equal(farneback(pair, unfit), farneback(pair))
        assert not unfit.any()
    np.testing.assert_array_equal(refined(pair, start.copy(), FixedPointIterations=0), start)
    with pytest.warns(VariflowWarning, match=r"^Alpha is 0: .*so 0\.1 is taken"):
        assert error(refined(pair, start.copy(), Alpha=0), pair) < error(start, pair)


# Beside OpenCV itself


@pytest.fixture
def cv2():
    return pytest.importorskip("cv2")


def named_in(theirs):
    """The arguments that the documentation of a function of OpenCV names, in order."""
    return re.findall(r"\w+", theirs.__doc__.partition("(")[2].partition(")")[0])


def test_signatures_are_the_same(cv2):
    for ours, theirs in (
        (door.calcOpticalFlowFarneback, cv2.calcOpticalFlowFarneback),
        (door.FarnebackOpticalFlow, cv2.FarnebackOpticalFlow_create),
        (door.DISOpticalFlow_create, cv2.DISOpticalFlow_create),
        (door.VariationalRefinement_create().calc, cv2.VariationalRefinement_create().calc),
        (door.VariationalRefinement_create().calcUV, cv2.VariationalRefinement_create().calcUV),
        (door.readOpticalFlow, cv2.readOpticalFlow),
        (door.writeOpticalFlow, cv2.writeOpticalFlow),
    ):
        assert list(inspect.signature(ours).parameters) == named_in(theirs)


@pytest.fixture(scope="module")
def rubber_whale(middlebury):
    sample = middlebury["RubberWhale"]
    frames = (
        np.rint(frame[100:260, 100:300].mean(axis=2)).astype(np.uint8) for frame in (sample.frame0, sample.frame1)
    )
    return *frames, sample.flow[100:260, 100:300]


@pytest.mark.parametrize("flags", [0, 256])
def test_errors_are_smaller_than_theirs(cv2, rubber_whale, flags):
    first, second, truth = rubber_whale
    arguments = list({**ARGUMENTS, "flags": flags}.values())
    ours, theirs = (
        metrics.endpoint_error(library.calcOpticalFlowFarneback(first, second, None, *arguments), truth)
        for library in (door, cv2)
    )
    assert ours < theirs


def test_a_flow_of_theirs_is_refined_further_than_by_them(cv2, rubber_whale):
    first, second, truth = rubber_whale
    start = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(first, second, None)
    ours, theirs = (
        metrics.endpoint_error(library.VariationalRefinement_create().calc(first, second, start.copy()), truth)
        for library in (door, cv2)
    )
    assert ours < theirs < metrics.endpoint_error(start, truth)
