"""One Zarr array (N, H, W, 2) for the flows of all pairs. A shard of it is one task, and has one writer.

Each shard is made in memory and takes its name at once. So several processes may write, and a shard is whole or absent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import check_same_shape
from variflow.batching.listing import Paths
from variflow.batching.naming import make_inside
from variflow.batching.pairs import estimate_files, make_record
from variflow.batching.records import FOLDER, Record, find_held, make_key, refuse_others
from variflow.batching.tasks import Failure, Job, Outcome, Task, fail
from variflow.io import extras, read_image
from variflow.io.atomic import atomic
from variflow.io.locking import lock_folder, make_folder
from variflow.io.zarr_array import describe

# The most bytes of a shard before they are compressed: large files are few, small ones are soon done again.
_MOST_BYTES = 2**25
# A batch has so many shards or more, unless it has fewer pairs, for as many processes to share.
_LEAST_SHARDS = 64
_METADATA = "zarr.json"


@dataclass(frozen=True)
class Shards:
    """The array of a batch.

    Parameters
    ----------
    root : Path
        Its folder.
    height, width : int
        Those of each flow in pixels.
    size : int
        How many pairs a shard holds.
    model : str
        The name of what computes them.
    """

    root: Path
    height: int
    width: int
    size: int
    model: str

    def find(self, job: Job, task: Task) -> Record | None:
        """Return the record of a shard if it is there and holds, else None."""
        key = self._make_key(task.pairs, job)
        return find_held(*self._place(task), key, task.pairs, job.model, job.settings)

    def _place(self, task: Task) -> tuple[Path, Path]:
        """Return the file of the record of a shard, and that of the shard."""
        return (
            make_inside(self.root, f"{FOLDER}/{task.number}.json"),
            make_inside(self.root, f"c/{task.number}/0/0/0"),
        )

    def write(self, job: Job, task: Task) -> Outcome:
        """Estimate the flows of a shard and write it, unless that has been done; what fails is NaN."""
        record, output = self._place(task)
        key = self._make_key(task.pairs, job)
        held = find_held(record, output, key, task.pairs, job.model, job.settings)
        if held is not None:
            return Outcome(held, kept=True)
        flows = np.full((len(task.pairs), self.height, self.width, 2), np.nan, np.float32)
        failures: list[Failure] = []
        total, warned = 0.0, set[str]()
        for place, pair in enumerate(task.pairs):
            try:
                flow, seconds, said = estimate_files(pair, job.model)
                check_same_shape("the flow", flow.shape, "the first pair", flows.shape[1:])
            except Exception as error:
                failures.append(fail(pair, error))
                continue
            flows[place] = flow
            total += seconds
            warned.update(said)
        with atomic(output) as file:
            file.write(self._encode(flows))
        made = make_record(
            list(task.pairs),
            "" if failures else key,
            output,
            job.model,
            job.settings,
            flows.shape[1:],
            total,
            sorted(warned),
        )
        made.write(record)
        return Outcome(made, failures=failures)

    def refuse_others(self, pairs: Sequence[Paths], job: Job) -> None:
        """Raise OtherFlowsError if a shard is there that this job would not replace."""
        for number in range(-(-len(pairs) // self.size)):
            found = Record.read(self.root / FOLDER / f"{number}.json")
            output = self.root / f"c/{number}/0/0/0"
            if found is not None and output.exists():
                its = pairs[number * self.size : (number + 1) * self.size]
                refuse_others(found, output, partial(self._make_key, its, job), its, job.model, job.settings)

    def _make_key(self, pairs: Sequence[Paths], job: Job) -> str:
        try:
            return make_key(pairs, job.settings, f"zarr {self.height} {self.width}")
        except OSError:  # of a frame, whose pairs fail
            return ""

    def make_metadata(self, count: int) -> bytes:
        """Return the metadata of an array of so many flows."""
        held: dict[str, Any] = {}
        self._make_array(held, count)
        return bytes(held[_METADATA].to_bytes())

    def _make_array(self, held: dict[str, Any], count: int) -> Any:
        """Make an array for so many flows in memory: what Zarr would write goes to `held`, by the names of files."""
        return extras.load("zarr").create_array(
            held,
            shape=(count, self.height, self.width, 2),
            shards=(self.size, self.height, self.width, 2),
            chunks=(1, self.height, self.width, 2),
            dtype="float32",
            fill_value=np.nan,
            dimension_names=("pair", "y", "x", "component"),
            attributes=describe(self.model),
            config={"write_empty_chunks": True},
        )

    def _encode(self, flows: npt.NDArray[np.float32]) -> bytes:
        """Return the bytes of a shard; the last one may lack pairs at its end."""
        held: dict[str, Any] = {}
        with extras.load("zarr").config.set({"async.concurrency": 1}):
            self._make_array(held, self.size)[: len(flows)] = flows
        return bytes(held["c/0/0/0/0"].to_bytes())


def open_shards(root: Path, pairs: Sequence[Paths], job: Job) -> Shards:
    """Return the array of a batch in a folder, which is made, or grows, if that is needed.

    Raises
    ------
    ValueError
        If something else is in the folder, its flows have another size or number, they are of another model or of
        other frames, or no pair can be read.
    ImportError
        If Zarr is not installed.
    """
    extras.check_installed("zarr")
    height, width = _find_size(pairs)
    size = max(1, min(_MOST_BYTES // (8 * height * width), -(-len(pairs) // _LEAST_SHARDS)))
    shards = Shards(root, height, width, size, job.model.name)
    make_folder(root)
    with lock_folder(root):
        path = make_inside(root, _METADATA)
        if path.exists():
            found = json.loads(path.read_bytes())
            shards = replace(shards, size=_get_shard_size(found) or size)
            wanted = json.loads(shards.make_metadata(len(pairs)))
            may_differ = {name: wanted[name] for name in ("shape", "attributes")}
            if found | may_differ != wanted or found["shape"][0] > len(pairs):
                raise ValueError(
                    f"output {root} is another array, of shape {found.get('shape')}, wanted {wanted['shape']} or an "
                    "output that is new"
                )
            if found == wanted:
                return shards
            shards.refuse_others(pairs, job)
        elif any(not entry.name.startswith(".variflow-") for entry in root.iterdir()):
            raise ValueError(f"output {root} holds something else, wanted an output that is new")
        with atomic(path) as file:
            file.write(shards.make_metadata(len(pairs)))
    return shards


def _get_shard_size(metadata: dict[str, Any]) -> int | None:
    """Return how many flows a shard of an array holds, None if that cannot be said."""
    with suppress(KeyError, IndexError, TypeError, ValueError):
        return int(metadata["chunk_grid"]["configuration"]["chunk_shape"][0]) or None
    return None


def _find_size(pairs: Sequence[Paths]) -> tuple[int, int]:
    """Return height and width of the first frame that can be read."""
    fault: Exception | None = None
    for frame, _ in pairs:
        try:
            height, width = read_image(frame).shape[:2]
            return height, width
        except (OSError, ValueError) as error:
            fault = fault or error
    assert fault is not None
    raise fault
