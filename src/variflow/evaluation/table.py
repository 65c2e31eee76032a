"""The table of an evaluation and its CSV file. Each row of the file has a checksum that tells whether it is intact."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from variflow.base.choices import check_choice
from variflow.base.errors import warn
from variflow.evaluation.measuring import FIGURES
from variflow.io import atomic
from variflow.io.paths import check_path

_KEY = ("dataset", "pair", "model")
_TEXTS = (*_KEY, "settings", "inputs")
_NUMBERS = ("seconds", "density", *FIGURES)
COLUMNS = (*_TEXTS, *_NUMBERS, "check")

Row = dict[str, Any]
Key = tuple[str, str, str]


@dataclass
class Table:
    """The figures of an evaluation: a row for each pair and model.

    Parameters
    ----------
    rows : dict
        By (data set, pair, model): the columns of :data:`COLUMNS` that are known.
    """

    rows: dict[Key, Row] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Add a row; it replaces one with the same data set, pair and model."""
        self.rows[_get_key(row)] = row

    @property
    def missing(self) -> list[Key]:
        """What has a row without figures, because its row was damaged and it was not measured again since."""
        return [key for key, row in self.rows.items() if row.keys() <= set(_KEY)]

    def groups(self) -> dict[tuple[str, str], list[Row]]:
        """Return the rows of each (data set, model), in the order in which they came."""
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows.values():
            groups.setdefault((row["dataset"], row["model"]), []).append(row)
        return groups

    def means(self, over: str = "pairs") -> dict[tuple[str, str], dict[str, float]]:
        """Average each figure over the pairs that have it.

        Parameters
        ----------
        over : {"pairs", "pixels"}
            Every pair counts alike, or every pixel does. Over pixels, only figures that are means over pixels are
            returned.

        Returns
        -------
        means : dict of dict
            By (data set, model), then by figure.
        """
        check_choice("over", over, ("pairs", "pixels"))
        return {key: dict(_average(rows, over)) for key, rows in self.groups().items()}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file; it appears complete or not at all."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.rows.values():
            writer.writerow(_format_cells(row))
        with atomic(path) as file:
            file.write(text.getvalue().encode(errors="surrogateescape"))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Table:
        """Read what :meth:`write` wrote.

        Only rows that are intact to the last character are read. A `VariflowWarning` says what is wrong with the
        others.
        """
        check_path(path)
        table, fault, _ = cls.parse(Path(path).read_bytes())
        if fault:
            warn(f"{os.fspath(path)}: {fault}; the rest is read")
        return table

    @classmethod
    def parse(cls, content: bytes) -> tuple[Table, str, list[list[str]]]:
        """Return the intact rows of such a file, what is wrong with the others, "" if nothing, and their cells."""
        head, *lines = content.decode(errors="surrogateescape").removeprefix("\ufeff").split("\n")
        if not content or tuple(_split(head)) != COLUMNS:
            fault = "its columns are not those of this version of variflow" if content else "it is empty"
            return cls(), fault, []
        table, differing, damaged = cls(), set(), []
        for cells in map(_split, filter(str.strip, lines)):
            row = _parse_row(cells)
            if row is None:
                damaged.append(cells)
                continue
            key = _get_key(row)
            if table.rows.setdefault(key, row) != row:
                differing.add(key)
        for key in differing:
            del table.rows[key]
        faults = [f"{len(damaged)} of its rows are damaged"] * bool(damaged)
        faults += [f"{len(differing)} pairs have rows that differ"] * bool(differing)
        return table, " and ".join(faults), damaged + [[*map(_escape, key)] for key in differing]


def guess_key(cells: Sequence[str], datasets: Collection[str], models: Collection[str]) -> Key | None:
    """Return what a damaged row was of, None if its cells do not name one of these data sets and models."""
    if len(cells) < len(_KEY):
        return None
    dataset, pair, model = map(_unescape, cells[: len(_KEY)])
    # The mark after the name may be what is damaged.
    begun = [name for name in models if re.match(rf"{re.escape(name)}(?![\w.+-])", model)]
    return (dataset, pair, max(begun, key=len)) if dataset in datasets and begun else None


def _get_key(row: Row) -> Key:
    return row["dataset"], row["pair"], row["model"]


def _format_cells(row: Row) -> list[str]:
    if unknown := row.keys() - set(COLUMNS):
        raise ValueError(f"row has {', '.join(sorted(unknown))}, wanted columns of a table only")
    cells = [_escape(str(row.get(column, ""))) for column in _TEXTS]
    cells += [repr(float(row[column])) if column in row else "" for column in _NUMBERS]
    return [*cells, _compute_checksum(cells)]


def _split(line: str) -> list[str]:
    try:
        return next(csv.reader([line.removesuffix("\r")]), [])
    except csv.Error:
        return []


def _parse_row(cells: list[str]) -> Row | None:
    """Return a row, None if it is not intact."""
    if len(cells) != len(COLUMNS) or _compute_checksum(cells[:-1]) != cells[-1]:
        return None
    texts = {name: _unescape(cell) for name, cell in zip(_TEXTS, cells, strict=False) if cell or name in _KEY}
    numbers = zip(_NUMBERS, cells[len(_TEXTS) :], strict=False)
    return texts | {name: float(cell) for name, cell in numbers if cell}


def _compute_checksum(cells: Sequence[str]) -> str:
    return hashlib.sha256("\x1f".join(cells).encode(errors="surrogateescape")).hexdigest()[:12]


def _escape(text: str) -> str:
    """Keep a name on one line, and keep spreadsheets from taking it for a formula."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "'")) else text


def _unescape(text: str) -> str:
    parts = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
    return re.sub(r"\\.", lambda found: parts.get(found[0], found[0]), text.removeprefix("'"))


def _average(rows: Sequence[Row], over: str) -> Iterable[tuple[str, float]]:
    for figure in ("seconds", *FIGURES):
        name, _, region = figure.partition("_")
        having = [row for row in rows if figure in row]
        if not having:
            continue
        values = np.array([row[figure] for row in having])
        if name == "pixels":
            yield figure, float(values.sum())
        elif over == "pairs":
            yield figure, float(values.mean())
        elif name in ("epe", "fl", "angle") or name.startswith("r"):
            counts = [row[f"pixels_{region}" if region else "pixels"] for row in having]
            yield figure, float(np.average(values, weights=counts))
