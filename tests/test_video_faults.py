"""`variflow video` when it is stopped, killed, or the disk is full: what has its final name is whole."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import variflow
from variflow import video

pytest.importorskip("av")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals and limits")

# The limit on the size of files acts as a full disk does: a write fails in the middle.
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
RUN = "from variflow.cli import main; main()"


@pytest.fixture
def film(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (200, 420, 3), np.uint8)
    variflow.write_frames("in.mkv", (texture[:, 2 * time : 2 * time + 320] for time in range(40)))
    return tmp_path


def start(*arguments, before="", command="video"):
    command = [sys.executable, "-c", before + RUN, command, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, status):
    """Wait for a process that must end with this status, and return its errors."""
    out, error = process.communicate(timeout=60)
    assert process.returncode == status, error
    return out, error


def wait_for(found, process):
    deadline = time.monotonic() + 60
    while not found():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "flows.zarr"])
def test_what_is_interrupted_leaves_nothing(film, output):
    process = start("in.mkv", "-o", output, "-m", "accurate", *(() if output == "flows.zarr" else ("--scale", "3")))
    wait_for(lambda: any(name.endswith(".part") for name in os.listdir()), process)
    process.send_signal(signal.SIGINT)
    out, error = finish(process, 130)
    assert error == f"variflow: interrupted: nothing was written to {output}\n"
    assert os.listdir() == ["in.mkv"]
    assert out == ""


@pytest.mark.parametrize(
    "write",
    [
        lambda path, frames, flows: video.write(path, flows),
        lambda path, frames, flows: variflow.write_frames(path, frames),
        lambda path, frames, flows: variflow.write_flow(path, flows[0].flow),
    ],
)
def test_an_interruption_waits_for_the_thread_in_which_zarr_writes(tmp_path, monkeypatch, write):
    store = pytest.importorskip("zarr").storage.LocalStore
    set_at_once, frames = store.set, np.random.default_rng(0).integers(0, 255, (3, 48, 64), np.uint8)
    flows = list(video.flows(frames, "realtime"))

    async def set_late(self, key, *values, **more):
        if "c/" in key:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            await asyncio.sleep(0.3)
        await set_at_once(self, key, *values, **more)

    monkeypatch.setattr(store, "set", set_late)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.zarr", frames, flows)
    time.sleep(0.5)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("command", "more"), [("register", ("--shifts", "s.csv")), ("stabilise", ()), ("interpolate", ())]
)
def test_other_commands_say_what_is_not_written(film, command, more):
    process = start("in.mkv", "-o", "out.mkv", "-m", "accurate", *more, command=command)
    wait_for(lambda: any(name.endswith(".part") for name in os.listdir()), process)
    process.send_signal(signal.SIGINT)
    _, error = finish(process, 130)
    assert error == f"variflow: interrupted: nothing was written to {', '.join(['out.mkv', *more[1:]])}\n"
    assert os.listdir() == ["in.mkv"]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_files_of_a_folder_stay_and_are_whole(film, by):
    process = start("in.mkv", "-o", "flows", "-m", "accurate")
    wait_for(lambda: os.path.exists("flows/000003.flo"), process)
    process.send_signal(by)
    _, error = process.communicate(timeout=60)
    done = sorted(name for name in os.listdir("flows") if name.endswith(".flo"))
    if by == signal.SIGINT:
        assert process.returncode == 130
        assert error == f"variflow: interrupted: flows holds {len(done)} files of flows\n"
        assert sorted(os.listdir("flows")) == done
    assert len(done) >= 4
    finish(start("in.mkv", "-o", "again", "-m", "accurate", "--end", str(len(done) + 1)), 0)
    for name in done:
        with open(f"flows/{name}", "rb") as first, open(f"again/{name}", "rb") as second:
            assert first.read() == second.read()


def test_a_killed_writer_leaves_a_hidden_file_that_the_next_one_removes(film):
    process = start("in.mkv", "-o", "out.mp4", "-m", "accurate", "--scale", "3")
    wait_for(lambda: any(name.endswith(".part") for name in os.listdir()), process)
    process.kill()
    process.communicate(timeout=60)
    assert not os.path.exists("out.mp4")
    finish(start("in.mkv", "-o", "out.mp4", "-m", "realtime", "--end", "3", "--scale", "3"), 0)
    assert sorted(os.listdir()) == ["in.mkv", "out.mp4"]


@pytest.mark.parametrize("output", ["out.mp4", "flows.zarr", "flows"])
def test_a_full_disk_is_one_line(film, output):
    filmed = ("--look", "side", "--scale", "3") if output == "out.mp4" else ()
    process = start("in.mkv", "-o", output, "-m", "realtime", *filmed, before=LIMITED)
    out, error = finish(process, 1)
    assert error.startswith(f"variflow: {output}")
    assert error.endswith(": File too large\n")
    assert error.count("\n") == 1
    assert out == ""
    assert sorted(os.listdir()) == sorted({"in.mkv", *(["flows"] if output == "flows" else [])})
    assert output != "flows" or os.listdir("flows") == []


def test_a_film_with_a_corrupt_tail_is_done_as_far_as_it_goes(film):
    whole = (film / "in.mkv").read_bytes()
    (film / "in.mkv").write_bytes(whole[: len(whole) // 2])
    process = start("in.mkv", "-o", "flows", "-m", "realtime")
    _, error = finish(process, 0)
    assert "warning: in.mkv: it says that its video has" in error
    assert 15 <= len(os.listdir("flows")) <= 20
