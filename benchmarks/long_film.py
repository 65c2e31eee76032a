"""How long `variflow video` takes for a film of ten minutes, and how much memory, beside one of a minute.

    VARIFLOW_DATA=... python benchmarks/long_film.py [--minutes 1 10] [--model realtime] [--output FOLDER]

The films are those of benchmarks/film.py: 640 x 272 pixels, 24 frames a second, another scene every half second. The
command runs in a process of its own, as a person runs it: with a first pass that finds the scale, and from file to
file. Memory is the most that the process held. Frames a second are those of the whole command, its start included.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import film
import machine
from report import table

import variflow

RATE = 24


def run(source, target, model):
    """Run the command; return its seconds and the most memory it held, MiB."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "variflow", "video", str(source), "-o", str(target), "--model", model]
    with open(os.devnull, "w") as nothing:
        child = subprocess.Popen(command, stdout=nothing)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10])
    parser.add_argument("--model", default="realtime")
    parser.add_argument("--output", type=Path, help="folder for long_film.md")
    arguments = parser.parse_args()
    words = machine.describe("variflow", "av", "numpy")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.mp4", Path(folder) / "flow.mp4"
        for minutes in arguments.minutes:
            count = round(minutes * 60 * RATE)
            variflow.write_frames(source, (frame for frame, _ in film.make_frames(count)), fps=RATE)
            seconds, memory = run(source, target, arguments.model)
            written = sum(1 for _ in variflow.read_frames(target))
            rows.append(
                [f"{minutes:g}", f"{count}", f"{written}", f"{seconds:.0f}", f"{count / seconds:.0f}", f"{memory:.0f}"]
            )
    columns = "minutes", "frames", "flows written", "seconds", "frames a second", "memory, MiB"
    text = ", ".join(f"{key} {value}" for key, value in words.items())
    text += f".\n\n`variflow video --model {arguments.model}`:\n\n" + table(list(columns), rows)
    print(text)
    if arguments.output:
        (arguments.output / "long_film.md").write_text(text)


if __name__ == "__main__":
    main()
