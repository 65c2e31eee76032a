"""The folders of the library: an import goes down, and never in a circle; no file is long."""

import ast
from pathlib import Path

import variflow

ROOT = Path(variflow.__file__).parent
MODULES = {
    ".".join(("variflow", *(part for part in path.relative_to(ROOT).with_suffix("").parts if part != "__init__"))): path
    for path in ROOT.rglob("*.py")
}


def imported(name):
    """The modules of the library that one imports anywhere: at its top, in functions, for types alone."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "variflow":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name in MODULES)
    return found - {name, "variflow"}


def test_no_import_goes_in_a_circle():
    imports = {name: imported(name) for name in MODULES if name != "variflow"}
    while imports:
        leaves = {name for name, wanted in imports.items() if not wanted & imports.keys()}
        assert leaves, f"these import each other: {sorted(imports)}"
        imports = {name: wanted for name, wanted in imports.items() if name not in leaves}


def test_no_file_is_longer_than_four_hundred_lines():
    long = {name: lines for name, path in MODULES.items() if (lines := len(path.read_text().splitlines())) > 400}
    assert not long


def test_every_folder_says_what_lives_there():
    silent = [name for name, path in MODULES.items() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_the_table_of_folders_says_what_their_docstrings_say():
    page = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text()
    for name, path in MODULES.items():
        if path.name == "__init__.py" and path.parent != ROOT:
            says = ast.get_docstring(ast.parse(path.read_text())).split("\n\n")[0].replace("\n", " ")
            row = f"| `{path.parent.relative_to(ROOT).as_posix()}/` | {says.replace('``', '`')} |"
            assert row in page, f"{name}: wanted this row: {row}"
