"""Run models over data sets, skipping what has been done already."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import variflow
from variflow import models
from variflow.base.digests import digest_settings
from variflow.datasets import Dataset, Sample
from variflow.evaluation.digests import digest_sample
from variflow.evaluation.results import Results
from variflow.evaluation.table import Table
from variflow.io.paths import check_path
from variflow.model import Model


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
        Pairs without truth are skipped.
    models : sequence of str or Model
        Names, or models with names that differ.
    output : str or os.PathLike, optional
        A folder for ``results.csv``, ``report.html``, ``report.md`` and pictures. Rows that its ``results.csv`` already
        has, for the same models with the same settings and the same content of the files, are not measured again. A
        damaged row is, if this evaluation asks for its data set and model; otherwise it stays without figures, and the
        report says so. If the evaluation is interrupted, what is done is kept. Several evaluations may write to one
        folder at the same time.
    callback : callable, optional
        Called as ``callback(label, done, total)`` before each pair and at the end.

    Returns
    -------
    table : Table
        All rows of the output, or of this evaluation.

    Raises
    ------
    ValueError
        If models, or pairs of frames, share a name, or a model or file cannot be used.
    FileExistsError
        If the output holds a ``report.html`` or ``report.md`` that is no report of an evaluation.

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
    chosen = _choose(models)
    _check_names(datasets)
    if output is not None:
        check_path(output, "output", "the name of a folder")
    asked = [(dataset.name, pair, model.name) for dataset in datasets for pair in dataset.names for model, _ in chosen]
    results = Results(None if output is None else Path(output), asked)
    total = len(asked)
    done = 0
    try:
        for dataset in datasets:
            for index, pair in enumerate(dataset.names):
                sample: Sample | None = None
                for model, settings in chosen:
                    key = (dataset.name, pair, model.name)
                    if callback is not None:
                        callback(" ".join(key), done, total)
                    done += 1
                    if sample is None:
                        sample = dataset[index]
                        results.expect(key, digest_sample(sample))
                    if sample.flow is not None and not results.hold(key, settings):
                        results.add(key, settings, *_run(sample, model))
        if callback is not None:
            callback("", total, total)
    finally:
        results.save(last=True)
    if not results.table.rows:
        raise ValueError("datasets has no pair with a true flow, wanted at least one")
    return results.table


def _choose(wanted: Sequence[str | Model]) -> list[tuple[Model, str]]:
    """Return each model with a digest of its settings, which tells whether its rows are still valid."""
    chosen = [models.get(model) for model in wanted]
    names = [model.name for model in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"models has the names {', '.join(names)}, wanted names that differ")
    return [(model, digest_settings((variflow.__version__, model))) for model in chosen]


def _check_names(datasets: Sequence[Dataset]) -> None:
    """Refuse several pairs with the same name: the row and pictures of one would replace those of another."""
    names = Counter((dataset.name, pair) for dataset in datasets for pair in dataset.names)
    twice = [" ".join(name) for name, count in names.items() if count > 1]
    if twice:
        said = ", ".join(twice[:3])
        raise ValueError(f"datasets has {said} more than once, wanted names that differ: evaluate them one by one")


def _run(sample: Sample, model: Model) -> tuple[npt.NDArray[np.float32], Sample, float]:
    start = time.perf_counter()
    flow = variflow.estimate(sample.frame0, sample.frame1, model).flow
    return flow, sample, time.perf_counter() - start
