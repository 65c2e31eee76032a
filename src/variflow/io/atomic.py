"""Output that is complete or absent: written beside its destination, then renamed over it.

A process that is killed leaves a partial file; the next process that writes into the folder removes it. A lock tells
partial files from those still being written: each writer holds one on its file, and the system releases it when the
process ends.
"""

from __future__ import annotations

import errno
import math
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from variflow.io.paths import check_path

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

_PREFIX, _PART, _OLD = ".variflow-", ".part", ".old"
_next_sweep: dict[Path, float] = {}


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that takes the name `path` only when the block ends without an exception.

    Until then the bytes go to a hidden file in the same folder. It is removed if the block fails; if the process is
    killed, the next writer into that folder removes it. An existing `path` stays as it was until it is replaced in one
    step. The new file gets its permissions, or else those of any new file. Hard links to the old file keep the old
    content. A symbolic link is followed. A device or a pipe cannot be replaced and is written directly.

    Parameters
    ----------
    path : str or os.PathLike
        Where the complete file is to appear.

    Yields
    ------
    file : binary file
        Open for writing.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    IsADirectoryError
        If `path` is a folder.
    PermissionError
        If the folder, or the existing file, may not be written.
    OSError
        If the disk is full, or the system reports another error; every such error names `path`.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic(folder / "numbers.bin") as file:
    ...     _ = file.write(b"123")
    >>> (folder / "numbers.bin").read_bytes()
    b'123'
    """
    target = find_destination(path)
    if target.exists() and not target.is_file():
        with name_errors(path), target.open("wb") as file:
            yield file
        return
    with name_errors(path), _make_part(target.parent, lambda part: part.touch(exist_ok=False)) as part:
        with part.open("r+b") as file:
            yield file
        _keep_permissions(target, part)
        os.replace(part, target)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder that takes the name `path` when the block ends, as `atomic` does with a file.

    A folder that is already there is renamed first, and removed only when the new one has its name.
    """
    target = find_folder_destination(path)
    with name_errors(path), _make_part(target.parent, Path.mkdir) as part:
        yield part
        _keep_permissions(target, part)
        replace_folder(part, target)


def replace_folder(part: Path, target: Path) -> None:
    """Give a complete folder the name `target`, in the same folder; one that has it is removed afterwards."""
    old = target.parent / f"{_PREFIX}{secrets.token_hex(8)}-{target.name}{_OLD}"
    while True:
        with suppress(FileNotFoundError):
            os.replace(target, old)
        try:
            os.replace(part, target)
            break
        except OSError as error:
            # Another writer was faster: its folder is renamed in turn, unless a third one has put it aside already.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) and not target.exists():
                if old.exists():
                    os.replace(old, target)
                raise
            _remove(old)
    _remove(old)


def find_destination(path: str | os.PathLike[str]) -> Path:
    """Return where a file written to `path` really goes, or raise as `atomic` does if it cannot."""
    check_path(path)
    target = Path(path)
    if not target.exists() or target.is_file():  # the standard output has no other name
        target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{os.fspath(path)}: is a folder, wanted the name of a file")
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is there, and may not be written", os.fspath(path))
    if not target.exists() or target.is_file():
        _check_parent(path, target)
    return target


def find_folder_destination(path: str | os.PathLike[str]) -> Path:
    """Return where a folder made at `path` really goes, or raise as `atomic_folder` does if it cannot."""
    target = Path(os.path.realpath(path))
    _check_parent(path, target)
    return target


@contextmanager
def name_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors of the system name `path`, in place of no file or the hidden file that stands for it."""
    try:
        yield
    except OSError as error:
        if error.errno is None or (error.filename is not None and _PREFIX not in str(error.filename)):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


@contextmanager
def _make_part(folder: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """Make a hidden file or folder that this process has locked; it is removed if the block fails."""
    _sweep(folder)
    swept = True
    while swept:
        part, lock = folder / f"{_PREFIX}{secrets.token_hex(8)}{_PART}", None
        try:
            make(part)
            lock = _lock(part)
            swept = not part.exists()  # by another process, before it was locked
            if not swept:
                yield part
        except BaseException:
            _remove(part)
            raise
        finally:
            _release(lock)


def _sweep(folder: Path) -> None:
    """Remove what killed writers left in a folder, and restore folders that they had renamed."""
    began = time.monotonic()
    if began < _next_sweep.get(folder, -math.inf):
        return
    found = [folder / name for name in os.listdir(folder) if name.startswith(_PREFIX)]
    # A folder of a million files takes a second to list: at most a fiftieth of the time goes there.
    _next_sweep[folder] = began + max(1.0, 50 * (time.monotonic() - began))
    for path in found:
        if path.suffix == _OLD:
            target = folder / path.name.removeprefix(_PREFIX).removesuffix(_OLD).partition("-")[2]
            with suppress(OSError):  # the target is there, or another process did it
                os.rename(path, target)
            if target.exists():
                _remove(path)
        elif path.suffix == _PART:
            lock = _lock(path)
            if lock is not None or (fcntl is None and path.is_file()):
                _remove(path)
            _release(lock)


def _lock(path: Path) -> int | None:
    """Lock a file or folder until the returned descriptor is closed; None if that fails or another process has it."""
    if fcntl is None:
        return None
    descriptor = None
    try:
        descriptor = os.open(path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        _release(descriptor)
        return None
    return descriptor


def _release(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _keep_permissions(target: Path, part: Path) -> None:
    """Give a part the owner and the permissions of what it replaces, as far as the system allows."""
    with suppress(FileNotFoundError, PermissionError):
        before = target.stat()
        if hasattr(os, "chown"):
            with suppress(PermissionError):
                os.chown(part, before.st_uid, before.st_gid)
        part.chmod(stat.S_IMODE(before.st_mode) & 0o777)


def _check_parent(path: str | os.PathLike[str], target: Path) -> None:
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{os.fspath(path)}: the folder {target.parent} does not exist")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"the folder {target.parent} may not be written", os.fspath(path))
