"""The package as a whole: what an import costs, what is public, that docs and examples run."""

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import variflow

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(variflow.__path__, "variflow.")
    if not module.name.endswith("__main__") and "._core" not in module.name
)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_importing_loads_nothing_heavy():
    loaded = python("import sys, variflow; print(*{name.partition('.')[0] for name in sys.modules})")
    assert "variflow" in loaded
    assert not {"jax", "matplotlib", "imageio", "tifffile", "typer", "optax", "scipy", "numpy"} & set(loaded)


OFFLINE = """
import socket
class Refused(socket.socket):
    def __init__(self, *_, **__): raise AssertionError("the network was asked")
socket.socket = socket.create_connection = socket.getaddrinfo = Refused
import variflow
from variflow.datasets import synthetic
pair = synthetic.translation((32, 48), shift=(1.0, 0.5))
for name in ("balanced", "smooth"):
    result = variflow.estimate(pair.frame0, pair.frame1, name)
for name in ("flow.flo", "flow.png", "flow.html"):
    result.save(name)
variflow.read_flow("flow.flo")
print(result.confidence.shape)
"""


def test_nothing_is_asked_of_the_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(variflow.__file__).parent.parent))
    assert python(OFFLINE) == ["(32,", "48)"]


@pytest.mark.parametrize(
    ("module", "wrong", "right"),
    [
        (variflow, "estimte", "estimate"),
        (variflow.flowops, "divergense", "divergence"),
        (variflow.metrics, "outlier", "outliers"),
        (variflow.models, "tvl1", "tv_l1"),
        (variflow.view, "colour", "color"),
    ],
)
def test_a_name_that_is_not_there_suggests_one_that_is(module, wrong, right):
    with pytest.raises(AttributeError, match=rf"attribute '?{wrong}'?; did you mean '{right}'\?$"):
        getattr(module, wrong)


def test_public_names_all_exist():
    for name in variflow.__all__:
        assert getattr(variflow, name) is not None
    assert set(variflow.__all__) <= set(dir(variflow))
    with pytest.raises(AttributeError, match="attribute estimat"):
        variflow.estimat  # noqa: B018


# What people import from; every other module that says what is public is held to the same.
PUBLIC = [
    "variflow",
    "variflow.batching",
    "variflow.compat",
    "variflow.compat.opencv",
    "variflow.compat.opencv.optflow",
    "variflow.compat.skimage",
    "variflow.datasets",
    "variflow.datasets.synthetic",
    "variflow.datasets.texture",
    "variflow.energy",
    "variflow.evaluation",
    "variflow.filters",
    "variflow.flowops",
    "variflow.io",
    "variflow.matching",
    "variflow.metrics",
    "variflow.models",
    "variflow.evaluation.report",
    "variflow.solve",
    "variflow.solve.conjugate_gradient",
    "variflow.solve.lucas_kanade",
    "variflow.solve.primal_dual",
    "variflow.solve.relaxation",
    "variflow.page",
    "variflow.unknowns",
    "variflow.video",
    "variflow.view",
]


def test_the_modules_that_variflow_names_are_public():
    modules = [name for name in variflow.__all__ if type(getattr(variflow, name)) is type(variflow)]
    assert {f"variflow.{name}" for name in modules} <= set(PUBLIC)


@pytest.mark.parametrize("name", ["variflow", *MODULES])
def test_modules_list_what_is_public_alone(name):
    module = importlib.import_module(name)
    assert name not in PUBLIC or module.__all__
    if hasattr(module, "__all__"):
        assert dir(module) == sorted(set(module.__all__))
        names: dict[str, object] = {}
        exec(f"from {name} import *", names)
        assert set(names) - {"__builtins__"} == set(module.__all__)
        assert not [listed for listed in module.__all__ if listed.startswith("_")]


@pytest.mark.parametrize("name", ["variflow", *MODULES])
def test_docstring_examples(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_on_pages_runs(page, tmp_path, monkeypatch):
    """Every Python block of a page, in order, in one namespace."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, page.name, "exec"), namespace)


def test_links_on_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.slow
def test_first_flow_example(tmp_path):
    """Prints every warp for three choices of derivatives, and draws them."""
    script = ROOT / "examples" / "first_flow.py"
    assert len(script.read_text().splitlines()) <= 30
    environment = {**os.environ, "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stdout.count("in 120 steps") == 30
    assert [path.name for path in tmp_path.iterdir()] == ["first_flow.png"]
