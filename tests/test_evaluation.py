"""Evaluation: its figures against hand-worked cases, its files, and that it goes on where it was stopped."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from typer.testing import CliRunner

import variflow
from variflow import cli, datasets, evaluation, models
from variflow.datasets import Sample, synthetic
from variflow.evaluation import COLUMNS, Table, evaluate, measure, regions, report


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Two models that take no time: one that hardly moves, one that is a little better."""
    still = variflow.Model(models.horn_schunck().energy, steps=1, warps=1, name="still")
    monkeypatch.setitem(models._MODELS, "still", lambda: still)
    quick = variflow.Model(models.horn_schunck().energy, steps=5, warps=2, name="quick")
    monkeypatch.setitem(models._MODELS, "quick", lambda: quick)


def tree(folder, count=2):
    """Write pairs as the PIV data set has them, the last without truth."""
    for number in range(count + 1):
        pair = synthetic.translation((24, 32), shift=(1.0, 0.5 * number), seed=number)
        for frame, pixels in ((1, pair.frame0), (2, pair.frame1)):
            variflow.write_image(folder / f"p{number}_img{frame}.tif", pixels)
        if number < count:
            variflow.write_flow(folder / f"p{number}_flow.flo", pair.flow)
    return datasets.piv(folder)


@pytest.fixture
def pairs(tmp_path):
    (tmp_path / "piv").mkdir()
    return tree(tmp_path / "piv")


def sample(**parts):
    """Four pixels that truly move by 5, 20, 100 and 100 px; the last is unknown."""
    truth = np.zeros((1, 4, 2), np.float32)
    truth[0, :, 0] = [5, 20, 100, np.nan]
    frames = np.zeros((2, 1, 4), np.uint8)
    return Sample("by hand", *frames, flow=truth, **parts)


def test_measures_by_hand():
    """Errors of 0, 4 and 4 px: 4 px is more than 5 % of 20 px, and less than 5 % of 100 px."""
    pair = sample(occlusion=np.array([[False, False, True, False]]), foreground=np.array([[True, False, False, False]]))
    flow = np.nan_to_num(pair.flow)
    flow[0, 1:, 1] = 4
    figures = measure(flow, pair)
    assert figures["density"] == 100
    assert figures["pixels"] == 3
    assert figures["epe"] == pytest.approx(8 / 3)
    assert figures["fl"] == pytest.approx(100 / 3)
    assert (figures["a50"], figures["a95"]) == (4, 4)
    assert figures["r3"] == pytest.approx(200 / 3)
    assert figures["r5"] == 0
    epe = {region: figures.get(f"epe_{region}") for region in evaluation.REGIONS}
    assert epe == {
        "s0-10": 0,
        "s10-40": 4,
        "s40+": 4,
        "matched": 2,
        "unmatched": 4,
        "boundaries": pytest.approx(8 / 3),
        "background": 4,
        "foreground": 0,
    }
    assert (figures["fl_matched"], figures["fl_background"], figures["fl_unmatched"]) == (50, 50, 0)
    assert set(figures) <= set(COLUMNS)


def test_what_does_not_count_is_nowhere_counted():
    pair = sample(valid=np.array([[True, False, True, True]]))
    masks = regions(pair)
    assert masks["all"].tolist() == [[True, False, True, False]]
    assert not any(mask[0, [1, 3]].any() for mask in masks.values())
    assert "matched" not in masks
    assert measure(np.nan_to_num(pair.flow), pair)["pixels"] == 2


@pytest.mark.parametrize("name", ["occlusion", "foreground", "valid"])
@pytest.mark.parametrize("shape", [(), (4,), (1, 3, 4), (3, 1)])
def test_marks_of_another_size_are_refused(name, shape):
    sample = Sample("mine", None, None, np.zeros((3, 4, 2)), **{name: np.ones(shape, bool)})
    with pytest.raises(ValueError, match=f"^sample.{name} has shape .* wanted .3, 4."):
        measure(np.zeros((3, 4, 2)), sample)


