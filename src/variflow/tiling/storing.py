"""The flow on its way to the disk: tiles that are done stay done when the process is killed."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow.base.brief import Brief
from variflow.frames.light import Light
from variflow.images.windows import Window
from variflow.io import extras
from variflow.io.atomic import atomic, replace_folder
from variflow.io.errors import FlowFileError
from variflow.io.zarr_array import atomic_array, check_replaceable, describe
from variflow.tiling.coarse import Coarse
from variflow.tiling.pair import Unit

# A folder beside the flow that holds it until it is complete, and within it what is known beside the flow.
_PARTIAL, _RECORDS = ".partial", "tiles"
_SETTINGS, _COARSE = "settings.json", "coarse.npz"


@dataclass(frozen=True, eq=False, repr=False)
class Store(Brief):
    """A flow that is written tile by tile.

    Attributes
    ----------
    path : Path
        Where the complete flow is to appear.
    array : zarr.Array
        The flow so far.
    """

    path: Path
    array: Any

    @property
    def _records(self) -> Path:
        return find_partial(self.path) / _RECORDS

    def write(self, number: int, tile: Window, flow: NDArray[np.float32]) -> None:
        """Write the flow of a tile, and then note that it is done."""
        self.array[tile.top : tile.bottom, tile.left : tile.right] = flow
        with atomic(self._records / f"{number}.done"):
            pass

    def is_done(self, number: int) -> bool:
        """Return whether a tile has been written."""
        return (self._records / f"{number}.done").is_file()

    def read_coarse(self) -> Coarse:
        """Return what the coarse levels found."""
        with np.load(self._records / _COARSE) as kept:
            low, high = kept["range"].tolist()
            first, second = kept["usable"].tolist()
            unit = Unit((low, high), bool(kept["chosen"]), (tuple(first), tuple(second)))
            light = Light(*(kept[name] for name in ("gain", "offset", "low", "high"))) if "gain" in kept else None
            u, v = kept["flow"]
            noise, matched = float(kept["noise"]), bool(kept["matched"])
            return Coarse((u, v), int(kept["level"]), unit, noise, light, matched=matched)

    def finish(self) -> None:
        """Give the complete flow its name."""
        check_replaceable(self.path)
        replace_folder(find_partial(self.path), self.path)
        shutil.rmtree(self.path / _RECORDS)


def find_partial(path: Path) -> Path:
    """Return the folder that holds a flow until it is complete."""
    return path.with_name(path.name + _PARTIAL)


def open_store(path: Path, settings: dict[str, str | int]) -> Store | None:
    """Return what an estimate with the same settings left; None if nothing is there.

    Raises
    ------
    FlowFileError
        If an estimate of other frames or with other settings left its tiles there.
    """
    zarr = extras.load("zarr")
    partial = find_partial(path)
    if not partial.exists():
        return None
    try:
        before = json.loads((partial / _RECORDS / _SETTINGS).read_bytes())
    except (OSError, ValueError):
        raise FlowFileError(partial, "is in the way: it holds no tiles of a flow") from None
    if before != settings:
        others = ", ".join(name for name in settings if before.get(name) != settings[name])
        raise FlowFileError(
            partial, f"holds tiles of an estimate that differs in {others}; finish that one, or remove the folder"
        )
    return Store(path, zarr.open_array(partial, mode="r+"))


def make_store(
    path: Path, size: tuple[int, int], side: int, model: str, settings: dict[str, str | int], coarse: Coarse
) -> Store:
    """Return a store for a new flow, which keeps what the coarse levels found."""
    zarr = extras.load("zarr")
    partial = find_partial(path)
    with atomic_array(partial) as (part, call):
        call(
            zarr.create_array,
            part,
            shape=(*size, 2),
            dtype="float32",
            chunks=(min(side, size[0]), min(side, size[1]), 2),
            fill_value=np.nan,
            attributes=describe(model),
        )
        (part / _RECORDS).mkdir()
        (part / _RECORDS / _SETTINGS).write_text(json.dumps(settings))
        _write_coarse(part / _RECORDS / _COARSE, coarse)
    return Store(path, zarr.open_array(partial, mode="r+"))


def _write_coarse(path: Path, coarse: Coarse) -> None:
    light = coarse.light
    parts = {} if light is None else {name: getattr(light, name) for name in ("gain", "offset", "low", "high")}
    np.savez(
        path,
        flow=coarse.flow,
        level=coarse.level,
        range=coarse.unit.intensity_range,
        chosen=coarse.unit.chosen,
        usable=coarse.unit.usable,
        noise=coarse.noise,
        matched=coarse.matched,
        **parts,
    )
