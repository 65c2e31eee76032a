"""What an install pulls in: the size of each extra, the largest parts of a plain install, and what an import takes.

    .ci/wheel && python benchmarks/extras.py dist/*.whl -o benchmarks/results

Each extra is installed in a folder of its own, for the Python that runs this. Sizes are those of the files, without the
bytecode that Python writes when it first imports them, in MB of 10^6 bytes.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import zipfile
from email.parser import Parser
from importlib.metadata import distributions
from pathlib import Path

import machine
from report import close, table

# Of these, only who works on variflow has a use.
NOT_OF_USERS = {"test", "dev", "docs", "browser", "piv", "registration", "benchmark"}


def list_extras(wheel):
    """Return the names of the extras of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Provides-Extra", [])


def install(wheel, extra, folder):
    """Install a wheel with an extra, or None, and return the folder."""
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--target", folder, wanted]
    subprocess.run([*command, "--only-binary", ":all:"], check=True, stderr=subprocess.DEVNULL)
    return folder


def measure_size(folder):
    """Return the size of all files of a folder, in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measure_parts(folder):
    """Return the size of each distribution in a folder, in MB, the largest first."""
    sizes = {}
    for distribution in distributions(path=[str(folder)]):
        files = [Path(file.locate()) for file in distribution.files or []]
        sizes[distribution.name] = sum(path.stat().st_size for path in files if path.is_file()) / 1e6
    return dict(sorted(sizes.items(), key=lambda part: -part[1]))


def time_best(code, folder, rounds):
    """Return the least seconds, of some rounds, that a process takes for code; imports find the folder."""
    best = float("inf")
    for _ in range(rounds + 1):  # the first also writes bytecode
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(folder)}, cwd=folder)
        best = min(best, time.perf_counter() - start)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("-o", "--output", type=Path, help="the folder for extras.md")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--least", type=float, default=5.0, help="the smallest part that is listed, in MB")
    arguments = parser.parse_args()
    arguments.check = False
    wheel = arguments.wheel.resolve()

    with tempfile.TemporaryDirectory() as root:
        plain = install(wheel, None, Path(root, "plain"))
        whole, parts = measure_size(plain), measure_parts(plain)
        rows = [["(none)", f"{whole:.0f}", "", f"{len(parts)}"]]
        for extra in list_extras(wheel):
            if extra not in NOT_OF_USERS:
                folder = install(wheel, extra, Path(root, extra))
                size, count = measure_size(folder), len(measure_parts(folder))
                rows.append([extra, f"{size:.0f}", f"{size - whole:.0f}", f"{count}"])
        nothing = time_best("pass", plain, arguments.rounds)
        numpy = time_best("import numpy", plain, arguments.rounds)
        ours = time_best("import variflow", plain, arguments.rounds)
        shell = time_best("import variflow.cli", plain, arguments.rounds)
    large = [[name, f"{size:.1f}"] for name, size in parts.items() if size >= arguments.least]
    rest = whole - sum(size for size in parts.values() if size >= arguments.least)
    times = [
        ["Python alone", f"{nothing:.3f}"],
        ["`import numpy`", f"{numpy:.3f}"],
        ["`import variflow`", f"{ours:.3f}"],
        ["`import variflow.cli`, all that the shell needs to start", f"{shell:.3f}"],
    ]
    words = ", ".join(f"{key} {value}" for key, value in machine.describe().items())
    text = "\n".join(
        [
            "# What an install pulls in\n",
            table(["extra", "MB in all", "MB more than without", "packages"], rows),
            f"The parts of a plain install of {arguments.least:.0f} MB and more:\n",
            table(["package", "MB"], [*large, ["all others", f"{rest:.1f}"]]),
            f"The time of a process that does no more than this, the best of {arguments.rounds}:\n",
            table(["", "seconds"], times),
            f"Measured by `benchmarks/extras.py` with {wheel.name}: {words}.\n",
        ]
    )
    close(text, "extras.md", arguments, True)


if __name__ == "__main__":
    main()
