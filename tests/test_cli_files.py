"""The command line and files: what is written where, masks, names of odd characters, streams that are no good."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

import variflow
from variflow import cli, models
from variflow.cli.outputs import is_same_place
from variflow.datasets import synthetic
from variflow.evaluation import Table

SOURCE = str(Path(variflow.__file__).parents[1])
PAIR = synthetic.translation((40, 50), shift=(1.0, 0.0), seed=1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quick = variflow.Model(models.horn_schunck().energy, models.horn_schunck().solver, warps=1, name="quick")
    monkeypatch.setitem(models._MODELS, "quick", lambda: quick)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variflow.write_image("a.png", PAIR.frame0)
    variflow.write_image("b.png", PAIR.frame1)
    variflow.write_flow("truth.flo", PAIR.flow)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def estimate(*options, output="f.flo"):
    return run("estimate", "a.png", "b.png", "-o", output, "-m", "quick", *options)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(result, *said):
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("variflow: ")
    assert len(result.stderr.splitlines()) == 1
    for part in said:
        assert part in result.stderr


# ---- never over an input or another output --------------------------------------------------------------------------


def link(kind, target, name):
    getattr(os, kind)(target, name)
    return name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "a.png"], "--output a.png is the same as FRAME0 a.png"),
        (["-o", "./b.png"], "--output b.png is the same as FRAME1 b.png"),
        (["-o", "sub/../a.png"], "FRAME0"),
        (["-o", "soft.png"], "--output soft.png is the same as FRAME0 a.png"),
        (["-o", "hard.png"], "FRAME1"),
        (["-o", "folder/a.png"], "FRAME0"),
        (["-o", "f.flo", "--show", "a.png"], "--show a.png is the same as FRAME0"),
        (["-o", "o.png", "--show", "o.png"], "--show o.png is the same as --output o.png"),
        (["-o", "o.png", "--show", "./sub/../o.png"], "--output"),
        (["-o", "o.png", "--show", "folder/o.png"], "--output"),
        (["-o", "truth.flo", "--init", "truth.flo"], "--init"),
        (["-o", "f.flo", "--mask", "m.png", "--show", "m.png"], "--mask"),
        (["-o", "m.png", "--mask-second", "m.png"], "--mask-second"),
        (["-o", "dangling.png", "--show", "new.png"], "--output"),
    ],
)
def test_an_output_is_never_an_input_or_another_output(folder, arguments, said):
    os.mkdir("sub")
    variflow.write_image("m.png", np.ones((40, 50), bool))
    link("symlink", "a.png", "soft.png")
    link("link", "b.png", "hard.png")
    link("symlink", ".", "folder")
    link("symlink", "new.png", "dangling.png")
    before = contents(folder)
    refused(run("estimate", "a.png", "b.png", *arguments), said, "would be overwritten")
    assert contents(folder) == before


def test_a_file_that_is_named_with_a_variable_is_an_input(folder):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    with h5py.File("in.h5", "w") as file:
        for name, frame in zip("ab", (PAIR.frame0, PAIR.frame1), strict=True):
            file[f"deep/{name}"] = frame[..., 0]
    group = zarr.open_group("in.zarr", mode="w")
    for name, frame in zip(("a.zarr", "b.zarr"), (PAIR.frame0, PAIR.frame1), strict=True):
        group.create_array(name, data=frame[..., 0])
    link("symlink", "in.h5", "soft.h5")
    before = contents(folder)
    pair = ["in.h5:/deep/a", "in.h5:/deep/b"]
    for output in ("in.h5", "soft.h5"):
        refused(run("estimate", *pair, "-o", output, "-m", "quick"), f"{output} is the same as FRAME0 in.h5:/deep/a")
    pair = ["in.zarr:a.zarr", "in.zarr:/b.zarr"]
    refused(run("estimate", *pair, "-o", "in.zarr/b.zarr", "-m", "quick"), "is the same as FRAME1 in.zarr:/b.zarr")
    refused(estimate("--mask", "in.h5:deep/a", output="in.h5"), "is the same as --mask in.h5:deep/a")
    assert contents(folder) == before
    assert run("estimate", *pair, "-o", "out.zarr", "-m", "quick").exit_code == 0


def test_other_commands_do_not_write_over_what_they_read(folder):
    variflow.write_flow("kitti.png", PAIR.flow)
    link("symlink", "kitti.png", "soft.png")
    before = contents(folder)
    refused(run("show", "kitti.png", "-o", "kitti.png"), "--output kitti.png is the same as FLOW")
    refused(run("show", "kitti.png", "-o", "soft.png"), "--output soft.png is the same as FLOW")
    refused(run("eval", "-d", f"middlebury:{folder}", "-m", "quick", "-o", "."), "is the folder of --dataset")
    link("symlink", "flow.png", "flow.flo")
    refused(run("demo", "-m", "quick"), "the picture flow.png is the same as the flow flow.flo")
    os.unlink("flow.flo")
    assert contents(folder) == before


def test_names_that_differ_in_case_are_one_where_the_file_system_says_so(folder, monkeypatch):
    assert not is_same_place(Path("Flow.png"), Path("flow.png"))
    monkeypatch.setattr("variflow.cli.outputs._ignores_case", lambda folder: True)
    assert is_same_place(Path("Flow.png"), Path("flow.png"))
    assert is_same_place(Path("\u00e4.png"), Path("a\u0308.png"))
    assert not is_same_place(Path("flow.png"), Path("flaw.png"))


def test_one_device_takes_one_output_and_nowhere_takes_them_all(folder):
    link("symlink", "/dev/null", "none.flo")
    link("symlink", "/dev/null", "none.png")
    assert estimate("--show", "none.png", output="none.flo").exit_code == 0
    os.mkfifo("pipe")
    link("symlink", "pipe", "one.flo")
    link("symlink", "pipe", "one.png")
    refused(estimate("--show", "one.png", output="one.flo"), "--show one.png is the same as --output one.flo")


def test_an_output_that_is_there_already_is_replaced(folder):
    for _ in range(2):
        assert estimate("--show", "f.png").exit_code == 0


# ---- masks ----------------------------------------------------------------------------------------------------------


def half(black=0, white=1, dtype=np.uint8, channels=()):
    mask = np.full((40, 50, *channels), white, dtype)
    mask[:, :20] = black
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        half(dtype=bool, black=False, white=True),
        half(),
        half(white=255),
        half(white=65535, dtype=np.uint16),
        half(white=(255, 0, 0), channels=(3,)),
    ],
    ids=["bool", "0 and 1", "0 and 255", "16 bits", "red on black"],
)
def test_a_mask_is_black_and_one_other_colour(folder, mask):
    variflow.write_image("m.png", mask)
    assert estimate("--mask", "m.png", "--show", "f.png").exit_code == 0
    picture = variflow.read_image("f.png")[:40, :50]  # beside it is the key
    assert not picture[:, :20].any()  # black, as what is unknown
    assert picture[:, 20:].any(axis=2).all()


@pytest.mark.parametrize("kind", ["palette", "1-bit", "npy of floats", "opaque"])
def test_masks_of_other_kinds(folder, kind):
    from PIL import Image

    if kind == "npy of floats":
        np.save("m.npy", half().astype(float))
    elif kind == "palette":
        palette = Image.fromarray(half())
        palette.putpalette([0, 0, 0, 10, 200, 30])
        palette.save("m.gif")
    elif kind == "1-bit":
        Image.fromarray(half(white=255)).convert("1").save("m.png")
    else:
        Image.fromarray(half(white=255)).convert("RGBA").save("m.png")
    [mask] = Path().glob("m.*")
    assert estimate("--mask", mask, "--show", "f.png").exit_code == 0
    assert not variflow.read_image("f.png")[:40, :20].any()


@pytest.mark.parametrize("kind", ["photograph", "gray", "jpeg", "no black", "transparent", "nan", "size"])
def test_what_is_no_mask_is_refused(folder, kind):
    from PIL import Image

    name, said = "m.png", "more than two colours"
    if kind == "photograph":
        variflow.write_image(name, PAIR.frame0)
    elif kind == "gray":
        variflow.write_image(name, PAIR.frame0[..., 0])
    elif kind == "jpeg":
        name, said = "m.jpg", "a JPEG has blurred edges"
        disk = np.hypot(*np.mgrid[-20:20, -25:25]) < 15
        variflow.write_image(name, disk)
    elif kind == "no black":
        said = "two colours, but none is black"
        variflow.write_image(name, half(black=100, white=200))
    elif kind == "transparent":
        said = "partly transparent"
        Image.fromarray(np.dstack([half(255, 255, channels=(3,)), half(white=255)])).save(name)
    elif kind == "nan":
        name = "m.npy"
        np.save(name, half(black=np.nan, dtype=float) * np.where(half() > 0, 1, 2))
    else:
        said = "4 x 4 pixels, wanted 50 x 40"
        variflow.write_image(name, np.ones((4, 4), bool))
    refused(estimate("--mask", name), f"--mask {name}", said)
    refused(estimate("--mask-second", name), f"--mask-second {name}", said)
    assert not Path("f.flo").exists()


def test_one_mask_is_for_both_frames_and_a_second_one_for_its_own(folder):
    first = half(black=False, white=True, dtype=bool)
    second = first[:, ::-1].copy()
    variflow.write_image("first.png", first)
    variflow.write_image("second.png", second)

    def wanted(mask):
        return variflow.estimate(PAIR.frame0, PAIR.frame1, "quick", mask=mask).flow

    for options, mask in (
        (["--mask", "first.png"], (first, first)),
        (["--mask", "first.png", "--mask-second", "second.png"], (first, second)),
        (["--mask-second", "second.png"], (None, second)),
    ):
        assert estimate(*options).exit_code == 0
        np.testing.assert_array_equal(variflow.read_flow("f.flo"), wanted(mask))


# ---- what people name -----------------------------------------------------------------------------------------------


ODD = ["[red]flow", "run[/1]", ":smile:", "[/]", "a b", "[link=x]y", "100%", "{task}", "\u6d41"]


@pytest.mark.parametrize("name", ODD)
def test_names_are_printed_as_they_are(folder, name):
    os.makedirs(f"{name}/in")
    for frame in ("a.png", "b.png"):
        os.rename(frame, f"{name}/in/{frame}")
    output, picture = f"{name}/{name}.flo", f"{name}/{name}.png"
    os.makedirs(os.path.dirname(output), exist_ok=True)
    done = run(
        "estimate", f"{name}/in/a.png", f"{name}/in/b.png", "-o", output, "--show", picture, "-m", "quick", "--verbose"
    )
    assert done.exit_code == 0, done.output
    assert f"wrote {output}\n" in done.stdout
    assert f"wrote {picture}\n" in done.stdout
    assert run("show", output, "-o", f"{name}/again.png").stdout == f"wrote {name}/again.png\n"
    refused(run("score", f"{name}/missing.flo", output), f"{name}/missing.flo: no such file")


def test_names_that_would_move_the_cursor_are_escaped_and_stay_in_one_line(folder):
    output = "two\nlines\x1b[2J.flo"
    assert estimate(output=output).stdout == "wrote two\\nlines\\x1b[2J.flo\n"
    refused(run("score", output, "no\nsuch.flo"), "no\\nsuch.flo: no such file")


def test_a_table_of_data_sets_and_models_prints_names_as_they_are(folder, monkeypatch):
    odd = variflow.Model(models.horn_schunck().energy, models.horn_schunck().solver, warps=1, name="[red]odd[/1]")
    monkeypatch.setitem(models._MODELS, "odd", lambda: odd)
    scene = folder / "data" / "other-data" / "Rubber"
    scene.mkdir(parents=True)
    for number, frame in ((10, PAIR.frame0), (11, PAIR.frame1)):
        variflow.write_image(scene / f"frame{number}.png", frame)
    truth = folder / "data" / "other-gt-flow" / "Rubber"
    truth.mkdir(parents=True)
    variflow.write_flow(truth / "flow10.flo", PAIR.flow)
    done = run("eval", "-d", "middlebury:data", "-m", "odd", "-o", "[blue]results")
    assert done.exit_code == 0, done.output
    assert "[red]odd[/1]" in done.stdout
    assert "to [blue]results\n" in done.stdout


def test_a_table_of_means_is_whole_where_80_columns_are_too_few(monkeypatch):
    """Numbers were cut to "0.0…" in a pipe, or where a terminal is narrow."""
    name = "a-name-that-is-rather-long-" * 3
    row = {"dataset": "middlebury", "pair": "a", "model": name, "pixels": 9.0} | dict.fromkeys(
        ("epe", "a50", "angle", "r1", "fl", "seconds"), 0.0123
    )
    monkeypatch.setattr("variflow.evaluation.evaluate", lambda *given: Table({("middlebury", "a", name): row}))
    monkeypatch.setattr("variflow.cli.data._open_dataset", lambda *given: None)
    monkeypatch.setenv("COLUMNS", "40")
    (line,) = [line for line in run("eval", "-d", "a:b", "-m", "quick").stdout.splitlines() if name in line]
    assert line.split() == ["middlebury", name, "1", *["0.012"] * 6]


# ---- messages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "TVL1"], "--model is 'TVL1', wanted one of"),
        (["-m", "TVL1"], "did you mean 'tv-l1'?"),
        (["-m", "Horn Schunck"], "did you mean 'horn-schunck'?"),
        (["-m", "classic_NL"], "did you mean 'classic-nl'?"),
        (["--init", "small.flo"], "--init has shape (4, 4, 2), wanted (40, 50, 2)"),
    ],
)
def test_messages_name_options(folder, arguments, said):
    variflow.write_flow("small.flo", np.zeros((4, 4, 2)))
    refused(run("estimate", "a.png", "b.png", "-o", "f.flo", *arguments), said)


def test_films_of_more_than_eight_bits_become_films_that_all_players_show(folder):
    pytest.importorskip("av")
    frames = [
        synthetic.translation((48, 64), shift=(time, 0)).frame1[..., 0].astype(np.uint16) * 257 for time in (0, 1, 2)
    ]
    variflow.write_frames("deep.mkv", frames)
    variflow.write_frames("deep.tif", frames)
    for command in ("register", "stabilise", "interpolate"):
        result = run(command, "deep.mkv", "-o", "out.mp4", "-m", "quick")
        assert result.exit_code == 0, result.output
        first = variflow.read_frames("out.mp4")[0]
        assert first.dtype == np.uint8
        if command != "stabilise":
            assert np.abs(first.mean(axis=2) - frames[0] / 257).mean() < 2
        said = "frame 0 has dtype uint16, .mp4 takes uint8, bool; .mkv and .tif take them as they are\n"
        assert run(command, "deep.tif", "-o", "no.mp4", "-m", "quick").stderr == f"variflow: {said}"
    assert run("interpolate", "deep.tif", "-o", "out.mkv", "-m", "quick").exit_code == 0
    np.testing.assert_array_equal(variflow.read_frames("out.mkv")[0], frames[0])


def test_messages_name_files_and_no_functions(folder):
    variflow.write_flow("small.flo", np.zeros((4, 4, 2)))
    np.save("stack.npy", np.zeros((3, 40, 50), np.uint8))
    np.save("black.npy", np.full((40, 50), np.nan))
    done = [
        run("estimate", "stack.npy", "b.png", "-o", "f.flo"),
        run("estimate", "truth.flo", "b.png", "-o", "f.flo"),
        run("estimate", "black.npy", "black.npy", "-o", "f.flo"),
        run("score", "small.flo", "truth.flo"),
        run("score", "a.png", "truth.flo"),
        run("show", "truth.flo", "-o", "f.png", "--scale", "-1"),
        run("eval", "-d", "Sintel:.", "-m", "quick"),
        run("eval", "-d", "sintel", "-m", "quick"),
        run("datasets", "fetch", "PIV!"),
    ]
    for result in done:
        refused(result)
        assert "variflow." not in result.stderr
        assert "read_" not in result.stderr
    said = [result.stderr for result in done]
    assert "black.npy has no usable pixel" in said[2]
    assert said[3].startswith("variflow: small.flo has shape") or "truth.flo" in said[3]
    assert said[1].endswith("truth.flo: is a .flo file, no image that can be read; `variflow show` paints a flow\n")
    assert "--scale" in said[5]
    assert "--dataset is 'Sintel', wanted one of" in said[6]
    assert "did you mean 'sintel'?" in said[6]
    assert "NAME is 'PIV!', wanted one that can be fetched" in said[8]
    assert "did you mean 'piv'?" in said[8]


def test_files_called_like_arguments_keep_their_names(folder):
    variflow.write_image("frame1.png", np.zeros((4, 4), np.uint8))
    os.rename("a.png", "frame0.png")
    refused(run("estimate", "frame1.png", "frame0.png", "-o", "f.flo"), "frame0.png has", "that of frame1.png, (4")
    refused(run("estimate", "frame0.bmp", "mask", "-o", "f.flo"), "variflow: frame0.bmp: no such file")
    refused(run("estimate", "frame0.png", "mask", "-o", "f.flo"), "variflow: mask: no such file")
    refused(run("score", "flow", "truth.flo"), "variflow: flow: no such file")
    odd = "see, read_image"
    os.mkdir(odd)
    refused(run("score", f"{odd}/x.flo", "truth.flo"), f"variflow: {odd}/x.flo: no such file")


def test_warnings_are_lines_that_name_options(folder):
    holed = PAIR.frame0.astype(float)
    holed[5:9, 5:9] = -9999
    np.save("a.npy", holed)
    done = run("estimate", "a.npy", "b.png", "-o", "f.flo", "-m", "quick")
    assert done.exit_code == 0
    [line] = done.stderr.splitlines()
    assert line.startswith("variflow: warning: a.npy has 16 pixels far outside")
    assert "; --mask says which pixels are usable" in line


def test_warnings_recommend_no_option_that_a_command_lacks(folder):
    frames = [PAIR.frame0.astype(float), PAIR.frame1.astype(float)]
    frames[0][5:9, 5:9] = -9999
    np.save("stack.npy", np.stack(frames))
    done = run("register", "stack.npy", "-o", "out.npy", "-m", "quick")
    assert done.exit_code == 0, done.output
    for line in done.stderr.splitlines():
        assert line.startswith("variflow: warning: ")
        assert line.endswith(": taken as missing")


@pytest.mark.parametrize("command", [("eval", "-d", "sintel:.", "-m", "quick"), ("datasets", "fetch", "piv")])
def test_an_output_without_a_name_is_not_the_current_folder(folder, command):
    before = os.listdir()
    refused(run(*command, "-o", ""), "--output is empty, wanted a name; the current folder is .")
    assert os.listdir() == before


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("video", "", "-o", "a.zarr"), "IN"),
        (("stabilise", "", "-o", "a.npy"), "IN"),
        (("interpolate", "", "-o", "a.npy"), "IN"),
        (("register", "", "-o", "a.npy"), "STACK"),
        (("register", "stack.npy", "-o", "a.npy", "--labels", "", "--labels-output", "b.npy"), "--labels"),
        (("batch", "", "-o", "flows"), "SOURCE"),
    ],
)
def test_frames_without_a_name_are_not_those_of_the_current_folder(folder, command, name):
    for number in range(2):
        variflow.write_image(f"{number}.png", np.eye(20, dtype=np.uint8))
    before = os.listdir()
    refused(run(*command), f"{name} is empty, wanted a name; the current folder is .")
    assert os.listdir() == before
    with pytest.raises(ValueError, match="source is empty, wanted a name"):
        variflow.read_frames("")


def test_what_is_interrupted_says_so(folder, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(variflow, "estimate", interrupt)
    before = os.listdir()
    result = run("estimate", "a.png", "b.png", "-o", "f.flo")
    assert (result.exit_code, result.stderr) == (130, "variflow: interrupted\n")
    assert os.listdir() == before


def test_the_version():
    assert run("--version").stdout == f"variflow {variflow.__version__}\n"


# ---- streams --------------------------------------------------------------------------------------------------------


def shell(line, folder, **environment):
    """Run a line of the shell in which `variflow` is this one."""
    script = f'variflow() {{ "{sys.executable}" -m variflow "$@"; }}\n{line}'
    wanted = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE, **environment}
    return subprocess.run(["bash", "-c", script], capture_output=True, cwd=folder, env=wanted, timeout=120)


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
SCORE = "variflow score truth.flo truth.flo"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(f"{SCORE} > /dev/full", "standard output: No space left on device", marks=needs_full),
        pytest.param("variflow --help > /dev/full", "standard output: No space left on device", marks=needs_full),
        pytest.param("variflow --version > /dev/full", "standard output: No space left on device", marks=needs_full),
        (f"{SCORE} >&-", "standard output: Bad file descriptor"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_line_and_a_status(folder, line, said):
    done = shell(line, folder)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [f"variflow: {said}"]


@pytest.mark.parametrize("line", [SCORE, "variflow --help", "variflow models", "variflow --version"])
def test_a_reader_that_has_gone_is_no_fault(folder, line):
    done = shell(f"{{ {line}; echo $? >&3; }} 3>&2 | true", folder)
    assert done.stderr == b"141\n"


def test_what_libraries_log_is_not_printed(folder):
    page = {"photometric": "minisblack", "metadata": None, "description": "text" * 9}
    tifffile.imwrite("a.tif", np.zeros((40, 50), np.uint8), compression="zlib", **page)
    os.truncate("a.tif", 200)
    done = shell("variflow estimate a.tif b.png -o f.flo", folder)
    assert done.returncode == 1
    assert done.stderr.startswith(b"variflow: a.tif: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("streams", ["2>&-", ">&- 2>&-", "<&- 2>&-", pytest.param("2>/dev/full", marks=needs_full)])
def test_an_error_that_nobody_hears_is_still_a_status(folder, streams):
    done = shell(f"variflow score truth.flo missing.flo {streams}", folder)
    assert done.returncode == 1
    assert done.stdout == done.stderr == b""


def test_a_closed_stream_lends_its_number_to_no_file(folder):
    done = shell("variflow show truth.flo -o f.png <&- >&-", folder)
    assert done.returncode == 1
    colors = variflow.view.color(variflow.read_flow(folder / "truth.flo"))
    assert (variflow.read_image(folder / "f.png")[:40, :50] == colors).all()


@pytest.mark.parametrize(
    "environment",
    [{}, {"HOME": "/nowhere"}, {"TERM": "dumb"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}, {"COLUMNS": "1"}],
    ids=str,
)
def test_no_home_no_terminal_and_no_unicode(folder, environment):
    done = shell("variflow estimate a.png b.png -o \u6d41.flo -m horn-schunck --show f.png", folder, **environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert done.stdout.startswith(b"wrote ")
    assert (folder / "\u6d41.flo").exists()


def test_a_name_that_is_no_text(folder):
    os.rename(b"truth.flo", b"\xff\xfe.flo")
    done = shell("variflow show $'\\xff\\xfe.flo' -o $'\\xff.png'; variflow score $'\\xff.flo' $'\\xff.flo'", folder)
    assert done.stdout == b"wrote \\udcff.png\n"
    assert done.stderr == b"variflow: \\udcff.flo: no such file\n"
    assert done.returncode == 1


def test_the_shell_completes_models():
    words = {"_VARIFLOW_COMPLETE": "complete_bash", "COMP_WORDS": "variflow estimate -m tv", "COMP_CWORD": "3"}
    done = CliRunner().invoke(cli.app, [], prog_name="variflow", env=words)
    assert done.stdout.split() == ["tv-l1"]
    assert "--install-completion" in run("--help").output
