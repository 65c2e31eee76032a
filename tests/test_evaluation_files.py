"""The folder of an evaluation: rows that hold, rows that do not, several writers, and names that mean harm."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import threading
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest

import variflow
from variflow import VariflowWarning, datasets, evaluation, models
from variflow.base.digests import digest_settings
from variflow.datasets import Sample, synthetic
from variflow.evaluation import COLUMNS, Table, evaluate, report
from variflow.evaluation.digests import digest_sample
from variflow.io import atomic
from variflow.io.locking import lock_folder


@pytest.fixture(autouse=True)
def runs(monkeypatch):
    """Two models of which it does not matter what they do: their flow is the same everywhere, and the estimates."""
    seen = []
    for name, steps in (("still", 1), ("quick", 2)):
        model = variflow.Model(models.horn_schunck().energy, steps=steps, warps=1, name=name)
        monkeypatch.setitem(models._MODELS, name, lambda model=model: model)

    def estimate(frame0, frame1, model):
        seen.append(model.name)
        difference = float(np.std(frame0 + np.arange(frame0.size).reshape(frame0.shape) * frame1))
        return SimpleNamespace(flow=np.full((*frame0.shape[:2], 2), difference / 1000, np.float32))

    monkeypatch.setattr(variflow, "estimate", estimate)
    return seen


def tree(folder, count=2, seed=0):
    folder.mkdir(exist_ok=True)
    for number in range(count):
        pair = synthetic.translation((12, 16), shift=(1.0, 0.5 * number), seed=seed + number)
        for frame, pixels in ((1, pair.frame0), (2, pair.frame1)):
            variflow.write_image(folder / f"p{number}_img{frame}.tif", pixels)
        variflow.write_flow(folder / f"p{number}_flow.flo", pair.flow)
    return datasets.piv(folder)


class Listed:
    """A data set of samples in memory."""

    def __init__(self, name, *samples):
        self.name, self.names, self.samples = name, [sample.name for sample in samples], samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def sample(name="a", **changes):
    pair = synthetic.translation((12, 16), shift=(1.0, 0.0))
    return replace(Sample(name, pair.frame0, pair.frame1, pair.flow), **changes)


# ---- whether a row still holds --------------------------------------------------------------------------------------


def test_another_folder_with_the_same_names_is_measured(tmp_path, runs):
    first = evaluate([tree(tmp_path / "a")], ["still"], tmp_path / "out")
    other = evaluate([tree(tmp_path / "b", seed=9)], ["still"], tmp_path / "out")
    assert len(runs) == 4
    key = ("piv", "p0", "still")
    assert first.rows[key]["epe"] != other.rows[key]["epe"]
    assert other.rows[key]["epe"] == evaluate([datasets.piv(tmp_path / "b")], ["still"]).rows[key]["epe"]


@pytest.mark.parametrize("name", ["p1_img1.tif", "p1_img2.tif", "p1_flow.flo"])
def test_a_file_that_is_replaced_is_measured_again(tmp_path, runs, name):
    found = tree(tmp_path / "a")
    before = evaluate([found], ["still"], tmp_path / "out").rows
    evaluate([found], ["still"], tmp_path / "out")
    assert len(runs) == 2
    path = tmp_path / "a" / name
    if path.suffix == ".flo":
        variflow.write_flow(path, variflow.read_flow(path) + 3)
    else:
        variflow.write_image(path, variflow.read_image(path)[::-1])
    after = evaluate([found], ["still"], tmp_path / "out").rows
    assert len(runs) == 3
    assert after["piv", "p0", "still"] == before["piv", "p0", "still"]
    assert after["piv", "p1", "still"]["epe"] != before["piv", "p1", "still"]["epe"]
    assert after["piv", "p1", "still"]["epe"] == evaluate([found], ["still"]).rows["piv", "p1", "still"]["epe"]


@pytest.mark.parametrize("part", ["frame0", "frame1", "flow", "occlusion", "valid", "foreground", "between"])
def test_every_part_of_a_sample_counts(part):
    marks = np.zeros((12, 16), bool)
    whole = sample(occlusion=marks, valid=~marks, foreground=marks, between=np.zeros((12, 16)))
    assert digest_sample(whole) == digest_sample(replace(whole, name="b"))
    changed = np.array(getattr(whole, part))
    changed.flat[0] = not changed.flat[0]
    assert digest_sample(whole) != digest_sample(replace(whole, **{part: changed}))
    if part not in ("frame0", "frame1"):
        assert digest_sample(whole) != digest_sample(replace(whole, **{part: None}))
    assert digest_sample(sample()) != digest_sample(sample(frame0=sample().frame0.reshape(16, 12, 3)))


def test_rows_of_another_model_on_files_that_are_gone_are_left_out(tmp_path):
    """A table must not compare models on different data."""
    found = tree(tmp_path / "a")
    evaluate([found], ["still", "quick"], tmp_path / "out")
    variflow.write_flow(tmp_path / "a" / "p1_flow.flo", np.ones((12, 16, 2)))
    with pytest.warns(VariflowWarning, match=r"1 rows are left out because their files .*: piv p1 quick"):
        table = evaluate([found], ["still"], tmp_path / "out")
    assert set(table.rows) == {("piv", "p0", "still"), ("piv", "p0", "quick"), ("piv", "p1", "still")}
    assert Table.read(tmp_path / "out" / "results.csv") == table


_FACTOR = 2.0


def test_settings_are_told_apart_to_the_last_number():
    """NumPy prints a large array with dots in its middle, and a function by its address."""

    def power(exponent, inner=lambda x: x + 1):
        return lambda x: inner(x) ** exponent

    def scaled(x):
        return _FACTOR * x

    def again(x):
        return again(x - 1) if x else x

    weights = np.ones(5000)
    other = weights.copy()
    other[2500] = 2
    values = [weights, other, weights[:-1], weights.astype("f4"), power(2), power(3), power(2, lambda x: x + 2), scaled]
    digests = [digest_settings(value) for value in [*values, again, (1, 2), (1, (2,)), ("1", 2), {"a", "b"}]]
    assert len(set(digests)) == len(digests)
    assert digest_settings(power(2)) == digest_settings(power(2))
    global _FACTOR
    _FACTOR = 3.0
    assert digest_settings(scaled) != digests[7]
    _FACTOR = 2.0


def test_settings_are_the_same_in_every_process():
    code = (
        "from variflow import models\n"
        "from variflow.base.digests import digest_settings\n"
        "print([digest_settings(models.get(name)) for name in ('brox', 'balanced', 'smooth')])\n"
        "print(digest_settings(lambda x: x in {'a', 'b', 'c'}))"
    )
    said = [subprocess.check_output([sys.executable, "-c", code]) for _ in range(2)]
    assert said[0] == said[1]


# ---- damaged files --------------------------------------------------------------------------------------------------


def cut(content):
    return content[: content.rindex(b"p1") + 40]


def cut_in_a_number(content):
    """What is left could be another number, and all columns are there."""
    lines = content.split(b"\n")
    return b"\n".join([*lines[:2], re.sub(rb"(\d\.\d\d)\d+,", rb"\1,", lines[2], count=1), b""])


def changed_digit(content):
    place = content.rindex(b".") + 1
    return content[:place] + bytes([48 + (content[place] - 47) % 10]) + content[place + 1 :]


def half_quoted(content):
    return content.replace(b"piv,p1", b'"piv,p1')


DAMAGE = {
    "cut": (cut, "1 of its rows are damaged", 1),
    "cut in a number": (cut_in_a_number, "1 of its rows are damaged", 1),
    "a digit": (changed_digit, "1 of its rows are damaged", 1),
    "a quote": (half_quoted, "1 of its rows are damaged", 1),
    "zeros": (lambda content: content[:-60] + bytes(60), "1 of its rows are damaged", 1),
    "binary": (lambda content: np.random.default_rng(0).bytes(3000), "its columns are not", 2),
    "binary rows": (lambda content: content + b"\xff\xfe\x00,\n", "1 of its rows are damaged", 0),
    "empty": (lambda content: b"", "it is empty", 2),
    "other columns": (lambda content: b"name,value\na,1\n", "its columns are not", 2),
    "an older header": (lambda content: content.replace(b",inputs", b"", 1), "its columns are not", 2),
    "utf-16": (lambda content: content.decode().encode("utf-16"), "its columns are not", 2),
    "a name swapped": (lambda content: content.replace(b"piv,p1", b"piv,p9"), "1 of its rows are damaged", 1),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_rows_are_measured_again(tmp_path, runs, what):
    damage, said, again = DAMAGE[what]
    found = tree(tmp_path / "a")
    before = evaluate([found], ["still"], tmp_path / "out")
    path = tmp_path / "out" / "results.csv"
    path.write_bytes(damage(path.read_bytes()))
    damaged = path.read_bytes()
    runs.clear()
    with pytest.warns(VariflowWarning, match=said) as warned:
        after = evaluate([found], ["still"], tmp_path / "out")
    assert len(warned) == 1
    assert len(runs) == again
    assert {key: row["epe"] for key, row in after.rows.items()} == {key: row["epe"] for key, row in before.rows.items()}
    assert Table.read(path) == after
    (kept,) = (tmp_path / "out").glob("results-damaged-*.csv")
    assert kept.read_bytes() == damaged  # it may have been somebody's own
    assert kept.name in str(warned[0].message)


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_a_file_that_is_no_report_is_not_replaced(tmp_path, runs, name):
    found = tree(tmp_path / "a")
    evaluate([found], ["still"], tmp_path / "out")
    evaluate([found], ["quick"], tmp_path / "out")  # over its own reports
    (tmp_path / "out" / name).write_text("# My notes")
    runs.clear()
    with pytest.raises(FileExistsError, match=rf"{name}: is no report of an evaluation, and is not replaced"):
        evaluate([found], ["still"], tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "# My notes"
    assert not runs


def test_a_damaged_row_that_is_not_asked_for_is_missed_until_it_is_measured(tmp_path, runs):
    """The means were over fewer pairs, and the message said that all were measured again."""
    here, other = tree(tmp_path / "a"), Listed("set", sample("x"), sample("y,z"))
    before = evaluate([here, other], ["still"], tmp_path / "out")
    path = tmp_path / "out" / "results.csv"
    content = path.read_bytes()
    for row in (b'set,"y,z",still', b"piv,p1,still"):
        content = content.replace(row + b",", row + b";")
    path.write_bytes(content)
    runs.clear()
    said = r"2 of its rows are damaged\. 1 is measured again; 1 cannot be .* does not ask for .*: set y,z still, which"
    with pytest.warns(VariflowWarning, match=said):
        after = evaluate([here], ["still"], tmp_path / "out")
    assert runs == ["still"]
    assert after.missing == [("set", "y,z", "still")]
    assert Table.read(path) == after
    for name in ("report.html", "report.md"):
        text = " ".join((tmp_path / "out" / name).read_text().replace("&#58;", ":").split())
        assert "because their rows were damaged: set y,z still." in text
        assert "1 of 2" in text

    evaluate([here], ["still"], tmp_path / "out")  # it is still missed, without another word
    assert evaluate([other], ["quick"], tmp_path / "out").missing == [("set", "y,z", "still")]
    mended = evaluate([other], ["still"], tmp_path / "out")
    assert mended.missing == []
    assert {key: mended.rows[key]["epe"] for key in before.rows} == {k: row["epe"] for k, row in before.rows.items()}
    assert "1 of 2" not in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content.replace(b"piv,p1", b"p\xffv,p1"), "1 no longer names a pair"),
        (lambda content: content.replace(b"check", b"chick", 1), "asks for is measured again, the rest is lost"),
        (lambda content: content.replace(b"still", b"stiff"), "2 no longer name a pair, and only what"),
    ],
)
def test_a_damaged_row_that_names_no_pair_is_said_to(tmp_path, damage, said):
    evaluate([tree(tmp_path / "a")], ["still"], tmp_path / "out")
    path = tmp_path / "out" / "results.csv"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(VariflowWarning, match=said):
        table = evaluate([Listed("set", sample("x"))], ["quick"], tmp_path / "out")
    assert table.missing == []


def test_a_table_that_a_program_has_saved_is_the_same_table(tmp_path):
    evaluate([tree(tmp_path / "a")], ["still"], tmp_path / "out")
    path = tmp_path / "out" / "results.csv"
    table = Table.read(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert Table.read(path) == table


def test_two_rows_of_one_pair_are_both_not_believed(tmp_path):
    tables = []
    for epe in (1.0, 2.0):
        table = Table()
        table.add({"dataset": "d", "pair": "a", "model": "m", "epe": epe})
        table.add({"dataset": "d", "pair": "b", "model": "m", "epe": 3.0})
        table.write(tmp_path / "results.csv")
        tables.append((tmp_path / "results.csv").read_bytes())
    (tmp_path / "results.csv").write_bytes(tables[0] + tables[1].partition(b"\n")[2])
    with pytest.warns(VariflowWarning, match="1 pairs have rows that differ"):
        assert list(Table.read(tmp_path / "results.csv").rows) == [("d", "b", "m")]


# ---- several at once ------------------------------------------------------------------------------------------------


def test_evaluations_at_the_same_time_lose_nothing(tmp_path, monkeypatch):
    """Each saves after every row."""
    monkeypatch.setattr("variflow.evaluation.results._SECONDS_BETWEEN", -1)
    sets = [Listed(f"set{number}", *(sample(f"p{pair}") for pair in range(6))) for number in range(3)]
    faults = []

    def run(found):
        try:
            evaluate([found], ["still"], tmp_path / "out")
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(found,)) for found in sets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    table = Table.read(tmp_path / "out" / "results.csv")
    assert len(table.rows) == 18
    assert (tmp_path / "out" / "report.html").read_text().count("<tr><td") == 18 + 2 * 3
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["file", "link"])
def test_a_folder_that_cannot_be_one_is_named(tmp_path, name):
    found = tree(tmp_path / "a")
    (tmp_path / "file").write_text("something else")
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match=f"is there, and is no folder: '.*/{name}'"):
        evaluate([found], ["still"], tmp_path / name)
    with pytest.raises(OSError, match=f"{name}/below'"):
        evaluate([found], ["still"], tmp_path / name / "below")


def test_a_lock_goes_with_the_process_that_had_it(tmp_path):
    code = (
        "import pathlib, sys, time\n"
        "from variflow.io.locking import lock_folder\n"
        "with lock_folder(pathlib.Path(sys.argv[1])):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        had = threading.Event()

        def wait():
            with lock_folder(tmp_path):
                had.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not had.wait(0.2)
        other.kill()
        waiting.join(30)
        assert had.is_set()
    assert list(tmp_path.iterdir()) == []


# ---- names ----------------------------------------------------------------------------------------------------------

NAMES = (
    "../../escape",
    "/etc/passwd",
    "..",
    "",
    "a|b",
    "`code` *bold* _it_ ~~x~~",
    "[click](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "<script>alert(1)</script>",
    "two\nlines\r| and a row |",
    "back\\slash\\n",
    "=1+1",
    "'quoted'",
    "http://example.org",
    "x" * 400,
    "a/" * 300 + "b",
    "Case",
    "case",
    "con",
    "nul.txt",
    "trailing. ",
    "größe",
    "file\udcff",
)


def test_names_are_only_names(tmp_path):
    found = Listed("a|<b>", *(sample(name) for name in NAMES))
    output = tmp_path / "deep" / "out"
    table = evaluate([found], ["still"], output)
    assert Table.read(output / "results.csv") == table
    assert [key[1] for key in table.rows] == list(NAMES)
    with (output / "results.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    assert len(rows) == len(NAMES) + 1
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    pictures = list(tmp_path.rglob("*.png"))
    assert len(pictures) == 4 * len(NAMES)
    assert all(path.is_relative_to(output / "pictures") for path in pictures)
    relative = [path.relative_to(output).as_posix() for path in pictures]
    assert len({path.lower() for path in relative}) == len(relative)
    assert all(re.fullmatch(r"[a-z0-9_+/.-]{1,250}", path) and len(path) < 300 for path in relative)
    assert all(len(part) <= 60 for path in relative for part in path.split("/"))

    text = (output / "report.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 * 3 + 2 + len(NAMES)
    assert len({line.count("|") for line in lines[6:]}) == 1
    assert not re.search(r"<|>|`|\*|javascript:|http:|(?<!!)\[|\\", text.partition("## Means")[2])
    assert set(map(unquote, re.findall(r"!\[\]\((.*?)\)", text))) == set(relative)


class _Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.tags = [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)

    def handle_data(self, data):
        self.found.append(data)


def test_both_reports_show_the_same_names(tmp_path):
    """Markdown that is read as HTML is, entities and all."""
    evaluate([Listed("set", *(sample(name) for name in NAMES))], ["still"], tmp_path)
    page, text = _Text(), _Text()
    page.feed((tmp_path / "report.html").read_text())
    text.feed((tmp_path / "report.md").read_text())
    assert "script" not in page.tags | text.tags
    shown = "".join(text.found)
    for name in NAMES:
        assert (
            " ".join(name.split()) in " ".join("".join(page.found).replace("?", "\udcff").split()) or "\udcff" in name
        )
        assert "".join(letter if letter.isprintable() else " " for letter in name) in shown


def test_plain_names_stay(tmp_path):
    assert report._name_picture(("sintel-clean", "alley_1/frame_0001", "tv-l1"), "flow") == (
        "pictures/sintel-clean/alley_1/frame_0001/tv-l1-flow.png"
    )


def test_columns_are_what_a_row_has(tmp_path):
    assert COLUMNS[:6] == ("dataset", "pair", "model", "settings", "inputs", "seconds")
    assert COLUMNS[-1] == "check"
    table = Table()
    table.add({"dataset": "d", "pair": "p", "model": "m", "colour": 1})
    with pytest.raises(ValueError, match="row has colour, wanted columns"):
        table.write(tmp_path / "results.csv")
    assert set(evaluation.measure(sample().flow, sample())) <= set(COLUMNS)
    with atomic(tmp_path / "results.csv") as file:
        file.write(b"")
    with pytest.warns(VariflowWarning, match=r"results\.csv: it is empty"):
        assert Table.read(tmp_path / "results.csv").rows == {}
