"""Are the named models as fast after a change as before it?

    python benchmarks/same_times.py OLD NEW            two folders that hold the package `variflow`, built
    python benchmarks/same_times.py OLD NEW --check    and exit with 1 unless each model is within two in a hundred

Each folder gets a process of its own, and both estimate the same pair in turns. So the load of the machine is the same
for both, and the median of the ratios tells what the change did. The pair is Grove2 of Middlebury, 640 x 480.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import machine

THREADS = 2
PAIR = "Grove2"
SECONDS = 10  # for each model
ALLOWED = 1.02
NAMES = (
    "horn-schunck", "lucas-kanade", "brox", "tv-l1", "huber-l1", "tgv-l1", "classic-nl",
    "realtime", "fast", "balanced", "accurate", "smooth",
)  # fmt: skip


def serve(folder):
    """Estimate the model whose name comes in on each line, and print the seconds it took."""
    machine.limit(THREADS)
    import variflow

    variflow.set_threads(THREADS)
    frames = [variflow.read_image(folder / f"frame{number}.png") for number in (10, 11)]
    for line in sys.stdin:
        start = time.perf_counter()
        variflow.estimate(*frames, line.strip())
        print(time.perf_counter() - start, flush=True)


def ask(server, name):
    """Return the seconds that a server takes for a model."""
    server.stdin.write(f"{name}\n")
    server.stdin.flush()
    return float(server.stdout.readline())


def compare(servers, name):
    """Return the shortest seconds before and after, the median of the ratios, and how many there are."""
    for server in servers:
        ask(server, name)
    pairs, until = [], time.monotonic() + SECONDS
    while len(pairs) < 9 or time.monotonic() < until:
        turns = (0, 1) if len(pairs) % 2 else (1, 0)
        seconds = {turn: ask(servers[turn], name) for turn in turns}
        pairs.append((seconds[0], seconds[1]))
    old, new = zip(*pairs, strict=True)
    return min(old), min(new), statistics.median(after / before for before, after in pairs), len(pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--models", nargs="+", default=NAMES)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a model takes longer than before")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    if len(arguments.folders) != 2:
        parser.error("wanted two folders: that of the package before, and that after")
    command = [sys.executable, __file__, "--serve", str(arguments.data / "middlebury" / PAIR)]
    servers = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(folder.resolve()), "PYTHONWARNINGS": "ignore"},
        )
        for folder in arguments.folders
    ]
    longer = []
    for name in arguments.models:
        old, new, ratio, count = compare(servers, name)
        longer += [name] if ratio > ALLOWED else []
        print(
            f"{name:14s} {1000 * old:8.2f} ms before {1000 * new:8.2f} ms after, {ratio:.3f} of it in {count} turns",
            flush=True,
        )
    for server in servers:
        server.stdin.close()
        server.wait()
    if arguments.check and longer:
        sys.exit(f"longer than before: {', '.join(longer)}")


if __name__ == "__main__":
    main()
