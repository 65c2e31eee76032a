"""Models run over data sets: one row of figures a pair, and means over them.

Errors are measured as the benchmarks do (:mod:`variflow.metrics`). A flow with gaps is filled first, as KITTI fills it
(:func:`variflow.metrics.complete`), and its density is noted.

>>> from variflow.datasets import Sample, synthetic
>>> pair = synthetic.translation((32, 48), shift=(1.0, 0.0))
>>> figures = measure(pair.flow + np.float32([0.0, 0.5]), pair)
>>> figures["epe"], figures["fl"], figures["density"]
(0.5, 0.0, 100.0)
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import variflow
from variflow import metrics, models, report
from variflow.arrays import MARKS, as_flow, as_mask, read
from variflow.datasets import Dataset, Sample
from variflow.io import FileFormatError, atomic
from variflow.model import Model

__all__ = ["COLUMNS", "REGIONS", "Table", "evaluate", "measure", "regions"]


def __dir__() -> list[str]:
    return sorted(__all__)


KEY = ("dataset", "pair", "model")
# Parts of a frame that are measured apart; where a data set does not tell, or there are no such pixels, they are empty.
REGIONS = ("s0-10", "s10-40", "s40+", "matched", "unmatched", "boundaries", "background", "foreground")
_OF_ALL = ("pixels", "epe", "fl", "angle", "a50", "a75", "a95", "r0.5", "r1", "r2", "r3", "r5", "ie", "ne")
FIGURES = (*_OF_ALL, *(f"{figure}_{region}" for region in REGIONS for figure in ("pixels", "epe", "fl")))
COLUMNS = (*KEY, "settings", "seconds", "density", *FIGURES)

Row = dict[str, Any]


def regions(sample: Sample) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the parts of a sample that are measured apart, and "all": those of its pixels that count.

    Parameters
    ----------
    sample : Sample
        With truth.

    Returns
    -------
    masks : dict of bool (H, W)
        "all", and of :data:`REGIONS` those that the sample tells: by speed, "matched" (not occluded; Fl-noc of KITTI),
        "unmatched", within 10 px of "boundaries" of motion, and of KITTI "background" and "foreground".

    Examples
    --------
    >>> from variflow.datasets import synthetic
    >>> parts = regions(synthetic.translation((32, 48), shift=(12.0, 0.0)))
    >>> int(parts["s10-40"].sum()), int(parts["unmatched"].sum())
    (1536, 384)
    """
    truth = as_flow(sample.flow, "sample.flow", np.float64)
    counts = np.isfinite(truth).all(axis=-1)
    if sample.valid is not None:
        counts &= as_mask(sample.valid, "sample.valid", counts.shape, "where a pixel counts")
    parts = {
        "s0-10": metrics.speed_between(truth, 0, 10),
        "s10-40": metrics.speed_between(truth, 10, 40),
        "s40+": metrics.speed_between(truth, 40),
        "boundaries": metrics.near(metrics.motion_boundaries(truth), 10),
    }
    for name, inside, outside in (
        ("occlusion", "unmatched", "matched"),
        ("foreground", "foreground", "background"),
    ):
        if (marks := getattr(sample, name)) is not None:
            marked, known = read(marks, f"sample.{name}", MARKS)
            told = np.ones(counts.shape, bool) if known is None else known
            parts |= {inside: told & (marked != 0), outside: told & (marked == 0)}
    return {"all": counts} | {name: counts & part for name, part in parts.items()}


def measure(flow: npt.ArrayLike, sample: Sample) -> dict[str, float]:
    """Measure a flow against the truth of a sample.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        The estimate (u, v) in pixels; gaps are filled as :func:`variflow.metrics.complete` does.
    sample : Sample
        With truth.

    Returns
    -------
    figures : dict
        ``density`` (percent of the frame that the estimate knew), ``pixels`` (that count), ``epe`` (mean end-point
        error, px), ``fl`` (outliers of KITTI, percent), ``angle`` (mean angular error, degrees), ``a50`` ... (A-x,
        px), ``r0.5`` ... (R-x, percent: the x-pixel outliers), ``ie`` and ``ne`` (interpolation error and its
        normalized form, gray values) where the sample has the frame between; and ``pixels_``, ``epe_`` and ``fl_`` of
        each part in :data:`REGIONS` that has pixels.

    Raises
    ------
    ValueError
        If the sample has no truth, or none of its pixels counts.

    Examples
    --------
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((32, 48), shift=(1.0, 0.0))
    >>> figures = measure(pair.flow + (0.0, 0.5), pair)
    >>> figures["epe"], figures["r1"]
    (0.5, 0.0)
    """
    if sample.flow is None:
        raise ValueError(f"sample: {sample.name} has no truth")
    estimate = as_flow(flow)
    density = 100 * float(np.isfinite(estimate).all(axis=-1).mean())
    estimate = metrics.complete(estimate)
    parts = regions(sample)
    everything = parts.pop("all")
    error = metrics.endpoint_error_map(estimate, sample.flow)[everything]
    figures = {
        "density": density,
        "pixels": float(error.size),
        "epe": metrics.endpoint_error(estimate, sample.flow, everything),
        "fl": metrics.outliers(estimate, sample.flow, everything),
        "angle": metrics.angular_error(estimate, sample.flow, everything),
    }
    figures |= {f"a{percent}": metrics.accuracy(error, percent) for percent in (50, 75, 95)}
    figures |= {f"r{above}": metrics.robustness(error, above) for above in (0.5, 1, 2, 3, 5)}
    if sample.between is not None:
        made = metrics.in_between(sample.frame0, sample.frame1, estimate)
        figures["ie"] = metrics.interpolation_error(made, sample.between)
        figures["ne"] = metrics.interpolation_error(made, sample.between, normalized=True)
    for name, part in parts.items():
        if part.any():
            figures[f"pixels_{name}"] = float(part.sum())
            figures[f"epe_{name}"] = metrics.endpoint_error(estimate, sample.flow, part)
            figures[f"fl_{name}"] = metrics.outliers(estimate, sample.flow, part)
    return figures


