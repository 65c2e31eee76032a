"""Let one process at a time work in a folder."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from variflow.base.errors import warn
from variflow.io.atomic import name_errors

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl


def make_folder(path: Path) -> None:
    """Make a folder and its parents, unless they are there.

    Raises
    ------
    OSError
        If it cannot be made, or something else has its name; the error names `path`.
    """
    with name_errors(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, "is there, and is no folder", os.fspath(path)) from None


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Wait until no other process has locked this folder, and keep it locked until the block ends.

    The system releases the lock when the process ends, however it ends.

    Parameters
    ----------
    folder : Path
        An existing folder that may be written.
    """
    path = folder / ".variflow-lock"
    while True:
        with name_errors(folder):
            file = path.open("ab")
        _wait(file, folder)
        # Its last owner may have removed the file. Then another process may lock a new file of the same name.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()
    try:
        yield
    finally:
        if fcntl is not None:
            path.unlink(missing_ok=True)
        file.close()
        if fcntl is None:  # Windows does not remove a file that is open
            with suppress(OSError):
                path.unlink()


def _wait(file: BinaryIO, folder: Path) -> None:
    if fcntl is None:
        import msvcrt

        lock: Any = msvcrt
        while True:
            try:
                file.seek(0)
                lock.locking(file.fileno(), lock.LK_NBLCK, 1)
                return
            except OSError:
                time.sleep(0.05)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        warn(f"{folder}: cannot be locked ({error.strerror}); let one process at a time write to it")
