"""Writing: the whole file or the old one, one error that names the path, and nothing left over."""

from __future__ import annotations

import errno
import importlib.util
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from variflow import view, write_flow, write_image
from variflow.evaluation import Table
from variflow.io import atomic, check_flow_path, check_image_path, read_flow, read_image, write_frames
from variflow.io.atomic import atomic_folder

posix = pytest.mark.skipif(os.name == "nt", reason="limits, signals, links and permissions of POSIX")

FLOW = np.random.default_rng(0).normal(0, 9, (40, 50, 2)).astype(np.float32)
EXTRAS = {".flo5": "h5py", ".exr": "OpenEXR", ".zarr": "zarr"}
FLOWS = [
    extension
    for extension in (".flo", ".png", ".pfm", ".npy", ".npz", ".tif", ".flo5", ".exr", ".zarr")
    if extension not in EXTRAS or importlib.util.find_spec(EXTRAS[extension])
]


def table(rows=100):
    made = Table()
    for number in range(rows):
        made.add({"dataset": "d", "pair": str(number), "model": "m", "epe": number / 7})
    return made


def picture(path, value=0):
    write_image(path, np.random.default_rng(value).integers(0, 255, (90, 90, 3), np.uint8))


def frames(path):
    write_frames(path, np.random.default_rng(0).integers(0, 255, (3, 20, 30), np.uint8))


WRITERS = {
    **{f"flow{extension}": lambda path: write_flow(path, FLOW) for extension in FLOWS},
    **{f"picture{extension}": picture for extension in (".png", ".tif", ".jpg")},
    **{f"figure{extension}": lambda path: view.save(path, Figure()) for extension in (".png", ".pdf", ".svg")},
    **{
        f"frames{extension}": lambda path: frames(path)
        for extension in (".tif", ".npy", *(name for name in FLOWS if name == ".zarr"))
    },
    "table.csv": lambda path: table().write(path),
}


