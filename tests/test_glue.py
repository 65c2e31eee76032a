"""Lines of glue: they are counted as is said, and the gallery says what was counted."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "glue.md"
PAGES = {"particles": "particles", "stack": "registration", "film": "slow_motion", "star": "deformation"}

if not RESULTS.exists():
    pytest.skip("needs benchmarks, which the source distribution leaves out", allow_module_level=True)


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("lines")


def read_rows():
    """Return the lines of glue by job and tool, in the order of the table."""
    rows = re.findall(r"^\| (\w+) \| ([\w, ]+) \| [^|]* \| (\d+) \| (\d+) \|", RESULTS.read_text(), re.MULTILINE)
    return {(job, tool): (int(lines), int(count)) for job, tool, lines, count in rows}


def test_statements_are_counted_and_not_the_lines_they_stand_on(lines, tmp_path):
    script = tmp_path / "a.py"
    script.write_text(
        '"""A text."""\n\nimport os\n\n# why\nfiles = [\n    1,\n    2,\n]\n'
        "for file in files:\n    flow = variflow.estimate(\n        file, file\n    ).flow\n    write(flow)\n"
    )
    assert lines.count_lines(script) == (4, 3)  # a list, a loop, an estimate, a file; the loop does not estimate
    shell = tmp_path / "a.sh"
    shell.write_text("# why\n\nmkdir a\nvariflow video a \\\n    -o b\n")
    assert lines.count_lines(shell) == (2, 1)


def test_the_table_has_what_the_scripts_have(lines):
    wanted = {}
    for job, tools in lines.TOOLS.items():
        for tool, package in tools.items():
            (script,) = (ROOT / "benchmarks" / "jobs").glob(f"{job}_{tool}.*")
            name = "variflow, shell" if tool == "shell" else package
            wanted[job, name] = lines.count_lines(script)
    assert read_rows() == wanted


@pytest.mark.parametrize("job", PAGES)
def test_the_gallery_says_what_was_counted(job):
    page = (ROOT / "docs" / "gallery" / f"plot_{PAGES[job]}.py").read_text()
    text = re.sub(r"\s*\n#\s*", " ", page)
    counts = [
        f"{count} with {tool.replace(', shell', ' in the shell')}"
        for (of, tool), (_, count) in read_rows().items()
        if of == job
    ]
    assert len(counts) >= 2
    assert f"{', '.join(counts)} (``benchmarks/results/glue.md``)" in text
