"""The command ``variflow register``: what it writes, and one clear line when something is wrong."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

import variflow
from variflow import cli
from variflow.datasets import synthetic

SHAPE = (48, 64)
STEP = (1.5, -0.75)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = [
        synthetic.translation(SHAPE, shift=(STEP[0] * time, STEP[1] * time)).frame1[..., 1].astype(np.uint16) * 100
        for time in range(5)
    ]
    variflow.write_frames("stack.tif", frames)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, ["register", "stack.tif", "-m", "fast", *map(str, arguments)])


def test_a_stack_is_registered(folder):
    result = run("-o", "out.tif", "--shifts", "shifts.csv", "--show", "show.png")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == ["wrote out.tif", "wrote shifts.csv", "wrote show.png"]
    wanted = list(variflow.register(variflow.read_frames("stack.tif"), "fast"))
    corrected = variflow.read_frames("out.tif")
    assert len(corrected) == 5
    for frame, each in zip(corrected, wanted, strict=True):
        assert frame.dtype == np.uint16
        np.testing.assert_array_equal(frame, each.frame)
    with open("shifts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(5))
    for row, each in zip(rows, wanted, strict=True):
        told = [float(row[name]) for name in ("u", "v", "correlation_before", "correlation_after", "residual")]
        numbers = [*each.shift, each.correlation_before, each.correlation_after, each.residual]
        np.testing.assert_allclose(told, numbers, rtol=1e-5, atol=1e-9)
        assert float(row["confident"]) == pytest.approx(each.confident, rel=1e-5)
    picture = variflow.read_image("show.png")
    assert picture.ndim == 3
    assert picture.std() > 10


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("--reference", "3"), {"reference": 3}),
        (("--reference", "running", "--motion", "rigid"), {"reference": "running", "motion": "rigid"}),
        (("--passes", "2", "--fill", "7"), {"passes": 2, "fill": 7}),
    ],
)
def test_options_are_those_of_the_function(folder, arguments, options):
    result = run("-o", "out.npy", "--show", "show.png", *arguments)
    assert result.exit_code == 0, result.output
    wanted = variflow.register(variflow.read_frames("stack.tif"), "fast", **options)
    np.testing.assert_array_equal(np.load("out.npy"), [each.frame for each in wanted])


def test_the_table_of_a_rigid_motion_has_its_angle(folder):
    result = run("-o", "out.tif", "--shifts", "shifts.csv", "--motion", "rigid")
    assert result.exit_code == 0, result.output
    wanted = list(variflow.register(variflow.read_frames("stack.tif"), "fast", motion="rigid"))
    with open("shifts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["angle"]) for row in rows], [each.angle for each in wanted], rtol=1e-5)
    assert run("-o", "out.tif", "--shifts", "shifts.csv").exit_code == 0
    assert "angle" not in (folder / "shifts.csv").read_text()


def test_an_image_is_the_reference_and_a_folder_the_output(folder):
    reference = variflow.read_frames("stack.tif")[2]
    variflow.write_image("reference.tif", reference)
    result = run("-o", "out/*.png", "--reference", "reference.tif", "--shifts", "shifts.csv")
    assert result.exit_code == 0, result.output
    with open("shifts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["u"]) for row in rows], STEP[0] * np.arange(-2, 3), atol=0.1)
    np.testing.assert_array_equal(variflow.read_frames("out")[2], reference)


def test_too_few_frames_are_refused(folder):
    result = run("-o", "out.tif", "--reference", "100")
    assert result.stderr == "variflow: --reference is 100, wanted at most the number of frames, 5\n"
    variflow.write_frames("stack.tif", list(variflow.read_frames("stack.tif"))[:1])
    result = run("-o", "out.tif")
    said = "stack.tif ends after 1 frame, wanted two or more, or an image as reference"
    assert result.stderr == f"variflow: {said}\n"
    assert not (folder / "out.tif").exists()


@pytest.mark.parametrize("passes", ["1", "2"])
def test_frames_that_are_hardly_registered_are_told_in_one_line(folder, passes):
    """Only the table knew."""
    frames = list(variflow.read_frames("stack.tif"))
    frames[3:3] = [frames[0][::-1, ::-1]] * 2
    variflow.write_frames("stack.tif", frames)
    result = run("-o", "out.tif", "--passes", passes)
    assert result.exit_code == 0, result.output
    assert result.stdout == "wrote out.tif\n"
    said = "frames 3, 4 are hardly registered: fewer than 5 % of the pixels are confident"
    assert result.stderr == f"variflow: warning: {said}\n"


def test_labels_are_written_too(folder):
    labels = [(frame > 12000) * np.uint16(7) for frame in variflow.read_frames("stack.tif")]
    variflow.write_frames("labels.npy", labels)
    for output, options, passes in (("moved/*.png", (), 1), ("moved.tif", ("--passes", "2"), 2)):
        result = run("-o", "out.tif", "--labels", "labels.npy", "--labels-output", output, *options)
        assert result.exit_code == 0, result.output
        assert result.output.splitlines() == ["wrote out.tif", f"wrote {output}"]
        stack = variflow.read_frames("stack.tif")
        wanted = [each.labels for each in variflow.register(stack, "fast", labels=labels, passes=passes)]
        np.testing.assert_array_equal(list(variflow.read_frames(output.removesuffix("/*.png"))), wanted)
        assert set(np.unique(wanted)) == {0, 7}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "out.xyz"), "out.xyz: the name for frames to write ends with .tif"),
        (("-o", "a*/*.png"), "variflow: a*/*.png: wanted one star, in the name of the files"),
        (("-o", ""), "variflow: .: the name for frames to write ends with .tif"),
        (("-o", "stack.tif"), "--output stack.tif is the same as STACK stack.tif, which would be overwritten"),
        (("-o", "o.tif", "--shifts", "o.tif"), "--shifts o.tif is the same as --output o.tif"),
        (("-o", "o.tif", "--fill", "x"), "--fill is 'x', wanted a number or 'nearest'"),
        (("-o", "o.tif", "--fill", "nan"), "--fill is nan, wanted a whole number from 0 to 65535 for frames of uint16"),
        (("-o", "o.tif", "--motion", "homography"), "--motion is 'homography', wanted one of 'translation'"),
        (("-o", "o.tif", "--passes", "3"), "--passes is 3, wanted one of 1, 2"),
        (("-o", "o.tif", "--reference", "-3"), "--reference is '-3', wanted 'first', 'running', a number of frames"),
        (("-o", "o.tif", "--reference", "0"), "--reference is 0, wanted a whole number of frames of at least 1"),
        (
            ("-o", "o.tif", "--reference", "zz"),
            "--reference is 'zz', wanted 'first', 'running', a number of frames or an image, and there is no such file",
        ),
        (("-o", "o.tif", "--show", "o.doc"), "o.doc"),
        (("-o", "o.tif", "--labels", "stack.tif"), "--labels is given without --labels-output, wanted both"),
        (("-o", "o.tif", "--labels", "stack.tif", "--labels-output", "o.mp4"), "o.mp4, which would change labels"),
        (("-o", "o.tif", "--labels", "stack.tif", "--labels-output", "o.tif"), "--labels-output o.tif is the same as"),
        (("-o", "o.tif", "--labels", "no.tif", "--labels-output", "p.tif"), "no.tif: no such file"),
        (("-o", "o.tif", "-m", "fats"), "--model is 'fats', wanted one of"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(folder, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["stack.tif"]


def test_a_damaged_stack_leaves_no_output(folder):
    data = (folder / "stack.tif").read_bytes()
    (folder / "stack.tif").write_bytes(data[: len(data) * 3 // 4])
    result = run("-o", "out.tif")
    assert result.exit_code == 1
    assert [path.name for path in folder.iterdir()] == ["stack.tif"]