@posix
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
def test_a_full_disk(tmp_path, name, there, small_disk):
    """One error that names the path, whatever the codec would say."""
    path = tmp_path / name
    if there:
        WRITERS[name](path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    WRITERS[name](tmp_path.parent / f"warm-{name}")  # so that nothing is imported, and cached, on the small disk
    with small_disk(), pytest.raises(OSError, match=r"too large|could not be made") as caught:
        WRITERS[name](path)
    assert str(path) in str(caught.value)
    assert ".variflow-" not in str(caught.value)
    assert caught.value.filename == str(path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert [file.name for file in tmp_path.iterdir()] == ([name] if there else [])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_device():
    with pytest.raises(OSError, match="No space left") as caught, atomic("/dev/full") as file:
        file.write(b"1")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")


@pytest.mark.parametrize("name", WRITERS)
def test_where_nothing_can_be_written(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).mkdir()
    (tmp_path / "folder" / name / "thesis.txt").write_text("one")
    (tmp_path / "file").write_text("two")
    for path in (
        tmp_path / "gone" / name,
        tmp_path / "file" / name,
        tmp_path / "folder" / name,
        tmp_path / ("x" * 300 + name),
    ):
        wanted = ValueError if name.endswith(".zarr") and path.parent.name == "folder" else OSError
        with pytest.raises(wanted) as caught:
            WRITERS[name](path)
        assert str(path) in str(caught.value)
        assert ".variflow-" not in str(caught.value)
    assert sorted(file.name for file in tmp_path.rglob("*")) == sorted(["folder", name, "thesis.txt", "file"])


@posix
@pytest.mark.parametrize("name", ["flow.flo", "flow.flo5", "flow.exr", "flow.zarr", "picture.png", "table.csv"])
def test_a_folder_and_a_file_that_may_not_be_written(tmp_path, name, monkeypatch):
    """Whoever runs the tests may write everywhere, so the system's answer is put into its mouth."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and access(path, mode))
    with pytest.raises(PermissionError, match=f"folder {tmp_path} may not be written") as caught:
        WRITERS[name](tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)
    if name.endswith(".zarr"):
        return
    (tmp_path / name).write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path / name and access(path, mode))
    for write in (WRITERS[name], check_flow_path, check_image_path):
        if write is WRITERS[name] or name.startswith("flow" if write is check_flow_path else "picture"):
            with pytest.raises(PermissionError, match=f"the file is there, and may not be written: .*{name}"):
                write(tmp_path / name)
    assert (tmp_path / name).read_text() == "old"


@posix
@pytest.mark.parametrize("name", [name for name in WRITERS if not name.startswith("figure")])
def test_permissions_and_links_stay(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    path.chmod(0o750)
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / name
    link.symlink_to(path)
    WRITERS[name](link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    before = os.umask(0o027)
    try:
        WRITERS[name](tmp_path / f"new-{name}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / f"new-{name}").stat().st_mode) == (0o750 if name.endswith(".zarr") else 0o640)
    assert len(list(tmp_path.iterdir())) == 3


@posix
def test_another_name_keeps_the_old_content(tmp_path):
    write_flow(tmp_path / "a.flo", FLOW)
    os.link(tmp_path / "a.flo", tmp_path / "backup.flo")
    write_flow(tmp_path / "a.flo", 2 * FLOW)
    assert np.array_equal(read_flow(tmp_path / "backup.flo"), FLOW)
    assert np.array_equal(read_flow(tmp_path / "a.flo"), 2 * FLOW)


@pytest.mark.parametrize("error", [RuntimeError("from the middle"), OSError("the camera is gone"), KeyboardInterrupt()])
def test_what_fails_in_the_middle(tmp_path, error):
    """A writer of parts that come one by one; its own error is the one that comes out."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def parts():
        yield b"new"
        raise error

    def write_file():
        with atomic(path) as file:
            for part in parts():
                file.write(part)

    def write_folder():
        with atomic_folder(tmp_path / "a.zarr") as folder:
            for part in parts():
                (folder / "chunk").write_bytes(part)

    for write in (write_file, write_folder):
        with pytest.raises(type(error)) as caught:
            write()
        assert caught.value is error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@posix
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("what", ["atomic", "atomic_folder"])
def test_what_a_killed_writer_leaves_goes_with_the_next_one(tmp_path, how, what):
    code = (
        "import sys, time\n"
        f"from variflow.io.atomic import {what}\n"
        f"with {what}(sys.argv[1]) as part:\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
    )
    path = tmp_path / "a.zarr"
    (tmp_path / ".video.zip.part").write_bytes(b"a download of somebody")
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "writing\n"
        write_flow(tmp_path / "b.flo", FLOW)
        assert len(list(tmp_path.glob(".variflow-*.part"))) == 1  # a living writer keeps its part
        writer.send_signal(how)
    assert not path.exists()
    _forget(tmp_path)
    write_flow(tmp_path / "b.flo", FLOW)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".video.zip.part", "b.flo"]


def _forget(folder):
    """Let the folder be looked through again at once."""
    sys.modules["variflow.io.atomic"]._next_sweep.pop(folder, None)


@posix
@pytest.mark.parametrize("way", [atomic, atomic_folder])
def test_an_interruption_before_anything_is_written_leaves_nothing(tmp_path, monkeypatch, way):
    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["variflow.io.atomic"], "_lock", interrupt)
    with pytest.raises(KeyboardInterrupt), way(tmp_path / "out"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(".zarr" not in FLOWS, reason="zarr is not installed")
def test_a_folder_that_was_put_aside_comes_back(tmp_path):
    """Killed between the two steps by which a folder is replaced."""
    path = tmp_path / "a.zarr"
    write_flow(path, FLOW)
    path.rename(tmp_path / ".variflow-0123456789abcdef-a.zarr.old")
    _forget(tmp_path)
    write_flow(tmp_path / "b.flo", FLOW)
    assert np.array_equal(read_flow(path), FLOW)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.zarr", "b.flo"]


@pytest.mark.skipif(".zarr" not in FLOWS, reason="zarr is not installed")
def test_a_folder_may_be_in_the_way_and_put_aside_by_a_third_writer(tmp_path, monkeypatch):
    path, replace, refused = tmp_path / "a.zarr", os.replace, []

    def replace_later(source, target):
        if target == path and not refused:
            refused.append(source)
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_later)
    write_flow(path, FLOW)
    assert refused
    assert np.array_equal(read_flow(path), FLOW)


@pytest.mark.parametrize("name", ["a.flo", "a.npz"] + ["a.zarr"] * (".zarr" in FLOWS))
def test_several_writers_and_a_reader_of_one_name(tmp_path, name):
    """Whoever is last, what is there is one of them, whole, and nothing else stays."""
    path = tmp_path / name
    write_flow(path, np.zeros((30, 20, 2)))
    faults, seen = [], set()

    def write(value):
        try:
            for _ in range(8):
                write_flow(path, np.full((30 + value, 20, 2), value))
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(value,)) for value in (1, 2, 3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:
            flow = read_flow(path)
        except (ValueError, FileNotFoundError):
            assert name.endswith(".zarr")  # a folder is not replaced in one step, but never mixed
            continue
        assert flow.shape == (30 + int(flow[0, 0, 0]), 20, 2)
        assert np.unique(flow).size == 1
        seen.add(int(flow[0, 0, 0]))
        time.sleep(0.001)
    assert faults == []
    assert int(read_flow(path)[0, 0, 0]) in (1, 2, 3)
    assert list(tmp_path.iterdir()) == [path]


@posix
def test_a_pipe_is_written_as_it_comes(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    came = []
    reader = threading.Thread(target=lambda: came.append((tmp_path / "pipe.png").read_bytes()))
    reader.start()
    picture(tmp_path / "pipe.png")
    reader.join()
    (tmp_path / "file.png").write_bytes(came[0])
    assert read_image(tmp_path / "file.png").shape == (90, 90, 3)
    assert (tmp_path / "pipe.png").is_fifo()
