"""The flow objects of OpenCV: their settings, their flows in place, and beside OpenCV itself."""

import numpy as np
import pytest

import variflow
from variflow import VariflowWarning
from variflow.compat import opencv as door
from variflow.compat._solvers import Rounds, make_tv_l1_energy
from variflow.datasets import synthetic
from variflow.model import Model
from variflow.solve.primal_dual import PrimalDual


@pytest.fixture(scope="module")
def pair():
    return synthetic.translation((96, 128), shift=(2.5, -1.25), dtype="uint8")


def error(flow, pair):
    return float(np.hypot(*np.moveaxis(flow - pair.flow, 2, 0))[12:-12, 12:-12].mean())


def dis(**settings):
    made = door.DISOpticalFlow_create(door.DISOpticalFlow_PRESET_MEDIUM)
    for name, value in {"FinestScale": 0, **settings}.items():
        getattr(made, f"set{name}")(value)
    return made


def tvl1(**settings):
    return door.DualTVL1OpticalFlow_create(**{"outerIterations": 2, "warps": 3, **settings})


@pytest.mark.parametrize("make", [dis, tvl1])
def test_the_flow_is_right_and_written_in_place(pair, make):
    flow = np.zeros_like(pair.flow)
    assert make().calc(pair.frame0, pair.frame1, flow) is flow
    assert error(flow, pair) < 0.05
    fresh = make().calc(pair.frame0, pair.frame1, None)
    assert fresh.dtype == np.float32
    # A flow of zeros is one to start from for DIS, and hardly changes where it ends.
    np.testing.assert_allclose(fresh, flow, rtol=0, atol=0.01 if make is dis else 0)
    assert not make().calc(pair.frame0, pair.frame0, None).any()


def test_presets_are_finer_and_finer(pair):
    errors = [
        error(door.DISOpticalFlow_create(preset).calc(pair.frame0, pair.frame1, None), pair) for preset in range(3)
    ]
    assert errors[2] < errors[0] < 0.5
    assert [door.DISOpticalFlow.create(preset).getFinestScale() for preset in range(3)] == [2, 2, 1]
    with pytest.raises(ValueError, match="preset is 3"):
        door.DISOpticalFlow_create(3)


@pytest.mark.parametrize("make", [dis, lambda **s: tvl1(useInitialFlow=True, **s)], ids=["dis", "tvl1"])
def test_a_flow_to_start_from_is_used(make):
    # Motion that no coarse scale is there to find.
    pair = synthetic.translation((96, 128), shift=(20, 9))
    alone = {"CoarsestScale": 1} if make is dis else {"nscales": 2}
    start = pair.flow + np.float32(0.5)
    start[10:20, 10:20] = np.nan
    assert error(make(**alone).calc(pair.frame0, pair.frame1, None), pair) > 2
    assert error(make(**alone).calc(pair.frame0, pair.frame1, start), pair) < 0.1


@pytest.mark.parametrize("preset", range(3))
@pytest.mark.parametrize(("size", "shift"), [((96, 128), (12, 5)), ((200, 256), (24, 10)), ((64, 64), (5, -4))])
def test_motion_as_large_as_opencv_follows_is_followed(preset, size, shift):
    pair = synthetic.translation(size, shift=shift, dtype="uint8")
    flow = door.DISOpticalFlow_create(preset).calc(pair.frame0, pair.frame1, None)
    assert np.hypot(*np.moveaxis(flow - pair.flow, 2, 0))[24:-24, 24:-24].mean() < 0.2


def test_a_flow_is_not_started_from_unless_asked(pair):
    start = np.full_like(pair.flow, 40)
    without = tvl1().calc(pair.frame0, pair.frame1, None)
    np.testing.assert_array_equal(tvl1().calc(pair.frame0, pair.frame1, start), without)


DIS_SETTINGS = {
    "FinestScale": 1,
    "CoarsestScale": 1,
    "VariationalRefinementIterations": 1,
    "VariationalRefinementAlpha": 60.0,
    "VariationalRefinementDelta": 0.0,
    "VariationalRefinementGamma": 0.0,
    "VariationalRefinementEpsilon": 0.1,
}
TVL1_SETTINGS = {
    "Lambda": 0.05,
    "Theta": 0.05,
    "ScalesNumber": 2,
    "WarpingsNumber": 1,
    "Epsilon": 0.5,
    "InnerIterations": 5,
    "OuterIterations": 1,
    "ScaleStep": 0.5,
    "MedianFiltering": 1,
}


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [*((dis, *setting) for setting in DIS_SETTINGS.items()), *((tvl1, *setting) for setting in TVL1_SETTINGS.items())],
)
def test_every_setting_acts(pair, make, name, value):
    changed = make(epsilon=0) if make is tvl1 and name == "OuterIterations" else make()
    usual = changed.calc(pair.frame0, pair.frame1, None)
    getattr(changed, f"set{name}")(value)
    assert getattr(changed, f"get{name}")() == value
    assert not np.array_equal(changed.calc(pair.frame0, pair.frame1, None), usual)


