"""What the library imports, it declares."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from variflow.io import extras

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, BUILD = SETTINGS["project"], SETTINGS["build-system"]


def names(requirements):
    """Return the names of distributions, spelled in one way."""
    return {plain(re.split(r"[\[<>=!~; ]", requirement)[0]) for requirement in requirements}


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


DECLARED = names(PROJECT["dependencies"])
OPTIONAL = {extra: names(wanted) for extra, wanted in PROJECT["optional-dependencies"].items()}


def is_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imported(*, for_types):
    """Return the packages that modules of the library import, anywhere in them; with those for types alone or not."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text())
        if not for_types:
            tree.body = [node for node in tree.body if not is_for_types(node)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"variflow"}


@pytest.mark.parametrize("package", sorted(imported(for_types=False)))
def test_what_is_imported_is_declared(package):
    distributions = {plain(name) for name in packages_distributions().get(package, [package])}
    assert distributions & (DECLARED | OPTIONAL["batch"] | OPTIONAL["download"]), (
        f"{package} is imported, and not in pyproject.toml"
    )


@pytest.mark.parametrize("package", sorted(imported(for_types=True)))
def test_what_is_imported_for_types_is_declared_too(package):
    distributions = {plain(name) for name in packages_distributions().get(package, [package])}
    assert distributions & DECLARED.union(*OPTIONAL.values()), f"{package} is imported, and not in pyproject.toml"


@pytest.mark.parametrize(("module", "extra"), [(module, extra) for module, (_, extra) in extras._EXTRAS.items()])
def test_what_a_format_needs_is_in_its_extra(module, extra):
    assert plain(module) in OPTIONAL[extra]


# Of these, only who works on variflow has a use.
FOR_WORK = {"test", "dev", "docs", "browser", "benchmark", "piv", "registration"}


@pytest.mark.parametrize("extra", sorted(OPTIONAL.keys() - FOR_WORK))
def test_the_readme_says_what_each_extra_is_for_and_its_size(extra):
    rows = re.findall(rf"^\| `{extra}` \| \S.* \| (\d+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    measured = (ROOT / "benchmarks" / "results" / "extras.md").read_text()
    assert rows == re.findall(rf"^\| {extra} \| \d+ \| (\d+) \|", measured, re.MULTILINE)
    assert len(rows) == 1


def test_what_builds_a_wheel_is_pinned_within_what_is_allowed():
    file = ROOT / ".ci" / "build-requirements.txt"
    if not file.exists():
        pytest.skip("needs .ci, which the source distribution leaves out")
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    pinned = {plain(name): version for name, version in (line.split("==") for line in lines)}
    for requirement in map(Requirement, BUILD["requires"]):
        assert requirement.specifier.contains(pinned[plain(requirement.name)])


def test_there_is_one_source_of_the_version():
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT
