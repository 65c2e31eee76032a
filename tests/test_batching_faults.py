"""Many pairs while workers, the process itself, the disk or the output die: nothing is lost, little is done twice."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

import variflow
from variflow import cli
from variflow.batching import estimate_pairs, list_pairs
from variflow.datasets import synthetic

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
SOURCE = str(Path(variflow.__file__).parents[1])
COUNT = 24

# A model that notes each estimate, and takes a while; one level, so its filter runs once.
SLOW = """
import os, time
from dataclasses import replace
from variflow import models

def note(flow, at):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(float(os.environ.get("PAUSE", "0")))
    return flow

model = replace(models.horn_schunck(), warps=1, coarsest=24, filter=note, name="slow")
"""

# A model that kills its process at frames of 21 rows.
DEADLY = """
import os, signal
from dataclasses import replace
from variflow import models

def kill(flow, at):
    if len(flow[0]) == 21:
        os.kill(os.getpid(), signal.SIGKILL)
    return flow

model = replace(models.horn_schunck(), warps=1, coarsest=24, filter=kill, name="deadly")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Frames for 24 pairs, each pair with frames of its own, models, and where to note estimates."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("PYTHONPATH", SOURCE, prepend=os.pathsep)
    os.mkdir("frames")
    for number in range(COUNT):
        pair = synthetic.translation((20, 24), shift=(0.1 * number, 0.2), seed=number)
        variflow.write_image(f"frames/f{number}a.png", pair.frame0)
        variflow.write_image(f"frames/f{number}b.png", pair.frame1)
    Path("slow.py").write_text(SLOW)
    Path("deadly.py").write_text(DEADLY)
    return tmp_path


COMMAND = [sys.executable, "-m", "variflow", "batch", "frames", "--pairs", "--energy", "slow.py:model"]