IDLE = [
    (dis, "PatchSize", 12, "FinestScale"),
    (dis, "PatchStride", 2, "FinestScale"),
    (dis, "GradientDescentIterations", 30, "VariationalRefinementIterations"),
    (dis, "UseMeanNormalization", False, "VariationalRefinementDelta"),
    (dis, "UseSpatialPropagation", False, "FinestScale"),
    (tvl1, "Tau", 0.2, "InnerIterations"),
]


@pytest.mark.parametrize(("make", "name", "value", "instead"), IDLE)
def test_settings_of_inner_workings_warn_and_change_nothing(pair, make, name, value, instead):
    changed = make()
    usual = changed.calc(pair.frame0, pair.frame1, None)
    with pytest.warns(VariflowWarning, match=f"^{name} is {value}: it steers only.*; set .*{instead}") as given:
        getattr(changed, f"set{name}")(value)
    assert len(given) == 1
    assert given[0].filename == __file__
    assert getattr(changed, f"get{name}")() == value
    np.testing.assert_array_equal(changed.calc(pair.frame0, pair.frame1, None), usual)


def test_settings_of_inner_workings_are_checked_and_each_object_has_its_own():
    made = dis()
    with pytest.raises(ValueError, match="PatchSize is 0"):
        made.setPatchSize(0)
    with pytest.raises(TypeError, match="UseMeanNormalization is 'yes', wanted True or False"):
        made.setUseMeanNormalization("yes")
    with pytest.raises(ValueError, match="Tau is -1"):
        tvl1(tau=-1)
    with pytest.warns(VariflowWarning, match="PatchSize"):
        made.setPatchSize(12)
    assert (made.getPatchSize(), dis().getPatchSize()) == (12, 8)
    assert made.setPatchSize.__name__ == "setPatchSize"


