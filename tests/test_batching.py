"""Many pairs: which they are, where their flows go, what is kept, what fails; and the command."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import variflow
from variflow import batching, cli, models
from variflow.batching import Failure, estimate_pair, estimate_pairs, list_pairs, running
from variflow.batching.naming import make_inside, name_pairs
from variflow.batching.records import Record
from variflow.datasets import synthetic
from variflow.io import zarr_array

FRAMES = [synthetic.translation((20, 30), shift=(0.4 * time, 0.1), seed=1).frame1 for time in range(7)]


@pytest.fixture(autouse=True)
def runs(monkeypatch):
    """A quick model, and the number of its estimates."""
    quick = variflow.Model(models.horn_schunck().energy, models.horn_schunck().solver, warps=1, name="quick")
    monkeypatch.setitem(models._MODELS, "quick", lambda: quick)
    seen = []
    estimate = variflow.estimate

    def count(frame0, frame1, model):
        seen.append(model.name)
        return estimate(frame0, frame1, model)

    monkeypatch.setattr(variflow, "estimate", count)
    return seen


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Seven frames in order, in the folder ``frames``."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("frames")
    for number, frame in enumerate(FRAMES, 5):
        variflow.write_image(f"frames/f{number}.png", frame)
    return tmp_path


def run(*arguments):
    """Run the command, in this process."""
    alone = [] if "--workers" in arguments else ["--workers", 1]
    return CliRunner().invoke(cli.app, ["batch", *map(str, [*arguments, *alone]), "-m", "quick"])


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def flows(folder):
    return {path: content for path, content in contents(folder).items() if path.suffix == ".flo"}


def relative(pairs, folder):
    return [tuple(Path(frame).relative_to(folder).as_posix() for frame in pair) for pair in pairs]


# ---- which pairs ----------------------------------------------------------------------------------------------------


def test_frames_in_order_are_pairs_with_the_next(folder):
    expected = [(f"frames/f{number}.png", f"frames/f{number + 1}.png") for number in range(5, 11)]
    assert list_pairs("frames") == list_pairs("frames/*.png") == expected
    os.remove("frames/f11.png")
    assert list_pairs(Path("frames"), apart=True) == expected[0:6:2]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "x.png y.png\n\n# no pair\nd/z.png   d/w.png"),
        ("a.txt", "x.png\ty.png\r\nd/z.png\td/w.png\r\n"),
        ("a.CSV", '\ufeffx.png, y.png\n"d/z.png","d/w.png"\n'),
    ],
)
def test_a_list_has_two_paths_a_line(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode())
    assert relative(list_pairs(tmp_path / name), tmp_path) == [("x.png", "y.png"), ("d/z.png", "d/w.png")]


def test_names_with_odd_characters_in_a_list(tmp_path):
    name = tmp_path / "a.csv"
    name.write_bytes(b'"a, ""b""; $(c).png",\xff.png\n/abs/c.png,\xe2\x80\xa8.png')
    assert list_pairs(name) == [
        (f'{tmp_path}/a, "b"; $(c).png', f"{tmp_path}/\udcff.png"),
        ("/abs/c.png", f"{tmp_path}/\u2028.png"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"x.png y.png\nx.png\n", "source .*a.txt, line 2 has 1 path, wanted 2: x.png"),
        ("a.csv", b"x.png,y.png,z.png\n", "line 1 has 3 paths"),
        ("a.csv", b'"x.png,y.png\n', "line 1: unexpected end of data, wanted two paths"),
        ("a.txt", b"# nothing\n", "lists no pair"),
        ("a.png", b"\x89PNG\0\0", "is no text"),
    ],
)
def test_what_is_no_list(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        list_pairs(tmp_path / name)


def test_what_is_no_source(folder):
    with pytest.raises(ValueError, match="source frames has 7 frames, wanted an even number"):
        list_pairs("frames", apart=True)
    with pytest.raises(ValueError, match="has 1 frame, wanted two or more"):
        list_pairs("frames/f5*.png")
    with pytest.raises(FileNotFoundError, match="no such file"):
        list_pairs("nothing")
    Path("a.txt").write_text("a b")
    with pytest.raises(ValueError, match="apart is set for the list a"):
        list_pairs("a.txt", apart=True)


def test_the_pairs_of_a_data_set(folder):
    for scene in "ab":
        os.mkdir(scene)
        for number in (10, 11):
            variflow.write_image(f"{scene}/frame{number}.png", FRAMES[number - 10])
    pairs = list_pairs("middlebury:.")
    assert pairs == [(f"{scene}/frame10.png", f"{scene}/frame11.png") for scene in "ab"]
    assert name_pairs(pairs) == ["a/frame10", "b/frame10"]


# ---- where the flows go ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairs", "names"),
    [
        ([("d/a.png", "d/b.png"), ("e/c.tar.gz", "x")], ["a", "c.tar"]),
        ([("d/a.png", "b"), ("e/a.png", "b")], ["d/a", "e/a"]),
        ([("d/a.png", "b"), ("d/E/A.png", "b")], ["a", "E/A"]),
        ([("d/a.png", "d/b.png"), ("d/a.png", "d/c.png"), ("d/b.png", "d/c.png")], ["a-b", "a-c", "b"]),
        ([("../a.png", "b"), ("/x/../y/c.png", "b")], ["a", "c"]),
    ],
)
def test_names_are_those_of_first_frames(pairs, names):
    assert name_pairs(pairs) == names


def test_pairs_that_would_have_one_name_are_refused():
    with pytest.raises(ValueError, match=r"d/a.png d/b.png and of d/a.tif d/b.png would have the same name, a-b;"):
        name_pairs([("d/a.png", "d/b.png"), ("d/c.png", "d/b.png"), ("d/a.tif", "d/b.png")])
    one, two = ("d/a.png", "d/b.png"), ("d/c.png", "d/b.png")
    with pytest.raises(ValueError, match=r"^pairs holds d/a.png d/b.png twice, wanted each pair once$"):
        name_pairs([two, one, one, two, ("d/c.tif", "d/b.png")][:3])
    with pytest.raises(ValueError, match=r"^pairs holds d/c.png d/b.png twice, wanted each pair once$"):
        name_pairs([two, one, one, two])
    with pytest.raises(ValueError, match=r"named q-b and Q-b, which some disks take for one name; wanted names that"):
        name_pairs([("q.png", "b.png"), ("Q.png", "b.png")])


@given(st.lists(st.lists(st.sampled_from(["a", "b", "..", ".", "a b", "é", "A"]), min_size=1, max_size=4), min_size=1))
def test_names_stay_inside_a_folder(parts):
    paths = {os.path.abspath(os.path.join(top, *part, "f.png")).casefold() for part in parts for top in ("/a/b", "/c")}
    pairs = [(path, "x") for path in sorted(paths)]
    names = name_pairs(pairs)
    assert len(set(names)) == len(names)
    assert all(os.path.normpath(name) == name and not name.startswith(("/", "..")) for name in names)


def test_nothing_is_written_outside_the_folder(folder):
    os.mkdir("elsewhere")
    os.mkdir("out")
    os.symlink("../elsewhere", "out/sub")
    os.symlink("../elsewhere/new.flo", "out/f5.flo")
    for name in ("../x.flo", "a/../../x.flo", "sub/x.flo", "f5.flo"):
        with pytest.raises(ValueError, match=r"leads to .*, wanted a file in out and no link"):
            make_inside(Path("out"), name)
    result = run("frames", "-o", "out")
    assert result.exit_code == 1
    assert "frames/f5.png frames/f6.png: out/f5.flo leads to" in result.stderr
    assert os.listdir("elsewhere") == []
    assert sorted(os.listdir("out")) == sorted(["records", "sub", *(f"f{number}.flo" for number in range(5, 11))])


def test_no_flow_is_written_over_a_frame(folder):
    before = contents(folder)
    os.symlink("frames", "link")
    for source, output in (("frames", "frames"), ("link", "frames"), ("frames", "link")):
        with pytest.raises(ValueError, match=rf"output {output} would take the flow f5\.png over a frame"):
            estimate_pairs(list_pairs(source), output, "quick", extension=".png")
    assert contents(folder) == before


@pytest.mark.parametrize(("source", "output"), [("frames", "link"), ("frames/*.png", "frames"), ("a.txt", "frames")])
def test_flows_do_not_mix_with_frames(folder, source, output):
    os.symlink("frames", "link")
    Path("a.txt").write_text("frames/f5.png frames/f6.png\n")
    before = contents(folder)
    result = run(source, "-o", output)
    assert result.exit_code == 1
    assert result.stderr == f"variflow: --output {output} is the folder of the frames, wanted another one\n"
    assert contents(folder) == before


@pytest.mark.parametrize("output", ["a.nc", "a.mp4", "a.flo"])
def test_an_output_that_cannot_be_a_folder_is_refused(folder, output):
    """It was made, as a folder of that name."""
    said = (
        f"output {output} ends with {Path(output).suffix}, wanted a folder for a flow a file, or a name that ends with"
    )
    with pytest.raises(ValueError, match=said):
        estimate_pairs(list_pairs("frames"), output, "quick")
    assert run("frames", "-o", output).stderr.strip() == f"variflow: --{said} .zarr"
    assert not os.path.exists(output)


def test_a_file_as_output_is_said_plainly(folder):
    Path("file").write_text("something else")
    said = "output file is there, and is no folder; wanted a folder for a flow a file, or a name that ends with .zarr"
    with pytest.raises(NotADirectoryError, match=f"^{said}$"):
        estimate_pairs(list_pairs("frames"), "file", "quick")
    assert run("frames", "-o", "file").stderr.strip() == f"variflow: {said}"


def test_a_number_at_the_end_is_no_extension_and_a_folder_that_is_there_goes_on(folder):
    os.mkdir("flows.old")
    for output in ("flows-v1.2", "flows.old"):
        assert run("frames", "-o", output).exit_code == 0
        assert len(flows(output)) == 6


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ("frames", "pairs is 'frames', wanted pairs of paths; variflow.batching.list_pairs"),
        (Path("frames"), "pairs is PosixPath('frames'), wanted pairs of paths"),
        (3, "pairs is 3, wanted pairs of paths"),
        (["x"], "pairs[0] is 'x', wanted two paths"),
        (["ab"], "pairs[0] is 'ab', wanted two paths"),
        ([("a", "b"), ("a", "b", "c")], "pairs[1] is ('a', 'b', 'c'), wanted two paths"),
        ([("a", 3)], "pairs[0] is ('a', 3), wanted two paths, of the first and the second frame"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="a path has another name there")
def test_what_is_no_pair_is_named(folder, pairs, said):
    with pytest.raises(TypeError, match=re.escape(said)):
        estimate_pairs(pairs, "out", "quick")


def test_stacks_and_misspelt_data_sets_have_a_hint(folder):
    for name in ("s1.tif", "s2.tif"):
        variflow.write_frames(name, FRAMES[:2])
    assert "one image; `variflow video` takes them one after the other" in run("s*.tif", "-o", "out").stderr
    assert "`variflow video` takes frames that are in one file" in run("s1.tif", "-o", "out").stderr
    said = run("middleburi:frames", "-o", "out").stderr
    assert said.startswith("variflow: the data set of SOURCE is 'middleburi', wanted one of middlebury, sintel")
    assert said.endswith("did you mean 'middlebury'?\n")


@pytest.mark.parametrize("form", ["png", ".pfm", "npz"])
def test_other_formats(folder, form):
    assert run("frames", "-o", "out", "--format", form).exit_code == 0
    flow = variflow.read_flow(f"out/f5.{form.removeprefix('.')}")
    np.testing.assert_allclose(flow, variflow.estimate(FRAMES[0], FRAMES[1], models.get("quick")).flow, atol=1 / 64)


# ---- records, and what is done again --------------------------------------------------------------------------------


def test_a_flow_is_that_of_estimate_and_has_a_record(folder):
    record = estimate_pair("frames/f5.png", "frames/f6.png", "out/deep/x.flo", "quick")
    flow = variflow.estimate(variflow.read_image("frames/f5.png"), FRAMES[1], models.get("quick")).flow
    np.testing.assert_array_equal(variflow.read_flow("out/deep/x.flo"), flow)
    assert record == Record.read(Path("out/deep/records/x.flo.json"))
    assert record.pairs == [["frames/f5.png", "frames/f6.png"]]
    assert (record.model, record.version, record.shape) == ("quick", variflow.__version__, [20, 30])


def test_only_what_is_missing_or_has_changed_is_estimated(folder, runs):
    pairs = list_pairs("frames")

    def again(model="quick"):
        runs.clear()
        summary = estimate_pairs(pairs, "out", model)
        assert summary.estimated == len(runs)
        assert (summary.done, summary.failures) == (6, [])
        return len(runs)

    assert again() == 6
    first = contents("out")
    assert again() == 0
    assert contents("out") == first
    os.remove("out/f7.flo")
    os.remove("out/records/f9.flo.json")
    Path("out/f5.flo").write_bytes(first[Path("f6.flo")])  # a flow, but another
    Path("out/records/f10.flo.json").write_text('{"pairs": ')
    assert again() == 4
    assert flows("out") == {path: content for path, content in first.items() if path.suffix == ".flo"}
    variflow.write_image("frames/f8.png", FRAMES[0])
    assert again() == 2  # those of which it is the first and the second frame
    os.utime("frames/f8.png")
    assert again() == 0


@pytest.mark.parametrize("output", ["out", "out.zarr"])
def test_flows_of_another_model_are_not_replaced(folder, runs, output):
    if output == "out.zarr":
        pytest.importorskip("zarr")
    pairs = list_pairs("frames")
    estimate_pairs(pairs, output, "quick")
    before = contents(output)
    runs.clear()
    first = "f5.flo" if output == "out" else r"c.0.0.0.0"
    with pytest.raises(ValueError, match=rf"output {output}.{first} is of the model 'quick', and is not replaced"):
        estimate_pairs(pairs, output, "horn-schunck")
    result = CliRunner().invoke(cli.app, ["batch", "frames", "-o", output, "-m", "tv-l1", "--workers", "1"])
    assert result.exit_code == 1
    assert "wanted another output, or that one removed" in result.stderr.splitlines()[-1]
    other = replace(models.get("quick"), warps=2)
    with pytest.raises(ValueError, match="is of the model 'quick' with other settings"):
        estimate_pairs(pairs, output, other)
    assert not runs
    assert contents(output) == before
    shutil.rmtree(output)
    assert estimate_pairs(pairs, output, other).estimated == 6


@pytest.mark.parametrize("output", ["out", "out.zarr"])
def test_flows_of_other_frames_are_not_replaced(folder, runs, output):
    if output == "out.zarr":
        pytest.importorskip("zarr")
    pairs = list_pairs("frames")
    estimate_pairs(pairs, output, "quick")
    before = contents(output)
    shutil.copytree("frames", "others")
    variflow.write_image("others/f8.png", FRAMES[0])
    with pytest.raises(ValueError, match=r"is of other frames, frames.f\d+.png and .*, and is not replaced"):
        estimate_pairs(list_pairs("others"), output, "quick")
    assert contents(output) == before
    shutil.copy("frames/f8.png", "others/f8.png")
    assert estimate_pairs(list_pairs("others"), output, "quick").kept == 6  # the same content


def test_what_is_beside_flows_of_another_model_is_estimated(folder):
    pairs = list_pairs("frames")
    estimate_pairs(pairs[:2], "out", "quick")
    os.remove("out/f6.flo")
    assert estimate_pairs(pairs[1:], "out", "horn-schunck").estimated == 5
    with pytest.raises(ValueError, match=r"output out.f5\.flo is of the model 'quick'"):
        estimate_pair(*pairs[0], "out/f5.flo", "horn-schunck")


def test_another_version_estimates_again(folder, runs, monkeypatch):
    estimate_pairs(list_pairs("frames"), "out", "quick")
    monkeypatch.setattr(variflow, "__version__", "9.9")
    monkeypatch.setattr(running, "digest_settings", lambda model: "as that version digests them")
    assert estimate_pairs(list_pairs("frames"), "out", "quick").estimated == 6


def test_variables_and_zarr_arrays_as_frames(folder, runs):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    with h5py.File("in.h5", "w") as file:
        file["a"], file["b"], file["c"] = (frame[..., 0] for frame in FRAMES[:3])
    array = zarr.create_array("d.zarr", data=FRAMES[3][..., 0])
    pairs = [("in.h5:a", "in.h5:b"), ("in.h5:b", "in.h5:c"), ("d.zarr", "in.h5:/a")]
    with pytest.raises(ValueError, match="would have the same name, in-in;"):
        estimate_pairs(pairs, "out", "quick")
    assert estimate_pairs(pairs[1:], "out", "quick").estimated == 2
    assert sorted(flows("out")) == [Path("d.flo"), Path("in.flo")]
    array[0, 0] = 255 - array[0, 0]
    assert estimate_pairs(pairs[1:], "out", "quick").kept == 1
    with pytest.raises(ValueError, match=r"is of other frames, in\.h5:b and in\.h5:c"):  # variables of the same file
        estimate_pairs([pairs[0], pairs[2]], "out", "quick")


# ---- failures -------------------------------------------------------------------------------------------------------


def test_failures_are_listed_and_the_rest_is_done(folder):
    Path("frames/f8.png").write_bytes(b"no image")
    os.remove("frames/f10.png")
    Path("list.csv").write_text("# \n" + "".join(f"frames/f{n}.png,frames/f{n + 1}.png\n" for n in range(5, 11)))
    result = run("list.csv", "-o", "out")
    assert result.exit_code == 1
    assert result.stdout == "out: 2 of 6 pairs have a flow, 0 of them from before; 4 failed\n"
    lines = result.stderr.splitlines()
    assert [line.split(":")[1] for line in lines] == [f" list.csv, line {n}" for n in (4, 5, 6, 7)]
    assert [line.split(":")[2] for line in lines] == [f" frames/f{n}.png frames/f{n + 1}.png" for n in (7, 8, 9, 10)]
    assert "no image that can be read" in lines[0]
    assert lines[2] == (
        "variflow: list.csv, line 6: frames/f9.png frames/f10.png: frames/f10.png: No such file or directory"
    )
    assert sorted(flows("out")) == [Path("f5.flo"), Path("f6.flo")]
    variflow.write_image("frames/f8.png", FRAMES[3])
    variflow.write_image("frames/f10.png", FRAMES[5][:, :-1])
    result = run("list.csv", "-o", "out")
    assert result.stdout == "out: 4 of 6 pairs have a flow, 2 of them from before; 2 failed\n"
    assert "frame1 has shape" in result.stderr
    variflow.write_image("frames/f10.png", FRAMES[5])
    result = run("list.csv", "-o", "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(flows("out")) == 6


def test_a_faulty_energy_fails_each_pair(folder):
    def broken(d, at):
        raise ZeroDivisionError("by nothing")

    summary = estimate_pairs(list_pairs("frames"), "out", broken)
    assert (summary.done, len(summary.failures)) == (0, 6)
    assert "ZeroDivisionError: by nothing" in str(summary.failures[0])


def test_warnings_are_counted(folder, monkeypatch):
    from variflow.base.errors import warn

    estimate = variflow.estimate

    def careful(*arguments):
        warn("it is dark")
        return estimate(*arguments)

    monkeypatch.setattr(variflow, "estimate", careful)
    for _ in range(2):  # also those of flows that are kept
        result = run("frames", "-o", "out")
        assert (result.exit_code, result.stderr) == (0, "variflow: warning: 6 files: it is dark\n")


# ---- one array ------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_a_shard(monkeypatch):
    from variflow.batching import shards

    monkeypatch.setattr(shards, "_MOST_BYTES", 2 * 20 * 30 * 8)
    monkeypatch.setattr(shards, "_LEAST_SHARDS", 1)


@pytest.mark.usefixtures("two_a_shard")
def test_one_array_for_all_flows(folder, runs):
    zarr = pytest.importorskip("zarr")
    assert run("frames", "-o", "files").exit_code == 0
    pairs = list_pairs("frames")
    assert estimate_pairs(pairs[:5], "out.zarr", "quick").estimated == 5
    array = zarr.open_array("out.zarr", mode="r")
    assert (array.shape, array.shards, array.chunks) == ((5, 20, 30, 2), (2, 20, 30, 2), (1, 20, 30, 2))
    for number in range(5):
        np.testing.assert_array_equal(array[number], variflow.read_flow(f"files/f{number + 5}.flo"))
    runs.clear()
    assert estimate_pairs(pairs[:5], "out.zarr", "quick").kept == 5
    assert not runs
    # It grows: the last shard is done again, and those before are kept.
    summary = estimate_pairs(pairs, "out.zarr", "quick")
    assert (summary.kept, summary.estimated) == (4, 2)
    whole = contents("out.zarr")
    np.testing.assert_array_equal(zarr.open_array("out.zarr", mode="r")[5], variflow.read_flow("files/f10.flo"))
    Path("out.zarr/c/1/0/0/0").write_bytes(b"damaged")
    assert estimate_pairs(pairs, "out.zarr", "quick").estimated == 2
    shards = {path: content for path, content in contents("out.zarr").items() if path.suffix != ".json"}
    assert shards == {path: content for path, content in whole.items() if path.suffix != ".json"}


@pytest.mark.usefixtures("two_a_shard")
def test_an_array_grows_only_for_flows_of_its_own(folder, runs):
    zarr = pytest.importorskip("zarr")
    pairs = list_pairs("frames")
    estimate_pairs(pairs[:5], "out.zarr", "quick")
    before = contents("out.zarr")
    shutil.copytree("frames", "others")
    variflow.write_image("others/f8.png", FRAMES[0])
    runs.clear()
    with pytest.raises(ValueError, match=r"out.zarr.c.0.0.0.0 is of the model 'quick', and is not replaced"):
        estimate_pairs(pairs, "out.zarr", "horn-schunck")
    with pytest.raises(ValueError, match="is of the model 'quick' with other settings"):
        estimate_pairs(pairs, "out.zarr", replace(models.get("quick"), warps=2))
    with pytest.raises(ValueError, match=r"out.zarr.c.1.0.0.0 is of other frames, frames.f7.png"):
        estimate_pairs(list_pairs("others"), "out.zarr", "quick")
    assert not runs
    assert contents("out.zarr") == before
    assert estimate_pairs(pairs, "out.zarr", "quick").done == 6
    assert zarr.open_array("out.zarr", mode="r").shape[0] == 6


@pytest.mark.usefixtures("two_a_shard")
def test_an_array_says_what_it_holds(folder, monkeypatch):
    zarr = pytest.importorskip("zarr")
    estimate_pairs(list_pairs("frames"), "out.zarr", "quick")
    attributes = dict(zarr.open_array("out.zarr", mode="r").attrs)
    assert attributes == zarr_array.describe("quick")
    assert (attributes["model"], attributes["variflow"]) == ("quick", variflow.__version__)
    monkeypatch.setattr(variflow, "__version__", "9.9")
    assert estimate_pairs(list_pairs("frames"), "out.zarr", "quick").estimated == 6
    assert zarr.open_array("out.zarr", mode="r").attrs["variflow"] == "9.9"


@pytest.mark.usefixtures("two_a_shard")
def test_what_fails_is_missing_in_the_array(folder):
    zarr = pytest.importorskip("zarr")
    whole = variflow.read_image("frames/f7.png")
    for wrong in (b"no image", None):
        if wrong is None:
            variflow.write_image("frames/f7.png", whole[:-1])
            variflow.write_image("frames/f8.png", whole[:-1])
        else:
            Path("frames/f7.png").write_bytes(wrong)
        summary = estimate_pairs(list_pairs("frames"), "out.zarr", "quick")
        failed = {failure.pair[0] for failure in summary.failures}
        assert failed == {"frames/f6.png", "frames/f7.png"} | ({"frames/f8.png"} if wrong is None else set())
        known = np.isfinite(zarr.open_array("out.zarr", mode="r")[...]).all(axis=(1, 2, 3))
        assert known.tolist() == [f"frames/f{n}.png" not in failed for n in range(5, 11)]
        with pytest.raises(ValueError, match="is of the model 'quick'"):  # though that shard is not whole
            estimate_pairs(list_pairs("frames"), "out.zarr", "horn-schunck")
    assert any("wanted that of the first pair" in str(failure) for failure in summary.failures)
    variflow.write_image("frames/f7.png", FRAMES[2])
    variflow.write_image("frames/f8.png", FRAMES[3])
    assert estimate_pairs(list_pairs("frames"), "out.zarr", "quick").done == 6


def test_an_array_is_not_made_over_something_else(folder):
    pytest.importorskip("zarr")
    pairs = list_pairs("frames")
    os.mkdir("out.zarr")
    Path("out.zarr/mine").write_text("kept")
    os.mkdir("killed.zarr")
    Path("killed.zarr/.variflow-0123.part").write_text("{")
    assert estimate_pairs(pairs, "killed.zarr", "quick").done == 6
    with pytest.raises(ValueError, match=r"output out.zarr holds something else, wanted an output that is new"):
        estimate_pairs(pairs, "out.zarr", "quick")
    variflow.write_flow("flow.zarr", np.zeros((20, 30, 2)))
    with pytest.raises(ValueError, match=r"output flow.zarr is another array, of shape \[20, 30, 2\], wanted \[6, 20"):
        estimate_pairs(pairs, "flow.zarr", "quick")
    estimate_pairs(pairs, "all.zarr", "quick")
    with pytest.raises(ValueError, match=r"all.zarr is another array, of shape \[6, 20, 30, 2\], wanted \[5, 20, 30"):
        estimate_pairs(pairs[1:], "all.zarr", "quick")
    with pytest.raises(ValueError, match=r"extension is \.zarr, wanted that of a file"):
        estimate_pairs(pairs, "out", "quick", extension=".zarr")


# ---- shares, arguments, the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_shares_are_a_partition(folder, runs, count):
    done = Counter()
    for first in range(count):
        summary = estimate_pairs(list_pairs("frames"), f"out{first}", "quick", share=(first, count))
        assert summary.total == summary.estimated
        done.update(flows(f"out{first}").keys())
    assert done == {Path(f"f{number}.flo"): 1 for number in range(5, 11)}


def test_shares_of_the_command_fill_one_folder(folder, runs):
    assert run("frames", "-o", "whole").exit_code == 0
    runs.clear()
    for first in range(3):
        result = run("frames", "-o", "out", "--array", f"{first}/3")
        assert result.stdout == "out: 2 of 2 pairs have a flow, 0 of them from before\n"
    assert len(runs) == 6
    assert flows("out") == flows("whole")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--array", "3/3"], "--array is '3/3', wanted I/N with I from 0 to N - 1, such as 0/16"),
        (["--array", "1"], "--array is '1'"),
        (["--workers", "0"], "--workers is 0, wanted"),
        (["--threads", "0"], "--threads is 0, wanted"),
        (["--format", "jpg"], "variflow: --format is .jpg: '.jpg' is no extension of a flow file"),
        (["--workers", "3", "--scheduler", "tcp://a:1"], "--workers is given, and --scheduler says"),
        (["--energy", "my.py:energy"], "both the model 'quick' and --energy my.py:energy are given"),
        (["-o", ""], "--output is empty, wanted a name"),
        (["--pairs"], "SOURCE frames has 7 frames, wanted an even number"),
    ],
)
def test_wrong_options_are_one_line(folder, options, said):
    result = run("frames", "-o", "out", *options)
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_wrong_arguments(folder):
    pairs = list_pairs("frames")
    with pytest.raises(ValueError, match="pairs is empty"):
        estimate_pairs([], "out")
    with pytest.raises(TypeError, match="share is 3, wanted two whole numbers"):
        estimate_pairs(pairs, "out", share=3)
    with pytest.raises(ValueError, match=r"share\[0\] is 2, wanted"):
        estimate_pairs(pairs, "out", share=(2, 2))
    Path("file").write_text("")
    with pytest.raises(NotADirectoryError, match="is there, and is no folder"):
        estimate_pairs(pairs, "file", "quick")


def test_the_callback_sees_every_pair(folder):
    seen = []
    estimate_pairs(list_pairs("frames"), "out", "quick", callback=lambda summary: seen.append(summary.done))
    assert seen == list(range(7))


def test_the_number_of_threads_is_as_before(folder):
    before = variflow.get_threads()
    used = []
    variflow.set_threads(3)
    try:
        estimate_pairs(
            list_pairs("frames"), "out", "quick", threads=2, callback=lambda _: used.append(variflow.get_threads())
        )
        assert variflow.get_threads() == 3
        assert used == [3, *[2] * 6]
    finally:
        variflow.set_threads(before)


def test_workers_share_the_threads(folder, monkeypatch):
    jobs = []
    monkeypatch.setattr(running, "Job", lambda *job: jobs.append(job[2]) or pytest.fail("enough"))
    before = variflow.get_threads()
    variflow.set_threads(8)
    try:
        for options in (
            {},
            {"workers": 3},
            {"workers": 20},
            {"scheduler": "tcp://there"},
            {"workers": 3, "threads": 5},
        ):
            with pytest.raises(pytest.fail.Exception, match="enough"):
                estimate_pairs(list_pairs("frames"), "out", "quick", **options)
    finally:
        variflow.set_threads(before)
    assert jobs == [8, 2, 1, 1, 5]


def test_a_folder_or_file_of_frames_is_not_executed(folder):
    names = ["$(touch x).png", "; touch x;.png", "'\"`touch x`.png", "-o.png", "\u202ea.png"]
    for name, frame in zip(names, FRAMES, strict=False):
        variflow.write_image(f"frames/{name}", frame)
    listed = [(f"frames/{name}", "frames/f5.png") for name in names]
    assert estimate_pairs(listed, "out", "quick").estimated == len(names)
    assert {path.stem for path in flows("out")} == {Path(name).stem for name in names}
    assert not os.path.exists("x")


def test_records_are_plain_json(folder):
    estimate_pairs(list_pairs("frames"), "out", "quick")
    files = [path for path in contents("out") if path.suffix != ".flo"]
    assert len(files) == 6
    assert all(path.parent.name == "records" and json.loads(Path("out", path).read_text()) for path in files)


def test_dask_is_named_where_it_is_missing(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"workers is 2, which needs Dask: pip install 'variflow\[batch\]'"):
        estimate_pairs(list_pairs("frames"), "out", "quick", workers=2)


def test_the_command_works_alone_where_dask_is_missing(folder, monkeypatch):
    monkeypatch.setattr("variflow.cli.batch.find_spec", lambda name: None)
    monkeypatch.setattr(variflow, "get_threads", lambda: 2)
    asked = []
    estimate = batching.estimate_pairs
    monkeypatch.setattr(
        batching, "estimate_pairs", lambda *given, **more: asked.append(more) or estimate(*given, **more)
    )
    result = CliRunner().invoke(cli.app, ["batch", "frames", "-o", "out", "-m", "quick"])
    assert result.exit_code == 0, result.output
    assert [more["workers"] for more in asked] == [1]


def test_one_process_needs_no_dask(folder):
    code = (
        "import sys\nfrom variflow.batching import estimate_pairs, list_pairs\n"
        "estimate_pairs(list_pairs('frames'), 'out', 'realtime')\n"
        "print(*[name for name in ('dask', 'distributed', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_public_names_are_those_of_the_package():
    assert batching.estimate_pairs is running.estimate_pairs
    assert str(Failure(("a", "b"), "is dark")) == "a b: is dark"
