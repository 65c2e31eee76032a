"""Count the lines of the scripts in `jobs`, and those of them that are glue (see `glue.py`). Standard library only."""

import ast
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent / "jobs"
# By job: the tool of each script, with its name on the package index; the first is that of the gallery.
TOOLS = {
    "particles": {"variflow": "variflow", "shell": "variflow", "openpiv": "OpenPIV"},
    "stack": {"variflow": "variflow", "shell": "variflow", "pystackreg": "pystackreg"},
    "film": {"shell": "variflow", "ffmpeg": "ffmpeg"},
    "star": {"variflow": "variflow", "pyvale": "pyvale"},
}
# What computes what a job is about; a command of the shell does all of it.
COMPUTES = {"flows", "estimate", "register", "strain", "simple_multipass", "register_transform_stack", "calculate_2d"}


def count_lines(path):
    """Return how many lines of code a script has, and how many of them are glue."""
    text = path.read_text()
    if path.suffix == ".sh":
        commands = text.replace("\\\n", " ").splitlines()
        lines = [line for line in commands if line.strip() and not line.startswith("#")]
        return len(lines), sum(not line.startswith(("variflow ", "ffmpeg ")) for line in lines)
    lines = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt) and is_code(node)]
    return len(lines), sum(not computes(node) for node in lines)


def is_code(node):
    """Return whether a statement is neither an import nor a docstring."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return not is_text and not isinstance(node, ast.Import | ast.ImportFrom)


def computes(node):
    """Return whether a statement, without those in it, calls what computes."""
    own = [part for part in ast.iter_child_nodes(node) if not isinstance(part, ast.stmt)]
    calls = (inner for part in own for inner in ast.walk(part) if isinstance(inner, ast.Call))
    return any(ast.unparse(call.func).rpartition(".")[2] in COMPUTES for call in calls)
