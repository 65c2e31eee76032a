"""Files that change while they are read, and files that would take more memory than they are worth."""

from __future__ import annotations

import importlib.util
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from variflow.io import FlowFileError, ImageFileError, claims, npy, read_flow, read_frames, read_image, write_flow

random = np.random.default_rng(0)
STACK = random.integers(0, 255, (6, 40, 50), np.uint8)


def has(module):
    return importlib.util.find_spec(module) is not None


FLOWS = [
    *(".flo", ".png", ".pfm", ".npy", ".npz", ".tif"),
    *([".flo5"] if has("h5py") else []),
    *([".exr"] if has("OpenEXR") else []),
    *([".zarr"] if has("zarr") else []),
]


def write_stack(path, stack):
    if path.suffix == ".npy":
        np.save(path, stack)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, stack, photometric="minisblack")
    elif path.suffix == ".pgm":
        path.write_bytes(b"".join(b"P5 50 40 255\n" + frame.tobytes() for frame in stack))
    elif path.suffix == ".zarr":
        import zarr

        zarr.create_array(path, data=stack, chunks=(1, 20, 50))
    elif path.suffix == ".h5":
        import h5py

        with h5py.File(path, "w") as file:
            file["frames"] = stack
    elif path.suffix == ".nc":
        from scipy.io import netcdf_file

        with netcdf_file(path, "w") as file:
            for axis, length in zip("tyx", stack.shape, strict=True):
                file.createDimension(axis, length)
            file.createVariable("frames", "i2", ("t", "y", "x"))[:] = stack
    else:
        imageio.imwrite(path, np.stack([stack] * 3, axis=-1))