@dataclass
class Table:
    """The figures of an evaluation: a row for each pair and model.

    Parameters
    ----------
    rows : dict
        By (data set, pair, model): the columns of :data:`COLUMNS` that are known.
    """

    rows: dict[tuple[str, ...], Row] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Add a row, in place of one of the same data set, pair and model."""
        self.rows[tuple(row[column] for column in KEY)] = row

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
            Every pair counts alike, or every pixel: then only figures that are means over pixels are there.

        Returns
        -------
        means : dict of dict
            By (data set, model), then by figure.
        """
        if over not in ("pairs", "pixels"):
            raise ValueError(f"over: 'pairs' or 'pixels' is wanted, got {over!r}")
        return {key: dict(_means(rows, over)) for key, rows in self.groups().items()}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file; it appears complete or not at all."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows.values())
        with atomic(path) as file:
            file.write(text.getvalue().encode())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Table:
        """Read what :meth:`write` wrote.

        Raises
        ------
        FileFormatError
            If the file is another table.
        """
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise FileFormatError(path, "not a table of this version of variflow; choose another folder")
            table = cls()
            for row in reader:
                try:
                    numbers = {name: float(text) for name, text in row.items() if name in COLUMNS[4:] and text}
                except (TypeError, ValueError):
                    raise FileFormatError(path, f"line {reader.line_num}: not a row of figures") from None
                table.add({name: row[name] for name in COLUMNS[:4]} | numbers)
        return table


def evaluate(
    datasets: Sequence[Dataset],
    models: Sequence[str | Model],
    output: str | os.PathLike[str] | None = None,
    callback: Callable[[str, int, int], None] | None = None,
) -> Table:
    """Run models over data sets and measure the flows.

    Parameters
    ----------
    datasets : sequence of Dataset
        Pairs without truth are passed over.
    models : sequence of str or Model
        Names, or models with names that differ.
    output : str or os.PathLike, optional
        A folder for ``results.csv``, ``report.html``, ``report.md`` and pictures. What its ``results.csv`` already
        holds, from the same models with the same settings, is not run again; further models add to it. What is done
        is kept if the evaluation is interrupted.
    callback : callable, optional
        Called as ``callback(label, done, total)`` before each pair and at the end.

    Returns
    -------
    table : Table
        All rows of the output, or of this evaluation.

    Raises
    ------
    ValueError
        If models share a name, or a model or file cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from variflow.datasets import piv, synthetic
    >>> pair = synthetic.translation((48, 64), shift=(1.5, -0.5))
    >>> with tempfile.TemporaryDirectory() as folder:  # in place of a download
    ...     variflow.write_image(f"{folder}/a_img1.tif", pair.frame0)
    ...     variflow.write_image(f"{folder}/a_img2.tif", pair.frame1)
    ...     variflow.write_flow(f"{folder}/a_flow.flo", pair.flow)
    ...     table = evaluate([piv(folder)], ["brox"])
    >>> [(*key, row["epe"] < 0.1) for key, row in table.rows.items()]
    [('piv', 'a', 'brox', True)]
    """
    chosen = _chosen(models)
    folder = None if output is None else Path(output)
    table = Table()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "results.csv").exists():
            table = Table.read(folder / "results.csv")
    total = len(chosen) * sum(map(len, datasets))
    saved = time.monotonic()
    try:
        for done, (dataset, index, model, settings) in enumerate(_runs(datasets, chosen)):
            key = (dataset.name, dataset.names[index], model.name)
            if callback is not None:
                callback(" ".join(key), done, total)
            if table.rows.get(key, {}).get("settings") == settings:
                continue
            sample = dataset[index]
            if sample.flow is None:
                continue
            start = time.perf_counter()
            flow = variflow.estimate(sample.frame0, sample.frame1, model).flow
            seconds = time.perf_counter() - start
            row = dict(zip(KEY, key, strict=True)) | {"settings": settings, "seconds": seconds}
            if folder is not None:
                report.draw(folder, key, flow, sample)
            table.add(row | measure(flow, sample))
            if folder is not None and time.monotonic() - saved > 5:  # a table of thousands is not written at each row
                table.write(folder / "results.csv")
                saved = time.monotonic()
        if callback is not None:
            callback("", total, total)
    finally:
        if folder is not None and table.rows:
            table.write(folder / "results.csv")
            report.write(folder, table)
    if not table.rows:
        raise ValueError("datasets: none of the pairs has a truth")
    return table


def _chosen(wanted: Sequence[str | Model]) -> list[tuple[Model, str]]:
    """Return each model with a fingerprint of its settings, which tells whether its rows still hold."""
    chosen = [models.get(model) for model in wanted]
    names = [model.name for model in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"models: names that differ are wanted, got {', '.join(names)}")
    return [(model, hashlib.sha256(f"{variflow.__version__} {model!r}".encode()).hexdigest()[:12]) for model in chosen]


def _runs(
    datasets: Sequence[Dataset], chosen: Sequence[tuple[Model, str]]
) -> Iterator[tuple[Dataset, int, Model, str]]:
    for dataset in datasets:
        for index in range(len(dataset)):
            for model, settings in chosen:
                yield dataset, index, model, settings


def _means(rows: Sequence[Mapping[str, Any]], over: str) -> Iterable[tuple[str, float]]:
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
