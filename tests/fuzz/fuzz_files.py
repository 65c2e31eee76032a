"""Feed damaged files to every reader of variflow: nothing may come out but an array or a `FileFormatError`.

    python tests/fuzz/fuzz_files.py --seconds 600            # random mutations of the corpus, needs nothing else
    python tests/fuzz/fuzz_files.py --count 500 --seed 1     # the same ones every time
    python tests/fuzz/fuzz_files.py --atheris -max_total_time=600      # guided by coverage, needs `pip install atheris`
    python tests/fuzz/fuzz_files.py FILE ...                 # these files, as they are

Random mutations run in a child process, so that a crash of a decoder, an input that takes more than 20 seconds, or one
that takes more than 1 GiB is found, kept under ``findings`` in the current folder, and not the end of the run.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from contextlib import suppress
from itertools import islice
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
SLOWEST = 20  # seconds
MOST_MEMORY = 1 << 30  # bytes resident; what is asked for may be four times that
# Inputs for one child: imagecodecs 2026.3 drops a reference to None for every damaged PNG, and Python before 3.12 ends
# when none is left.
BATCH = 10_000

_NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


def read_everything(data: bytes, folder: Path) -> None:
    """Read these bytes as a flow, as an image and as frames; the content alone says the format."""
    import variflow

    path = folder / "input"
    if data.startswith(b"{"):  # the metadata of a Zarr array, above one chunk of zeros
        path = folder / "array.zarr"
        for name in ("zarr.json", ".zarray"):
            (path / name).unlink(missing_ok=True)
        (path / "c" / "0" / "0").mkdir(parents=True, exist_ok=True)
        (path / "zarr.json" if b'"node_type"' in data else path / ".zarray").write_bytes(data)
        for chunk in (path / "0.0.0", path / "c" / "0" / "0" / "0"):
            chunk.write_bytes(bytes(160))
    else:
        path.write_bytes(data)

    def read_frames(path: Path) -> None:
        for _ in islice(variflow.read_frames(path), 4):
            pass

    for read in (variflow.read_flow, variflow.read_image, read_frames):
        with suppress(variflow.io.FileFormatError, ImportError):  # damaged as it is, or its library is not installed
            read(path)


def mutated(seeds: list[bytes], chance: random.Random) -> bytes:
    """Return one seed with a few of its bytes changed, most often near its beginning."""
    data = bytearray(chance.choice(seeds))
    for _ in range(1 << chance.randrange(4)):
        end = min(len(data), 128) if chance.random() < 0.5 else len(data)
        place = chance.randrange(end) if end else 0
        kind = chance.randrange(8)
        if kind == 0:
            data[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1 and data:
            data[place] ^= 1 << chance.randrange(8)
        elif kind in (2, 3):
            size, order = chance.choice((1, 2, 4, 8)), chance.choice(("little", "big"))
            number = chance.choice(_NUMBERS) % (1 << 8 * size)
            data[place : place + size] = number.to_bytes(size, order)
        elif kind == 4:
            del data[place : place + chance.choice((1, 4, 50))]
        elif kind == 5:
            data[place:place] = data[place : place + chance.choice((1, 4, 50))]
        elif kind == 6 and chance.random() < 0.3:
            other = chance.choice(seeds)
            data[place:] = other[chance.randrange(len(other)) :]
        elif kind == 7:
            digits = [at for at, byte in enumerate(data[:2000]) if chr(byte).isdigit()]
            if digits:
                at = chance.choice(digits)
                data[at : at + 1] = chance.choice((b"0", b"-1", b"99999999", b"2147483647", b"4294967296", b"1e9"))
    return _with_checksums(bytes(data)) if chance.random() < 0.7 else bytes(data)


def _with_checksums(data: bytes) -> bytes:
    """Correct the checksums of a PNG, which would otherwise hide everything behind them."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        parts += [data[place:end], zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")]
        place = end + 4
    return b"".join([*parts, data[place:]])


def work(seed: int, count: int, seconds: float, last: Path) -> None:
    """Run mutations in this process; `last` holds the input at work, for the case that it is the last one."""
    if sys.platform == "linux":  # elsewhere the limit does not hold, or cannot be set
        resource.setrlimit(resource.RLIMIT_AS, (4 * MOST_MEMORY, 4 * MOST_MEMORY))
    seeds = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    chance = random.Random(seed)
    start, done, slowest, peak = time.monotonic(), 0, 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        while done < count and time.monotonic() - start < seconds:
            data = mutated(seeds, chance) if done >= len(seeds) else seeds[done]
            last.write_bytes(data)
            faulthandler.dump_traceback_later(SLOWEST, exit=True)
            before = time.monotonic()
            read_everything(data, Path(name))
            slowest = max(slowest, time.monotonic() - before)
            faulthandler.cancel_dump_traceback_later()
            done += 1
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            if peak > MOST_MEMORY:
                sys.exit(f"{peak >> 20} MB of memory")
    print(f"{done} inputs, the slowest {slowest:.2f} s, peak memory {peak >> 20} MB", flush=True)


def watch(seed: int, count: int | None, seconds: float) -> int:
    """Run mutations in children until the time or the count is over; return how many children found something."""
    start, found = time.monotonic(), 0
    todo = count if count is not None else sys.maxsize
    with tempfile.TemporaryDirectory() as name:
        last = Path(name) / "last"
        while todo > 0 and (left := seconds - (time.monotonic() - start)) > 0:
            inputs = min(todo, BATCH)
            arguments = ["--worker", str(last), "--seed", str(seed), "--seconds", str(left), "--count", str(inputs)]
            status = subprocess.run([sys.executable, "-W", "ignore", __file__, *arguments], check=False).returncode
            todo -= inputs
            seed += 1
            if status == 0:
                continue
            found += 1
            kept = Path("findings") / f"{zlib.crc32(last.read_bytes()):08x}"
            kept.parent.mkdir(exist_ok=True)
            kept.write_bytes(last.read_bytes())
            print(f"status {status}: {kept} ({kept.stat().st_size} bytes)", flush=True)
    print(f"{found} findings")
    return found


def guided(arguments: list[str]) -> None:
    """Run atheris (libFuzzer) with the corpus; what it learns goes to a folder that is thrown away."""
    import atheris

    with atheris.instrument_imports(include=["variflow"]):
        import variflow.io.video  # noqa: F401
    with tempfile.TemporaryDirectory() as name:
        folder, learnt = Path(name) / "files", Path(name) / "learnt"
        folder.mkdir()
        learnt.mkdir()
        options = [f"-timeout={SLOWEST}", f"-rss_limit_mb={MOST_MEMORY >> 20}", "-max_len=8192"]
        atheris.Setup(
            [sys.argv[0], str(learnt), str(CORPUS), *options, *arguments],
            lambda data: read_everything(data, folder),
        )
        atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    said, rest = parser.parse_known_args()
    if rest and not said.atheris:
        parser.error(f"unknown: {' '.join(rest)}")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    warnings.simplefilter("ignore")
    import logging

    logging.disable()
    if said.atheris:
        guided(rest)
    elif said.worker:
        work(said.seed, said.count, said.seconds, said.worker)
    elif said.files:
        with tempfile.TemporaryDirectory() as name:
            for file in said.files:
                read_everything(file.read_bytes(), Path(name))
    else:
        return watch(said.seed, said.count, said.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
