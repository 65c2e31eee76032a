"""Errors of reading and writing files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class FileFormatError(ValueError):
    """A file that is not what it claims to be, or not what is wanted; the message reads ``PATH: reason``.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    reason : str
        What is wrong with it, and what would be right.

    Examples
    --------
    >>> print(FileFormatError("a.flo", "truncated: 20 bytes, 32 wanted"))
    a.flo: truncated: 20 bytes, 32 wanted
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        # Both stay in `args`, so that the error survives pickling between processes.
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{os.fspath(self.path)}: {self.reason}"


class FlowFileError(FileFormatError):
    """A flow file that cannot be read, or a name without a known flow format."""


class FieldsFileError(FileFormatError):
    """A file of a field that cannot be read, or a name without a known format of fields."""


class ImageFileError(FileFormatError):
    """An image file that cannot be read, or a name without an image format that can be written."""


@contextmanager
def explain_errors(path: str | os.PathLike[str], kind: type[FileFormatError], what: str) -> Iterator[None]:
    """Turn any error of a codec into an error of this kind; each codec has its own errors.

    Parameters
    ----------
    path : str or os.PathLike
        The file that is read.
    kind : type
        The error to raise.
    what : str
        How the reason begins, such as "cannot be read".
    """
    try:
        yield
    except (FileFormatError, ImportError, MemoryError):  # these explain themselves
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or (str(error).strip() or type(error).__name__).splitlines()[0]
        raise kind(path, f"{what}: {reason}") from error
