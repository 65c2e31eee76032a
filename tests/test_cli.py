"""The command line: each command as a person types it, and one clear line when something is wrong."""

import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import variflow
from variflow import cli, models
from variflow.datasets import synthetic


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """The demo's size takes a while; one step a warp shows the same."""
    quick = variflow.Model(models.horn_schunck().energy, steps=1, warps=1, name="quick")
    monkeypatch.setitem(models._MODELS, "quick", lambda: quick)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = synthetic.translation((40, 50), shift=(1.0, 0.0), seed=1)
    variflow.write_image("a.png", pair.frame0)
    variflow.write_image("b.png", pair.frame1)
    variflow.write_flow("truth.flo", pair.flow)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_demo_writes_and_scores(folder):
    result = run("demo", "--model", "quick")
    assert result.exit_code == 0, result.output
    assert "end-point error" in result.output
    assert variflow.read_flow("flow.flo").shape == (480, 640, 2)
    picture = variflow.read_image("flow.png")
    np.testing.assert_array_equal(picture[:480, :640], variflow.view.color(variflow.read_flow("flow.flo")))
    assert (picture == variflow.view.color(variflow.read_flow("flow.flo"), key=True)).all()


def test_estimate_score_show(folder):
    result = run("estimate", "a.png", "b.png", "-o", "f.flo", "--show", "f.png", "--model", "horn-schunck")
    assert result.exit_code == 0, result.output
    scored = run("score", "f.flo", "truth.flo")
    assert scored.exit_code == 0
    assert float(scored.output.split()[2]) < 0.3
    assert f"known pixels     {40 * 50} of {40 * 50}" in scored.output
    assert run("show", "f.flo", "-o", "again.png", "--scale", "2").exit_code == 0
    np.testing.assert_array_equal(
        variflow.read_image("again.png"), variflow.view.color(variflow.read_flow("f.flo"), 2, key=True)
    )


def test_estimate_with_init_and_mask(folder):
    mask = np.ones((40, 50), bool)
    mask[:, :10] = False
    variflow.write_image("m.png", mask)
    result = run(
        "estimate", "a.png", "b.png", "-o", "f.flo", "--init", "truth.flo", "--mask", "m.png", "-m", "quick", "-v"
    )
    assert result.exit_code == 0, result.output
    assert "energy" in result.stderr
    assert "finished every warp" in result.output


def test_the_shell_imports_neither_jax_nor_matplotlib(folder):
    """A named model, files and pictures of flows need neither, so nobody waits for their import."""
    code = (
        "import sys\n"
        "from variflow import cli\n"
        "for words in ('models', 'demo -m realtime', 'estimate a.png b.png -o f.flo --show f.png',\n"
        "              'score f.flo truth.flo', 'show f.flo -o g.png'):\n"
        "    sys.argv = ['variflow', *words.split()]\n"
        "    try:\n"
        "        cli.main()\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, words\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print('loaded', *sorted(loaded & {'jax', 'jaxlib', 'matplotlib', 'equinox', 'optax'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded"
    assert {"flow.flo", "flow.png", "f.flo", "f.png", "g.png"} <= names(folder)


def test_models_are_listed():
    result = run("models")
    assert result.exit_code == 0
    for name in models.names():
        assert name in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["estimate", "missing.png", "b.png", "-o", "f.flo"], "missing.png: no such file"),
        (["estimate", "a.png", "alien.png", "-o", "f.flo"], "alien.png: is "),
        (["estimate", "a.png", "cut.png", "-o", "f.flo"], "cut.png: truncated"),
        (["estimate", "a.png", "small.png", "-o", "f.flo"], "small.png has shape (4, 4), wanted that of a.png"),
        (["estimate", "a.png", "b.png", "-o", "f.xyz"], "f.xyz: '.xyz' is no extension of a flow file; known are .flo"),
        (["estimate", "a.png", "b.png", "-o", "f.xyz"], ", and for fields in units .nc, .h5, .csv, .vti, .mat, .txt"),
        (["estimate", "a.png", "b.png", "-o", "no/f.flo"], "no/f.flo: the folder"),
        (["estimate", "a.png", "b.png", "-o", "f.flo", "--show", "f.gif"], "f.gif: the name of an image to write"),
        (["estimate", "a.png", "b.png", "-o", "f.flo", "-m", "brocks"], "--model is 'brocks', wanted one of"),
        (["estimate", "a.png", "b.png", "-o", "f.flo", "--init", "a.png"], "a.png: a picture ("),
        (
            ["estimate", "a.png", "b.png", "-o", "f.flo", "--mask", "small.png"],
            "--mask small.png has 4 x 4 pixels, wanted 50 x 40",
        ),
        (["score", "cut.flo", "truth.flo"], "cut.flo:"),
        (["score", "truth.flo", "missing.flo"], "missing.flo: no such file"),
        (["show", "truth.flo", "-o", "no/f.png"], "no/f.png: the folder"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(folder, arguments, message):
    (folder / "alien.png").write_bytes(b"this is no picture")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (folder / "cut.flo").write_bytes((folder / "truth.flo").read_bytes()[:200])
    variflow.write_image("small.png", np.zeros((4, 4), np.uint8))
    before = names(folder)
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("variflow: ")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert names(folder) == before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interruption_of_the_imports_is_one_line(tmp_path):
    (tmp_path / "typer.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    done = subprocess.run([sys.executable, "-m", "variflow", "models"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "variflow: interrupted\n")


def test_python_m_variflow(tmp_path):
    done = subprocess.run([sys.executable, "-m", "variflow", "models"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert "horn-schunck" in done.stdout
