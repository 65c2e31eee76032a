"""NumPy's ``.npz``: a zip file with the array ``flow`` (H, W, 2), or with ``u`` and ``v`` (H, W) as VIPER has them.

NaN where the flow is unknown.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variflow.io import claims, npy
from variflow.io.atomic import atomic
from variflow.io.errors import FlowFileError

EXTENSIONS = (".npz",)
MAGICS = (b"PK\x03\x04",)


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a flow from a ``.npz`` file: its array ``flow``, its arrays ``u`` and ``v``, or its only array.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    flow : float32 (H, W, 2)
        Displacement (u, v) in pixels, NaN in both components where either is NaN or infinite.

    Raises
    ------
    FlowFileError
        If no flow is in it, or a member is not what its header says.
    """
    with zipfile.ZipFile(path) as archive:
        names = {member.removesuffix(".npy"): member for member in archive.namelist()}
        if "flow" not in names and {"u", "v"} <= names.keys():
            u, v = (_read_member(path, archive, names[name]) for name in "uv")
            if u.shape != v.shape:
                raise FlowFileError(path, f"its u has the shape {u.shape}, its v {v.shape}; they must be the same")
            return claims.as_flow(path, np.stack([u, v], axis=-1))
        if "flow" in names or len(names) == 1:
            return claims.as_flow(path, _read_member(path, archive, names.get("flow", next(iter(names.values())))))
    said = ", ".join(sorted(names)[:8]) or "nothing"
    raise FlowFileError(path, f"holds {said}; a flow is the array flow, or u and v, or the only array")


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow as the compressed array ``flow``.

    Parameters
    ----------
    path : Path
        Where it goes.
    flow : float32 (H, W, 2)
        Displacement (u, v) in pixels, NaN where it is unknown.
    """
    memory = io.BytesIO()
    np.savez_compressed(memory, flow=flow.astype("<f4", copy=False))
    with atomic(path) as file:
        file.write(memory.getbuffer())


def _read_member(path: Path, archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FlowFileError(path, f"its member {name} is compressed in a way that NumPy never writes")
    stored = min(member.compress_size, path.stat().st_size)
    claims.check_expansion(path, FlowFileError, (member.file_size,), member.file_size, stored, claims.DEFLATE)
    with archive.open(member) as file:
        header = npy.read_header(path, file, member.file_size, FlowFileError)  # type: ignore[arg-type]
        return npy.read_values(file, header)  # type: ignore[arg-type]
