"""How many threads to use, and how many CPUs the cgroups of this process let it use, as in a container with a quota."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path, PurePosixPath

from variflow import _core

# As many as the core takes.
_MOST_THREADS = 4096

# Where cgroups are mounted: all controllers together, or that of processor time alone.
_TOGETHER, _ALONE = ("sys/fs/cgroup", "sys/fs/cgroup/unified"), ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")


def set_threads(n: int) -> None:
    """Let the native kernels use so many threads; `variflow.get_threads` says how many are used.

    That is as many as this process may use CPUs, if that is less: the CPUs it is bound to, and the quota of its cgroup.
    Results do not depend on it. The default is the environment variable ``VARIFLOW_THREADS``, else all.

    Parameters
    ----------
    n : int
        From 1 to 4096.

    Examples
    --------
    >>> import variflow
    >>> variflow.set_threads(variflow.get_threads())
    """
    from variflow.base.choices import check_whole  # not at the top: with it comes NumPy

    _core.set_threads(check_whole("n", n, 1, _MOST_THREADS))


def find_quota(root: Path = Path("/")) -> int | None:
    """Return how many CPUs the cgroups of this process may use, rounded up; None if there is no quota.

    The quota of a group limits all groups inside it, so the smallest one on the way up counts.

    Parameters
    ----------
    root : Path
        The folder that holds ``proc`` and ``sys``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from variflow.base.cpus import find_quota
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, text in (("proc/self/cgroup", "0::/job"), ("sys/fs/cgroup/job/cpu.max", "150000 100000")):
    ...         path = Path(folder, name)
    ...         path.parent.mkdir(parents=True)
    ...         _ = path.write_text(text)
    ...     find_quota(Path(folder))
    2
    """
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        together = not controllers
        if together or "cpu" in controllers.split(","):
            for group in _list_groups(path):
                for mount in _TOGETHER if together else _ALONE:
                    folder = root / mount / group
                    text = _read(folder / "cpu.max") if together else _read_old_form(folder)
                    quotas += _parse_quota(text)
    return math.ceil(min(quotas)) if quotas else None


def _list_groups(path: str) -> list[PurePosixPath]:
    """Return a group and the groups around it, relative to where they are mounted.

    A container may show its own group as the outermost one, whatever its name outside.
    """
    inner = [part for part in path.split("/") if part]
    outside = ".." in inner
    return [PurePosixPath(*inner[:count]) for count in range(0 if outside else len(inner), -1, -1)]


def _read_old_form(folder: Path) -> str:
    return f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}"


def _parse_quota(text: str) -> list[float]:
    """Return the CPUs of a text "quota period", both in microseconds; none if the quota is "max" or -1."""
    with contextlib.suppress(ValueError):
        quota, period = map(int, text.split())
        if quota > 0 and period > 0:
            return [quota / period]
    return []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
