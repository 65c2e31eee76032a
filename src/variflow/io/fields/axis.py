"""Which way y runs, and what else a file says in its comments."""

from __future__ import annotations

from pathlib import Path

from variflow.io.errors import FieldsFileError


def decide_axis(path: Path, said: str | None, given: str | None, usual: str | None = None) -> str:
    """Return which way y runs: as the file says, or the caller, or else as is usual in its format.

    Raises
    ------
    FieldsFileError
        If nobody says it, or the file says something else than the caller.
    """
    if said is not None and said not in ("up", "down"):
        raise FieldsFileError(path, f"says that y runs {said!r}, wanted 'up' or 'down'")
    if said is not None and given is not None and said != given:
        raise FieldsFileError(path, f"says that y runs {said}, and y_axis is {given!r}: leave y_axis out")
    found = said or given or usual
    if found is None:
        raise FieldsFileError(path, "does not say whether y runs up or down: pass y_axis='up' or y_axis='down'")
    return found


def find_comment(comments: list[str], name: str) -> str | None:
    """Return what stands after ``# name:`` in one of the comments, or None."""
    for comment in comments:
        key, colon, value = comment.lstrip("# ").partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return None