def test_gaps_are_filled_as_kitti_does_and_noted():
    flow = sample().flow.copy()
    flow[0, 1] = np.nan
    figures = measure(flow, sample())
    assert figures["density"] == 50  # the last pixel is unknown too, though its truth does not count
    assert figures["epe"] == pytest.approx((20 - 5) / 3)  # filled with the smaller of 5 and 100


def test_interpolation_is_measured_where_there_is_a_frame_between():
    frames = np.random.default_rng(1).integers(0, 256, (3, 8, 12, 3), np.uint8)
    still = np.zeros((8, 12, 2), np.float32)
    pair = Sample("still", frames[0], frames[0], still, between=frames[0])
    assert measure(still, pair)["ie"] == measure(still, pair)["ne"] == 0
    pair = Sample("still", frames[0], frames[0], still, between=frames[1])
    difference = frames[0].astype(float) - frames[1]
    assert measure(still, pair)["ie"] == pytest.approx(np.sqrt((difference**2).sum(axis=2).mean()))


def test_means_over_pairs_and_over_pixels_by_hand():
    table = Table()
    key = {"dataset": "d", "model": "m"}
    table.add(key | {"pair": "a", "pixels": 100, "epe": 1.0, "a50": 1.0, "epe_s40+": 8.0, "pixels_s40+": 10})
    table.add(key | {"pair": "b", "pixels": 300, "epe": 2.0, "a50": 3.0})
    assert table.means() == {("d", "m"): {"pixels": 400, "epe": 1.5, "a50": 2.0, "pixels_s40+": 10, "epe_s40+": 8.0}}
    assert table.means("pixels") == {("d", "m"): {"pixels": 400, "epe": 1.75, "pixels_s40+": 10, "epe_s40+": 8.0}}
    with pytest.raises(ValueError, match=r"^over is"):
        table.means("frames")


