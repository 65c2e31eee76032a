"""The record of what is done: a small JSON file for each flow, with digests that tell whether the flow still holds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import variflow
from variflow.base.digests import digest_file, digest_settings
from variflow.batching.listing import Paths
from variflow.io.atomic import atomic
from variflow.io.reading import find_file
from variflow.model import Model

FOLDER = "records"


@dataclass(frozen=True)
class Record:
    """What a file of flows was made from.

    Parameters
    ----------
    pairs : list of [str, str]
        The paths of the frames, as they were given: of one pair, or of each in a shard of a Zarr array.
    key : str
        A digest of the content of these frames, the model with its settings, the version of variflow and the format;
        empty if a pair of them failed.
    output : str
        A digest of the file of flows.
    model : str
        The name of the model.
    settings : str
        A digest of the model with its settings.
    version : str
        That of variflow.
    shape : list of int
        Height and width of the flow in pixels.
    seconds : float
        How long the estimates took.
    warnings : list of str
        What the estimates warned of.
    """

    pairs: list[list[str]]
    key: str
    output: str
    model: str
    settings: str
    version: str
    shape: list[int]
    seconds: float
    warnings: list[str]

    def write(self, path: Path) -> None:
        """Write it, complete or not at all."""
        with atomic(path) as file:
            file.write(json.dumps(dataclasses.asdict(self), indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """Read what :meth:`write` wrote; None if that is not there, or is damaged."""
        with suppress(OSError, ValueError, TypeError):
            return cls(**json.loads(path.read_bytes()))
        return None


_NOT_REPLACED = ", and is not replaced; wanted another output, or that one removed"


class OtherFlowsError(ValueError):
    """Flows of another model or of other frames are where new ones would go."""


def find_held(
    record: Path, output: Path, key: str, pairs: Sequence[Paths], model: Model, settings: str
) -> Record | None:
    """Return the record of a file of flows if it was made from what `key` says and is as it was written, else None.

    Raises
    ------
    OtherFlowsError
        If another model made the file, or the same with other settings, the digest of which is not `settings`; or if
        its flows are not those of the first of these pairs.
    """
    found = Record.read(record)
    if found is None or not output.exists():
        return None
    refuse_others(found, output, lambda: key, pairs, model, settings)
    with suppress(OSError):
        return found if found.key and found.key == key and digest_file(output) == found.output else None
    return None


def refuse_others(
    found: Record, output: Path, make_key: Callable[[], str], pairs: Sequence[Paths], model: Model, settings: str
) -> None:
    """Raise the error of `find_held` if a file of flows is of another model or of other frames.

    The key is made only if the frames have other names: that reads them all.
    """
    # Another version may digest the same settings otherwise.
    changed = found.settings != settings and found.version == variflow.__version__
    if found.model != model.name or changed:
        other = repr(found.model) if found.model != model.name else f"{found.model!r} with other settings"
        raise OtherFlowsError(f"output {output} is of the model {other}{_NOT_REPLACED}")
    same = all(tuple(held) == wanted for held, wanted in zip(found.pairs, pairs, strict=False))
    if not (same and len(found.pairs) <= len(pairs)) and found.key != make_key():
        raise OtherFlowsError(f"output {output} is of other frames, {' and '.join(found.pairs[0])}{_NOT_REPLACED}")


def make_key(pairs: Sequence[Paths], settings: str, form: str) -> str:
    """Return the key of the flows of some pairs.

    Parameters
    ----------
    pairs : sequence of (str, str)
        The frames; their content is read.
    settings : str
        The digest of the model with its settings.
    form : str
        What else the file of flows depends on, such as its format.
    """
    parts = [variflow.__version__, settings, form]
    digests: dict[str, str] = {}  # a frame is often in two pairs
    for frame in (frame for pair in pairs for frame in pair):
        if frame not in digests:
            digests[frame] = _digest_frame(frame)
        parts.append(digests[frame])
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


def _digest_frame(frame: str) -> str:
    """Return a digest of the content of a frame: a file, a variable of a file, or the folder of a Zarr array."""
    file = find_file(frame)
    if not file.is_dir():
        variable = frame.removeprefix(os.fspath(file))
        return digest_file(file) + variable
    inside = sorted(path for path in file.rglob("*") if path.is_file())
    return digest_settings([(path.relative_to(file).as_posix(), digest_file(path)) for path in inside])