def test_settings_that_would_change_what_is_minimised_raise():
    with pytest.raises(NotImplementedError, match=r"gamma is 0\.5"):
        tvl1(gamma=0.5)
    with pytest.warns(VariflowWarning, match=r"Tau is 0\.2"):
        assert tvl1(tau=0.2).getTau() == 0.2
    assert tvl1(tau=0.25, gamma=0).getGamma() == 0


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: dis(FinestScale=-1), ValueError, "FinestScale is -1"),
        (lambda: dis(FinestScale=1.5), TypeError, "FinestScale is 1.5"),
        (lambda: dis(VariationalRefinementIterations=-1), ValueError, "VariationalRefinementIterations is -1"),
        (lambda: dis(VariationalRefinementAlpha=-1), ValueError, "VariationalRefinementAlpha is -1"),
        (lambda: tvl1(useInitialFlow="no"), TypeError, "UseInitialFlow is 'no', wanted True or False"),
        (lambda: dis(VariationalRefinementGamma=-1), ValueError, "VariationalRefinementGamma is -1"),
        (lambda: tvl1(lambda_=0), ValueError, "Lambda is 0"),
        (lambda: tvl1(nscales=0), ValueError, "ScalesNumber is 0"),
        (lambda: tvl1(scaleStep=0.3), ValueError, "ScaleStep is 0.3"),
        (lambda: tvl1(medianFiltering=7), ValueError, "MedianFiltering is 7"),
    ],
)
def test_settings_that_cannot_be_right(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_arguments_of_calc(pair):
    made = dis()
    with pytest.raises(ValueError, match="I1 has shape"):
        made.calc(pair.frame0, pair.frame1[1:], None)
    with pytest.raises(TypeError, match="flow is float64, wanted a float32 array"):
        tvl1(useInitialFlow=True).calc(pair.frame0, pair.frame1, np.zeros((96, 128, 2)))
    with pytest.raises(TypeError, match="flow is list"):
        made.calc(pair.frame0, pair.frame1, [])
    with pytest.raises(ValueError, match=r"flow has shape \(96, 127, 2\)"):
        tvl1(useInitialFlow=True).calc(pair.frame0, pair.frame1, np.zeros((96, 127, 2), np.float32))
    with pytest.raises(ValueError, match="wanted one above 0"):
        dis(VariationalRefinementDelta=0, VariationalRefinementGamma=0).calc(pair.frame0, pair.frame1, None)
    made.collectGarbage()


@pytest.mark.parametrize("offset", [2, 4])
def test_a_change_of_light_hardly_matters(middlebury, offset):
    sample = middlebury["RubberWhale"]
    first, second = (frame.mean(axis=2)[100:260, 100:300] for frame in (sample.frame0, sample.frame1))
    for method in (tvl1(), door.FarnebackOpticalFlow_create(numIters=3)):
        steady, changed = (method.calc(first, second + light, None) for light in (0, offset))
        assert abs(changed - steady).mean() < 0.05


def test_values_that_opencv_takes(pair):
    coarsest = dis(CoarsestScale=0, FinestScale=1).calc(pair.frame0, pair.frame1, None)
    np.testing.assert_array_equal(coarsest, dis(CoarsestScale=0).calc(pair.frame0, pair.frame1, None))
    for name, nearest in (("VariationalRefinementIterations", 1), ("VariationalRefinementAlpha", 0.1)):
        with pytest.warns(VariflowWarning, match=f"^{name} is 0: .*so {nearest} is taken"):
            made = dis(**{name: 0})
        assert getattr(made, f"get{name}")() == 0
        flow = made.calc(pair.frame0, pair.frame1, None)
        np.testing.assert_array_equal(flow, dis(**{name: nearest}).calc(pair.frame0, pair.frame1, None))


@pytest.mark.parametrize(
    "flow", [np.ones((96, 128, 2)), np.ones((90, 128, 2), np.float32), np.ones((96, 128), np.uint8)]
)
def test_a_flow_that_does_not_fit_is_left_alone(pair, flow):
    before = flow.copy()
    found = tvl1().calc(pair.frame0, pair.frame1, flow)
    np.testing.assert_array_equal(found, tvl1().calc(pair.frame0, pair.frame1, None))
    with pytest.warns(VariflowWarning, match="^flow is no float32 array of the frames' size: the estimate neither"):
        found = dis().calc(pair.frame0, pair.frame1, flow)
    np.testing.assert_array_equal(found, dis().calc(pair.frame0, pair.frame1, None))
    np.testing.assert_array_equal(flow, before)


# Beside OpenCV itself


@pytest.fixture
def cv2():
    return pytest.importorskip("cv2")


def test_the_interface_is_the_same(cv2):
    # Those of every algorithm of OpenCV: files of settings, and names.
    others = {"clear", "empty", "getDefaultName", "read", "save", "write"}
    pairs = [(cv2.DISOpticalFlow_create(preset), door.DISOpticalFlow_create(preset)) for preset in range(3)]
    pairs.append((cv2.FarnebackOpticalFlow_create(), door.FarnebackOpticalFlow_create()))
    pairs.append((cv2.VariationalRefinement_create(), door.VariationalRefinement_create()))
    if hasattr(cv2, "optflow"):
        pairs.append((cv2.optflow.DualTVL1OpticalFlow_create(), door.DualTVL1OpticalFlow_create()))
        pairs.append((cv2.optflow.createOptFlow_DeepFlow(), door.optflow.createOptFlow_DeepFlow()))
    for theirs, ours in pairs:
        names = {name for name in dir(theirs) if name[0] != "_"} - others
        assert names <= set(dir(ours))
        for name in names:
            value = getattr(theirs, name)() if name.startswith("get") else None
            # There the fastest preset refines nothing; here there would be no flow then.
            if value is not None and (name, value) != ("getVariationalRefinementIterations", 0):
                assert getattr(ours, name)() == pytest.approx(value), name


def test_errors_are_smaller_than_theirs(cv2, middlebury):
    sample = middlebury["RubberWhale"]
    first, second = (
        np.rint(frame[100:260, 100:300].mean(axis=2)).astype(np.uint8) for frame in (sample.frame0, sample.frame1)
    )
    truth = sample.flow[100:260, 100:300]
    makers = [
        (f"dis {preset}", door.DISOpticalFlow_create, cv2.DISOpticalFlow_create, (preset,)) for preset in range(3)
    ]
    if hasattr(cv2, "optflow"):
        makers.append(("tvl1", door.DualTVL1OpticalFlow_create, cv2.optflow.DualTVL1OpticalFlow_create, ()))
    for name, ours, theirs, settings in makers:
        errors = [
            variflow.metrics.endpoint_error(make(*settings).calc(first, second, None), truth) for make in (ours, theirs)
        ]
        assert errors[0] < errors[1], name


@pytest.mark.parametrize("energy", [make_tv_l1_energy(1.0, 0.1), make_tv_l1_energy(0.15, 0.3)])
def test_rounds_of_iterations_are_one_long_round(energy):
    pair = synthetic.translation((40, 56), shift=(0.6, -0.4))
    short, long = (
        Model(energy, solver=solver, warps=1, coarsest=40)
        for solver in (Rounds(iterations=30, rounds=10, still=0), PrimalDual(iterations=300))
    )
    in_rounds, at_once = (variflow.estimate(pair.frame0, pair.frame1, model).flow for model in (short, long))
    assert abs(at_once).max() > 0.3
    np.testing.assert_allclose(in_rounds, at_once, atol=1e-4)
