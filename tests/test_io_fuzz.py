"""Damaged files: an array or a `FileFormatError` comes out, and nothing else. Ten minutes of it: tests/fuzz."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variflow.io import FileFormatError, read_flow, read_frames, read_image

FUZZ = Path(__file__).parent / "fuzz"
CORPUS = sorted((FUZZ / "corpus").iterdir())

# What every reader looks at first.
STARTS = (
    b"PIEH",
    b"PF\n2 2\n-1\n",
    b"P5 2 2 255\n",
    b"\x89PNG\r\n\x1a\n",
    b"\x93NUMPY\x01\x00",
    b"PK\x03\x04",
    b"II*\0\x08\0\0\0",
    b"MM\0+\0\x08\0\0\0\0\0\0\0\x10",
    b"v/1\x01\x02\0\0\0",
    b"\x89HDF\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"GIF89a",
    b"",
)


@settings(max_examples=150, deadline=None)
@given(start=st.sampled_from(STARTS), content=st.binary(max_size=120))
def test_any_bytes_are_refused_or_read(start, content, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "input"
    path.write_bytes(start + content)
    for read in (read_flow, read_image, lambda path: read_frames(path)[0]):
        with suppress(FileFormatError, ImportError):
            assert read(path).size > 0


@pytest.mark.skipif(sys.platform == "win32", reason="the limits of memory and time are those of POSIX")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_short_run_of_the_fuzzer_finds_nothing(seed, tmp_path):
    """The corpus, then mutations of it, the same ones every time, in a process of their own."""
    done = subprocess.run(
        [sys.executable, FUZZ / "fuzz_files.py", "--count", "400", "--seed", str(seed)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "400 inputs" in done.stdout
    assert "0 findings" in done.stdout


@pytest.mark.parametrize("path", sorted((FUZZ / "found").iterdir()), ids=lambda path: path.name)
def test_what_was_found_once_is_refused(path, tmp_path):
    """A hang, half a gigabyte for 800 bytes, a MemoryError."""
    pytest.importorskip("av" if path.suffix == ".mp4" else "numpy")
    with pytest.raises(FileFormatError):
        read_flow(path)
    with pytest.raises(FileFormatError):
        list(read_frames(path))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus_itself_is_read(path, tmp_path):
    """What the fuzzer starts from is whole, otherwise it would not reach far into the readers."""
    pytest.importorskip(
        {".flo5": "h5py", ".h5": "h5py", ".exr": "OpenEXR", ".mp4": "av", ".mkv": "av"}.get(path.suffix, "numpy")
    )
    if path.suffix == ".json":
        pytest.skip("the metadata of an array, without the array")
    flow = path.stem.startswith("flow")
    assert (read_flow(path).shape == (4, 5, 2)) if flow else read_frames(path)[0].size > 0
    assert path.stat().st_size < 3000
