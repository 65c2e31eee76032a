"""Estimate the flow of frames larger than memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import variflow
from variflow import _core, models
from variflow.base.brief import Brief
from variflow.base.choices import check_whole
from variflow.base.digests import digest_settings
from variflow.base.kinds import name_kind
from variflow.base.types import ArrayLike
from variflow.calling import explain_calls
from variflow.energy import Energy
from variflow.io import check_flow_path
from variflow.io.atomic import find_folder_destination
from variflow.io.errors import FlowFileError
from variflow.io.paths import check_path
from variflow.io.zarr_array import check_replaceable, open_array
from variflow.model import Model
from variflow.tiling.coarse import estimate_coarse, estimate_whole
from variflow.tiling.pair import find_unit, list_tiles, open_pair
from variflow.tiling.storing import make_store, open_store
from variflow.tiling.tile import choose_window, estimate_tile

_LEAST_TILE = 64


@dataclass(frozen=True, eq=False, repr=False)
class TiledFlow(Brief):
    """A flow on the disk, and how it came about.

    Attributes
    ----------
    path : Path
        The folder of the flow, a Zarr array.
    flow : zarr.Array
        ``(H, W, 2)`` float32, open for reading: ``flow[100:200, 300:400]`` reads that part. Finite everywhere.
    model : Model
        What computed it.
    tile, margin : int
        Sides of the tiles, and how far around them the frames were read, in pixels.
    coarse : int
        The finest of the levels that were estimated of the whole frames; 0 is their size.
    tiles, resumed : int
        How many tiles the flow has, and how many of them an estimate that was interrupted had left.
    """

    path: Path
    flow: Any
    model: Model
    tile: int
    margin: int
    coarse: int
    tiles: int
    resumed: int


@explain_calls
def estimate_tiled(
    frame0: ArrayLike,
    frame1: ArrayLike,
    output: str | os.PathLike[str],
    model: str | Model | Energy = "balanced",
    *,
    tile: int = 1024,
    margin: int = 128,
    mask: ArrayLike | None = None,
    intensity_range: tuple[float, float] | None = None,
    callback: Callable[[int, int], object] | None = None,
) -> TiledFlow:
    """Estimate the flow between frames that are larger than memory, and write it to a Zarr array.

    Both frames are read block by block and reduced to a level of their pyramid that has at most as many pixels as a
    tile with its margins. The flow of the whole frames is estimated up to that level. Then each tile goes on from it
    at the finer levels, with a margin around it that is cut off; the levels of a tile are windows of those of the
    frames. All tiles share one intensity range, one light and one level of noise. So the flow is nearly that of
    `estimate`, and memory depends on `tile`, not on the frames. Frames no larger than a tile are estimated as a whole.

    A tile that has been written stays. If the process ends before the last one, the same call goes on from there, and
    the flow is the same to the last bit. Until it is complete it lies beside the output, in ``output.partial``.

    Parameters
    ----------
    frame0, frame1 : array or path
        ``(H, W)`` or ``(H, W, C)``, as for `estimate`: Dask or Zarr arrays, memory maps, or anything else that is read
        by slicing; or the path of a Zarr array, of an ``.npy``, or of a TIFF, of which only windows are read.
    output : str or os.PathLike
        The folder of the flow, ``"flow.zarr"``, which `read_flow` reads, too. It replaces another Zarr array. A chunk
        is a tile.
    model : str, Model or callable
        As for `estimate`. Energies that hold arrays of the frames' size, and models with other `unknowns` than the
        flow, cannot be estimated in tiles.
    tile : int
        Sides of the tiles in pixels, a multiple of 64 of at least 64; typically 512 to 4096. Larger tiles take more
        memory and read fewer pixels twice.
    margin : int
        How far around a tile the frames are read, in pixels, at least 0; typically 64 to 256. A larger margin makes
        the seams smaller and takes more time.
    mask : (H, W) bool array, path, or a pair of them, optional
        True where a pixel is usable; read as the frames are.
    intensity_range : (low, high), optional
        As for `estimate`; by default that of a sample from all over both frames.
    callback : callable, optional
        Called as ``callback(done, tiles)`` at the beginning and after each tile.

    Returns
    -------
    TiledFlow
        With ``flow`` open for reading.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; the message names it.
    FlowFileError
        If the output is no ``.zarr``, or if an estimate of other frames or with other settings was interrupted there.

    Examples
    --------
    >>> import tempfile
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((160, 240), shift=(1.25, -0.5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = variflow.estimate_tiled(pair.frame0, pair.frame1, f"{folder}/flow.zarr", "fast", tile=128)
    ...     found.tiles, found.flow.shape
    ...     bool(abs(found.flow[16:-16, 16:-16] - (1.25, -0.5)).mean() < 0.05)
    (4, (160, 240, 2))
    True
    """
    side = check_whole("tile", tile, _LEAST_TILE, what=f"a multiple of {_LEAST_TILE}")
    if side % _LEAST_TILE:
        raise ValueError(f"tile is {side}, wanted a multiple of {_LEAST_TILE} of at least {_LEAST_TILE}")
    margin = check_whole("margin", margin, 0)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {name_kind(callback)}, wanted a function of the tiles done and of all")
    path = _check_output(output)
    chosen = models.get(model)
    if chosen.unknowns is not None:
        raise ValueError(f"model has the unknowns {type(chosen.unknowns).__name__}, wanted the flow itself in tiles")
    pair = open_pair(frame0, frame1, mask)
    for source in pair.sources:
        if source.is_in(path):
            raise ValueError(f"output {path} is the same as {source.name}, which would be overwritten")
    images, usable = sample = pair.read_sample()
    settings: dict[str, str | int] = {
        "frames": digest_settings([pair.sources[0].shape, images]),
        "mask": digest_settings([usable]),
        "model": digest_settings([chosen]),
        "intensity_range": digest_settings([intensity_range]),
        "tile": side,
        "margin": margin,
        "version": variflow.__version__,
    }
    store = open_store(path, settings)
    tiles = list_tiles(pair.size, side)
    left = [number for number in range(len(tiles)) if not (store and store.is_done(number))]

    def find_size(number: int) -> tuple[int, int]:
        return choose_window(tiles[number], margin, pair.size).shape

    if callback is not None:
        callback(len(tiles) - len(left), len(tiles))
    if store is None:
        unit = find_unit(pair, *sample, intensity_range)
        if len(tiles) == 1:
            coarse = estimate_whole(pair, chosen, unit)
        else:
            coarse = estimate_coarse(pair, chosen, unit, side + 2 * margin, sample)
        store = make_store(path, pair.size, side, chosen.name, settings, coarse)
    coarse = store.read_coarse()
    del images, usable, sample
    done = len(tiles) - len(left)
    # What the core keeps for windows of one size serves no other, and would double the memory.
    for _, alike in groupby(sorted(left, key=find_size), find_size):
        _core.release_memory()
        for number in alike:
            store.write(number, tiles[number], estimate_tile(pair, coarse, chosen, tiles[number], margin))
            done += 1
            if callback is not None:
                callback(done, len(tiles))
    store.finish()
    flow = open_array(path, FlowFileError)
    return TiledFlow(path, flow, chosen, side, margin, coarse.level, len(tiles), len(tiles) - len(left))


def _check_output(output: str | os.PathLike[str]) -> Path:
    """Return the folder that an output names; raise an error if no flow can be written there."""
    check_path(output, "output", "the name of a Zarr array")
    if Path(output).suffix.lower() != ".zarr":
        raise FlowFileError(output, "a flow in tiles is written to a Zarr array: wanted a name that ends with .zarr")
    check_flow_path(output)
    path = find_folder_destination(output)
    check_replaceable(path)
    return path
