"""Output that is complete or absent: written beside its destination, then renamed over it."""

from __future__ import annotations

import os
import secrets
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
    target = destination(path)
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return

    # tempfile would make a file that only its owner may read; a plain open follows the umask.
    part = target.parent / f".{secrets.token_hex(8)}.part"
    try:
        with part.open("xb") as file:
            yield file
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def destination(path: str | os.PathLike[str]) -> Path:
    """Return where a file written to `path` really goes, or raise as `atomic` does if it cannot."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{os.fspath(path)}: is a folder, the name of a file is wanted")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{os.fspath(path)}: the folder {target.parent} does not exist")
    return target
