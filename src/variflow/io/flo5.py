"""HDF5 as in the Spring benchmark, ``.flo5``: the dataset ``flow``, float32 (H, W, 2), NaN where it is unknown.

References
----------
L. Mehl et al., "Spring: A High-Resolution High-Detail Dataset and Benchmark for Scene Flow, Optical Flow and Stereo",
CVPR 2023; https://spring-benchmark.org/
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from variflow.io import claims, extras, hdf5
from variflow.io.atomic import atomic
from variflow.io.errors import FlowFileError
from variflow.io.opening import get_size, open_steady

EXTENSIONS = (".flo5", ".h5", ".hdf5")
MAGICS = (b"\x89HDF\r\n\x1a\n",)
EXTRA = "h5py"


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a flow from the dataset ``flow`` of an HDF5 file.

    Raises
    ------
    FlowFileError
        If there is no such dataset, it is no flow, or the file is damaged.
    """
    h5py = extras.load("h5py")
    with open_steady(path, FlowFileError) as stored, h5py.File(stored, "r") as file:
        # A link could lead to another file, and a dataset could be stored in one.
        link = file.get("flow", getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise FlowFileError(path, f"has no dataset flow; it holds {', '.join(list(file)[:8]) or 'nothing'}")
        dataset = file["flow"]
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
            raise FlowFileError(path, "its flow is no dataset with values")
        hdf5.check_dataset(path, dataset, get_size(stored), FlowFileError)
        claims.check_flow_shape(path, dataset.shape, dataset.dtype)
        return claims.as_flow(path, dataset[()])


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow in the layout of Spring, compressed unless it is large and the same everywhere."""
    h5py = extras.load("h5py")

    def pack(compress: bool) -> bytes:
        options = {"compression": "gzip", "compression_opts": 5} if compress else {}
        # In memory: if the disk is full, HDF5 itself would end the process.
        with h5py.File("flow", "w", driver="core", backing_store=False) as file:
            file.create_dataset("flow", data=flow.astype("<f4", copy=False), **options)
            file.flush()
            return bytes(file.id.get_file_image())

    content = claims.pack_plausibly(flow.nbytes, pack)
    with atomic(path) as written:
        written.write(content)
