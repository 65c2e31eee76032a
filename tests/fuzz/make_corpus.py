"""Make the small files that the fuzzer starts from: ``python tests/fuzz/make_corpus.py``."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import av
import h5py
import imageio.v3 as imageio
import numpy as np
import tifffile
import zarr
from PIL import Image
from scipy.io import netcdf_file

import variflow

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    CORPUS.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    flow = random.normal(0, 5, (4, 5, 2)).astype(np.float32)
    flow[1, 2] = np.nan
    for extension in ("flo", "png", "pfm", "npy", "npz", "tif", "exr"):
        variflow.write_flow(CORPUS / f"flow.{extension}", flow)
    with h5py.File(CORPUS / "flow.flo5", "w", libver="latest") as file:  # a smaller file than that of old versions
        file.create_dataset("flow", data=flow, compression="gzip")
    with h5py.File(CORPUS / "flow_old.flo5", "w") as file:
        file["flow"] = flow
    for version in (2, 3):
        with tempfile.TemporaryDirectory() as folder:
            zarr.create_array(folder, shape=flow.shape, dtype="f4", chunks=(4, 5, 2), zarr_format=version)
            metadata = Path(folder) / ("zarr.json" if version == 3 else ".zarray")
            (CORPUS / f"zarr{version}.json").write_bytes(metadata.read_bytes())

    color = random.integers(0, 255, (3, 16, 18, 3), np.uint8)
    variflow.write_image(CORPUS / "color.png", color[0, :5, :6])
    variflow.write_image(CORPUS / "gray16.png", color[0, :5, :6, 0].astype(np.uint16) * 257)
    imageio.imwrite(CORPUS / "alpha.png", np.concatenate([color[0, :5, :6], color[1, :5, :6, :1]], axis=-1))
    variflow.write_image(CORPUS / "color.jpg", color[0])
    tifffile.imwrite(CORPUS / "stack.tif", color[:, :5, :6], photometric="rgb", compression="zlib")
    tifffile.imwrite(CORPUS / "tiles.tif", color[0], photometric="rgb", tile=(16, 16), byteorder=">", metadata=None)
    tifffile.imwrite(CORPUS / "big.tif", color[:, :5, :6, 0], photometric="minisblack", bigtiff=True)
    imageio.imwrite(CORPUS / "film.gif", color[:, :6, :7, 0])
    imageio.imwrite(CORPUS / "color.webp", color[0], lossless=True)
    (CORPUS / "color.ppm").write_bytes(b"P6 6 5 65535\n" + color[0, :5, :6].astype(">u2").tobytes())
    np.save(CORPUS / "stack.npy", color[:, :5, :17, 0])
    for name, codec, pixels in (("film.mp4", "mpeg4", "yuv420p"), ("film.mkv", "ffv1", "gray")):
        with av.open(CORPUS / name, "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 18, 16, pixels
            for image in color:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            container.mux(stream.encode())

    write_measurements(random)


def write_measurements(random: np.random.Generator) -> None:
    """Write what has missing data, pages of several kinds, and what is packed."""
    rain = random.integers(0, 200, (3, 5, 6)).astype(np.int16)
    with netcdf_file(CORPUS / "rain.nc", "w") as file:
        for axis, length in (("time", None), ("y", 5), ("x", 6)):
            file.createDimension(axis, length)
        variable = file.createVariable("rain", "i2", ("time", "y", "x"))
        variable[:] = rain
        variable._FillValue, variable.scale_factor = np.int16(-9), 0.5
    with h5py.File(CORPUS / "radar.h5", "w", libver="latest") as file:
        file["dataset1/data1/data"] = rain[0].astype(np.uint8)
        file.require_group("dataset1/data1/what").attrs.update({"gain": 0.5, "offset": -32.0, "nodata": 255.0})
    (CORPUS / "text.pgm").write_bytes(b"P2\n3 2\n999\n1 2 3\n4 5 999\n")
    first, *others = (Image.fromarray(random.integers(0, 255, (5, 6, 3), np.uint8)) for _ in range(3))
    first.save(CORPUS / "film.apng.png", save_all=True, append_images=others)
    with tifffile.TiffWriter(CORPUS / "pages.tif") as writer:
        nodata = (42113, "s", 0, "3", True)
        writer.write(rain[0], photometric="minisblack", metadata=None, extratags=[nodata])
        writer.write(rain[1], photometric="minisblack", metadata=None, compression="zlib")
    (CORPUS / "packed.tif.gz").write_bytes(gzip.compress((CORPUS / "pages.tif").read_bytes()))


if __name__ == "__main__":
    main()
