"""The machine a benchmark runs on: how many of its cores it may use, and how to describe it. Standard library only."""

import importlib.metadata
import os
import platform
import resource
import sys
from pathlib import Path


def limit(threads):
    """Give this process and its children `threads` CPUs, and tell the libraries; call it before they are imported."""
    for library in ("VARIFLOW", "OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{library}_{'NUM_' if library != 'VARIFLOW' else ''}THREADS"] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def describe(*packages):
    """Return a dictionary of words: the processor, its cores and caches, the system, the versions of `packages`."""
    words = {"processor": _processor(), "cores": f"{os.cpu_count()}"}
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (index / "type").read_text().strip() != "Instruction":
            caches["L" + (index / "level").read_text().strip()] = (index / "size").read_text().strip()
    if caches:
        words["caches"] = ", ".join(f"{level} {size}" for level, size in caches.items())
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        words["memory"] = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    words["system"] = f"{platform.system()} {platform.machine()}"
    if hasattr(os, "getloadavg"):
        words["load before"] = f"{os.getloadavg()[0]:.1f}"
    words["Python"] = platform.python_version()
    for package in packages:
        try:
            words[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return words


def measure_peak():
    """Return the most memory that this process has had, in MiB; on Linux not that of what started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _processor():
    if sys.platform.startswith("linux"):
        facts = dict(
            line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if line.count(":") == 1
        )
        facts = {key.strip(): value.strip() for key, value in facts.items()}
        if "model name" in facts:
            widest = [name for name in ("avx512f", "avx2", "sse4_2") if name in facts.get("flags", "").split()][:1]
            family = f"family {facts.get('cpu family')} model {facts.get('model')}"
            return ", ".join([f"{facts['model name']} ({family})", *widest])
    return platform.processor() or platform.machine()