class Pictures(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []
        self.open = []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.found.append(dict(attributes)["src"])
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_an_evaluation_writes_tables_and_pictures(pairs, tmp_path):
    output = tmp_path / "out"
    seen = []
    table = evaluate([pairs], ["still", "quick"], output, lambda *state: seen.append(state))
    assert list(table.rows) == [("piv", pair, model) for pair in ("p0", "p1") for model in ("still", "quick")]
    assert seen[0] == ("piv p0 still", 0, 6)
    assert seen[-1] == ("", 6, 6)
    means = table.means()
    assert means["piv", "quick"]["epe"] < means["piv", "still"]["epe"]

    with (output / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["pair"] for row in rows] == ["p0", "p0", "p1", "p1"]
    assert float(rows[3]["epe"]) == table.rows["piv", "p1", "quick"]["epe"]
    assert Table.read(output / "results.csv") == table

    page = Pictures()
    page.feed((output / "report.html").read_text())
    assert page.open == []
    assert len(page.found) == 16  # frame, truth, flow and error of four rows
    assert all(variflow.read_image(output / path).shape[:2] == (24, 32) for path in page.found)
    text = (output / "report.md").read_text()
    assert set(re.findall(r"!\[\]\((.*?)\)", text)) == set(page.found)
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.count("|") >= 10
    assert not [path for path in output.rglob("*") if path.name.startswith(".")]


def test_what_is_done_is_not_done_again(pairs, tmp_path, monkeypatch):
    runs = []
    estimate = variflow.estimate

    def counted(*arguments):
        runs.append(arguments[2].name)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return estimate(*arguments)

    monkeypatch.setattr(variflow, "estimate", counted)
    with pytest.raises(KeyboardInterrupt):
        evaluate([pairs], ["still"], tmp_path / "out")
    assert len(Table.read(tmp_path / "out" / "results.csv").rows) == 1
    assert (tmp_path / "out" / "report.html").exists()
    evaluate([pairs], ["still"], tmp_path / "out")
    assert len(runs) == 3
    table = evaluate([pairs], ["still", "quick"], tmp_path / "out")
    assert runs[3:] == ["quick", "quick"]
    assert len(table.rows) == 4
    other = variflow.Model(models.horn_schunck().energy, steps=2, warps=1, name="still")
    evaluate([pairs], [other], tmp_path / "out")  # another model of that name takes its place
    assert runs[5:] == ["still", "still"]
    assert len(Table.read(tmp_path / "out" / "results.csv").rows) == 4


def test_what_cannot_be_evaluated_is_named(pairs, tmp_path):
    with pytest.raises(ValueError, match=r"^models has the names"):
        evaluate([pairs], ["still", "still"])
    with pytest.raises(ValueError, match="has no flow"):
        measure(np.zeros((1, 4, 2)), Sample("none", *np.zeros((2, 1, 4))))
    with pytest.raises(ValueError, match=r"^datasets has no pair with a true flow"):
        evaluate([pairs[2:]], ["still"])
    with pytest.raises(ValueError, match=r"^datasets has piv p0, piv p1, piv p2 more than once, wanted names"):
        evaluate([pairs, pairs], ["still"])


def test_numbers_have_three_digits():
    numbers = {0.0: "0", 0.01234: "0.012", 0.1234: "0.123", 1.234: "1.23", 12.34: "12.3", 1234.5: "1234", None: ""}
    assert {number: report._format(number) for number in numbers} == numbers


def test_on_the_command_line(pairs, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(cli.app, ["eval", *map(str, arguments)])

    done = run("-d", f"piv:{tmp_path / 'piv'}", "--model", "still", "-m", "quick", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert re.search(r"piv +still +2 ", done.output)
    assert (tmp_path / "out" / "report.md").exists()
    for arguments, message in (
        (("-d", "piv", "-m", "still"), "--dataset is 'piv', wanted NAME:FOLDER"),
        (("-d", "pic:x", "-m", "still"), "--dataset is 'pic', wanted one of"),
        (("-d", f"piv:{tmp_path / 'out' / 'pictures'}", "-m", "still"), "no pair of frames in it, wanted NAME_img1"),
        (("-d", f"piv:{tmp_path / 'piv'}", "-m", "brocks"), "model is 'brocks', wanted one of"),
    ):
        failed = run(*arguments)
        assert failed.exit_code == 1
        assert message in failed.stderr
        assert len(failed.stderr.splitlines()) == 1


def test_an_interruption_says_how_many_rows_there_are(pairs, tmp_path, monkeypatch):
    estimate, runs = variflow.estimate, []

    def interrupt(*arguments):
        runs.append(arguments)
        if len(runs) % 2 == 0:
            raise KeyboardInterrupt
        return estimate(*arguments)

    monkeypatch.setattr(variflow, "estimate", interrupt)
    command = ["eval", "-d", f"piv:{tmp_path / 'piv'}", "-m", "still"]
    kept = CliRunner().invoke(cli.app, [*command, "-o", str(tmp_path / "out")])
    said = (
        f"variflow: interrupted: {tmp_path / 'out' / 'results.csv'} holds 1 row; the same command goes on from there\n"
    )
    assert (kept.exit_code, kept.stderr) == (130, said)
    lost = CliRunner().invoke(cli.app, command)
    assert (lost.exit_code, lost.stderr) == (130, "variflow: interrupted: nothing is kept without --output\n")


def test_brox_on_the_published_pairs(data, tmp_path):
    """Bounds a little above what it reaches, so that a change for the worse is seen."""
    bounds = {"piv": 0.2, "kitti2012": 1.2, "flyingchairs": 2.8}
    missing = [name for name in bounds if not (data / name).is_dir()]
    if missing:
        pytest.skip(f"no {', '.join(missing)} at {data}")
    found = [datasets.load(name, data / name) for name in bounds]
    means = evaluate(found, ["brox"]).means()
    for name, bound in bounds.items():
        assert means[name, "brox"]["epe"] < bound
    assert means["kitti2012", "brox"]["fl_matched"] < means["kitti2012", "brox"]["fl"] < 10
