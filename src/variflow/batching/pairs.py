"""Estimate the flow of one pair of files, unless its record says that it is done."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

import variflow
from variflow import models
from variflow.base.digests import digest_file, digest_settings
from variflow.batching.listing import Paths
from variflow.batching.records import FOLDER, Record, find_held, make_key
from variflow.energy import Energy
from variflow.io import check_flow_path, read_image, write_flow
from variflow.io.locking import make_folder
from variflow.io.paths import check_path
from variflow.model import Model


def estimate_pair(
    frame0: str | os.PathLike[str],
    frame1: str | os.PathLike[str],
    output: str | os.PathLike[str],
    model: str | Model | Energy = "balanced",
) -> Record:
    """Estimate the flow between two image files and write it, unless that has been done.

    A plain function of paths, as a Dask bag or any other scheduler wants it. Its record is written beside the flow,
    into the folder ``records``. Called again, it estimates only if a frame or the version of variflow has changed, or
    the flow is not as it was written. The flow of another model, or of other frames, is never replaced.

    Parameters
    ----------
    frame0, frame1 : str or os.PathLike
        The frames, as for `variflow.read_image`.
    output : str or os.PathLike
        The file for the flow, as for `variflow.write_flow`; its folder is made.
    model : str, Model or callable
        As for `variflow.estimate`.

    Returns
    -------
    record : Record
        What the flow was made from.

    Raises
    ------
    FileNotFoundError
        If a frame is not there.
    TypeError, ValueError
        If a file is no image, the frames differ in size, the output has no extension of a flow file, or it is the flow
        of another model, of the same with other settings, or of other frames.
    OSError
        If the flow cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from variflow.datasets import synthetic
    >>> folder = tempfile.mkdtemp()
    >>> pair = synthetic.translation((32, 48), shift=(1.0, 0.0))
    >>> paths = [f"{folder}/a.png", f"{folder}/b.png"]
    >>> for path, frame in zip(paths, (pair.frame0, pair.frame1), strict=True):
    ...     variflow.write_image(path, frame)
    >>> record = estimate_pair(*paths, f"{folder}/flows/a.flo", "brox")
    >>> record.shape, estimate_pair(*paths, f"{folder}/flows/a.flo", "brox") == record
    ([32, 48], True)

    With Dask, where ``pairs`` is a list of (frame, frame, file for the flow)::

        import dask.bag

        dask.bag.from_sequence(pairs).starmap(estimate_pair, model="fast").compute()
    """
    for name, one in (("frame0", frame0), ("frame1", frame1), ("output", output)):
        check_path(one, name)
    chosen, path = models.get(model), Path(output)
    make_folder(path.parent / FOLDER)
    record = path.parent / FOLDER / f"{path.name}.json"
    return estimate_or_keep((os.fspath(frame0), os.fspath(frame1)), path, record, chosen, digest_settings(chosen))[0]


def estimate_or_keep(pair: Paths, output: Path, record: Path, model: Model, settings: str) -> tuple[Record, bool]:
    """Return the record of a pair, and whether it was there; `settings` is the digest of the model."""
    if output.suffix.lower() == ".zarr":
        raise ValueError(f"output {output} is a Zarr array, wanted a file for each flow")
    check_flow_path(output)
    key = make_key([pair], settings, output.suffix.lower())
    held = find_held(record, output, key, [pair], model, settings)
    if held is not None:
        return held, True
    flow, seconds, said = estimate_files(pair, model)
    write_flow(output, flow)
    made = make_record([pair], key, output, model, settings, flow.shape, seconds, said)
    made.write(record)
    return made, False


def estimate_files(pair: Paths, model: Model) -> tuple[npt.NDArray[np.float32], float, list[str]]:
    """Return the flow between two image files, the seconds that the estimate took, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", variflow.VariflowWarning)
        frames = read_image(pair[0]), read_image(pair[1])
        start = time.perf_counter()
        flow = variflow.estimate(*frames, model).flow
        seconds = time.perf_counter() - start
    return flow, seconds, [str(warning.message) for warning in caught]


def make_record(
    pairs: list[Paths],
    key: str,
    output: Path,
    model: Model,
    settings: str,
    shape: tuple[int, ...],
    seconds: float,
    said: list[str],
) -> Record:
    """Return the record of a file of flows that has been written."""
    return Record(
        pairs=[list(pair) for pair in pairs],
        key=key,
        output=digest_file(output),
        model=model.name,
        settings=settings,
        version=variflow.__version__,
        shape=list(shape[:2]),
        seconds=round(seconds, 4),
        warnings=said,
    )
