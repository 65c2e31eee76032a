"""The results in a folder, to which several evaluations may add at the same time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from variflow.base.errors import warn
from variflow.datasets import Sample
from variflow.evaluation import report
from variflow.evaluation.measuring import measure
from variflow.evaluation.table import Key, Row, Table, guess_key
from variflow.io import atomic
from variflow.io.locking import lock_folder, make_folder

_SECONDS_BETWEEN = 5  # a table of thousands is not written at each row


class Results:
    """The rows in a folder, and those that this evaluation adds.

    Parameters
    ----------
    folder : Path or None
        Where they are kept; created if it does not exist. With None they are not kept.
    asked : collection of (str, str, str)
        Data set, pair and model of all that this evaluation measures.
    """

    def __init__(self, folder: Path | None, asked: Collection[Key]) -> None:
        self._folder = folder
        self._asked = set(asked)
        self._own: dict[Key, Row] = {}
        self._inputs: dict[tuple[str, str], str] = {}
        self._left_out: set[Key] = set()
        self.table = Table()
        if folder is not None:
            report.check_replaceable(folder)
            make_folder(folder)
            with lock_folder(folder):
                self.table = self._read_stored(folder)
        self._saved = time.monotonic()

    def expect(self, key: Key, inputs: str) -> None:
        """Note the digest of a pair of frames. Rows that were measured from other content no longer count."""
        self._inputs[key[:2]] = inputs

    def hold(self, key: Key, settings: str) -> bool:
        """Return whether there is a row that was measured with these settings from the pair as it is now."""
        row = self.table.rows.get(key, {})
        if row.get("settings") != settings or row.get("inputs") != self._inputs[key[:2]]:
            return False
        self._own[key] = row
        return True

    def add(self, key: Key, settings: str, flow: npt.NDArray[np.float32], sample: Sample, seconds: float) -> None:
        """Measure a flow, and keep its row and its pictures."""
        said = {"settings": settings, "inputs": self._inputs[key[:2]], "seconds": seconds}
        row = dict(zip(("dataset", "pair", "model"), key, strict=True)) | said | measure(flow, sample)
        if self._folder is not None:
            report.draw(self._folder, key, flow, sample)
        self._own[key] = row
        self.table.add(row)
        if time.monotonic() - self._saved > _SECONDS_BETWEEN:
            self.save()

    def save(self, last: bool = False) -> None:
        """Merge the rows with those that others have added meanwhile; at the end, write the report too."""
        if self._folder is None:
            return
        with lock_folder(self._folder):
            self.table = self._read_stored(self._folder)
            for row in self._own.values():
                self.table.add(row)
            for key, row in list(self.table.rows.items()):
                if row.get("inputs") not in (None, self._inputs.get(key[:2], row.get("inputs"))):
                    del self.table.rows[key]
                    self._left_out.add(key)
            if self.table.rows:
                self.table.write(self._folder / "results.csv")
                if last:
                    report.write(self._folder, self.table)
        if last and (gone := self._left_out - self._own.keys()):
            said = ", ".join(" ".join(key) for key in sorted(gone)[:3])
            warn(f"{self._folder}: {len(gone)} rows are left out because their files have changed since: {said}")
        self._saved = time.monotonic()

    def _read_stored(self, folder: Path) -> Table:
        """Return the rows that are intact; a file with damaged rows is kept under another name.

        What a damaged row was of stays in the table, without figures, until it is measured again.
        """
        path = folder / "results.csv"
        if not path.exists():
            return Table()
        content = path.read_bytes()
        table, fault, damaged = Table.parse(content)
        if fault:
            kept = folder / f"results-damaged-{hashlib.sha256(content).hexdigest()[:8]}.csv"
            with atomic(kept) as file:
                file.write(content)
            lost = self._name_lost(table, damaged)
            table.rows = {key: dict(zip(("dataset", "pair", "model"), key, strict=True)) for key in lost} | table.rows
            table.write(path)
            warn(f"{path}: {fault}. {self._tell_lost(lost, len(damaged))}; the file is kept as {kept.name}")
        return table

    def _name_lost(self, table: Table, damaged: Sequence[Sequence[str]]) -> list[Key]:
        """Return what the damaged rows were of, as far as they say so and it can be true."""
        known = self._asked | table.rows.keys()
        datasets, models = {key[0] for key in known}, {key[2] for key in known}
        lost = {guess_key(cells, datasets, models) for cells in damaged}
        asked_datasets, asked_pairs = {key[0] for key in self._asked}, {key[:2] for key in self._asked}
        return [
            key
            for key in sorted(filter(None, lost))
            if key not in table.rows and (key[0] not in asked_datasets or key[:2] in asked_pairs)
        ]

    def _tell_lost(self, lost: Sequence[Key], damaged: int) -> str:
        """Return in words which damaged rows are measured again, and which are not."""
        if not damaged:
            return "What this evaluation asks for is measured again, the rest is lost"
        others = [key for key in lost if key not in self._asked]
        again, unnamed = len(lost) - len(others), damaged - len(lost)
        said = [f"{again} {'is' if again == 1 else 'are'} measured again"] * bool(again)
        if others:
            names = ", ".join(" ".join(key) for key in others[:3]) + ", ..." * (len(others) > 3)
            said.append(
                f"{len(others)} cannot be measured again, because this evaluation does not ask for that data set and "
                f"model: {names}, which the report says to be missing"
            )
        if unnamed:
            names = "names" if unnamed == 1 else "name"
            said.append(f"{unnamed} no longer {names} a pair, and only what this evaluation asks for is measured again")
        return "; ".join(said)
