"""No more threads than CPUs: those a process is bound to, and those its cgroup lets it use."""

import os
import subprocess
import sys

import pytest

import variflow
from variflow.base.cpus import find_quota

TOGETHER = "sys/fs/cgroup"
binds = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to CPUs")


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": ""}, None),
        ({"proc/self/cgroup": "nonsense\n:::\n0:"}, None),
        ({"proc/self/cgroup": "0::/", f"{TOGETHER}/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/", f"{TOGETHER}/cpu.max": "max 100000\n"}, None),
        # Part of a CPU is one.
        ({"proc/self/cgroup": "0::/", f"{TOGETHER}/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/a/b", f"{TOGETHER}/a/b/cpu.max": "250000 100000"}, 3),
        # The least one on the way up.
        (
            {
                "proc/self/cgroup": "0::/a/b/c",
                f"{TOGETHER}/a/b/c/cpu.max": "max 100000",
                f"{TOGETHER}/a/b/cpu.max": "400000 100000",
                f"{TOGETHER}/a/cpu.max": "15000 10000",
            },
            2,
        ),
        # A container that shows its own group as the outermost, or is told of one outside.
        ({"proc/self/cgroup": "0::/docker/1a2b", f"{TOGETHER}/cpu.max": "300000 100000"}, 3),
        ({"proc/self/cgroup": "0::/../other", f"{TOGETHER}/cpu.max": "300000 100000"}, 3),
        ({"proc/self/cgroup": "0::/a", f"{TOGETHER}/unified/a/cpu.max": "100000 100000"}, 1),
        # The older form, each controller by itself.
        (
            {
                "proc/self/cgroup": "3:memory:/x\n2:cpu,cpuacct:/job:1/step\n1:name=systemd:/",
                f"{TOGETHER}/cpu,cpuacct/job:1/cpu.cfs_quota_us": "350000",
                f"{TOGETHER}/cpu,cpuacct/job:1/cpu.cfs_period_us": "100000",
                f"{TOGETHER}/cpu,cpuacct/job:1/step/cpu.cfs_quota_us": "-1",
                f"{TOGETHER}/cpu,cpuacct/job:1/step/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "1:cpuset:/y\n2:cpu:/y\n0::/",
                f"{TOGETHER}/cpu/y/cpu.cfs_quota_us": "150000\n",
                f"{TOGETHER}/cpu/y/cpu.cfs_period_us": "50000\n",
                f"{TOGETHER}/cpuset/y/cpu.max": "10000 10000",
            },
            3,
        ),
        # What cannot be right says nothing.
        ({"proc/self/cgroup": "0::/", f"{TOGETHER}/cpu.max": "0 100000"}, None),
        ({"proc/self/cgroup": "0::/", f"{TOGETHER}/cpu.max": "100000"}, None),
        ({"proc/self/cgroup": "0::/", f"{TOGETHER}/cpu.max": "100000 0"}, None),
    ],
)
def test_quotas_of_cgroups(tmp_path, files, quota):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert find_quota(tmp_path) == quota


def printed(code, **environment):
    """What a script prints that imports the package anew; here the tests have lifted the limit."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    command = [sys.executable, "-u", "-c", "import os, variflow\n" + code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert result.stderr == ""
    return result.stdout.split()


@binds
def test_no_more_threads_than_cpus():
    cpus = str(len(os.sched_getaffinity(0)))
    assert printed("print(variflow.get_threads())", VARIFLOW_THREADS="64") == [cpus]
    assert printed("print(variflow.get_threads())", VARIFLOW_THREADS="") == [cpus]
    code = "for count in (64, 1):\n    variflow.set_threads(count)\n    print(variflow.get_threads())"
    assert printed(code) == [cpus, "1"]


@binds
def test_a_process_that_is_bound_later_is_looked_at_again():
    code = """
variflow.set_threads(64)
every = os.sched_getaffinity(0)
os.sched_setaffinity(0, {min(every)})
print(variflow.get_threads())
os.sched_setaffinity(0, every)
print(variflow.get_threads() == len(every))
child = os.fork()
if child == 0:
    os.sched_setaffinity(0, {max(every)})
    print(variflow.get_threads(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert printed(code) == ["1", "True", "1"]


def test_a_quota_limits_the_threads():
    code = "from variflow import _core; _core.limit_threads(1); variflow.set_threads(64); print(variflow.get_threads())"
    assert printed(code) == ["1"]


@pytest.mark.parametrize("count", [0, -1, 2.5, "2", None, 10**30])
def test_a_number_of_threads_that_cannot_be_is_named(count):
    before = variflow.get_threads()
    with pytest.raises((TypeError, ValueError), match=r"^n is .*, wanted .* from 1 to 4096$"):
        variflow.set_threads(count)
    assert variflow.get_threads() == before
