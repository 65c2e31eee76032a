"""The names of OpenCV: constants, `optflow`, files, and what is said of names that are not here."""

import numpy as np
import pytest

from variflow import FlowFileError, estimate, models, read_flow
from variflow.compat import opencv as door
from variflow.compat.opencv import elsewhere
from variflow.datasets import synthetic

CONSTANTS = [name for name in door.__all__ if name.startswith("OPTFLOW") or "_PRESET_" in name]
FLOW = np.random.default_rng(0).normal(size=(5, 7, 2)).astype(np.float32)


@pytest.fixture
def cv2():
    return pytest.importorskip("cv2")


def test_constants_have_the_values_of_opencv(cv2):
    assert len(CONSTANTS) == 8
    for name in CONSTANTS:
        assert getattr(door, name) == getattr(cv2, name), name


def test_names_are_those_of_opencv(cv2):
    for name in door.__all__:
        if name not in ("DualTVL1OpticalFlow", "DualTVL1OpticalFlow_create", "createOptFlow_DualTVL1"):
            assert hasattr(cv2, name), name
    optflow = pytest.importorskip("cv2.optflow")
    for name in door.optflow.__all__:
        if name not in ("DeepFlow", "createOptFlow_DIS"):
            assert hasattr(optflow, name), name


def test_every_flow_of_opencv_is_here_or_pointed_at(cv2):
    optflow = pytest.importorskip("cv2.optflow")
    abstract = {"DenseOpticalFlow", "SparseOpticalFlow"}
    for theirs, ours in ((cv2, door), (optflow, door.optflow)):
        flows = {name for name in dir(theirs) if any(part in name for part in ("OptFlow", "OpticalFlow"))} - abstract
        known = {*ours.__all__, *elsewhere.INSTEAD}
        assert not {name for name in flows if not name.startswith("optflow_")} - known


# optflow


@pytest.fixture(scope="module")
def pair():
    return synthetic.translation((64, 80), shift=(1.5, -0.5), dtype="uint8")


@pytest.mark.parametrize("name", [name for name in door.optflow.__all__ if name.startswith("createOptFlow")])
def test_what_optflow_makes_finds_the_flow(pair, name):
    flow = np.zeros_like(pair.flow)
    made = getattr(door.optflow, name)()
    if name == "createOptFlow_DIS":
        made.setFinestScale(0)
    assert made.calc(pair.frame0, pair.frame1, flow) is flow
    assert abs(flow - pair.flow)[12:-12, 12:-12].mean() < 0.05
    made.collectGarbage()


def test_optflow_makes_the_same_objects(pair):
    assert type(door.optflow.createOptFlow_DIS(2)) is door.DISOpticalFlow
    assert type(door.optflow.createOptFlow_Farneback()) is door.FarnebackOpticalFlow
    assert door.optflow.createOptFlow_DualTVL1 is door.createOptFlow_DualTVL1
    deep = door.optflow.createOptFlow_DeepFlow().calc(pair.frame0, pair.frame1, np.full_like(pair.flow, 30))
    np.testing.assert_array_equal(deep, estimate(pair.frame0, pair.frame1, models.accurate()).flow)


# Unknown names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("calcOpticalFlowPyrLK", "instead there is variflow.flowops.track"),
        ("remap", "instead there is variflow.warp"),
        ("imread", "instead there is variflow.read_image"),
        ("cvtColor", "instead there is variflow.view.color to draw a flow, and frames need no conversion: they may be"),
        ("createOptFlow_PCAFlow", "instead there is variflow.estimate with the preset 'fast'"),
        ("calcOpticalFlowFarnebeck", "did you mean 'calcOpticalFlowFarneback'"),
        ("DISOPTICALFLOW_PRESET_FAST", "did you mean 'DIS"),
        ("Canny", "cv2 itself has the rest"),
    ],
)
def test_unknown_names_say_what_there_is_instead(name, message):
    with pytest.raises(
        AttributeError, match=f"^module 'variflow.compat.opencv' has no attribute '{name}'; .*{message}"
    ):
        getattr(door, name)
    with pytest.raises(ImportError, match=f"{name}.*{message}"):
        exec(f"from variflow.compat.opencv import {name}")
    assert not hasattr(door, name)