def start(*options, pause=0.0, **more):
    return subprocess.Popen(
        [*COMMAND, *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PAUSE": str(pause)},
        start_new_session=True,
        **more,
    )


def finish(process):
    """Wait for a process to end; return its status and what it has printed on both streams."""
    out, fault = process.communicate(timeout=120)
    return process.returncode, out, fault


def flows(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.flo")}


def undisturbed():
    """Return the flows of a run in one process, and forget its notes."""
    assert finish(start("-o", "whole", "--workers", 1))[::2] == (0, "")
    assert len(notes()) == COUNT
    os.remove("notes")
    assert len(flows("whole")) == COUNT
    return flows("whole")


def notes():
    """Return the process of each estimate so far."""
    with suppress(FileNotFoundError):
        return [int(line) for line in Path("notes").read_text().split()]
    return []


def wait_for(count, process=None):
    """Wait until so many pairs are done."""
    until = time.monotonic() + 60
    while len(list(Path("out/records").glob("*.json"))) < count:
        assert time.monotonic() < until
        assert process is None or process.poll() is None
        time.sleep(0.005)


def wait_until_gone(processes):
    until = time.monotonic() + 30
    for process in processes:
        with suppress(ProcessLookupError):
            while time.monotonic() < until:
                os.kill(process, 0)
                time.sleep(0.01)
            pytest.fail("a worker outlives what has started it")


def no_parts(folder):
    return not list(Path(folder).rglob(".*"))


def open_cluster(workers):
    """Return a cluster of Dask on this machine, with a scheduler that a command may be told of."""
    distributed = pytest.importorskip("distributed")
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )


@pytest.fixture
def two_workers(folder):
    """A scheduler and two worker processes on this machine."""
    with open_cluster(2) as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
def test_the_workers_of_a_scheduler_make_the_same_flows(folder, two_workers):
    expected = undisturbed()
    done = finish(start("-o", "out", "--scheduler", two_workers))
    assert done == (0, f"out: {COUNT} of {COUNT} pairs have a flow, 0 of them from before\n", "")
    assert flows("out") == expected
    shares = Counter(notes())
    assert len(shares) == 2
    assert os.getpid() not in shares
    assert sum(shares.values()) == COUNT
    pairs = list_pairs("frames", apart=True)
    assert estimate_pairs(pairs, "files", "horn-schunck", scheduler=two_workers).estimated == COUNT
    estimate_pairs(pairs, "here", "horn-schunck")
    assert flows("files") == flows("here")


@pytest.mark.slow
def test_workers_here_leave_the_environment_and_the_threads(folder):
    pytest.importorskip("distributed")
    names = ("VARIFLOW_THREADS", "OMP_NUM_THREADS", "NPROC", "MALLOC_TRIM_THRESHOLD_")
    before = [os.environ.get(name) for name in names], variflow.get_threads()
    pairs = list_pairs("frames", apart=True)
    assert estimate_pairs(pairs, "out", "horn-schunck", workers=2).estimated == COUNT
    assert ([os.environ.get(name) for name in names], variflow.get_threads()) == before


@pytest.mark.slow
def test_one_array_of_several_writers(folder, two_workers):
    zarr = pytest.importorskip("zarr")
    pairs = list_pairs("frames", apart=True)
    assert estimate_pairs(pairs, "out.zarr", "horn-schunck", scheduler=two_workers).estimated == COUNT
    estimate_pairs(pairs, "here.zarr", "horn-schunck")
    there, here = (zarr.open_array(f"{name}.zarr", mode="r")[...] for name in ("out", "here"))
    assert (there == here).all()


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_one_pair(folder):
    pytest.importorskip("distributed")
    expected = undisturbed()
    process = start("-o", "out", "--workers", 2, pause=0.03)
    wait_for(6, process)
    os.kill(notes()[-1], signal.SIGKILL)
    status, out, fault = finish(process)
    assert (status, fault) == (0, "")
    assert out.startswith(f"out: {COUNT} of {COUNT} pairs have a flow")
    assert flows("out") == expected
    assert COUNT <= len(notes()) <= COUNT + 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_that_is_killed_again_and_again(folder, workers):
    pytest.importorskip("distributed")
    expected = undisturbed()
    kept = {}
    for kill in range(4):
        process = start("-o", "out", "--workers", workers, pause=0.03)
        wait_for(4 * (kill + 1), process)
        process.kill()
        finish(process)
        wait_until_gone(set(notes()))
        for path in Path("out/records").glob("*.json"):
            kept.setdefault(path, path.stat().st_mtime_ns)
        for name, content in flows("out").items():
            assert content == expected[name]
    assert len(kept) < COUNT
    process = start("-o", "out", "--workers", workers)
    status, out, fault = finish(process)
    assert (status, fault) == (0, "")
    assert out == f"out: {COUNT} of {COUNT} pairs have a flow, {len(kept)} of them from before\n"
    assert flows("out") == expected
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert COUNT <= len(notes()) <= COUNT + 4 * workers
    assert no_parts("out")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_interrupt_keeps_what_is_done(folder, workers):
    pytest.importorskip("distributed")
    process = start("-o", "out", "--workers", workers, pause=0.05)
    wait_for(3, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, which tells the workers as well
    began = time.monotonic()
    status, out, fault = finish(process)
    assert time.monotonic() - began < 10
    assert (status, out) == (130, "")
    wait_until_gone(set(notes()))
    before = len(list(Path("out/records").glob("*.json")))
    assert 3 <= before < COUNT
    there = f"{before} of {COUNT} pairs have a flow"
    assert fault == f"variflow: interrupted: {there}; the same command goes on from there\n"
    status, out, fault = finish(start("-o", "out", "--workers", 1))
    assert (status, fault) == (0, "")
    assert out.endswith(f"have a flow, {before} of them from before\n")
    assert len(notes()) <= COUNT + workers
    assert no_parts("out")


def count_processes(session):
    """Return how many processes a session has."""
    count = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            count += int(path.read_text().rpartition(")")[2].split()[3]) == session
    return count


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
@pytest.mark.parametrize("again", [False, True])
def test_an_interrupt_while_workers_start_is_one_line(folder, again):
    pytest.importorskip("distributed")
    process = start("-o", "out", "--workers", 2)
    while count_processes(process.pid) < 3:  # itself, what tracks for multiprocessing, and a worker
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    if again:
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
    nothing = f"0 of {COUNT} pairs have a flow; the same command goes on from there"
    assert finish(process) == (130, "", f"variflow: interrupted: {nothing}\n")
    until = time.monotonic() + 30
    while count_processes(process.pid):  # the one that tracks ends a moment later
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
def test_an_interrupt_says_at_least_where_the_workers_go_on(folder, two_workers):
    process = start("-o", "out", "--scheduler", two_workers, pause=0.05)
    wait_for(6, process)
    process.send_signal(signal.SIGINT)
    status, out, fault = finish(process)
    assert (status, out) == (130, "")
    assert fault.startswith("variflow: interrupted: at least ")
    assert 6 <= int(fault.split()[4]) <= len(list(Path("out/records").glob("*.json")))


@pytest.mark.slow
def test_a_pair_that_kills_its_worker_fails_alone(folder):
    pytest.importorskip("distributed")
    for name in "ab":
        variflow.write_image(f"frames/f7{name}.png", synthetic.translation((21, 24), shift=(0.0, 0.0)).frame0)
    process = start("-o", "out", "--workers", 2, "--energy", "deadly.py:model")
    status, out, fault = finish(process)
    assert status == 1
    assert fault == (
        "variflow: frames/f7a.png frames/f7b.png: the workers that took it were killed, perhaps for want of memory\n"
    )
    assert out.startswith(f"out: {COUNT - 1} of {COUNT} pairs have a flow, ")
    assert len(flows("out")) == COUNT - 1


@pytest.mark.slow
def test_an_unreadable_frame_in_the_middle_stops_nothing(folder, two_workers):
    expected = undisturbed()
    Path("frames/f9b.png").write_bytes(Path("frames/f9b.png").read_bytes()[:-200])
    process = start("-o", "out", "--scheduler", two_workers)
    status, out, fault = finish(process)
    assert status == 1
    assert fault.startswith("variflow: frames/f9a.png frames/f9b.png: frames/f9b.png: ")
    assert out == f"out: {COUNT - 1} of {COUNT} pairs have a flow, 0 of them from before; 1 failed\n"
    assert flows("out") == {name: content for name, content in expected.items() if name != "f9a.flo"}


@pytest.mark.parametrize("output", ["out", "out.zarr"])
def test_a_full_disk_stops_the_rest(folder, small_disk, output):
    pytest.importorskip("zarr")
    most = 2000 if output == "out" else 5000  # of a flow file 4 kB, of compressed shards the larger
    pairs = [(f"frames/f{n}a.png", f"frames/f{n}b.png") for n in range(6)]
    tiny = synthetic.translation((8, 8), shift=(0.5, 0.0))
    if output == "out":  # two flows that are small enough
        for pair in pairs[:2]:
            variflow.write_image(pair[0], tiny.frame0)
            variflow.write_image(pair[1], tiny.frame1)
    with small_disk(most if output == "out" else 1500):
        summary = estimate_pairs(pairs, output, "horn-schunck")
    assert summary.full
    assert len(summary.failures) == 1
    assert "too large" in summary.failures[0].reason
    assert summary.done == (2 if output == "out" else 0)
    assert no_parts(output)
    assert estimate_pairs(pairs, output, "horn-schunck").kept == summary.done


def test_the_command_says_that_the_disk_is_full(folder, small_disk):
    arguments = ["batch", "frames", "--pairs", "-o", "out", "-m", "horn-schunck", "--workers", "1"]
    with small_disk(2000):
        result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 1
    assert result.stdout == f"out: 0 of {COUNT} pairs have a flow, 0 of them from before; 1 failed\n"
    first, last = result.stderr.splitlines()
    assert first == "variflow: frames/f0a.png frames/f0b.png: out/f0a.flo: File too large"
    assert last == "variflow: stopped, because the disk is full; the same command goes on when there is room"


def test_a_closed_output_ends_nothing(folder):
    reading, writing = os.pipe()
    os.close(reading)
    command = [*COMMAND, "-o", "out", "--workers", "1"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
    assert len(flows("out")) == COUNT


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_one_line(folder, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    process = start("-o", "out", "--scheduler", "tcp://127.0.0.1:1")
    status, _, fault = finish(process)
    assert status == 1
    assert "tcp://127.0.0.1:1" in fault
    assert len(fault.splitlines()) == 1


@pytest.mark.slow
def test_a_scheduler_without_workers_is_told(folder):
    with open_cluster(0) as cluster:
        process = start("-o", "out", "--scheduler", cluster.scheduler_address, pause=0.05)
        watchdog = threading.Timer(90, process.kill)  # a line that does not come would be waited for
        watchdog.start()
        waiting = r"variflow: warning: no worker is there at [\d:]{8}; waiting for one, with "
        waiting += rf"(\d+) of {COUNT} pairs done; Ctrl-C ends this, and what is done is kept\n"
        assert re.fullmatch(waiting, process.stderr.readline())[1] == "0"
        cluster.scale(1)
        wait_for(2, process)
        cluster.scale(0)
        assert re.fullmatch(waiting, process.stderr.readline())
        cluster.scale(1)
        assert finish(process)[::2] == (0, "")
        watchdog.cancel()
        assert len(flows("out")) == COUNT


@pytest.mark.slow
def test_a_scheduler_that_goes_is_told(folder):
    with open_cluster(1) as cluster:
        process = start("-o", "out", "--scheduler", cluster.scheduler_address)
        wait_for(2, process)
    status, _, fault = finish(process)
    assert status == 1
    assert "variflow: the Dask scheduler is gone; what is done is kept" in fault
