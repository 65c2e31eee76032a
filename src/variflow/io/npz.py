"""NumPy's ``.npz``: a zip file with the array ``flow`` (H, W, 2), or with ``u`` and ``v`` (H, W) as VIPER has them.

NaN where the flow is unknown.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from variflow.base.types import Numbers
from variflow.io import claims, npy
from variflow.io.atomic import atomic
from variflow.io.errors import FlowFileError
from variflow.io.opening import get_size, open_steady

EXTENSIONS = (".npz",)
MAGICS = (b"PK\x03\x04",)


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a flow from a ``.npz`` file: its array ``flow``, its arrays ``u`` and ``v``, or its only array.

    Raises
    ------
    FlowFileError
        If it holds no flow, or a member is not what its header says.
    """
    with open_steady(path, FlowFileError) as file, zipfile.ZipFile(file) as archive:
        names = {member.removesuffix(".npy"): member for member in archive.namelist()}
        if "flow" not in names and {"u", "v"} <= names.keys():
            chosen = ["u", "v"]
        elif "flow" in names or len(names) == 1:
            chosen = ["flow"] if "flow" in names else list(names)
        else:
            said = ", ".join(sorted(names)[:8]) or "nothing"
            raise FlowFileError(path, f"holds {said}; a flow is the array flow, or u and v, or the only array")
        members = [archive.getinfo(names[name]) for name in chosen]
        _check_size(path, members, get_size(file))
        values = [_read_member(path, archive, member) for member in members]
    if len({array.shape for array in values}) > 1:
        shapes = " and ".join(str(array.shape) for array in values)
        raise FlowFileError(path, f"its u and v have the shapes {shapes}, wanted the same")
    return claims.as_flow(path, values[0] if len(values) == 1 else np.stack(values, axis=-1))


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow as the array ``flow``, compressed unless it is large and the same everywhere."""

    def pack(compress: bool) -> bytes:
        memory = io.BytesIO()
        (np.savez_compressed if compress else np.savez)(memory, flow=flow.astype("<f4", copy=False))
        return memory.getvalue()

    content = claims.pack_plausibly(flow.nbytes, pack)
    with atomic(path) as file:
        file.write(content)


def _check_size(path: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FlowFileError(path, f"its member {member.filename} is compressed in a way that NumPy never writes")
    needed = sum(member.file_size for member in members)  # two of them may claim the same bytes of the file
    stored = min(sum(member.compress_size for member in members), size)
    claims.check_expansion(path, FlowFileError, (needed,), needed, stored, claims.DEFLATE)


def _read_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Numbers:
    with archive.open(member) as file:
        header = npy.read_header(path, file, member.file_size, FlowFileError)
        return npy.read_values(file, header)