def test_unknown_names_of_optflow_and_of_objects():
    for name in ("createOptFlow_SparseToDense", "calcOpticalFlowSF", "createOptFlow_DenseRLOF"):
        with pytest.raises(AttributeError, match=f"^module 'variflow.compat.opencv.optflow' .*'{name}'; instead there"):
            getattr(door.optflow, name)
    with pytest.raises(AttributeError, match="did you mean 'createOptFlow_DeepFlow'"):
        door.optflow.createOptFlow_DepFlow  # noqa: B018
    with pytest.raises(AttributeError, match="'DISOpticalFlow' object has no attribute 'setPatch'"):
        door.DISOpticalFlow_create().setPatch(3)


def test_what_is_pointed_at_exists():
    import variflow  # noqa: F401 (the names are evaluated)

    for text in elsewhere.INSTEAD.values():
        for name in text.replace(",", " ").replace(";", " ").split():
            if name.startswith("variflow."):
                assert callable(eval(name)), name
    assert {"fast", "balanced"} <= set(models.names())
    assert not set(elsewhere.INSTEAD) & {*door.__all__, *door.optflow.__all__}


# Files


def test_files_go_there_and_back_with_opencv(cv2, tmp_path):
    ours, theirs = (str(tmp_path / name) for name in ("ours.flo", "theirs.flo"))
    assert door.writeOpticalFlow(ours, FLOW) is True
    assert cv2.writeOpticalFlow(theirs, FLOW)
    np.testing.assert_array_equal(cv2.readOpticalFlow(ours), FLOW)
    np.testing.assert_array_equal(door.readOpticalFlow(theirs), FLOW)
    assert (tmp_path / "ours.flo").read_bytes() == (tmp_path / "theirs.flo").read_bytes()


def test_unknown_flow_is_nan(tmp_path):
    flow = FLOW.copy()
    flow[1, 2] = np.nan
    door.writeOpticalFlow(tmp_path / "flow.flo", flow)
    np.testing.assert_array_equal(door.readOpticalFlow(tmp_path / "flow.flo"), flow)
    np.testing.assert_array_equal(read_flow(tmp_path / "flow.flo"), flow)


def test_flow_that_opencv_reads_as_unknown_is_written_as_unknown(cv2, tmp_path):
    flow = FLOW.copy()
    flow[1, 2] = np.nan
    door.writeOpticalFlow(tmp_path / "ours.flo", flow)
    marked = cv2.readOpticalFlow(str(tmp_path / "ours.flo"))
    assert marked[1, 2, 0] > 1e9
    door.writeOpticalFlow(tmp_path / "theirs.flo", marked)
    np.testing.assert_array_equal(door.readOpticalFlow(tmp_path / "theirs.flo"), flow)


def test_what_is_raised_is_caught_by_the_name_of_opencv(tmp_path):
    frame = np.zeros((20, 30), np.uint8)
    for call in (
        lambda: door.calcOpticalFlowFarneback(frame[:9], frame, None, 0.5, 3, 15, 3, 5, 1.2, 0),
        lambda: door.DISOpticalFlow_create(1).calc("frame.png", frame, None),
        lambda: door.readOpticalFlow(tmp_path / "none.flo"),
        lambda: door.writeOpticalFlow(tmp_path / "flow.png", FLOW),
    ):
        try:
            call()
        except door.error as caught:
            assert str(caught)  # noqa: PT017
        else:
            pytest.fail("nothing was raised")


def test_files_that_cannot_be_read_or_written_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        door.readOpticalFlow(tmp_path / "none.flo")
    (tmp_path / "cut.flo").write_bytes(b"PIEH")
    with pytest.raises(FlowFileError, match="truncated"):
        door.readOpticalFlow(tmp_path / "cut.flo")
    with pytest.raises(FlowFileError, match=r"wanted such a name; variflow\.write_flow writes others"):
        door.writeOpticalFlow(tmp_path / "flow.png", FLOW)
    with pytest.raises(OSError, match="none"):
        door.writeOpticalFlow(tmp_path / "none" / "flow.flo", FLOW)
    with pytest.raises(ValueError, match=r"^flow has shape \(5, 7\)"):
        door.writeOpticalFlow(tmp_path / "flow.flo", FLOW[..., 0])
    assert not list(tmp_path.glob("flow*"))
