"""Output that is complete or absent: written beside its destination, then renamed over it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that takes the name `path` only when the block ends without an exception.

    Until then the bytes go to a hidden file in the same folder, which is removed if the block fails. An existing
    `path` stays as it was until it is replaced in one step. The new file has the permissions that any newly created
    file has. A symbolic link is followed. A device or a pipe cannot be replaced and is written directly.

    Parameters
    ----------
    path : str or os.PathLike
        Where the complete file shall appear.

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

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic(folder / "numbers.bin") as file:
    ...     _ = file.write(b"123")
    >>> (folder / "numbers.bin").read_bytes()
    b'123'
    """
    # tempfile would make a file that only its owner may read; a plain open follows the umask.
    with beside(path) as part, part.open("wb") as file:
        yield file


@contextmanager
def beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield another name, under which the block writes a file that takes the name `path` when the block ends.

    For writers that want a name; otherwise as `atomic`.
    """
    target = destination(path)
    if target.exists() and not target.is_file():
        yield target
        return
    part = _other_name(target)
    try:
        yield part
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def folder_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield another name, under which the block makes a folder that takes the name `path` when the block ends.

    A folder that is already there is put aside, and removed only when the new one has its name.
    """
    target = Path(os.path.realpath(path))
    _check_parent(path, target)
    part, old = _other_name(target), _other_name(target)
    try:
        yield part
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(part, target)
        except BaseException:
            if old.exists():
                os.replace(old, target)
            raise
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def destination(path: str | os.PathLike[str]) -> Path:
    """Return where a file written to `path` really goes, or raise as `atomic` does if it cannot."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{os.fspath(path)}: is a folder, the name of a file is wanted")
    _check_parent(path, target)
    return target


def _check_parent(path: str | os.PathLike[str], target: Path) -> None:
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{os.fspath(path)}: the folder {target.parent} does not exist")


def _other_name(target: Path) -> Path:
    return target.parent / f".{secrets.token_hex(8)}.part"
