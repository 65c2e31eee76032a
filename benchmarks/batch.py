"""How many pairs a second `variflow.batching` estimates, with one and with two workers of one thread each.

    python benchmarks/batch.py [--pairs 1000] [--models NAME ...] [--rounds 3] [--check] [--output FOLDER]

The pairs are 320 x 240, rendered, in PNG files. One worker is the process itself; two are processes under a Dask
scheduler, which shares their cores. Each run has a folder of its own, but "again". Pairs a second are those between the
first and the last flow, the best of all rounds, so that the start of processes does not count; it is printed by itself
(s from the call to the first flow). Memory is the most that one process held (MiB). "In the system" is the time of all
processes there, most of it to make files: processes wait for each other where a disk makes one at a time. "Again" is
the same call when all is done: both frames and the flow of each pair are read and compared with its record. Last come
the same pairs in one Zarr array.

ext4 makes files slowly for minutes where thousands have been removed. So nothing is removed before the end, and this
should not follow another run at once.
"""

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import machine
from report import close, table

import variflow
from variflow.batching import estimate_pairs, list_pairs
from variflow.datasets import synthetic

SIZE, SEEDS = (240, 320), 20  # rendering takes longer than copying
WANTED = 0.9  # of what two workers could do at most


def write_frames(folder, count):
    """Write the frames of so many pairs."""
    rendered = []
    for seed in range(SEEDS):
        pair = synthetic.translation(SIZE, shift=(3.0 - 0.3 * seed, 0.2 * seed), seed=seed)
        paths = [folder / f"{kind}{seed}.png" for kind in "ab"]
        for path, frame in zip(paths, (pair.frame0, pair.frame1), strict=True):
            variflow.write_image(path, frame)
        rendered.append(paths)
    frames = folder / "frames"
    frames.mkdir()
    for number in range(count):
        for path, name in zip(rendered[number % SEEDS], "ab", strict=True):
            shutil.copy(path, frames / f"{number:06d}{name}.png")
    return frames


def run(source, output, model, workers, pipe):
    """Run one batch in a process of its own; send what is measured of it.

    Seconds to the first flow, pairs a second, the most memory, and milliseconds a pair in the system.
    """
    times = []

    def note(summary):
        if summary.done:
            times.append((time.perf_counter(), summary.done))

    pairs = list_pairs(source, apart=True)
    start = time.perf_counter()
    summary = estimate_pairs(pairs, output, model, workers=workers, threads=1, callback=note)
    assert summary.done == len(pairs), summary
    (first, had), (last, done) = times[0], times[-1]
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    memory = max(usage.ru_maxrss for usage in usages)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    in_system = 1000 * sum(usage.ru_stime for usage in usages) / done
    pipe.send((first - start, (done - had) / (last - first), memory / unit, in_system))


def measure(source, output, model, workers):
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run, args=(source, output, model, workers, there))
    process.start()
    measured = here.recv()
    process.join()
    return measured


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--models", nargs="+", default=["realtime", "fast", "balanced"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="fail where two workers do not nearly double the rate")
    parser.add_argument("--output", type=Path, help="folder for batch.md")
    arguments = parser.parse_args()
    rows, held = [], True
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source, number = write_frames(folder, arguments.pairs), 0
        for model in arguments.models:
            best = {}
            for name, workers in [("1", 1), ("2", 2), ("again", 1), ("zarr", 2)] * arguments.rounds:
                if name != "again":
                    number += 1
                    output = folder / f"{number}{'.zarr' if name == 'zarr' else ''}"
                best.setdefault(name, []).append(measure(source, output, model, workers))
            rates = {name: max(run[1] for run in runs) for name, runs in best.items()}
            starts = [min(run[0] for run in best[name]) for name in "12"]
            memory = [max(run[2] for run in best[name]) for name in "12"]
            in_system = [min(run[3] for run in best[name]) for name in "12"]
            ratio = rates["2"] / rates["1"]
            held &= ratio >= 2 * WANTED
            rows.append(
                [
                    model,
                    *(f"{rates[name]:.4g}" for name in "12"),
                    f"{ratio:.2f}",
                    *(f"{start:.2f}" for start in starts),
                    *(f"{most:.0f}" for most in memory),
                    *(f"{one:.1f}" for one in in_system),
                    *(f"{rates[name]:.4g}" for name in ("again", "zarr")),
                ]
            )
            print(json.dumps(dict(zip(["model", *rates], [model, *rates.values()], strict=True))), flush=True)
    header = [
        *("model", "pairs/s, 1 worker", "2 workers", "ratio", "s to start 1", "2", "MiB of 1", "2"),
        *("ms a pair in the system, 1", "2", "again, pairs/s", "Zarr, 2 workers"),
    ]
    words = ", ".join(f"{key} {value}" for key, value in machine.describe("variflow", "distributed", "zarr").items())
    words += f". {arguments.pairs} pairs, the best of {arguments.rounds} rounds; ratio wanted {2 * WANTED:g}."
    return close(words + "\n\n" + table(header, rows), "batch.md", arguments, held)


if __name__ == "__main__":
    raise SystemExit(main())