# ---- frames of a file that changes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(6, 40, 50), (6, 40, 50, 3)])
def test_a_numpy_stack_that_is_shortened_while_it_is_open(tmp_path, shape, order):
    """A map of it would end the process."""
    path = tmp_path / "a.npy"
    stack = random.integers(0, 255, shape, np.uint8)
    np.save(path, np.asarray(stack, order=order))
    frames = read_frames(path)
    assert all(np.array_equal(frame, wanted) for frame, wanted in zip(frames, stack, strict=True))
    os.truncate(path, path.stat().st_size - stack[0].size // 2)
    last = 5 if order == "C" else 0
    with pytest.raises(ImageFileError, match=rf"a\.npy: frame {last} cannot be read: truncated"):
        frames[last]
    assert order == "F" or np.array_equal(frames[4], stack[4])
    os.truncate(path, 3)
    with pytest.raises(ImageFileError, match=r"frame 1 cannot be read: truncated"):
        frames[1]


@pytest.mark.parametrize("kind", [".tif", ".pgm", ".gif"])
def test_other_stacks_that_are_shortened_while_they_are_open(tmp_path, kind):
    path = tmp_path / f"a{kind}"
    write_stack(path, STACK)
    frames = read_frames(path)
    assert len(frames) == 6
    os.truncate(path, path.stat().st_size // 2)
    assert frames[0].size > 0
    with pytest.raises(ImageFileError, match=rf"a\{kind}: (frame 5 cannot be read|truncated)"):
        frames[5]


@pytest.mark.parametrize(
    "kind",
    [".npy", ".tif", ".pgm", ".gif", ".nc", *([".h5"] if has("h5py") else []), *([".zarr"] if has("zarr") else [])],
)
def test_a_stack_that_is_replaced_while_it_is_open(tmp_path, kind):
    """Its frames are those of one file."""
    path = tmp_path / f"a{kind}"
    write_stack(path, STACK)
    frames = read_frames(path)
    before = [frame.copy() for frame in frames]
    write_stack(tmp_path / f"b{kind}", 255 - STACK[:, :, ::-1])
    if kind == ".zarr":
        path.rename(tmp_path / "c.zarr")
    (tmp_path / f"b{kind}").replace(path)
    if kind in (".zarr", ".h5", ".nc"):
        with pytest.raises(ImageFileError, match=r"another (array|file) has taken its place"):
            frames[2]
    else:
        assert np.array_equal(frames[2], before[2])
    assert not np.array_equal(read_frames(path)[2], before[2])


# ---- a reader beside a writer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FLOWS)
def test_a_flow_that_is_replaced_while_it_is_read(tmp_path, kind, monkeypatch):
    """Just after it was opened, by one of another size. What comes is one of the two or an error, never a mix."""
    path = tmp_path / f"a{kind}"
    flows = [np.full((height, 8, 2), height, np.float32) for height in (5, 9)]
    write_flow(path, flows[0])
    monkeypatch.setattr("variflow.io.opening.os.fstat", replacing := Replacing(path, flows[1]))
    monkeypatch.setattr("variflow.io.zarr_array.check_size", replacing.before(lambda *_: None))
    if kind in (".exr", ".zarr"):
        with pytest.raises(FlowFileError, match="was written to while it was read"):
            read_flow(path)
    else:
        found = read_flow(path)
        assert any(np.array_equal(found, flow) for flow in flows)
    assert replacing.done
    assert np.array_equal(read_flow(path), flows[1])


class Replacing:
    """Replaces a flow once, the first time that somebody asks how long its file is."""

    def __init__(self, path, flow):
        self.path, self.flow, self.done, self.fstat = path, flow, False, os.fstat

    def __call__(self, descriptor):
        self.replace()
        return self.fstat(descriptor)

    def replace(self):
        if not self.done:
            self.done = True
            write_flow(self.path, self.flow)

    def before(self, what):
        def replaced(*arguments):
            self.replace()
            return what(*arguments)

        return replaced


def test_a_file_that_is_written_in_place_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    write_flow(path, np.zeros((5, 8, 2)))
    read = npy.read_values

    def read_values(file, header):
        values = read(file, header)
        with path.open("r+b") as writer:
            writer.seek(-4, 2)
            writer.write(b"late")
        os.utime(path, (1, 1))
        return values

    monkeypatch.setattr(npy, "read_values", read_values)
    with pytest.raises(FlowFileError, match="was written to while it was read; read it again"):
        read_flow(path)


# ---- memory ---------------------------------------------------------------------------------------------------------

SIDE = 6000  # whose flow takes 288 MB


def zeros_npz(path, names, header=b""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in names:
            with archive.open(name, "w", force_zip64=True) as file:
                if header:
                    file.write(header)
                else:
                    shape = (SIDE, SIDE, 2 // len(names))
                    description = {"descr": "<f4", "fortran_order": False, "shape": shape[: 4 - len(names)]}
                    np.lib.format.write_array_header_1_0(file, description)
                for _ in range(SIDE):
                    file.write(bytes(8 * SIDE // len(names)))


def claims_png(path):
    """A size that 300 kB could just hold if it were all zeros."""
    chunks = (b"IHDR", struct.pack(">IIBBBBB", 17000, 17000, 8, 0, 0, 0, 0)), (b"IDAT", bytes(300_000)), (b"IEND", b"")
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def zeros_hdf5(path):
    import h5py

    chunk = zlib.compress(bytes(1000 * SIDE * 8), 1)
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "flow", (SIDE, SIDE, 2), "<f4", chunks=(1000, SIDE, 2), compression="gzip", compression_opts=1
        )
        for row in range(0, SIDE, 1000):
            dataset.id.write_direct_chunk((row, 0, 0), chunk)


BOMBS = {
    "a.npz": lambda path: zeros_npz(path, ["flow.npy"]),
    "uv.npz": lambda path: zeros_npz(path, ["u.npy", "v.npy"]),
    "header.npz": lambda path: zeros_npz(path, ["flow.npy"], b"\x93NUMPY\2\0\xf0\xff\xff\x0f"),
    "a.png": claims_png,
    **({"a.flo5": zeros_hdf5} if has("h5py") else {}),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of memory is that of Linux")
@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_takes_no_large_memory(tmp_path, name):
    path = tmp_path / name
    BOMBS[name](path)
    assert path.stat().st_size < 3e6
    code = (
        "import resource, sys, imagecodecs, tifffile, variflow\n"
        "try: import h5py\n"
        "except ImportError: pass\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, used + 2**27))\n"
        "try: variflow.read_flow(sys.argv[1])\n"
        "except variflow.FlowFileError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "too much for" in done.stdout or "its header says of itself" in done.stdout


def test_flows_of_zeros_are_read_back(tmp_path):
    """They are packed as densely as bombs are, but take no more memory than flows do."""
    write_flow(tmp_path / "a.npz", np.zeros((2200, 3840, 2), np.float32))
    assert not read_flow(tmp_path / "a.npz").any()


def test_what_is_read_belongs_to_the_reader(tmp_path):
    np.save(tmp_path / "a.npy", STACK[0])
    image = read_image(tmp_path / "a.npy")
    image[:] = 0
    frame = read_frames(tmp_path / "a.npy")[0]
    assert np.array_equal(frame, STACK[0])
    frame[:] = 0
    assert np.array_equal(read_image(Path(tmp_path / "a.npy")), STACK[0])


@pytest.mark.parametrize("value", [0.0, np.nan])
@pytest.mark.parametrize("kind", [kind for kind in FLOWS if kind not in (".flo", ".pfm", ".npy", ".tif")])
def test_what_is_written_is_dense_enough_to_be_believed(tmp_path, kind, value, monkeypatch):
    monkeypatch.setattr(claims, "_HARMLESS", 1 << 14)
    monkeypatch.setattr(claims, "_LARGE", 1 << 14)
    flow = np.full((300, 400, 2), value, np.float32)
    write_flow(tmp_path / f"a{kind}", flow)
    assert np.array_equal(read_flow(tmp_path / f"a{kind}"), flow, equal_nan=True)
