"""Read files and folders that others may write to meanwhile."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from variflow.io.errors import FileFormatError


@contextmanager
def open_steady(path: Path, error: type[FileFormatError], *, by_name: bool = False) -> Iterator[BinaryIO]:
    """Open a file for reading, and check that everything read from it belongs to one version.

    If the file is replaced meanwhile, the old one is read to its end.

    Parameters
    ----------
    path : Path
        An existing file.
    error : type
        The error to raise.
    by_name : bool
        Whether a library opens it again by its name, so that it must not be replaced.

    Yields
    ------
    file : binary file
        Open for reading; `get_size` tells its length.

    Raises
    ------
    FileFormatError
        Of that kind, if the file was written to, or replaced, before the block ended.
    """
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        try:
            yield file
        except Exception as fault:
            if _has_changed(path, file, before, by_name):
                raise error(path, _CHANGED) from fault
            raise
        if _has_changed(path, file, before, by_name):
            raise error(path, _CHANGED)


@contextmanager
def watch_folder(path: Path, error: type[FileFormatError]) -> Iterator[None]:
    """Check that a folder is not replaced while it is read.

    Raises
    ------
    FileFormatError
        Of that kind, if it was replaced before the block ended.
    """
    before = get_identity(path)
    try:
        yield
    except Exception as fault:
        if get_identity(path) != before:
            raise error(path, _CHANGED) from fault
        raise
    if get_identity(path) != before:
        raise error(path, _CHANGED)


def get_size(file: BinaryIO) -> int:
    """Return the length of an open file in bytes, even if another file has its name by now."""
    return os.fstat(file.fileno()).st_size


def hold_open(path: Path, owner: object) -> BinaryIO:
    """Open a file for as long as its owner lives, so that all frames are those of one file, even if it is replaced."""
    file = path.open("rb")
    weakref.finalize(owner, file.close)
    return file


def get_identity(path: Path) -> tuple[int, ...] | None:
    """Return numbers that tell a file or folder from another of the same name, None if it does not exist."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


_CHANGED = "was written to while it was read; read it again"


def _has_changed(path: Path, file: BinaryIO, before: os.stat_result, by_name: bool) -> bool:
    after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return True
    return by_name and not (path.exists() and os.path.samestat(path.stat(), before))
